//! A check without the runner: in an editor, or under plain `cargo test -p LAB-checks`.
//!
//! The app comes from one `cargo xtask up LAB --json`, which lives as long as this process
//! holds its stdin, and so do the services: each check is lent its own there, over a socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Outcome, Record};
use crate::wire::Target;

/// What `cargo xtask up LAB --json` prints as its one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Up {
    /// The built app.
    pub app: PathBuf,
    /// The user that it runs as, where we are root.
    pub app_uid: Option<u32>,
    /// Where checks may make folders of their own.
    pub folder: PathBuf,
    /// The learner's exercise files as they were when the app was built.
    pub exercise_files: PathBuf,
    /// A socket at which services are lent: whoever connects says the module of its check
    /// on one line, is told [`Lent`] on one line, may ask for sandboxes as a check asks the
    /// runner, and gives back what it was lent by hanging up.
    pub leases: PathBuf,
}

/// What a check is lent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lent {
    /// The lab's services, by name.
    Services(BTreeMap<String, Target>),
    /// It gets none, and why.
    Refused(String),
}

/// What is one check's until it is dropped.
pub(super) struct Lease {
    _services: UnixStream,
    _folder: tempfile::TempDir,
}

/// The one `up` of this process.
struct Running {
    up: Up,
    // Its stdin: closed with this process, however it ends.
    _child: Mutex<Child>,
}

pub(super) fn assignment(package: &str, name: &str) -> (Assignment, UnixStream, Lease) {
    static RUNNING: OnceLock<Running> = OnceLock::new();

    let up = &RUNNING
        .get_or_init(|| start(package).unwrap_or_else(|error| panic!("{error}")))
        .up;
    let module = name.split("::").next().unwrap_or_default();
    let (lent, connection) = borrow(up, module)
        .unwrap_or_else(|error| panic!("{} lends nothing: {error}", up.leases.display()));
    let services = match lent {
        Lent::Services(services) => services,
        Lent::Refused(why) => panic!("{why}"),
    };
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
        exercise_files: up.exercise_files.clone(),
        services,
        long_values: false,
        echo: false,
        record: false,
    };
    let socket = connection.try_clone();
    let socket = socket.unwrap_or_else(|error| panic!("{} is gone: {error}", up.leases.display()));
    let lease = Lease {
        _services: connection,
        _folder: folder,
    };
    (assignment, socket, lease)
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

fn borrow(up: &Up, module: &str) -> std::io::Result<(Lent, UnixStream)> {
    let mut connection = UnixStream::connect(&up.leases)?;
    writeln!(connection, "{module}")?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    Ok((serde_json::from_str(&line)?, connection))
}
