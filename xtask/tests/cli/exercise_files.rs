//! Exercise files that are no part of the app: a check reads those of the attempt that it
//! judges.

use crate::support::{Lab, Run};

const SOLUTION: &str = "-- BEGIN PROMPT\n-- -- which word?\n-- END PROMPT\n\
                        -- BEGIN SOLUTION\nSELECT 'hello';\n-- END SOLUTION\n";

const MUTANT: &str = "why: another word\n\
    caught-by: greeting::ada_is_greeted, greeting::another_name_gets_its_own_greeting\n\
    says: the file `SELECT 'bye';`\n\n\
    --- a/queries/word.sql\n+++ b/queries/word.sql\n@@ -2,5 +2,5 @@\n -- -- which word?\n \
    -- END PROMPT\n -- BEGIN SOLUTION\n-SELECT 'hello';\n+SELECT 'bye';\n -- END SOLUTION\n";

#[test]
fn a_file_that_is_no_part_of_the_app_reaches_the_check_of_each_attempt() {
    let lab = Lab::new("of-sql");
    let files = "files  = [\"src/greeting.rs\"]";
    let both = "files  = [\"src/greeting.rs\", \"queries/word.sql\"]";
    lab.change("lab.toml", files, both);
    lab.write("solution/queries/word.sql", SOLUTION);
    lab.write("mutants/another-word.patch", MUTANT);
    lab.change(
        "checks/src/lib.rs",
        "        Self {",
        "        let text = check.exercise_file(\"queries/word.sql\");
        let said: String = text.lines().filter(|line| !line.starts_with(\"--\")).collect();
        if said != \"SELECT 'hello';\" {
            labkit::finding::fail(\"read it\", format!(\"the file `{said}`\"), \"hello\");
        }
        Self {",
    );
    lab.write("queries/word.sql", "-- which word?\n");

    let ended = lab.check(&[]).end();
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says("not started");

    // One of the two files is still the starter's: it was begun all the same.
    lab.write("queries/word.sql", "SELECT 'hullo';\n");
    let ended = lab.check(&[]).end();
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says("the file `SELECT 'hullo';`");

    lab.solve();
    lab.write("queries/word.sql", "SELECT 'hello';\n");
    for attempt in [&[][..], &["--solution"]] {
        let ended = lab.check(attempt).end();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let theirs = Lab::submission(&[
        ("src/greeting.rs", &lab.read("src/greeting.rs")),
        ("queries/word.sql", "SELECT 'hi';\n"),
    ]);
    let folder = theirs.path().display().to_string();
    let ended = lab.check(&["--submission", &folder]).end();
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says("the file `SELECT 'hi';`");

    // Starter, mutant and alternatives; the working copy has to be the starter for it.
    let reset = Run::new(&["reset", &lab.name, "--yes"]).end();
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(lab.read("queries/word.sql"), "-- which word?\n");
    let ended = Run::new(&["verify", &lab.name]).end();
    assert_eq!(ended.code, 0, "{ended:?}");
}
