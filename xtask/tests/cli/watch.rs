//! `watch`, on a real terminal: every save is judged, and the terminal is given back.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::report::five;
use crate::support::{Ended, Lab, Run, Screen, scratch, wait_for};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_SCREEN: &str = "\x1b[?1049l";

/// Starts it on a terminal of the usual size.
fn watch(lab: &Lab) -> Screen {
    Screen::of(&["watch", &lab.name])
}

/// The run has ended, and the terminal shows its first screen again.
fn gave_back(screen: Screen) -> Ended {
    let shown = screen.shown();
    let ended = screen.ended();
    wait_for("the first screen", LIMIT, || {
        let shown = shown.lock().expect("no panic");
        shown.contains(FIRST_SCREEN).then_some(())
    });
    ended
}

/// The process that watches this lab.
fn runner_of(lab: &Lab) -> Pid {
    let asked = format!("\0runner\0watch\0{}\0", lab.name);
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let runner = processes.into_iter().find_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let pid = process.file_name().to_str()?.parse().ok()?;
        String::from_utf8_lossy(&line)
            .contains(&asked)
            .then_some(pid)
    });
    Pid::from_raw(runner.expect("it runs"))
}

#[test]
fn every_save_is_judged_however_it_is_saved() {
    let lab = Lab::new("watched");
    let mut screen = watch(&lab);
    screen.shows("not started");

    lab.write("src/greeting.rs", WRONG);
    screen.shows("the body `bye, ada`");
    lab.write("src/greeting.rs", "fn {");
    screen.shows("does not compile");
    // As editors do: written beside it, renamed over it.
    lab.write("src/greeting.rs.new", &WRONG.replace("bye", "hello"));
    let file = lab.folder.join("src/greeting.rs");
    fs::remove_file(&file).expect("removed");
    fs::rename(lab.folder.join("src/greeting.rs.new"), &file).expect("renamed");
    screen.shows("n goes on to the next exercise");

    screen.types("l");
    screen.shows("★ easy");
    screen.types("n");
    screen.shows("no other exercise");
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
}

#[test]
fn a_save_while_it_builds_is_judged_next() {
    let lab = Lab::new("watched-twice");
    let mut screen = watch(&lab);
    screen.shows("building");
    lab.write("src/greeting.rs", WRONG);
    screen.shows("the body `bye, ada`");
    screen.types("h");
    screen.shows("recorded in .labs/progress.json");
    lab.write("src/greeting.rs", &format!("{WRONG}\n"));
    screen.shows("building");
    lab.solve();
    screen.shows("n goes on to the next exercise");
    screen.types("\x03");
    assert_eq!(gave_back(screen).code, 130);
}

#[test]
fn the_next_exercise_begins_with_its_guess_and_its_brief() {
    let lab = five("watched-next");
    lab.change(
        "lab.toml",
        "id = \"two\"",
        "id = \"two\"\npredict = { check = \"it_says_two\", question = \"How long is it?\" }",
    );
    lab.write(
        "src/two.rs",
        "pub(crate) fn two() -> String {\n    todo!()\n}\n",
    );
    let brief = lab.read("README.md") + "\n## two\n\nSay what it is called.\n";
    lab.write("README.md", &brief);
    let mut screen = Screen::of(&["watch", &format!("{}/one", lab.name)]);
    screen.shows("n goes on to the next exercise");
    screen.types("n");
    screen.shows("Once this exercise works: How long is it?");
    screen.types("1x2\x7f3");
    screen.shows("your guess  13");
    screen.types("\r");
    screen.shows("Say what it is called.");
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
    let progress = fs::read(scratch().join(".labs/progress.json")).expect("it is kept");
    let progress: serde_json::Value = serde_json::from_slice(&progress).expect("JSON");
    assert_eq!(progress["labs"][&lab.name]["guesses"]["two"], 13);
}

#[test]
fn a_terminal_of_no_size_is_survived() {
    let lab = Lab::new("watched-small");
    lab.write("src/greeting.rs", WRONG);
    let mut screen = watch(&lab);
    screen.shows("the body `bye, ada`");
    for (rows, columns) in [(0, 0), (1, 1), (3, 7), (12, 40)] {
        screen.resize(rows, columns);
        std::thread::sleep(Duration::from_millis(50));
    }
    screen.shows("bye, ada");
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
}

#[test]
fn a_killed_runner_gives_the_terminal_back_too() {
    let lab = Lab::new("watched-killed");
    let screen = watch(&lab);
    screen.shows("not started");
    kill(runner_of(&lab), Signal::SIGKILL).expect("killed");
    assert_eq!(gave_back(screen).code, 3);
}

#[test]
fn sigterm_gives_the_terminal_back_too() {
    let lab = Lab::new("watched-ended");
    let screen = watch(&lab);
    screen.shows("not started");
    screen.send(Signal::SIGTERM);
    assert_eq!(gave_back(screen).code, 143);
}

#[test]
fn off_a_terminal_it_says_what_does_the_same() {
    let lab = Lab::new("watched-piped");
    let ended = Run::new(&["watch", &lab.name]).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("`watch` draws on a terminal");
    ended.says(&format!("hint: cargo xtask check {}", lab.name));
}

#[test]
fn a_server_that_was_killed_between_two_saves_is_started_anew() {
    let lab = Lab::new("watched-redis");
    lab.change("lab.toml", "services = []", "services = [\"redis\"]");
    lab.solve();
    let mut screen = Screen::of(&["watch", &lab.name, "--services", "native"]);
    screen.shows("n goes on to the next exercise");
    let servers = children_of(runner_of(&lab), "redis-server");
    assert!(!servers.is_empty(), "none runs");
    for server in servers {
        kill(server, Signal::SIGKILL).expect("killed");
    }
    lab.write("src/greeting.rs", WRONG);
    screen.shows("the body `bye, ada`");
    lab.solve();
    screen.shows("n goes on to the next exercise");
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
}

#[test]
fn an_app_in_an_endless_loop_is_ended_and_the_next_save_judged() {
    let lab = Lab::new("watched-looping");
    let looping = "pub(crate) fn greeting(_: &str) -> String {\n    loop {\n        \
                   std::hint::spin_loop();\n    }\n}\n";
    lab.write("src/greeting.rs", looping);
    let mut screen = watch(&lab);
    screen.shows("was not answered within");
    lab.write("src/greeting.rs", WRONG);
    screen.shows("the body `bye, ada`");
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
}

#[test]
fn what_an_app_writes_need_be_no_text() {
    let lab = Lab::new("watched-noise");
    let noise = "use std::io::Write as _;\n\npub(crate) fn greeting(name: &str) -> String {\n    \
                 let _ = std::io::stderr().write_all(b\"\\xff\\x1b[2J\\x00\\n\");\n    \
                 format!(\"bye, {name}\\u{1b}[2J\\u{7}\")\n}\n";
    lab.write("src/greeting.rs", noise);
    let mut screen = watch(&lab);
    screen.shows("the body `bye, ada");
    let shown = screen.shown();
    std::thread::sleep(Duration::from_millis(300));
    let drawn = shown.lock().expect("no panic").clone();
    assert!(
        !drawn.contains("ada\x1b[2J"),
        "it was let through: {drawn:?}"
    );
    screen.types("q");
    assert_eq!(gave_back(screen).code, 0);
}

/// The children of a process that run this program.
fn children_of(parent: Pid, program: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let of_it = |process: &fs::DirEntry| {
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        field("Name:") == program && field("PPid:") == parent.to_string()
    };
    processes
        .filter(of_it)
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}
