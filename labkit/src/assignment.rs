//! What the runner tells a check process, and what the check process tells the runner.
//!
//! The assignment comes in one environment variable, the record goes back over the
//! process's stdin, which the runner has made one end of a socket pair: the app never
//! holds it, because labkit starts every app with a stdin of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::timeline::Event;
use crate::wire::Target;

/// The environment variable that holds an [`Assignment`] as JSON.
pub const VARIABLE: &str = "LABS_CHECK";

/// All that a check process is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// Where random data comes from; printed with the verdict, replayed by `--seed`.
    pub seed: u64,
    /// The built app.
    pub app: PathBuf,
    /// The user that the app runs as, where the check runs as root.
    pub app_uid: Option<u32>,
    /// A private folder for this check, made by the runner.
    pub folder: PathBuf,
    /// A folder with the exercise files of the attempt that is judged, each at its path below
    /// the lab's folder.
    pub exercise_files: PathBuf,
    /// Real services by name.
    pub services: BTreeMap<String, Target>,
    /// Whether the timeline is to show more of long values.
    pub long_values: bool,
    /// Whether what an app writes to stderr is passed on at once.
    pub echo: bool,
    /// Whether the runner waits for a record on stdin.
    pub record: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The app did what the brief asks.
    Passed,
    /// It did something else; the record holds a finding.
    Failed,
    /// A service could not be had.
    Unavailable,
    /// The lab is at fault.
    Error,
}

/// A `todo!()` that an app instance reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Todo {
    /// The file as the compiler named it.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// What the macro was given: `todo!("what must happen after a miss?")`.
    pub says: Option<String>,
}

/// What an app instance wrote to stderr, cut to its last part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The instance: `app`, `app 2`.
    pub name: String,
    /// The end of its stderr.
    pub stderr: String,
}

/// The record of one check, sent when its body has completed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The check's path in its test binary: `cache_aside::a_cached_product_expires`.
    pub check: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, where it failed.
    pub finding: Option<Finding>,
    /// Why there is no verdict, where it is unavailable or an error.
    pub reason: Option<String>,
    /// The first `todo!()` that an instance reached: overrides the outcome.
    pub todo: Option<Todo>,
    /// The number that a learner may have been asked to guess.
    pub measured: Option<u64>,
    /// All that was seen.
    pub timeline: Vec<Event>,
    /// What the instances wrote to stderr.
    pub logs: Vec<Log>,
}
