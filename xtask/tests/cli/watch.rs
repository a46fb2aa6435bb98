//! `watch`, on a real terminal: every save is judged, and the terminal is given back.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::support::{Ended, Lab, Run, Running, wait_for};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_SCREEN: &str = "\x1b[?1049l";

/// A terminal with a watch on it.
struct Screen {
    running: Running,
    master: File,
    shown: Arc<Mutex<String>>,
    before: Termios,
    pty: std::os::fd::OwnedFd,
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Screen {
    fn watch(lab: &Lab) -> Self {
        let pty = openpty(&size(24, 80), None).expect("a terminal");
        let before = tcgetattr(&pty.slave).expect("its settings");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let arguments = ["watch", &lab.name];
        let mut run = Run::through(&["setsid", "--ctty", "--wait"], &arguments);
        run.command
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end());
        let running = run.start();
        let master = File::from(pty.master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, all) = (
            master.try_clone().expect("a descriptor"),
            Arc::clone(&shown),
        );
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
                all.lock().expect("no panic").push_str(&text);
            }
        });
        Self {
            running,
            master,
            shown,
            before,
            pty: pty.slave,
        }
    }

    /// Waits until this is drawn, and forgets what was drawn so far.
    fn shows(&self, words: &str) {
        wait_for(words, LIMIT, || {
            let mut shown = self.shown.lock().expect("no panic");
            let at = shown.find(words)?;
            shown.drain(..at + words.len());
            Some(())
        });
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = format!("stty rows {rows} columns {columns}");
        let slave = Stdio::from(self.pty.try_clone().expect("a descriptor"));
        let mut shell = std::process::Command::new("sh");
        let resized = shell.args(["-c", &size]).stdin(slave).status();
        assert!(resized.expect("a shell").success());
    }

    /// The run has ended, and the terminal is as it was before it.
    fn ended(self) -> Ended {
        let ended = self.running.end();
        let after = tcgetattr(&self.pty).expect("its settings");
        assert_eq!(after, self.before, "the terminal was not given back");
        wait_for("the first screen", LIMIT, || {
            let shown = self.shown.lock().expect("no panic");
            shown.contains(FIRST_SCREEN).then_some(())
        });
        ended
    }
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
    let mut screen = Screen::watch(&lab);
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
    assert_eq!(screen.ended().code, 0);
}

#[test]
fn a_save_while_it_builds_is_judged_next() {
    let lab = Lab::new("watched-twice");
    let mut screen = Screen::watch(&lab);
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
    assert_eq!(screen.ended().code, 130);
}

#[test]
fn a_terminal_of_no_size_is_survived() {
    let lab = Lab::new("watched-small");
    lab.write("src/greeting.rs", WRONG);
    let mut screen = Screen::watch(&lab);
    screen.shows("the body `bye, ada`");
    for (rows, columns) in [(0, 0), (1, 1), (3, 7), (12, 40)] {
        screen.resize(rows, columns);
        std::thread::sleep(Duration::from_millis(50));
    }
    screen.shows("bye, ada");
    screen.types("q");
    assert_eq!(screen.ended().code, 0);
}

#[test]
fn a_killed_runner_gives_the_terminal_back_too() {
    let lab = Lab::new("watched-killed");
    let screen = Screen::watch(&lab);
    screen.shows("not started");
    kill(runner_of(&lab), Signal::SIGKILL).expect("killed");
    assert_eq!(screen.ended().code, 3);
}

#[test]
fn sigterm_gives_the_terminal_back_too() {
    let lab = Lab::new("watched-ended");
    let screen = Screen::watch(&lab);
    screen.shows("not started");
    screen.running.send(Signal::SIGTERM);
    assert_eq!(screen.ended().code, 143);
}

#[test]
fn off_a_terminal_it_says_what_does_the_same() {
    let lab = Lab::new("watched-piped");
    let ended = Run::new(&["watch", &lab.name]).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("`watch` draws on a terminal");
    ended.says(&format!("hint: cargo xtask check {}", lab.name));
}
