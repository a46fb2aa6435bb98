//! What a learner's service may do wrong. Each finding says what was seen and in whose
//! code; none of it costs more than the exercise it is in.

use insta::assert_snapshot;

use crate::support::{Ended, Lab, Run};

/// The line of the template's shell before which the cases below go wrong.
const ANNOUNCES: &str = "    println!(\"listening on http://{}\", listener.local_addr()?);\n";

/// A solved lab whose shell does `instead` where it should say where it listens.
fn shell_that(name: &str, instead: &str) -> Lab {
    let lab = Lab::new(name);
    lab.solve();
    lab.change(
        "src/main.rs",
        ANNOUNCES,
        &format!("    {instead}\n{ANNOUNCES}"),
    );
    lab
}

fn checked(lab: &Lab) -> Ended {
    let ended = lab.check(&[]).end();
    assert_eq!(ended.code, 1, "it is the learner's work to do: {ended:?}");
    ended
}

#[test]
fn case_04_learner_code_that_does_not_compile() {
    let lab = Lab::new("case-04");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting(name: &str) -> String {\n    name\n}\n",
    );
    assert_snapshot!("does_not_compile", checked(&lab).whole());
    // Asked for alone, its checks have nothing to say either.
    let alone = Run::new(&["check", "case-04/greeting"]).end();
    assert!(!alone.out.contains("ada is greeted"), "{alone:?}");
    alone.says("does not compile: 2 checks wait for it");
}

#[test]
fn case_04_a_changed_signature_is_found_by_the_exercise_that_was_begun() {
    let lab = Lab::new("case-04-signature");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting() -> String {\n    String::new()\n}\n",
    );
    let ended = checked(&lab);
    ended.says("greeting does not compile");
    ended.says("labs/case-04-signature/src/main.rs");
}

#[test]
fn case_04_a_shell_that_does_not_compile_is_no_exercise_of_the_learner() {
    let lab = Lab::new("case-04-shell");
    lab.solve();
    lab.change("src/main.rs", ANNOUNCES, "    this is no Rust\n");
    let ended = lab.check(&[]).end();
    assert_eq!(ended.code, 3, "{ended:?}");
    ended.says("labs/case-04-shell/src/main.rs");
    ended.says("`git status` shows whether files of the course were changed");
}

#[test]
fn case_05_an_app_that_exits_at_once() {
    let lab = shell_that("case-05", "std::process::exit(0);");
    assert_snapshot!("exits_at_once", checked(&lab).whole());
}

#[test]
fn case_06_an_app_that_panics_on_start() {
    let lab = shell_that("case-06", "assert_eq!(1, 2, \"the shop has no shelves\");");
    assert_snapshot!("panics_on_start", checked(&lab).whole());
}

#[test]
fn case_07_an_app_that_never_prints_its_line() {
    let lab = shell_that(
        "case-07",
        "std::thread::sleep(std::time::Duration::from_secs(600));",
    );
    assert_snapshot!("never_prints_its_line", checked(&lab).whole());
}

#[test]
fn case_08_an_app_that_prints_100_mb() {
    let flood = "let line = \"x\".repeat(1023);\n    \
                 for _ in 0..102_400 { eprintln!(\"{line}\"); }";
    // After the line, or it would never get there in time.
    let lab = Lab::new("case-08");
    lab.solve();
    lab.change(
        "src/main.rs",
        ANNOUNCES,
        &format!("{ANNOUNCES}    {flood}\n"),
    );
    let ended = lab.check(&["--format", "json"]).end();
    assert_eq!(ended.code, 0, "nothing forbids it: {}", ended.err);
    assert!(ended.out.len() < 100_000, "{} bytes", ended.out.len());
}

#[test]
fn case_08_an_app_that_prints_100_mb_without_a_line() {
    let flood = "let block = vec![b'x'; 1 << 20];\n    \
                 for _ in 0..100 { std::io::Write::write_all(&mut std::io::stdout(), &block)?; }";
    let lab = shell_that("case-08-stdout", flood);
    let ended = checked(&lab);
    assert!(ended.out.len() < 10_000, "{} bytes", ended.out.len());
    ended.says("the first line `xxxxx");
}

#[test]
fn case_09_an_app_that_ignores_sigterm() {
    let lab = Lab::new("case-09");
    lab.solve();
    lab.change(
        "src/main.rs",
        "term.recv().await;",
        "loop { term.recv().await; }",
    );
    let check = "checks/tests/checks/greeting.rs";
    let stops = format!(
        "{}\n/// A deployment that has to kill its service loses what was in flight.\n\
         #[labkit::test]\nasync fn it_ends_when_it_is_asked_to(lab: Lab) {{\n    \
         let _ = lab.app.stop().await;\n}}\n",
        lab.read(check)
    );
    lab.write(check, &stops);
    assert_snapshot!("ignores_sigterm", checked(&lab).whole());
}

#[test]
fn case_10_an_app_that_never_answers() {
    let lab = Lab::new("case-10");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting(_name: &str) -> String {\n    loop {\n        \
         std::thread::sleep(std::time::Duration::from_secs(60));\n    }\n}\n",
    );
    assert_snapshot!("never_answers", checked(&lab).whole());
}

#[test]
fn case_11_an_app_that_closes_the_connection() {
    let lab = Lab::new("case-11");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting(name: &str) -> String {\n    panic!(\"no greeting for {name}\")\n}\n",
    );
    assert_snapshot!("closes_the_connection", checked(&lab).whole());
}

#[test]
fn case_11_an_app_that_dies_over_a_request() {
    let lab = Lab::new("case-11-dies");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting(_name: &str) -> String {\n    std::process::abort()\n}\n",
    );
    checked(&lab).says("your service ended (killed by SIGABRT)");
}

#[test]
fn case_12_a_todo_in_the_shell() {
    let lab = shell_that("case-12", "let _: () = todo!(\"who opens the shop?\");");
    assert_snapshot!("todo_in_the_shell", checked(&lab).whole());
}
