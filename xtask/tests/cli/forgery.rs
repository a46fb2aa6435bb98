//! Submissions that would rather have a pass than earn it. Every one answers wrongly, so
//! each check that passes was forged.
//!
//! Where we are root, the app has a user of its own. An ordinary user's app has theirs:
//! there only the kernel's Landlock and the undumpable runner and check stand between.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

use crate::support::{Ended, Lab, Run, XTASK, scratch, without};

/// The exercise file, with `tricks` before its wrong answer; `tried` is what a finding
/// shows of them.
fn with(tricks: &str) -> String {
    format!(
        "use std::fs;\nuse std::io::Write as _;\nuse std::process::Command;\n\n\
         #[allow(unused, unreachable_code)]\n\
         pub(crate) fn greeting(_name: &str) -> String {{\n    \
         let parent = std::os::unix::process::parent_id();\n    \
         let mut tried = Vec::<String>::new();\n    {tricks}\n    \
         let _ = (&fs::read_to_string::<&str>, std::io::stdout().flush(), Command::new(\"\"));\n    \
         format!(\"tried {{}}\", tried.join(\", \"))\n}}\n"
    )
}

const EXIT: &str = "std::process::exit(0);";

const EXEC: &str = "use std::os::unix::process::CommandExt as _; Command::new(\"true\").exec();";

/// libtest's words and our own record, on both streams.
const FAKE_VERDICTS: &str = r#"
    let record = "{\"check\":\"greeting::ada_is_greeted\",\"outcome\":\"passed\",\"finding\":null,\
        \"reason\":null,\"todo\":null,\"timeline\":[],\"logs\":[]}";
    for line in ["running 1 test", "test greeting::ada_is_greeted ... ok", record,
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"] {
        let _ = writeln!(std::io::stdout(), "{line}");
        let _ = writeln!(std::io::stderr(), "{line}");
    }"#;

/// Writes a record into every descriptor of its parent and of its parent's parent, and
/// looks into their memory and their environment.
const PARENTS: &str = r#"
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    let above = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1))
        .unwrap_or("1").to_owned();
    for pid in [parent.to_string(), above] {
        for number in 0..256 {
            let path = format!("/proc/{pid}/fd/{number}");
            if let Ok(mut file) = fs::OpenOptions::new().write(true).open(path) {
                tried.push(format!("fd {number} of {pid}"));
                let _ = file.write_all(b"{\"check\":\"x\",\"outcome\":\"passed\"}\n");
            }
        }
        for (file, write) in [("mem", true), ("environ", false), ("maps", false)] {
            let path = format!("/proc/{pid}/{file}");
            let opened = fs::OpenOptions::new().read(true).write(write).open(path);
            if let Ok(mut opened) = opened
                && std::io::Read::read(&mut opened, &mut [0; 1]).is_ok() | (file == "mem")
            {
                tried.push(format!("{file} of {pid}"));
            }
        }
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
            tried.push(format!("exe of {pid}"));
        }
    }"#;

const KILL_PARENT: &str = r#"
    let killed = Command::new("sh").args(["-c", &format!("kill -9 {parent}")]).status();
    if killed.is_ok_and(|status| status.success()) {
        tried.push("killed the check".to_owned());
    }"#;

/// Writes over what judges: the copies beside its own, the lab, the runner, what is kept.
fn overwrite() -> String {
    let target = Path::new(XTASK)
        .ancestors()
        .nth(2)
        .expect("a target folder");
    let root = scratch();
    format!(
        r#"
    let mut wanted: Vec<std::path::PathBuf> = vec![{XTASK:?}.into()];
    let own = std::env::current_exe().unwrap_or_default();
    let run = own.parent().map(std::path::Path::to_owned).unwrap_or_default();
    for number in 0..4 {{
        wanted.push(run.join(format!("checks-{{number}}")));
        wanted.push(run.join(format!("app-{{number}}")));
    }}
    for folder in [&run, "{target}/debug".as_ref(), "{target}/debug/deps".as_ref(),
        "{target}/labs/variants".as_ref(), "{root}/.labs".as_ref(), "{root}/labs".as_ref(),
        "{root}/labs/forgery/checks/tests/checks".as_ref()] as [&std::path::Path; 7] {{
        if fs::write(folder.join("mine"), "mine").is_ok() {{
            tried.push(format!("wrote into {{}}", folder.display()));
        }}
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {{
            wanted.push(entry.path());
        }}
    }}
    for path in wanted {{
        if fs::OpenOptions::new().append(true).open(&path).is_ok() || fs::remove_file(&path).is_ok() {{
            tried.push(path.display().to_string());
        }}
    }}
    if fs::read("{root}/labs/forgery/solution/greeting.rs").is_ok() {{
        tried.push("read the solution".to_owned());
    }}"#,
        target = target.display(),
        root = root.display(),
    )
}

/// All of them judge one lab, which no submission changes.
fn submit(submission: &TempDir, ordinary: bool) -> Ended {
    let folder = submission.path().display().to_string();
    let arguments = [
        "check",
        "forgery",
        "--seed",
        "7",
        "--submission",
        &folder,
        "--format",
        "json",
    ];
    let wrapper = ["unshare", "--user", "--map-user=65531", "--map-group=65531"];
    let run = match ordinary && geteuid().is_root() {
        true => Run::through(&wrapper, &arguments),
        false => Run::new(&arguments),
    };
    run.end()
}

fn lab() -> Lab {
    Lab::shared("forgery", |_| {})
}

fn gains_nothing(ended: &Ended) -> serde_json::Value {
    assert!([1, 3].contains(&ended.code), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["totals"]["passed"], 0, "{ended:?}");
    assert_eq!(report["totals"]["points"], 0, "{ended:?}");
    assert_eq!(report["totals"]["checks"], 2, "{ended:?}");
    report
}

/// As root and as an ordinary user; `expected` is in the finding of the first check.
fn forged(exercise: &str, expected: &str) {
    lab();
    let submission = Lab::submission(&[("src/greeting.rs", exercise)]);
    for ordinary in [false, true] {
        if ordinary && geteuid().is_root() && without("users", "forgeries of an ordinary user") {
            continue;
        }
        let report = gains_nothing(&submit(&submission, ordinary));
        let first = &report["exercises"][0]["checks"][0];
        let saw = first["finding"]["saw"].as_str().unwrap_or_default();
        assert!(saw.contains(expected), "ordinary: {ordinary}, {first:#}");
    }
}

#[test]
fn exit_0_gains_nothing() {
    forged(&with(EXIT), "your service ended (exit code 0)");
}

#[test]
fn exec_of_true_gains_nothing() {
    // The connection goes before the process does.
    forged(&with(EXEC), "your service ");
}

#[test]
fn fake_verdicts_gain_nothing() {
    forged(&with(FAKE_VERDICTS), "the body `tried `");
}

#[test]
fn the_parents_descriptors_memory_and_environment_are_out_of_reach() {
    forged(&with(PARENTS), "the body `tried `");
}

#[test]
fn the_check_cannot_be_killed() {
    forged(&with(KILL_PARENT), "the body `tried `");
}

#[test]
fn what_judges_cannot_be_written_over_and_the_solution_not_be_read() {
    forged(&with(&overwrite()), "the body `tried `");
}

/// A submission whose files other than the exercise's would do harm, were they taken.
#[test]
fn a_manifest_a_build_script_and_a_cargo_configuration_are_not_taken() {
    let mark = TempDir::new().expect("a temporary folder");
    let marked = mark.path().join("ran");
    let script = format!(
        "fn main() {{ std::fs::write({marked:?}, \"\").unwrap(); }}\n\
         #[test] fn ada_is_greeted() {{}}\n"
    );
    let wrong = with("");
    let manifest = lab().read("Cargo.toml") + "\n[[test]]\nname = \"checks\"\nharness = false\n";
    let config =
        "[build]\nrustc-wrapper = \"/bin/true\"\n[target.'cfg(all())']\nrunner = \"true\"\n";
    let checks = lab()
        .read("checks/tests/checks/greeting.rs")
        .replace("expect_greeting(&lab", "drop((&lab");
    let submission = Lab::submission(&[
        ("labs/forgery/src/greeting.rs", &wrong),
        ("labs/forgery/src/main.rs", &script),
        ("labs/forgery/Cargo.toml", &manifest),
        ("labs/forgery/build.rs", &script),
        ("labs/forgery/.cargo/config.toml", config),
        ("labs/forgery/checks/tests/checks/greeting.rs", &checks),
        (".cargo/config.toml", config),
        ("Cargo.toml", "[workspace]\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.0.0\"\n"),
    ]);
    let report = gains_nothing(&submit(&submission, false));
    assert_eq!(report["exercises"][0]["status"], "failed");
    assert!(!marked.exists(), "none of it ran");
}

/// Why the exercise was not taken.
fn refusal(submission: &TempDir) -> String {
    let report = gains_nothing(&submit(submission, false));
    let exercise = &report["exercises"][0];
    assert_eq!(exercise["status"], "does_not_compile");
    exercise["compile_error"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

#[test]
fn a_link_is_no_exercise_file() {
    let solution = lab().folder.join("solution");
    let submission = TempDir::new().expect("a temporary folder");
    symlink(&solution, submission.path().join("src")).expect("a link");
    assert!(refusal(&submission).contains("is or lies behind a link"));
    let submission = Lab::submission(&[("src/main.rs", "")]);
    symlink(
        solution.join("greeting.rs"),
        submission.path().join("src/greeting.rs"),
    )
    .expect("a link");
    assert!(refusal(&submission).contains("is or lies behind a link"));
}

#[test]
fn only_a_plain_text_file_of_sensible_size_is_an_exercise_file() {
    lab();
    let huge = format!("//{}\n", "x".repeat(2 * 1024 * 1024));
    let submission = Lab::submission(&[("src/greeting.rs", &huge)]);
    assert!(refusal(&submission).contains("is larger than 1048576 bytes"));

    let file = submission.path().join("src/greeting.rs");
    fs::write(&file, b"\xff\xfe").expect("written");
    assert!(refusal(&submission).contains("is not UTF-8 text"));

    fs::remove_file(&file).expect("removed");
    assert!(refusal(&submission).contains("is missing"));

    mkfifo(&file, Mode::S_IRWXU).expect("a pipe");
    assert!(
        refusal(&submission).contains("is no plain file"),
        "and nobody waits for a writer"
    );

    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("a folder");
    assert!(refusal(&submission).contains("is no plain file"));
}

#[test]
fn the_solution_cannot_be_included() {
    let solution = lab().folder.join("solution/greeting.rs");
    // Without the doc comment of a whole module, it can be pasted anywhere.
    let answer = "pub(crate) fn greeting(name: &str) -> String { format!(\"hello, {name}\") }";
    let outside = Lab::submission(&[("answer.rs", answer)]);
    let outside = outside.path().join("answer.rs");
    let below =
        Path::new("../../../../../../tmp").join(format!("answer-{}.rs", std::process::id()));
    let below_target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(below.file_name().expect("a name"));
    fs::write(&below_target, answer).expect("written");
    for include in [
        format!("include!({outside:?});\n"),
        format!("include!({below:?});\n"),
        format!("#[path = {solution:?}]\nmod answer;\npub(crate) use answer::greeting;\n"),
    ] {
        let submission = Lab::submission(&[("src/greeting.rs", &include)]);
        let why = refusal(&submission);
        assert!(
            why.contains("it takes in files that no submission carries"),
            "{include}: {why}"
        );
    }
    fs::remove_file(below_target).expect("ours");
    // From where it is built there is no solution beside it.
    let beside = "include!(\"../solution/greeting.rs\");\n";
    let submission = Lab::submission(&[("src/greeting.rs", beside)]);
    assert!(refusal(&submission).contains("couldn't read"));
    // As text it is no code, but it is no less an answer.
    let text = format!("const ANSWER: &str = include_str!({solution:?});\n");
    let submission = Lab::submission(&[(
        "src/greeting.rs",
        &(text + &with("tried.push(ANSWER.to_owned());")),
    )]);
    assert!(refusal(&submission).contains("it takes in files that no submission carries"));
}

#[test]
fn code_before_main_is_refused_by_the_lint() {
    lab();
    let constructor = "#[used]\n#[unsafe(link_section = \".init_array\")]\n\
                       static FIRST: extern \"C\" fn() = { extern \"C\" fn first() { \
                       println!(\"test result: ok\"); std::process::exit(0); } first };\n";
    for allow in ["", "#![allow(unsafe_code)]\n"] {
        let submission = Lab::submission(&[(
            "src/greeting.rs",
            &format!("{allow}{constructor}{}", with("")),
        )]);
        assert!(refusal(&submission).contains("unsafe"));
    }
}

#[test]
fn a_flood_of_processes_ends_with_its_check() {
    let trick = r#"
    for _ in 0..20 {
        let _ = Command::new("sh").args(["-c", "trap '' TERM HUP; setsid sleep 600 & sleep 600"]).spawn();
    }"#;
    lab();
    let submission = Lab::submission(&[("src/greeting.rs", &with(trick))]);
    gains_nothing(&submit(&submission, false));
    let left = Command::new("pgrep")
        .args(["-u", "65532", "-f", "sleep 600"])
        .output();
    if geteuid().is_root() {
        assert_eq!(
            String::from_utf8_lossy(&left.expect("pgrep runs").stdout),
            ""
        );
    }
}
