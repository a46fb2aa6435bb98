//! What an index is worth and what it costs, with criterion: each query of the brief, the lists
//! of the service, and 20,000 orders written. Without the answer, with the learner's, with the
//! reference's; each in a copy of the shop of its own.
//!
//! `cargo xtask bench sql-indexing` starts it: what is compared is named in [`PLAN`], and what
//! criterion does not know (pages, rows, the log) is left in a file.

mod app;
mod copy;
mod desk;
mod plan;
mod queries;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use criterion::Criterion;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// The environment variable that holds a [`Plan`] as JSON.
const PLAN: &str = "LABS_BENCH";

/// What is measured, and with what.
#[derive(Deserialize)]
struct Plan {
    /// What tells an app where its database is.
    environment: Vec<(String, String)>,
    /// The same for whoever may do everything there.
    administrator: Vec<(String, String)>,
    /// The baseline, the learner's, the reference: in this order.
    attempts: Vec<Attempt>,
    /// Where [`Group`]s go.
    findings: PathBuf,
}

/// The exercise files of somebody, and the app that was built with them.
#[derive(Deserialize)]
struct Attempt {
    name: String,
    app: PathBuf,
    exercise_files: PathBuf,
}

/// Rows that are held against one of them, with what was counted.
#[derive(Serialize)]
struct Group {
    name: &'static str,
    baseline: String,
    counts: Vec<&'static str>,
    rows: Vec<Row>,
}

/// What was counted beside one of criterion's times.
#[derive(Serialize)]
struct Row {
    name: String,
    /// Why there is no figure.
    failed: Option<String>,
    counts: Vec<String>,
}

/// What every measurement needs.
struct Bench {
    runtime: Runtime,
    plan: Plan,
}

fn main() {
    let plan = std::env::var(PLAN).ok();
    let Some(plan) = plan.and_then(|plan| serde_json::from_str::<Plan>(&plan).ok()) else {
        panic!("`cargo xtask bench sql-indexing` starts this");
    };
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let bench = Bench { runtime, plan };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let mut groups = bench.queries(&mut criterion);
    groups.extend(bench.desk(&mut criterion));
    groups.push(bench.writes(&mut criterion));
    criterion.final_summary();
    let written = serde_json::to_vec(&groups).unwrap_or_default();
    if let Err(error) = std::fs::write(&bench.plan.findings, written) {
        panic!("{}: {error}", bench.plan.findings.display());
    }
}

impl Row {
    fn of<const N: usize>(name: &str, counts: [String; N]) -> Self {
        Self {
            name: name.to_owned(),
            failed: None,
            counts: counts.into(),
        }
    }

    fn none(name: &str, failed: String) -> Self {
        Self {
            name: name.to_owned(),
            failed: Some(failed),
            counts: Vec::new(),
        }
    }
}

/// The value of a variable of the plan.
fn value<'a>(variables: &'a [(String, String)], name: &str) -> &'a str {
    let found = variables.iter().find(|(variable, _)| variable == name);
    found.map_or("", |(_, value)| value)
}
