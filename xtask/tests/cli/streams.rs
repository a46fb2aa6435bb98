//! Where the output goes: pipes that end early, terminals of every width, none at all.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use insta::assert_snapshot;
use nix::pty::{Winsize, openpty};

use crate::support::{Ended, Lab, Run, bare, settled, text};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

/// What a run writes to a terminal of that width.
struct OnTerminal {
    code: i32,
    screen: String,
}

/// Which streams the terminal has: with stderr come the spinner's moves.
#[derive(Clone, Copy, PartialEq)]
enum Streams {
    Stdout,
    All,
}

fn on_terminal(mut run: Run, columns: u16, streams: Streams, keys: &str) -> OnTerminal {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).expect("a terminal");
    let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a descriptor"));
    run.command.stdout(end(&pty.slave));
    if streams == Streams::All {
        run.command.stdin(end(&pty.slave)).stderr(end(&pty.slave));
    }
    let mut master = File::from(pty.master);
    master.write_all(keys.as_bytes()).expect("typed");
    let running = run.start();
    drop(pty.slave);
    let mut screen = Vec::new();
    let mut block = [0; 4096];
    // The end of a terminal is an error.
    while let Ok(read @ 1..) = master.read(&mut block) {
        screen.extend_from_slice(&block[..read]);
    }
    let ended = running.end();
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    let screen = text(&screen).replace("\r\n", "\n").replace('\u{1b}', "␛");
    OnTerminal {
        code: ended.code,
        screen,
    }
}

fn wrong() -> Lab {
    Lab::shared("case-21", |lab| lab.write("src/greeting.rs", WRONG))
}

fn is_plain(text: &str) -> bool {
    !text.contains(['\u{1b}', '␛', '\r'])
}

#[test]
fn case_21_terminals_of_80_and_40_and_0_columns() {
    let lab = wrong();
    for columns in [80, 40, 0] {
        let run =
            Run::new(&["check", "case-21/greeting", "--seed", "7"]).env("TERM", "xterm-256color");
        let shown = on_terminal(run, columns, Streams::Stdout, "");
        assert_eq!(shown.code, 1, "{}", shown.screen);
        assert_snapshot!(format!("columns_{columns}"), settled(&shown.screen));
    }
    // With the spinner, which has to fit as well.
    for columns in [40, 0] {
        let run = lab.check(&[]).env("TERM", "xterm-256color");
        let shown = on_terminal(run, columns, Streams::All, "");
        assert_eq!(shown.code, 1, "{}", shown.screen);
        let verdict = "0 of 2 checks passed";
        assert!(shown.screen.contains(verdict), "{}", shown.screen);
    }
}

#[test]
fn case_21_no_color_and_a_dumb_terminal() {
    let lab = wrong();
    let run = lab.check(&[]).env("TERM", "xterm").env("NO_COLOR", "1");
    let shown = on_terminal(run, 80, Streams::Stdout, "");
    assert!(is_plain(&shown.screen), "{}", shown.screen);
    assert!(
        shown.screen.contains("✗ greeting"),
        "it reads without colour: {}",
        shown.screen
    );
    let run = lab.check(&[]).env("TERM", "dumb");
    let shown = on_terminal(run, 80, Streams::All, "");
    assert!(is_plain(&shown.screen), "{}", shown.screen);
}

#[test]
fn case_21_a_pipe_gets_text_and_nothing_that_moves() {
    let lab = wrong();
    let ended = lab.check(&[]).env("TERM", "xterm-256color").end();
    assert!(is_plain(&ended.out) && is_plain(&ended.err), "{ended:?}");
    assert_snapshot!("piped", ended.whole());
    let ended = Run::new(&["list", "case-21"])
        .env("TERM", "xterm-256color")
        .end();
    assert!(is_plain(&ended.out), "{ended:?}");
}

/// Runs it with a stdout, or a stderr, of which nobody reads a byte.
fn unread(run: Run, stdout: bool, stderr: bool) -> Ended {
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    let mut run = run;
    if stdout {
        run.command.stdout(closed());
    }
    if stderr {
        run.command.stderr(closed());
    }
    run.end()
}

#[test]
fn case_21_output_closed_early() {
    let lab = wrong();
    let ended = unread(lab.check(&[]), true, false);
    let verdict = (ended.code, ended.err.as_str());
    assert_eq!(verdict, (1, ""), "the verdict is the exit code");
    let ended = unread(lab.check(&["--format", "json"]), true, true);
    assert_eq!(ended.code, 1);
    let root = bare();
    for arguments in [
        &["new-lab", "demo"][..],
        &["list"],
        &["list", "demo"],
        &["hint", "demo/greeting"],
    ] {
        let ended = unread(Run::new(arguments).in_folder(root.path()), true, false);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{arguments:?}");
    }
    let ended = unread(
        Run::new(&["check", "nothing"]).in_folder(root.path()),
        true,
        true,
    );
    assert_eq!(ended.code, 2);
    let ended = unread(Run::new(&["--help"]).in_folder(root.path()), true, true);
    assert_eq!(ended.code, 0);
}

#[test]
fn reset_asks_on_a_terminal_and_wants_yes_elsewhere() {
    let root = bare();
    let run = |arguments: &[&str]| Run::new(arguments).in_folder(root.path());
    assert_eq!(run(&["new-lab", "demo"]).end().code, 0);
    let file = root.path().join("labs/demo/src/greeting.rs");
    std::fs::write(&file, WRONG).expect("written");
    let ended = run(&["reset", "demo"]).end();
    assert_eq!(ended.code, 2);
    ended.says("nobody can be asked: stdin is no terminal");
    ended.says("hint: --yes resets without asking");
    let shown = on_terminal(run(&["reset", "demo"]), 80, Streams::All, "n\n");
    assert!(
        shown.screen.contains("nothing was changed"),
        "{}",
        shown.screen
    );
    assert_eq!(std::fs::read_to_string(&file).expect("there"), WRONG);
    let shown = on_terminal(run(&["reset", "demo"]), 80, Streams::All, "y\n");
    assert!(
        shown
            .screen
            .contains("your files are kept in .labs/backup/demo-1"),
        "{}",
        shown.screen
    );
    let kept = root.path().join(".labs/backup/demo-1/src/greeting.rs");
    assert_eq!(std::fs::read_to_string(kept).expect("kept"), WRONG);
}
