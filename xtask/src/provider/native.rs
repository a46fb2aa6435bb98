//! native: the real server's binary on this machine, as a private process on a socket in
//! a folder of its own, never as root.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use labkit::wire::Address;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::resolve::Absent;
use super::run::{NOBODY, RunFolder, give_to_service};
use super::{StartError, administered, last_words, until_alive};
use crate::services::{Config, Launch, Leased, Listen, PASSWORD, Service, Target, Version};

/// The longest path of a socket that every system takes (Linux 107, macOS 103).
const LONGEST_SOCKET: usize = 100;

/// How long a server may take to end when it is told to, before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// A server's binary.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Where the libraries are that it was unpacked with.
    pub(crate) libraries: Vec<PathBuf>,
}

/// Finds a service's binary as installed on this machine.
pub(crate) fn find(service: &Service) -> Result<Program> {
    let path = find_binary(service.program)
        .or_else(|| find_below(Path::new("/"), service))
        .ok_or_else(|| Absent(format!("no {} on this machine's PATH", service.program)))?;
    Ok(Program {
        path,
        libraries: Vec::new(),
    })
}

/// Looks on PATH, then where packages put servers that an ordinary PATH leaves out.
pub(crate) fn find_binary(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = [
        "/usr/sbin",
        "/usr/local/sbin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ];
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(elsewhere.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Looks in the folders of the service's own, the newest version first.
pub(crate) fn find_below(root: &Path, service: &Service) -> Option<PathBuf> {
    service.elsewhere.iter().find_map(|pattern| {
        let (before, after) = pattern.split_once('*')?;
        let (folder, prefix) = before.rsplit_once('/')?;
        let folder = root.join(folder.trim_start_matches('/'));
        let mut versions: Vec<(Version, PathBuf)> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let version = Version::parse(name.to_str()?.strip_prefix(prefix)?)?;
                let folder = entry.path().join(after.trim_start_matches('/'));
                Some((version, folder.join(service.program)))
            })
            .filter(|(_, program)| program.is_file())
            .collect();
        versions.sort();
        Some(versions.pop()?.1)
    })
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    stop: Signal,
}

impl Process {
    /// Ends the server with all it started, and removes its folder.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal_group(self.stop);
        if timeout(STOP, self.child.wait()).await.is_err() {
            self.signal_group(Signal::SIGKILL);
        }
        self.child.wait().await?;
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn signal_group(&self, signal: Signal) {
        // Gone from the child once it was waited for, when its number may be another's.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            killpg(Pid::from_raw(pid), signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group(Signal::SIGKILL);
    }
}

/// Starts the server and waits until it answers.
pub(crate) async fn start(
    service: &Service,
    leased: &Leased,
    program: &Program,
    run: &RunFolder,
    config: Option<&Path>,
) -> Result<(Target, Process), StartError> {
    let (target, mut process) = spawn(service, leased, program, run, config)?;
    let died = async {
        let status = process.child.wait().await;
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    };
    let Err(reason) = until_alive(leased, &target, died).await else {
        return Ok((target, process));
    };
    let log = fs::read(process.folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    process.stop().await?;
    let own_config = config.and(leased.config.as_ref());
    Err(StartError::of_log(service, own_config, &log, &reason))
}

fn spawn(
    service: &Service,
    leased: &Leased,
    program: &Program,
    run: &RunFolder,
    config: Option<&Path>,
) -> Result<(Target, Process)> {
    let folder = run.service_folder(service.name)?;
    let socket = folder.join(leased.socket);
    ensure!(
        socket.as_os_str().len() < LONGEST_SOCKET,
        "the path of the temporary folder is too long for a socket: {}",
        folder.display()
    );
    let config = config.map(|path| copy_config(path, &folder)).transpose()?;
    let (Some(folder_text), Some(program_text), Ok(config_text)) = (
        folder.to_str(),
        program.path.to_str(),
        config.as_deref().map(path_text).transpose(),
    ) else {
        bail!("the path of the temporary folder or of the program is not UTF-8");
    };
    let log = File::create(folder.join("log"))?;
    let words = (leased.command)(&Launch {
        program: program_text,
        listen: Listen::Unix(&socket),
        folder: folder_text,
        config: config_text,
    });
    let (first, arguments) = words.split_first().context("a command has a program")?;
    let target = administered(leased, Address::Unix(socket));
    let mut command = command(first, &program.libraries, &folder)?;
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(password) = &target.password {
        command.env(PASSWORD, password);
    }
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program.path.display()))?;
    let stop = leased.stop;
    Ok((
        target,
        Process {
            child,
            folder,
            stop,
        },
    ))
}

/// A program in a folder of its own, never as root.
pub(super) fn command(program: &str, libraries: &[PathBuf], folder: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        // Nothing of ours is a server's business, and its words are searched in English.
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C")
        // The terminal's Ctrl-C is ours to answer; the server goes when we say so.
        .process_group(0)
        .kill_on_drop(true);
    if !libraries.is_empty() {
        let libraries: OsString = std::env::join_paths(libraries)?;
        command.env("LD_LIBRARY_PATH", libraries);
    }
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

/// A copy that the server can read: it may not run as the user whose file it is.
fn copy_config(path: &Path, folder: &Path) -> Result<PathBuf> {
    let name = path.file_name().context("a configuration is a file")?;
    let copy = folder.join(name);
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(&copy, text)?;
    give_to_service(&copy)?;
    Ok(copy)
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

impl StartError {
    /// What a log of a server that did not come up means: with a configuration of the
    /// learner's own it is theirs to mend, in the server's words.
    pub(crate) fn of_log(
        service: &Service,
        own_config: Option<&Config>,
        log: &str,
        reason: &str,
    ) -> Self {
        if let Some(config) = own_config {
            let words = (config.refusal)(log).unwrap_or_else(|| last_words(log));
            if !words.is_empty() {
                return Self::Refused { words };
            }
        }
        let words = last_words(log);
        let name = service.program;
        Self::Unavailable(match words.is_empty() {
            true => format!("{name} {reason}"),
            false => format!("{name} {reason}: {words}"),
        })
    }
}
