//! `docs/report.schema.json` describes what `check --format json` really prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn schema() -> Validator {
    let text = fs::read_to_string(root().join("docs/report.schema.json")).expect("it is there");
    let schema: Value = serde_json::from_str(&text).expect("it is JSON");
    jsonschema::draft202012::new(&schema).expect("it is a schema")
}

/// Runs `check caching --format json` and holds what it prints against the schema.
fn report(arguments: &[&str], code: i32) -> Value {
    let output = Command::new("cargo")
        .args(["xtask", "check", "caching", "--format", "json"])
        .args(arguments)
        .env_remove("LABS_REDIS_URL")
        .current_dir(root())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let faults: Vec<String> = schema()
        .iter_errors(&report)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    report
}

/// A copy of the reference with another beginning of an exercise's answer.
fn submission(changes: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let lab = root().join("labs/caching");
    fs::create_dir(folder.path().join("src")).expect("made");
    for entry in fs::read_dir(lab.join("solution")).expect("read") {
        let path = entry.expect("read").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let mut text = fs::read_to_string(&path).expect("read");
        for (file, change) in changes {
            if *file == name {
                // Indented: inside of a function.
                text = text.replace("    // BEGIN SOLUTION", change);
            }
        }
        let place = if name.ends_with(".rs") { "src" } else { "." };
        fs::write(folder.path().join(place).join(name), text).expect("written");
    }
    folder
}

fn status<'a>(report: &'a Value, exercise: &str) -> &'a str {
    let exercises = report["exercises"].as_array().expect("exercises");
    let found = exercises.iter().find(|one| one["id"] == exercise);
    found
        .and_then(|one| one["status"].as_str())
        .expect("a status")
}

#[test]
fn each_status_that_a_learner_can_cause_is_described() {
    let folder = submission(&[
        ("cache_aside.rs", "panic!(\"on purpose\");"),
        ("invalidate_on_write.rs", "let this = does not compile;"),
        ("negative_caching.rs", "todo!(\"on purpose\");"),
    ]);
    let path = folder.path().to_string_lossy();
    let report = report(&["--submission", &path, "--seed", "7", "--repeat", "2"], 1);
    assert_eq!(status(&report, "cache-aside"), "failed");
    assert_eq!(status(&report, "invalidate-on-write"), "does_not_compile");
    assert_eq!(status(&report, "negative-caching"), "not_started");
    assert_eq!(status(&report, "ttl-jitter"), "passed");
    assert_eq!(status(&report, "eviction"), "passed");
    assert_eq!((&report["seed"], &report["repeat"]), (&7.into(), &2.into()));
}

#[test]
fn a_service_that_cannot_be_had_is_described() {
    let report = report(&["--solution", "--services", "external"], 2);
    assert_eq!(status(&report, "cache-aside"), "unavailable");
    assert_eq!(report["services"][0]["provider"], Value::Null);
}
