//! The runner as people start it: its own process, bounded in time, and looked after for
//! what it leaves behind.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use nix::sys::signal::{Signal, kill};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{XTASK, scratch, wait_for};

/// No run of a small lab takes longer, even where it waits for another one's build.
const LIMIT: Duration = Duration::from_secs(240);

/// The bar of invariant 5.
const ALL_GONE: Duration = Duration::from_secs(15);

/// One start of the runner, its temporary files in a place of their own.
pub(crate) struct Run {
    pub(crate) command: Command,
    pub(crate) place: TempDir,
}

impl Run {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::through(&[], arguments)
    }

    /// The runner as the last argument of another command: `unshare …`, `setsid …`.
    pub(crate) fn through(wrapper: &[&str], arguments: &[&str]) -> Self {
        let words: Vec<&str> = wrapper.iter().copied().chain([XTASK]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments);
        // Short, for a socket below it has a path of bounded length; open, for an app that
        // runs as another user has its folder in it.
        let place = tempfile::Builder::new()
            .prefix("cli-")
            .tempdir()
            .expect("a folder");
        fs::set_permissions(place.path(), Permissions::from_mode(0o711)).expect("ours");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let of_cargo = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ];
            if name.starts_with("LABS_") || of_cargo.iter().any(|own| name.starts_with(own)) {
                command.env_remove(&*name);
            }
        }
        command
            .env("TMPDIR", place.path())
            // The scratch checkout is no git checkout, and must not pass for this one.
            .env("GIT_CEILING_DIRECTORIES", env!("CARGO_TARGET_TMPDIR"))
            .env_remove("NO_COLOR")
            .env_remove("TERM")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = Self { command, place };
        match arguments.first() {
            Some(_) => run.in_folder(scratch()),
            None => run,
        }
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// As on a machine whose only services are those that are installed.
    pub(crate) fn native(self) -> Self {
        self.env("DOCKER_HOST", "unix:///nowhere.sock")
            .env("LABS_BUNDLE", "never")
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("the runner starts");
        let out = collect(child.stdout.take());
        let err = collect(child.stderr.take());
        Running {
            child,
            out,
            err,
            place: self.place,
        }
    }

    /// Runs it to its end.
    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut all).expect("readable");
        }
        all
    })
}

/// A runner at work.
pub(crate) struct Running {
    child: Child,
    out: JoinHandle<Vec<u8>>,
    err: JoinHandle<Vec<u8>>,
    pub(crate) place: TempDir,
}

impl Running {
    #[cfg(target_os = "linux")]
    pub(crate) fn send(&self, signal: Signal) {
        // One that has ended meanwhile is a verdict in time.
        let _ = kill(self.pid(), signal);
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process number"))
    }

    /// Waits until one of its processes has this in its command line.
    #[cfg(target_os = "linux")]
    pub(crate) fn reached(&self, what: &str) {
        wait_for(what, LIMIT, || {
            mentioning(self.place.path())
                .iter()
                .any(|line| line.contains(what))
                .then_some(())
        });
    }

    /// Waits for the end, and asserts that it left nothing behind.
    pub(crate) fn end(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a state") {
                break status;
            }
            if began.elapsed() > LIMIT {
                // The keeper puts the rest away.
                let _ = self.child.kill();
                let (out, err) = (self.out.join(), self.err.join());
                panic!(
                    "still running after {LIMIT:?}\n{}\n{}",
                    text(&out.unwrap_or_default()),
                    text(&err.unwrap_or_default())
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let ended = Ended {
            code: code_of(status),
            out: text(&self.out.join().expect("stdout")),
            err: text(&self.err.join().expect("stderr")),
        };
        nothing_is_left(self.place.path());
        ended
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The whole of it, for a snapshot.
    pub(crate) fn whole(&self) -> String {
        let mut whole = format!("exit code {}\n", self.code);
        for (name, text) in [("stdout", &self.out), ("stderr", &self.err)] {
            let _ = write!(whole, "----- {name} -----\n{}", settled(text));
        }
        whole
    }

    /// The report that `--format json` prints.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}\n{}", self.out, self.err))
    }

    /// Both streams hold what is named, in one of them.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        // A line that was wrapped is still one sentence.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = format!("{} {}", flat(&self.out), flat(&self.err));
        assert!(
            all.contains(&flat(words)),
            "it does not say `{words}`:\n{}\n-----\n{}",
            self.out,
            self.err
        );
    }
}

/// As a shell gives it: a front that has not yet caught a signal is ended by it.
fn code_of(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|number| 128 + number))
        .expect("an end")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text without what differs between two runs: paths, ports and times.
pub(crate) fn settled(text: &str) -> String {
    let text = text.replace(&scratch().display().to_string(), "[CHECKOUT]");
    let mut settled = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        let begin = line.trim_start();
        if let Some((time, rest)) = begin.split_once(" ms  ")
            && time.parse::<f64>().is_ok()
        {
            line = format!("  [TIME] ms  {rest}");
        }
        while let Some(at) = line.find("127.0.0.1:")
            && line[at + 10..].starts_with(|c: char| c.is_ascii_digit())
        {
            let rest = line[at + 10..].trim_start_matches(|c: char| c.is_ascii_digit());
            line = format!("{}127.0.0.1:[PORT]{rest}", &line[..at]);
        }
        settled.push_str(line.trim_end());
        settled.push('\n');
    }
    settled
}

/// No run folder and no process that worked in it, at the latest after the bar.
pub(crate) fn nothing_is_left(place: &Path) {
    let began = Instant::now();
    loop {
        let mut left = folders_in(place);
        left.extend(mentioning(place));
        if left.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < ALL_GONE,
            "left behind:\n{}",
            left.join("\n")
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What lies in this folder, to two levels.
fn folders_in(place: &Path) -> Vec<String> {
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut found = below(place);
    found.extend(below(place).iter().flat_map(|folder| below(folder)));
    found.iter().map(|it| it.display().to_string()).collect()
}

/// On Linux: the command lines that name this folder; all that a run starts does so, but for cargo,
/// which is found by its environment where we may look at it.
fn mentioning(place: &Path) -> Vec<String> {
    let place = place.as_os_str().as_encoded_bytes();
    let holds = |bytes: &[u8]| bytes.windows(place.len()).any(|part| part == place);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let number = process.file_name().to_string_lossy().parse::<u32>().ok()?;
            let line = fs::read(process.path().join("cmdline")).ok()?;
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            let ours = number != std::process::id() && (holds(&line) || holds(&environment));
            // A zombie has no command line.
            (ours && !line.is_empty()).then(|| text(&line).replace('\0', " "))
        })
        .collect()
}
