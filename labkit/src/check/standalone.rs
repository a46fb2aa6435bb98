//! A check without the runner: in an editor, or under plain `cargo test -p LAB-checks`.
//!
//! The services and the app come from one `cargo xtask up LAB --json`, which lives as long
//! as this process holds its stdin. Checks of one process then take turns.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Outcome, Record};
use crate::wire::{Address, RedisTarget};

/// What `cargo xtask up LAB --json` prints as its one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Up {
    /// The built app.
    pub app: PathBuf,
    /// The user that it runs as, where we are root.
    pub app_uid: Option<u32>,
    /// Where checks may make folders of their own.
    pub folder: PathBuf,
    /// The lab's services.
    pub services: BTreeMap<String, RedisTarget>,
    /// By check module: services that were started with a configuration of the exercise.
    pub configured: BTreeMap<String, BTreeMap<String, RedisTarget>>,
}

/// Keeps the services to one check at a time.
pub(super) struct Lease {
    _turn: MutexGuard<'static, ()>,
    _folder: tempfile::TempDir,
}

/// The one `up` of this process.
struct Running {
    up: Up,
    // Its stdin: closed with this process, however it ends.
    _child: Mutex<Child>,
}

pub(super) fn assignment(package: &str, name: &str) -> (Assignment, Lease) {
    static RUNNING: OnceLock<Running> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());

    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let up = &RUNNING
        .get_or_init(|| start(package).unwrap_or_else(|error| panic!("{error}")))
        .up;
    let module = name.split("::").next().unwrap_or_default();
    let mut services = up.services.clone();
    services.extend(up.configured.get(module).cloned().unwrap_or_default());
    for target in services.values().filter(|target| target.ours) {
        empty(target).unwrap_or_else(|error| panic!("cannot empty {}: {error}", target.address));
    }
    let folder = tempfile::Builder::new()
        .prefix("check-")
        .tempdir_in(&up.folder)
        .unwrap_or_else(|error| panic!("no folder in {}: {error}", up.folder.display()));
    if let Some(uid) = up.app_uid {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid))
            .unwrap_or_else(|error| panic!("cannot give the app its folder: {error}"));
    }
    let assignment = Assignment {
        seed: 1,
        app: up.app.clone(),
        app_uid: up.app_uid,
        folder: folder.path().to_owned(),
        services,
        long_values: false,
        record: false,
    };
    let lease = Lease {
        _turn: turn,
        _folder: folder,
    };
    (assignment, lease)
}

/// Prints what a person running plain `cargo test` needs to see, and fails the test.
pub(super) fn conclude(record: &Record) {
    match record.outcome {
        Outcome::Passed => {}
        Outcome::Failed => {
            let finding = record.finding.clone().unwrap_or_default();
            panic!(
                "\n    did       {}\n    saw       {}\n    expected  {}\n    why       {}\n",
                finding.did, finding.saw, finding.expected, finding.why
            );
        }
        Outcome::Unavailable | Outcome::Error => {
            panic!("{}", record.reason.clone().unwrap_or_default())
        }
    }
}

fn start(package: &str) -> Result<Running, String> {
    let lab = package.strip_suffix("-checks").unwrap_or(package);
    let mut child = Command::new("cargo")
        .args(["xtask", "up", lab, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`cargo xtask up {lab} --json` does not start: {error}"))?;
    let stdout = child
        .stdout
        .take()
        .ok_or("`cargo xtask up` has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(|error| format!("`cargo xtask up {lab} --json` says nothing: {error}"))?;
    let up = serde_json::from_str(&line)
        .map_err(|error| format!("`cargo xtask up {lab} --json` said `{line}`: {error}"))?;
    Ok(Running {
        up,
        _child: Mutex::new(child),
    })
}

fn empty(target: &RedisTarget) -> std::io::Result<()> {
    let ask = b"FLUSHALL\r\n";
    let mut reply = [0; 5];
    match &target.address {
        Address::Tcp(address) => {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.write_all(ask)?;
            stream.read_exact(&mut reply)?;
        }
        Address::Unix(path) => {
            let mut stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.write_all(ask)?;
            stream.read_exact(&mut reply)?;
        }
    }
    if &reply == b"+OK\r\n" {
        Ok(())
    } else {
        Err(std::io::Error::other("FLUSHALL was refused"))
    }
}
