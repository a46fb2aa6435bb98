//! The report as JSON, exercises that do not infect each other, and what is remembered.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Lab, Run, bare, scratch};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

/// Every field that a program may rely on is there, and the sums are right.
fn is_whole(report: &Value, exit_code: i32) {
    for field in [
        "format_version",
        "lab",
        "title",
        "lab_hash",
        "commit",
        "variant",
        "seed",
        "repeat",
        "services",
        "exercises",
        "totals",
        "changed_course_files",
        "exit_code",
        "duration_ms",
    ] {
        assert!(
            report.get(field).is_some(),
            "{field} is missing: {report:#}"
        );
    }
    assert_eq!(report["format_version"], 1);
    assert_eq!(report["seed"], 7);
    assert_eq!(report["exit_code"], exit_code);
    let exercises = report["exercises"].as_array().expect("a list");
    let checks = exercises
        .iter()
        .flat_map(|exercise| exercise["checks"].as_array().expect("a list"));
    let statuses: Vec<_> = checks.map(|check| &check["status"]).collect();
    assert_eq!(report["totals"]["checks"], statuses.len());
    let passed = statuses
        .iter()
        .filter(|status| ***status == "passed")
        .count();
    assert_eq!(report["totals"]["passed"], passed);
}

#[test]
fn json_is_whole_on_success_on_a_finding_on_a_compile_error_and_under_repeat() {
    let lab = Lab::new("json");
    let checked = |arguments: &[&str], code: i32| {
        let ended = lab
            .check(&[&["--format", "json"], arguments].concat())
            .end();
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (code, ""),
            "{}",
            ended.out
        );
        let report = ended.json();
        is_whole(&report, code);
        report
    };
    let report = checked(&[], 1);
    assert_eq!(report["exercises"][0]["status"], "not_started");
    assert_eq!(report["variant"], "working");

    lab.write("src/greeting.rs", WRONG);
    let report = checked(&[], 1);
    let check = &report["exercises"][0]["checks"][0];
    assert_eq!(check["finding"]["saw"], "the body `bye, ada`");
    assert_eq!(check["timeline"][0]["what"], "GET /greetings/ada");

    lab.write("src/greeting.rs", "fn {");
    let report = checked(&[], 1);
    let exercise = &report["exercises"][0];
    assert_eq!(exercise["status"], "does_not_compile");
    assert!(
        exercise["compile_error"]
            .as_str()
            .expect("rustc's words")
            .contains("src/greeting.rs")
    );
    assert_eq!(
        report["totals"]["checks"], 2,
        "what was not run still counts"
    );

    lab.solve();
    let report = checked(&["--repeat", "5"], 0);
    assert_eq!(report["repeat"], 5);
    assert_eq!(report["exercises"][0]["checks"][1]["runs_passed"], 5);
    assert_eq!(report["totals"]["points"], 10);

    let report = checked(&["--solution"], 0);
    assert_eq!(report["variant"], "solution");
}

const EXERCISES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// A lab of five exercises, each a route and a module of its own.
pub(crate) fn five(name: &str) -> Lab {
    let lab = Lab::new(name);
    let mut manifest = lab.read("lab.toml");
    manifest.truncate(manifest.find("[[exercise]]").expect("an exercise"));
    let (mut modules, mut routes, mut checks) = (String::new(), String::new(), String::new());
    for id in EXERCISES {
        manifest += &format!(
            "[[exercise]]\nid = \"{id}\"\ntitle = \"{id}\"\nlevel = 1\n\
             files = [\"src/{id}.rs\"]\npoints = 10\nhints = [\"none\"]\n"
        );
        let starter = format!("pub(crate) fn {id}() -> String {{\n    todo!()\n}}\n");
        let answer = format!("pub(crate) fn {id}() -> String {{\n    \"{id}\".to_owned()\n}}\n");
        let marked = starter.replace(
            "    todo!()\n",
            &format!(
                "    // BEGIN PROMPT\n    // todo!()\n    // END PROMPT\n    \
                 // BEGIN SOLUTION\n    \"{id}\".to_owned()\n    // END SOLUTION\n"
            ),
        );
        lab.write(&format!("src/{id}.rs"), &answer);
        lab.write(&format!("solution/{id}.rs"), &marked);
        modules += &format!("mod {id};\n");
        routes += &format!(".route(\"/{id}\", get(async || {id}::{id}()))");
        checks += &format!("mod {id};\n");
        lab.write(
            &format!("checks/tests/checks/{id}.rs"),
            &format!(
                "//! {id}.\nuse {crate_}_checks::Lab;\n/// It counts.\n#[labkit::test]\n\
                 async fn it_says_{id}(lab: Lab) {{\n    \
                 let answer = lab.app.get(\"/{id}\").await.expect_ok();\n    \
                 if answer.body != \"{id}\" {{ labkit::finding::fail(\"\", answer.body, \"{id}\"); }}\n}}\n",
                crate_ = name.replace('-', "_")
            ),
        );
    }
    lab.write("lab.toml", &manifest);
    lab.write(
        "checks/tests/checks/main.rs",
        &format!("//! The checks.\n{checks}"),
    );
    let main = lab.read("src/main.rs");
    let main = main
        .replace("mod greeting;", &modules)
        .replace(".route(\"/greetings/{name}\", get(greet))", &routes)
        .replace("use axum::extract::Path;\n", "");
    let main = &main[..main.find("async fn greet").expect("a handler")];
    lab.write("src/main.rs", main);
    lab
}

#[test]
fn an_exercise_that_does_not_compile_and_one_that_panics_cost_only_themselves() {
    let lab = five("infect");
    lab.write("src/two.rs", "pub(crate) fn two() -> String {\n    2\n}\n");
    lab.write(
        "src/three.rs",
        "pub(crate) fn three() -> String {\n    panic!(\"three is out\")\n}\n",
    );
    let statuses = |run: Run| -> Vec<String> {
        let ended = run.end();
        assert_eq!(ended.code, 1, "{ended:?}");
        let report = ended.json();
        is_whole(&report, 1);
        let exercises = report["exercises"].as_array().expect("a list").iter();
        exercises
            .map(|exercise| exercise["status"].as_str().expect("a word").to_owned())
            .collect()
    };
    let expected = ["passed", "does_not_compile", "failed", "passed", "passed"];
    assert_eq!(statuses(lab.check(&["--format", "json"])), expected);
    // The same as somebody hands it in.
    let folder = lab.folder.display().to_string();
    assert_eq!(
        statuses(lab.check(&["--format", "json", "--submission", &folder])),
        expected
    );
    // A wrong signature shows in the shell, which is nobody's exercise.
    lab.write(
        "src/four.rs",
        "pub(crate) fn four(_: u8) -> String {\n    String::new()\n}\n",
    );
    let with_four = statuses(lab.check(&["--format", "json"]));
    assert_eq!(with_four[1], "does_not_compile");
    assert_eq!(with_four[3], "does_not_compile");
    // One alone is asked for and the others are not looked at.
    let one = Run::new(&["check", "infect/one"]).end();
    assert_eq!(one.code, 0, "{one:?}");
    // And after its pass the way leads to the first that is left.
    one.says("read  labs/infect/README.md, \"two\"");
    one.says("edit  labs/infect/src/two.rs");
    one.says("next  cargo xtask check infect/two");
}

#[test]
fn what_was_learned_stays_when_labs_and_checks_go() {
    let root = bare();
    let run = |arguments: &[&str]| Run::new(arguments).in_folder(root.path()).end();
    assert_eq!(run(&["new-lab", "demo"]).code, 0);
    let check = json!({ "last": "passed", "first_passed": "2026-01-02" });
    let before = json!({ "format_version": 1, "labs": {
        "of-old": { "hints": { "first": 3 }, "attempts": { "2026-01-02": 4 } },
        "demo": { "checks": { "greeting/a_check_since_renamed": check, "gone/and_done": check } },
    }});
    let file = root.path().join(".labs/progress.json");
    fs::create_dir(root.path().join(".labs")).expect("a folder");
    fs::write(&file, before.to_string()).expect("written");
    assert_eq!(run(&["hint", "demo/greeting"]).code, 0);
    let after: Value = serde_json::from_slice(&fs::read(&file).expect("there")).expect("JSON");
    assert_eq!(
        after["labs"]["of-old"]["hints"],
        before["labs"]["of-old"]["hints"]
    );
    assert_eq!(
        after["labs"]["of-old"]["attempts"],
        before["labs"]["of-old"]["attempts"]
    );
    assert_eq!(
        after["labs"]["demo"]["checks"],
        before["labs"]["demo"]["checks"]
    );
    assert_eq!(after["labs"]["demo"]["hints"]["greeting"], 1);
}

#[test]
fn progress_that_cannot_be_read_is_set_aside_with_a_word() {
    let root = bare();
    let run = |arguments: &[&str]| Run::new(arguments).in_folder(root.path()).end();
    assert_eq!(run(&["new-lab", "demo"]).code, 0);
    let state = root.path().join(".labs");
    fs::create_dir(&state).expect("a folder");
    let cases = [
        ("", "cannot be read"),
        ("{\"format_version\":1,\"la", "cannot be read"),
        (
            "{\"format_version\":99,\"labs\":{}}",
            "is of a newer runner",
        ),
    ];
    for (number, (content, why)) in (1..).zip(cases) {
        fs::write(state.join("progress.json"), content).expect("written");
        let ended = run(&["hint", "demo/greeting"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.says(&format!("progress.json {why}"));
        ended.says(&format!(
            "it was set aside as {}",
            state.join("progress.json.unreadable-").display()
        ));
        let aside = state.join(format!("progress.json.unreadable-{number}"));
        assert_eq!(fs::read_to_string(aside).expect("kept"), content);
        ended.says("1. what does the brief say the answer is?");
    }
    // A folder in its place is no file to write over either.
    fs::remove_file(state.join("progress.json")).expect("removed");
    fs::create_dir(state.join("progress.json")).expect("a folder");
    fs::write(state.join("progress.json/mine"), "mine").expect("written");
    let ended = run(&[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("was set aside as");
    assert_eq!(
        fs::read_to_string(state.join("progress.json.unreadable-4/mine")).expect("kept"),
        "mine"
    );
}

#[test]
fn a_check_is_remembered_with_its_lab() {
    let lab = Lab::new("remembered");
    lab.solve();
    assert_eq!(lab.check(&[]).end().code, 0);
    let list = Run::new(&["list", "remembered"]).end();
    list.says("✓");
    let progress = fs::read(scratch().join(".labs/progress.json")).expect("there");
    let progress: Value = serde_json::from_slice(&progress).expect("JSON");
    let checks = &progress["labs"]["remembered"]["checks"];
    assert_eq!(checks["greeting/ada_is_greeted"]["last"], "passed");
    // Neither the reference nor somebody else's work is the learner's.
    lab.write("src/greeting.rs", WRONG);
    assert_eq!(lab.check(&["--solution"]).end().code, 0);
    let after = fs::read(scratch().join(".labs/progress.json")).expect("there");
    let after: Value = serde_json::from_slice(&after).expect("JSON");
    assert_eq!(after["labs"]["remembered"], progress["labs"]["remembered"]);
}

#[test]
fn the_last_two_attempts_are_a_page() {
    let lab = Lab::new("page");
    let report = |arguments: &[&str]| Run::new(&[&["report", &lab.name], arguments].concat()).end();
    let ended = report(&["--html"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("hint: cargo xtask check");

    // Not begun is no attempt.
    lab.check(&[]).end();
    assert_eq!(report(&["--html"]).code, 2);
    lab.write("src/greeting.rs", WRONG);
    assert_eq!(lab.check(&[]).end().code, 1);
    lab.solve();
    assert_eq!(lab.check(&[]).end().code, 0);
    let ended = report(&["--html"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let page = fs::read_to_string(ended.out.trim()).expect("the page is where it says");
    for words in ["✓ passed", "was: failed", "the body <code>bye, ada</code>"] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    let elsewhere = lab.folder.join("page.html");
    let ended = report(&["--html", "--output", &elsewhere.to_string_lossy()]);
    assert_eq!(ended.out.trim(), elsewhere.to_string_lossy());
    assert_eq!(fs::read_to_string(elsewhere).expect("written"), page);
}
