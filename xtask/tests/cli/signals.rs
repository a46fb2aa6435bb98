//! Signals, really sent, at every stage of a run: it ends with the signal's own code and
//! leaves nothing behind.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;

use crate::support::{Ended, Lab, Run, text};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

/// A run ends by the signal's own code, or by its verdict where that came first.
fn ended_by(ended: &Ended, code: i32) {
    assert!([code, 0].contains(&ended.code), "{ended:?}");
    if ended.code == code && !ended.err.is_empty() {
        ended.says("interrupted: nothing is left running");
    }
}

fn at_any_moment(name: &str, signal: Signal, code: i32) {
    let lab = Lab::new(name);
    lab.solve();
    for wait in [0, 5, 20, 60, 150, 350, 700] {
        let run = lab.check(&[]).start();
        std::thread::sleep(Duration::from_millis(wait));
        run.send(signal);
        ended_by(&run.end(), code);
    }
    // While rustc works on the learner's crate.
    lab.write("src/greeting.rs", &format!("{WRONG}\n"));
    let run = lab.check(&[]).start();
    run.reached(&format!("--crate-name {}", name.replace('-', "_")));
    run.send(signal);
    let ended = run.end();
    assert_eq!(ended.code, code, "{ended:?}");
    // While a check waits for an app.
    lab.change(
        "src/greeting.rs",
        "format!",
        "loop { std::thread::yield_now() }; format!",
    );
    let run = lab.check(&[]).start();
    run.reached("/app-");
    run.send(signal);
    let ended = run.end();
    assert_eq!(ended.code, code, "{ended:?}");
    ended.says("interrupted: nothing is left running");
    // And what was begun can be begun again.
    lab.solve();
    assert_eq!(lab.check(&[]).end().code, 0);
}

#[test]
fn case_19_ctrl_c_at_any_moment() {
    at_any_moment("case-19", Signal::SIGINT, 130);
}

#[test]
fn case_20_sigterm_at_any_moment() {
    at_any_moment("case-20", Signal::SIGTERM, 143);
}

#[test]
fn case_19_ctrl_c_while_a_server_runs() {
    let lab = Lab::new("case-19-redis");
    lab.change("lab.toml", "services = []", "services = [\"redis\"]");
    lab.write(
        "src/greeting.rs",
        "pub(crate) fn greeting(_name: &str) -> String {\n    loop {}\n}\n",
    );
    let run = lab.check(&[]).native().start();
    run.reached("/app-");
    run.reached("redis-server");
    run.send(Signal::SIGINT);
    assert_eq!(run.end().code, 130);
}

/// Types Ctrl-C at a terminal once one of the run's processes has `stage` in its command
/// line; gives back all that the terminal then showed.
fn ctrl_c_typed(lab: &Lab, stage: &str) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).expect("a terminal");
    let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    // The terminal becomes the session's, so that Ctrl-C is a signal to the whole job.
    let mut run = Run::through(&["setsid", "--ctty", "--wait"], &["check", &lab.name]);
    run.command
        .env("TERM", "dumb")
        .stdin(end())
        .stdout(end())
        .stderr(end());
    let running = run.start();
    drop(pty.slave);
    running.reached(stage);
    let mut master = File::from(pty.master);
    master.write_all(b"\x03").expect("typed");
    let mut screen = Vec::new();
    let mut block = [0; 4096];
    // The end of a terminal is an error.
    while let Ok(read @ 1..) = master.read(&mut block) {
        screen.extend_from_slice(&block[..read]);
    }
    assert_eq!(running.end().code, 130);
    text(&screen)
}

#[test]
fn case_19_ctrl_c_typed_at_a_terminal() {
    let lab = Lab::new("case-19-typed");
    lab.write("src/greeting.rs", WRONG);
    // rustc and cargo must not have words of their own, nor a check that is cut short.
    for stage in ["--crate-name case_19_typed", "/app-"] {
        let screen = ctrl_c_typed(&lab, stage);
        let said: Vec<&str> = screen.lines().collect();
        assert_eq!(said.len(), 1, "{screen}");
        assert!(
            said[0].ends_with("interrupted: nothing is left running"),
            "{screen}"
        );
        lab.change(
            "src/greeting.rs",
            "format!",
            "loop { std::thread::yield_now() }; format!",
        );
    }
}
