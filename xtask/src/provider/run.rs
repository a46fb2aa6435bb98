//! The run folder: where everything temporary of one run lives, and whose it is.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use nix::unistd::geteuid;

/// What services run as when we are root: a server never runs as root.
pub(crate) const NOBODY: u32 = 65534;

/// The file in a run folder that names the run's keeper.
pub(crate) const OWNER_FILE: &str = "owner";

/// A process, named so that another one with the same number is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    started: String,
}

impl Owner {
    /// The process with this number, if there is one.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = started(pid)?;
        Some(Self { pid, started })
    }

    /// Whether that very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        started(self.pid).as_ref() == Some(&self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pid, started) = text.trim().split_once(':').context("no owner")?;
        Ok(Self {
            pid: pid.parse().context("no process id")?,
            started: started.to_owned(),
        })
    }
}

/// When a process started, in whatever unit the system has; `None` if there is none.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    // The 22nd field of the whole line.
    let ticks = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| ticks.to_owned())
}

/// When a process started, in whatever unit the system has; `None` if there is none.
#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let words: Vec<_> = str::from_utf8(&output.stdout)
        .ok()?
        .split_whitespace()
        .collect();
    (!words.is_empty()).then(|| words.join("-"))
}

/// The name of this machine, so that one Docker shared by several is swept by each alone.
pub(crate) fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// One run's temporary folder.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    id: String,
    owner: Owner,
}

impl RunFolder {
    /// The folder that the keeper made for us and named in `LABS_RUN_DIR`.
    pub(crate) fn from_env() -> Result<Self> {
        let path = std::env::var_os("LABS_RUN_DIR").context("LABS_RUN_DIR is not set")?;
        Self::open(Path::new(&path))
    }

    /// A folder that names its owner, as every keeper's does.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let owner = fs::read_to_string(path.join(OWNER_FILE))
            .with_context(|| format!("{} is no run folder", path.display()))?;
        let id = path.file_name().context("a run folder has a name")?;
        Ok(Self {
            path: path.to_owned(),
            id: id.to_string_lossy().into_owned(),
            owner: owner.parse()?,
        })
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name, as containers and claims carry it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The keeper.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Tells the keeper that there are containers to sweep.
    pub(crate) fn note_docker_used(&self) -> io::Result<()> {
        fs::write(self.path.join("docker-used"), "")
    }

    /// A new folder that a service may write to and that nobody else can enter.
    pub(crate) fn service_folder(&self, name: &str) -> io::Result<PathBuf> {
        for number in 1u32.. {
            let folder = self.path.join(format!("{name}-{number}"));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => {
                    give_to_service(&folder)?;
                    return Ok(folder);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no name is left for a folder"))
    }
}

/// Hands a file to the user that services run as.
pub(crate) fn give_to_service(path: &Path) -> io::Result<()> {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}
