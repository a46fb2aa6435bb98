//! Runs at the same time.

use crate::support::Lab;

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

#[test]
fn case_18_checks_of_one_lab_at_once_are_all_right() {
    let lab = Lab::new("case-18");
    lab.write("src/greeting.rs", WRONG);
    let right = WRONG.replace("bye", "hello");
    let submission = Lab::submission(&[("src/greeting.rs", right.as_str())]);
    let submitted = submission.path().display().to_string();
    let working = lab.check(&["--format", "json"]).start();
    let again = lab.check(&["--format", "json"]).start();
    let solution = lab.check(&["--format", "json", "--solution"]).start();
    let submission = lab
        .check(&["--format", "json", "--submission", &submitted])
        .start();
    for (running, passed) in [(working, 0), (again, 0), (solution, 2), (submission, 2)] {
        let ended = running.end();
        let report = ended.json();
        assert_eq!(report["totals"]["passed"], passed, "{ended:?}");
        assert_eq!(ended.code, i32::from(passed == 0), "{ended:?}");
    }
}
