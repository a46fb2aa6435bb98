//! Starts `examples/kept.rs` around a shell script that plays the runner, and looks at
//! what is left of it.

use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The bar of invariant 5.
pub(crate) const ALL_GONE: Duration = Duration::from_secs(15);

/// A run whose folders and notes lie in a place of their own.
pub(crate) struct Kept {
    pub(crate) front: Child,
    pub(crate) place: Arc<TempDir>,
}

pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
    pub(crate) place: Arc<TempDir>,
}

/// Runs a script in place of the runner; `$NOTES` is a folder for what it has to tell.
pub(crate) fn keep(script: &str) -> Kept {
    keep_in(
        &Arc::new(TempDir::new().expect("a temp folder")),
        &[],
        script,
    )
}

/// The same where other runs were or are.
pub(crate) fn keep_in(place: &Arc<TempDir>, options: &[&str], script: &str) -> Kept {
    keep_beside(place, options, &[], script)
}

/// The same with more in the environment.
pub(crate) fn keep_beside(
    place: &Arc<TempDir>,
    options: &[&str],
    environment: &[(&str, &str)],
    script: &str,
) -> Kept {
    let notes = place.path().join("notes");
    fs::create_dir_all(&notes).expect("a folder for notes");
    let front = Command::new(program())
        .args(options)
        .args(["sh", "-c", script])
        .env("NOTES", notes)
        .env("TMPDIR", place.path())
        .envs(environment.iter().copied())
        // A job of its own, as a shell with job control makes one.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the front starts");
    Kept {
        front,
        place: Arc::clone(place),
    }
}

impl Kept {
    /// Waits until the script has written a process number under this name.
    pub(crate) fn noted(&self, name: &str) -> Pid {
        let file = self.place.path().join("notes").join(name);
        let pid = wait_for(&format!("the note {name}"), || {
            fs::read_to_string(&file).ok()?.trim().parse().ok()
        });
        Pid::from_raw(pid)
    }

    /// The run folder; the living run's own, where there are others.
    pub(crate) fn folder(&self) -> PathBuf {
        wait_for("the run folder", || {
            let folders = run_folders(&self.place);
            folders.into_iter().find(|folder| owner(folder).is_some())
        })
    }

    /// The keeper, as it wrote itself into the run folder.
    pub(crate) fn keeper(&self) -> Pid {
        owner(&self.folder()).expect("a living owner")
    }

    pub(crate) fn front(&self) -> Pid {
        Pid::from_raw(self.front.id().try_into().expect("a process number"))
    }

    /// Waits for the front, and until nobody holds the output any more.
    pub(crate) fn end(mut self) -> Ended {
        let mut said = String::new();
        let mut stderr = self.front.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("text");
        let mut stdout = self.front.stdout.take().expect("a pipe");
        stdout.read_to_end(&mut Vec::new()).expect("an end");
        Ended {
            status: self.front.wait().expect("the front ends"),
            said,
            place: self.place,
        }
    }
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        let code = self.status.code();
        code.unwrap_or_else(|| panic!("the front died: {:?}", self.status.signal()))
    }

    /// No run folder is left, at the latest after the bar.
    pub(crate) fn leaves_no_folder(&self) {
        wait_for("the run folder to go", || {
            run_folders(&self.place).is_empty().then_some(())
        });
    }
}

pub(crate) fn run_folders(place: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path()).expect("the test's own folder");
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"backend-labs-")
        })
        .map(|entry| entry.path())
        .collect()
}

fn owner(folder: &Path) -> Option<Pid> {
    let owner = fs::read_to_string(folder.join("owner")).ok()?;
    let pid = Pid::from_raw(owner.split(':').next()?.parse().ok()?);
    kill(pid, None).ok().map(|()| pid)
}

pub(crate) fn send(pid: Pid, signal: Signal) {
    kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

pub(crate) fn gone(pid: Pid) {
    wait_for(&format!("process {pid} to go"), || {
        let ended = kill(pid, None) == Err(Errno::ESRCH) || is_zombie(pid);
        ended.then_some(())
    });
}

/// Ended, but process 1 (in a container often no init) does not ask for its status.
fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < ALL_GONE, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Built here, for `cargo test --test keeper` alone builds no examples.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "xtask",
                "--example",
                "kept",
            ])
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the example does not build");
        // This test is target/PROFILE/deps/keeper-HASH.
        let test = std::env::current_exe().expect("a path");
        let profile = test.ancestors().nth(2).expect("a target folder");
        profile.join("examples/kept")
    })
}
