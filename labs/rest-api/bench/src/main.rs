//! What a list costs that is turned over by counting, and by a cursor; and how long callers wait
//! for one of 1, 10 or 50 connections. Criterion measures, Postgres counts.
//!
//! `cargo xtask bench rest-api` starts it: what criterion does not know (pages, waits) is
//! counted beside it.

mod lists;
mod pools;

use std::str::FromStr as _;
use std::time::Duration;

use criterion::Criterion;
use labkit::bench::{Plan, value};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Runtime;

/// As many products as a shop has that was not opened yesterday.
const PRODUCTS: &str = "INSERT INTO products (name, cents)
    SELECT 'Cup ' || n * 7919 % 50000, 100 * (n * 7919 % 997) FROM generate_series(1, 100000) AS n";

/// What every measurement needs.
struct Bench {
    runtime: Runtime,
    plan: Plan,
}

fn main() {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let plan = Plan::from_env();
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
    bench.plan.leave(&groups);
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

/// Where the database is, and as whom.
fn database(variables: &[(String, String)]) -> PgConnectOptions {
    let options = PgConnectOptions::from_str(value(variables, "DATABASE_URL"));
    let options = options.unwrap_or_else(|error| panic!("no address of a database: {error}"));
    options.disable_statement_logging()
}
