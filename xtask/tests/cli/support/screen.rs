//! A real terminal, and somebody who reads and types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use super::{Ended, Run, Running, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// A terminal of 80 by 24 with a run on it.
pub(crate) struct Screen {
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
    /// Starts `xtask ARGUMENTS` there.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        let pty = openpty(&size(24, 80), None).expect("a terminal");
        let before = tcgetattr(&pty.slave).expect("its settings");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        // Another test's processes must not keep this terminal from hanging up.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
        }
        let mut run = Run::through(&["setsid", "--ctty", "--wait"], arguments);
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
    pub(crate) fn shows(&self, words: &str) {
        wait_for(words, LIMIT, || {
            let mut shown = self.shown.lock().expect("no panic");
            let at = shown.find(words)?;
            shown.drain(..at + words.len());
            Some(())
        });
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = format!("stty rows {rows} columns {columns}");
        let slave = Stdio::from(self.pty.try_clone().expect("a descriptor"));
        let mut shell = std::process::Command::new("sh");
        let resized = shell.args(["-c", &size]).stdin(slave).status();
        assert!(resized.expect("a shell").success());
    }

    /// The run has ended, and the terminal is as it was before it.
    pub(crate) fn ended(self) -> Ended {
        let ended = self.running.end();
        let after = tcgetattr(&self.pty).expect("its settings");
        assert_eq!(after, self.before, "the terminal was not given back");
        ended
    }

    /// What was drawn and not yet waited for; it goes on to grow.
    pub(crate) fn shown(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.shown)
    }

    pub(crate) fn send(&self, signal: Signal) {
        self.running.send(signal);
    }
}
