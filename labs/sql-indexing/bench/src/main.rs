//! What an index is worth and what it costs, with criterion: each query of the brief, the lists
//! of the service, and 20,000 orders written. Without the answer, with the learner's, with the
//! reference's; each in a copy of the shop of its own.
//!
//! `cargo xtask bench sql-indexing` starts it: what criterion does not know (pages, rows, the
//! log) is counted beside it.

mod copy;
mod desk;
mod plan;
mod queries;
mod writes;

use std::time::Duration;

use criterion::Criterion;
use labkit::bench::Plan;
use tokio::runtime::Runtime;

/// What every measurement needs.
struct Bench {
    runtime: Runtime,
    plan: Plan,
}

fn main() {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let plan = Plan::from_env();
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
    bench.plan.leave(&groups);
}
