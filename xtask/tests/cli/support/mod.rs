//! A scratch checkout with small labs, and what several tests need.

mod run;
#[cfg(target_os = "linux")]
mod screen;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use run::{Ended, Run, Running, settled, text};
#[cfg(target_os = "linux")]
pub(crate) use screen::Screen;

/// The runner under test.
pub(crate) const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// A copy of this repository without its labs, below the target folder: labkit is built
/// there once and then found again.
pub(crate) fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (root, _in_use) = SCRATCH.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checkout");
        fs::create_dir_all(root.join("labs")).expect("a scratch checkout");
        let lock = |name: &str| File::create(root.with_extension(name)).expect("a lock file");
        let making = lock("making");
        making.lock().expect("a lock");
        let in_use = lock("in-use");
        // Where each test is a process of its own, only the first may clear away.
        if in_use.try_lock().is_ok() {
            for old in [root.join("labs"), root.join(".labs")] {
                let _ = fs::remove_dir_all(&old);
            }
            fs::create_dir_all(root.join("labs")).expect("a folder for labs");
            copy_repository(&root);
        }
        in_use.lock_shared().expect("a lock");
        (root, in_use)
    });
    root
}

/// Only what differs is written: cargo goes by the time of writing.
fn copy_repository(root: &Path) {
    let repository = repository();
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(repository)
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let names = text(&listed.stdout);
    for name in names
        .split_terminator('\0')
        .filter(|name| !name.starts_with("labs/"))
    {
        let Ok(mut content) = fs::read(repository.join(name)) else {
            continue; // deleted, and git was not told yet
        };
        if name == "Cargo.toml" {
            content = of_another_version(&text(&content)).into_bytes();
        }
        let copy = root.join(name);
        if fs::read(&copy).is_ok_and(|old| old == content) {
            continue;
        }
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        fs::write(&copy, content).expect("a copy");
    }
}

/// To cargo, packages of one name and version at one place below their workspaces are the
/// same: what is built here would pass for the repository's own, which shares the target
/// folder, and stay when that is edited.
fn of_another_version(manifest: &str) -> String {
    let own = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(manifest.contains(own), "the workspace has the version");
    let other = concat!("version = \"", env!("CARGO_PKG_VERSION"), "-scratch\"");
    manifest.replacen(own, other, 1)
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
}

/// Enough of a checkout for the verbs that build nothing; a test may break it at will.
pub(crate) fn bare() -> TempDir {
    let root = TempDir::new().expect("a temporary folder");
    for folder in ["xtask", "labs"] {
        fs::create_dir(root.path().join(folder)).expect("a folder");
    }
    root
}

/// A lab of the scratch checkout, made by `new-lab`; each test has its own.
pub(crate) struct Lab {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Lab {
    pub(crate) fn new(name: &str) -> Self {
        let folder = scratch().join("labs").join(name);
        let _ = fs::remove_dir_all(&folder);
        let made = Run::new(&["new-lab", name]).end();
        assert_eq!(made.code, 0, "{}", made.err);
        Self {
            name: name.to_owned(),
            folder,
        }
    }

    /// One that several tests use and none changes, as `prepare` leaves it.
    pub(crate) fn shared(name: &str, prepare: impl FnOnce(&Self)) -> Self {
        let lock = File::create(scratch().with_extension("sharing")).expect("a lock file");
        lock.lock().expect("a lock");
        let ready = scratch().join("labs").join(name).join(".ready");
        if !ready.exists() {
            let lab = Self::new(name);
            prepare(&lab);
            lab.write(".ready", "");
        }
        let folder = scratch().join("labs").join(name);
        Self {
            name: name.to_owned(),
            folder,
        }
    }

    /// A solved one whose app needs Redis.
    pub(crate) fn solved_with_redis() -> Self {
        Self::shared("of-redis", |lab| {
            lab.change("lab.toml", "services = []", "services = [\"redis\"]");
            lab.solve();
        })
    }

    /// The learner has solved it.
    pub(crate) fn solve(&self) {
        let answer =
            "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"hello, {name}\")\n}\n";
        self.write("src/greeting.rs", answer);
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).expect("a file of the template")
    }

    pub(crate) fn change(&self, path: &str, from: &str, to: &str) {
        let before = self.read(path);
        assert!(before.contains(from), "{path} has no `{from}`");
        self.write(path, &before.replacen(from, to, 1));
    }

    /// A folder with exercise files, as somebody hands them in.
    pub(crate) fn submission(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().expect("a temporary folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("written");
        }
        folder
    }

    /// `check LAB`, with a seed that a snapshot can hold.
    pub(crate) fn check(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["check", self.name.as_str(), "--seed", "7"];
        all.extend(arguments);
        Run::new(&all)
    }
}

pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this machine is said to lack something: then the test is left out, aloud. What
/// is missing without having been named is a failure.
pub(crate) fn without(what: &str, unproved: &str) -> bool {
    let named = std::env::var("LABS_WITHOUT")
        .is_ok_and(|list| list.split([',', ' ']).any(|word| word == what));
    #[allow(clippy::print_stderr, reason = "a skip must be heard")]
    if named {
        eprintln!("NOT PROVED: {unproved} (LABS_WITHOUT={what})");
    }
    named
}
