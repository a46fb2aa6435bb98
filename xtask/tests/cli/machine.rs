//! A machine that lacks something: Docker, images, any server at all, room, rights.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::support::{Lab, Run, bare, without};
use nix::unistd::geteuid;

/// Neither root nor a user that services or apps run as.
const ORDINARY: u32 = 65531;

#[test]
fn case_13_docker_is_off() {
    let lab = Lab::solved_with_redis();
    let off = |arguments: &[&str]| {
        let run = lab
            .check(arguments)
            .env("DOCKER_HOST", "unix:///nowhere.sock");
        run.env("LABS_BUNDLE", "never").end()
    };
    let ended = off(&[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.err.contains("docker"), "{ended:?}");
    ended.says("(native)");
    let ended = off(&["--services", "docker"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("? greeting unavailable");
    ended.says("no redis could be had");
    ended.says("docker no Docker here");
    ended.says("0 of 2 checks passed");
    ended.says("cargo xtask doctor");
}

#[test]
fn case_14_docker_has_no_images() {
    if without(
        "docker",
        "a missing image falls through to the next provider",
    ) {
        return;
    }
    let lab = Lab::solved_with_redis();
    // A registry on our own machine that is not there refuses at once.
    let no_images = |arguments: &[&str]| {
        let run = lab
            .check(arguments)
            .env("LABS_IMAGE_PREFIX", "127.0.0.1:1/none/");
        run.env("LABS_BUNDLE", "never").end()
    };
    let ended = no_images(&[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("redis: not by docker: the image 127.0.0.1:1/none/redis:7 is not here");
    ended.says("; so it comes by native (this is said once)");
    ended.says("(native)");
    let again = no_images(&[]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(!again.err.contains("docker"), "{again:?}");
    let ended = no_images(&["--services", "docker"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("hint: docker pull 127.0.0.1:1/none/redis:7");
}

/// Homebrew's folder cannot be hidden; there the provider's own tests hold this case.
#[test]
#[cfg(target_os = "linux")]
fn case_15_no_provider_at_all() {
    let lab = Lab::solved_with_redis();
    let programs = path_without("redis-server");
    let ended = lab.check(&[]).native().env("PATH", programs.path()).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("redis: not by docker: ");
    ended.says("redis: not by native: no redis-server on this machine's PATH");
    ended.says("redis: not by bundle: ");
    let tried = ended
        .out
        .matches("no redis-server on this machine's PATH")
        .count();
    assert_eq!(tried, 1, "what was tried is told once: {}", ended.out);
    ended.says("? greeting unavailable");
    ended.says("no redis could be had");
    ended.says("hint: ");
    let report = lab
        .check(&["--format", "json"])
        .native()
        .env("PATH", programs.path())
        .end();
    let report = report.json();
    assert_eq!(
        report["exercises"][0]["status"], "unavailable",
        "neither passed nor failed"
    );
    assert_eq!(report["services"][0]["provider"], serde_json::Value::Null);
}

/// All programs of this machine but one.
#[cfg(target_os = "linux")]
fn path_without(program: &str) -> tempfile::TempDir {
    for fixed in [
        "/usr/sbin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ] {
        let there = Path::new(fixed).join(program);
        assert!(
            !there.exists(),
            "{} cannot be hidden from the runner",
            there.display()
        );
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = std::env::var_os("PATH").expect("a PATH");
    let programs = std::env::split_paths(&path).filter_map(|part| fs::read_dir(part).ok());
    for entry in programs
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name() != program)
    {
        // The first on PATH is the one that counts.
        let _ = std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()));
    }
    folder
}

#[test]
fn case_16_no_place_for_temporary_files() {
    let lab = Lab::solved_with_redis();
    let ended = lab.check(&[]).env("TMPDIR", "/proc").end();
    assert_eq!(ended.code, 2, "it is the machine's: {ended:?}");
    ended.says("error: the run could not be started: cannot make a folder in /proc");
    ended.says("hint: TMPDIR has to name a folder that is yours to write to");
}

#[test]
fn case_17_a_checkout_of_somebody_else() {
    let root = bare();
    let folder = root.path().join("labs/demo");
    assert_eq!(
        Run::new(&["new-lab", "demo"])
            .in_folder(root.path())
            .end()
            .code,
        0
    );
    fs::write(folder.join("src/greeting.rs"), "// my hour's work\n").expect("written");
    let as_another = |arguments: &[&str]| {
        let mut run = Run::new(arguments).in_folder(root.path());
        if geteuid().is_root() {
            run.command.uid(ORDINARY).gid(ORDINARY);
        }
        run.end()
    };
    let _closed = Closed::new(root.path());

    let ended = as_another(&["hint", "demo/greeting"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("1. what does the brief say the answer is?");
    ended.says("progress was not saved: ");
    ended.says("Permission denied");

    let ended = as_another(&["reset", "demo", "--yes"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("Permission denied");
    ended.says("hint: ");
    let kept = fs::read_to_string(folder.join("src/greeting.rs")).expect("there");
    assert_eq!(kept, "// my hour's work\n");

    let ended = as_another(&["new-lab", "another"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("Permission denied");
    assert!(!root.path().join("labs/another").exists());
}

/// In memory where there is plenty: a disk takes longer to make a database than Postgres to be used.
#[test]
fn a_run_is_where_tmpdir_says_or_in_memory_or_on_the_disk() {
    let run = || Run::new(&["doctor"]).native();
    let told = run();
    let place = told.place.path().display().to_string();
    told.end().says(&format!("for runs ({place})"));
    let mut untold = run();
    untold.command.env_remove("TMPDIR");
    let ended = untold.end();
    let homes = ["/dev/shm", "/tmp"].map(|home| format!("MB free for runs ({home})"));
    assert!(
        homes.iter().any(|home| ended.out.contains(home)),
        "{ended:?}"
    );
}

/// A folder tree that others may read and nobody but root may write.
struct Closed(PathBuf);

impl Closed {
    fn new(root: &Path) -> Self {
        let closed = Self(root.to_owned());
        closed.mode("a+rX,a-w");
        closed
    }

    fn mode(&self, mode: &str) {
        let changed = std::process::Command::new("chmod")
            .args(["-R", mode])
            .arg(&self.0)
            .status();
        assert!(changed.expect("chmod runs").success());
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.mode("u+w");
    }
}
