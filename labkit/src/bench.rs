//! What a lab's benchmark stands on: what `cargo xtask bench` tells it, the app that it
//! measures, and what it leaves beside criterion's times.
//!
//! A benchmark is a program of criterion's and no check: whatever it cannot do ends it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The environment variable that holds a [`Plan`] as JSON.
pub const PLAN: &str = "LABS_BENCH";

/// What is measured, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// For each of the lab's services: what tells an app where it is.
    pub environment: Vec<(String, String)>,
    /// The same for whoever may do everything there, where an app may not.
    pub administrator: Vec<(String, String)>,
    /// What is compared: the baseline, the learner's, the reference, in this order.
    pub attempts: Vec<Attempt>,
    /// Where the [`Group`]s go, as JSON.
    pub findings: PathBuf,
}

/// The exercise files of somebody, and the app that was built with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Under which it is shown.
    pub name: String,
    /// The program.
    pub app: PathBuf,
    /// The folder.
    pub exercise_files: PathBuf,
}

/// Rows that are held against one of them, with what was counted. Criterion keeps their times
/// under the same two names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The name of criterion's group.
    pub name: String,
    /// The name of the row that the others are held against.
    pub baseline: String,
    /// What was counted: the heads of its columns.
    pub counts: Vec<String>,
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// What was counted beside one of criterion's times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The name of criterion's function.
    pub name: String,
    /// Why there is no figure.
    pub failed: Option<String>,
    /// In the order of the heads, as they are shown.
    pub counts: Vec<String>,
}

impl Plan {
    /// The one that the benchmark was started with.
    ///
    /// # Panics
    ///
    /// If it was started by hand.
    #[must_use]
    pub fn from_env() -> Self {
        let plan = std::env::var(PLAN).ok();
        let plan = plan.and_then(|plan| serde_json::from_str(&plan).ok());
        plan.unwrap_or_else(|| panic!("`cargo xtask bench` starts this"))
    }

    /// Leaves what was counted for the table.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn leave(&self, groups: &[Group]) {
        let written = serde_json::to_vec(groups).unwrap_or_default();
        if let Err(error) = fs::write(&self.findings, written) {
            panic!("{}: {error}", self.findings.display());
        }
    }

    /// One row for each attempt, held against the first of them.
    pub fn compare<const N: usize>(
        &self,
        name: &str,
        counts: [&str; N],
        row: impl FnMut(&Attempt) -> Row,
    ) -> Group {
        let baseline = self.attempts.first();
        Group {
            name: name.to_owned(),
            baseline: baseline.map(|it| it.name.clone()).unwrap_or_default(),
            counts: counts.map(str::to_owned).into(),
            rows: self.attempts.iter().map(row).collect(),
        }
    }
}

impl Row {
    /// What was counted, in the order of the group's heads.
    #[must_use]
    pub fn of<const N: usize>(name: &str, counts: [String; N]) -> Self {
        Self {
            name: name.to_owned(),
            failed: None,
            counts: counts.into(),
        }
    }

    /// Why nothing was measured.
    #[must_use]
    pub fn none(name: &str, failed: String) -> Self {
        Self {
            name: name.to_owned(),
            failed: Some(failed),
            counts: Vec::new(),
        }
    }
}

/// The value of a variable of the plan; empty where it has none.
#[must_use]
pub fn value<'a>(variables: &'a [(String, String)], name: &str) -> &'a str {
    let found = variables.iter().find(|(variable, _)| variable == name);
    found.map_or("", |(_, value)| value)
}

/// A built app as a process, without a wire and without limits; killed when dropped.
#[derive(Debug)]
pub struct App {
    base: String,
    _child: Child,
}

impl App {
    /// Starts it and waits for its first line.
    ///
    /// # Panics
    ///
    /// If it does not say where it listens.
    pub async fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        path: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let child = Command::new(path)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // An exercise that is not written yet panics at each request.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // An app that ends says nothing: that is told below.
            let _ = BufReader::new(stdout).read_line(&mut line).await;
        }
        let Some(base) = line.trim_end().strip_prefix("listening on ") else {
            panic!("{} does not say where it listens", path.display());
        };
        Self {
            base: base.to_owned(),
            _child: child,
        }
    }

    /// The URL of a path.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
