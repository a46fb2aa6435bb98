//! What a list costs that is turned over by counting, and by a cursor; and how long callers wait
//! for one of 1, 10 or 50 connections. Criterion measures, Postgres counts.
//!
//! `cargo xtask bench rest-api` starts it: what is compared is named in [`PLAN`], and what
//! criterion does not know (pages, waits) is left in a file.

mod app;
mod lists;
mod pools;

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use criterion::Criterion;
use serde::{Deserialize, Serialize};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Runtime;

/// The environment variable that holds a [`Plan`] as JSON.
const PLAN: &str = "LABS_BENCH";

/// As many products as a shop has that was not opened yesterday.
const PRODUCTS: &str = "INSERT INTO products (name, cents)
    SELECT 'Cup ' || n * 7919 % 50000, 100 * (n * 7919 % 997) FROM generate_series(1, 100000) AS n";

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

/// A built app, by the name under which it is shown.
#[derive(Deserialize)]
struct Attempt {
    name: String,
    app: PathBuf,
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
        panic!("`cargo xtask bench rest-api` starts this");
    };
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let bench = Bench { runtime, plan };
    bench.fill();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let groups = [
        bench.list(&mut criterion, "page 1 of the products", 1),
        bench.list(&mut criterion, "page 1000 of the products", 1000),
        bench.pools(&mut criterion),
    ];
    criterion.final_summary();
    let written = serde_json::to_vec(&groups).unwrap_or_default();
    if let Err(error) = std::fs::write(&bench.plan.findings, written) {
        panic!("{}: {error}", bench.plan.findings.display());
    }
}

impl Bench {
    fn fill(&self) {
        self.runtime.block_on(async {
            let filled = async {
                let mut inside = database(&self.plan.administrator).connect().await?;
                for statement in [PRODUCTS, "VACUUM ANALYZE products"] {
                    sqlx::raw_sql(statement).execute(&mut inside).await?;
                }
                Ok::<_, sqlx::Error>(())
            };
            if let Err(error) = filled.await {
                panic!("the shop is not filled: {error}");
            }
        });
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

/// Where the database is, and as whom.
fn database(variables: &[(String, String)]) -> PgConnectOptions {
    let found = variables.iter().find(|(name, _)| name == "DATABASE_URL");
    let url = found.map_or("", |(_, url)| url);
    let options = PgConnectOptions::from_str(url);
    let options = options.unwrap_or_else(|error| panic!("no address of a database: {error}"));
    options.disable_statement_logging()
}
