//! The tests that ARCHITECTURE.md names for the invariants exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_architecture_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("it is there");
    let (_, invariants) = text.split_once("## Invariants").expect("a chapter");
    let mut named = 0;
    let mut missing = Vec::new();
    // - `file.rs`: `name_of_the_test`
    for line in invariants.lines().filter(|line| line.starts_with("- `")) {
        let words: Vec<&str> = line.split('`').collect();
        let [_, file, ": ", test, ""] = words[..] else {
            panic!("not of the form \"- `file`: `test`\": {line}");
        };
        let source =
            fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        if !source.contains(&format!("fn {test}(")) {
            missing.push(format!("{file} has no {test}"));
        }
        named += 1;
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(named > 10, "only {named} tests are named");
}
