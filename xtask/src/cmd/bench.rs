//! `cargo xtask bench LAB`: the learner's code against the reference and against doing
//! without, measured by criterion. It never grades.
//!
//! What is measured, and which counts explain it, is the lab's: its benchmark gets a [`Plan`]
//! and leaves [`Group`]s.

mod table;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use labkit::bench::{Attempt, Group, PLAN, Plan, Row};
use labkit::wire::Target;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use crate::build::{self, Benchmark};
use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::lab::{self, Bench};
use crate::pool::{Lease, Pool, Refusal};
use crate::provider::{Choice, Notes as _, RunFolder};
use crate::report::terminal::Terminal;
use crate::services;
use crate::variant::Variant;

/// What the learner's own code is called in the table.
const YOURS: &str = "yours";
const REFERENCE: &str = "reference";

/// A mean and its confidence interval, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time {
    mean: f64,
    low: f64,
    high: f64,
}

/// Measures, and prints one table for each group.
pub(crate) async fn bench(
    checkout: &Checkout,
    name: &str,
    choice: Choice,
) -> anyhow::Result<ExitCode> {
    let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
    let Some(bench) = &lab.manifest.bench else {
        bail!(Fault::new(
            Whose::Usage,
            format!("the lab `{}` has no benchmark", lab.name),
            format!("cargo xtask check {}", lab.name)
        ));
    };
    let folder = RunFolder::from_env()?;
    let terminal = Arc::new(Terminal::new(false, false));
    terminal.progress("building with optimizations; the first time it takes some minutes");
    let variants = [Variant::Baseline, Variant::Working, Variant::Solution];
    let building = tokio::task::spawn_blocking({
        let (checkout, lab, bench) = (checkout.clone(), lab.clone(), bench.clone());
        let (run, notes) = (folder.path().to_owned(), Arc::clone(&terminal));
        move || build::benchmark(&checkout, &lab, &bench, &variants, &run, &*notes)
    });
    let (pool, built) = tokio::join!(
        Pool::open(checkout, &lab, choice, &folder, &*terminal),
        building
    );
    let built = built.context("the build panicked")??;
    for exercise in built.broken.keys() {
        terminal.note(&format!(
            "{exercise} does not compile: its starter is measured"
        ));
    }
    if pool.is_shared() {
        bail!(Fault::new(
            Whose::Usage,
            "a benchmark empties its services again and again, and that one is yours",
            "`--services native`, `docker` or `bundle` starts one of ours"
        ));
    }
    let lease = pool
        .lease(None, built.prepare.as_ref(), &*terminal)
        .await
        .map_err(Refusal::into_fault)?;
    let home = checkout.target.join("criterion");
    let findings = measure(bench, &built, &lease, &pool, &folder, &home, &terminal).await;
    pool.give_back(lease, &*terminal).await;
    pool.close(&*terminal).await;
    let groups = findings?;
    terminal.clear();
    let time_of = |group: &Group, row: &Row| estimate(&home.join(&group.name).join(&row.name));
    let page = home.join("report/index.html");
    terminal.print(&table::render(
        &lab,
        bench,
        &groups,
        time_of,
        terminal.look(),
    ));
    terminal.print(&format!(
        "criterion  {}\n",
        lab::shown_below(&checkout.root, &page)
    ));
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    bench: &Bench,
    built: &Benchmark,
    lease: &Lease,
    pool: &Pool,
    folder: &RunFolder,
    home: &Path,
    terminal: &Arc<Terminal>,
) -> anyhow::Result<Vec<Group>> {
    let path = folder.path().join("findings.json");
    let names = [bench.baseline.as_str(), YOURS, REFERENCE];
    let attempts = names.into_iter().zip(&built.attempts);
    let plan = Plan {
        environment: environment(pool, lease, Target::clone)?,
        administrator: environment(pool, lease, Target::as_administrator)?,
        attempts: attempts
            .map(|(name, built)| Attempt {
                name: name.to_owned(),
                app: built.app.clone(),
                exercise_files: built.exercise_files.clone(),
            })
            .collect(),
        findings: path.clone(),
    };
    let mut child = Command::new(&built.program)
        .arg("--bench")
        .env(PLAN, serde_json::to_string(&plan)?)
        .env("CRITERION_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting the benchmark")?;
    let stdout = child.stdout.take().context("it has no stdout")?;
    let stderr = child.stderr.take().context("it has no stderr")?;
    let (status, _, last_words) = tokio::join!(
        child.wait(),
        follow(stdout, Arc::clone(terminal)),
        follow(stderr, Arc::clone(terminal))
    );
    if !status.context("waiting for the benchmark")?.success() {
        bail!(Fault::new(
            Whose::Lab,
            format!("the benchmark failed:\n{}", last_words.trim_end()),
            "`cargo xtask check` says whether your code is as the brief asks"
        ));
    }
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).context("what the benchmark found")
}

/// Shows what criterion is at; gives back its last words.
async fn follow(stream: impl AsyncRead + Unpin, terminal: Arc<Terminal>) -> String {
    let mut lines = BufReader::new(stream).lines();
    let mut last = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(what) = line.strip_prefix("Benchmarking ") {
            terminal.progress(what);
        }
        last.push_back(line);
        if last.len() > 10 {
            last.pop_front();
        }
    }
    Vec::from(last).join("\n")
}

fn environment(
    pool: &Pool,
    lease: &Lease,
    who: impl Fn(&Target) -> Target,
) -> anyhow::Result<Vec<(String, String)>> {
    let targets = lease.targets();
    let variable = |name: &str| {
        let service = services::find(name)?;
        let variable = (service.leased()?.variable)(&who(targets.get(name)?));
        let (name, value) = variable.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let used = pool.used().into_iter();
    used.map(|service| variable(&service.name).context("a service that was leased"))
        .collect()
}

/// What criterion says of one row; its own file is the only place that has the interval.
fn estimate(row: &Path) -> Option<Time> {
    #[derive(Deserialize)]
    struct Estimates {
        mean: Estimate,
    }
    #[derive(Deserialize)]
    struct Estimate {
        point_estimate: f64,
        confidence_interval: Interval,
    }
    #[derive(Deserialize)]
    struct Interval {
        lower_bound: f64,
        upper_bound: f64,
    }
    let text = fs::read(row.join("new/estimates.json")).ok()?;
    let Estimates { mean } = serde_json::from_slice(&text).ok()?;
    Some(Time {
        mean: mean.point_estimate,
        low: mean.confidence_interval.lower_bound,
        high: mean.confidence_interval.upper_bound,
    })
}
