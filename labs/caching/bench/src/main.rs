//! What a cache is worth, with criterion: a kept product, and a crowd at the moment in which
//! a deal expires. Without a cache, with the learner's code, with the reference; each a
//! release build behind the same HTTP client, the same Redis and the same catalogue.
//!
//! `cargo xtask bench caching` starts it: the apps and Redis are named in [`PLAN`], and what
//! criterion does not know (loads, the slowest callers) is left in a file.

mod app;
mod catalogue;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::Criterion;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use app::App;
use catalogue::Catalogue;

/// The environment variable that holds a [`Plan`] as JSON.
const PLAN: &str = "LABS_BENCH";

/// How many want the deal in the same moment.
const CALLERS: usize = 200;

/// What is measured, and with what.
#[derive(Deserialize)]
struct Plan {
    /// What tells an app where its services are.
    environment: Vec<(String, String)>,
    /// Built apps by the name under which they are shown.
    apps: Vec<(String, PathBuf)>,
    /// Where [`Finding`]s go.
    findings: PathBuf,
}

/// What was counted beside criterion's times.
#[derive(Serialize)]
struct Finding {
    group: &'static str,
    app: String,
    /// Why there is no figure.
    failed: Option<String>,
    /// How many requests, and of these how many reached the catalogue.
    requests: usize,
    loads: usize,
    /// Loads are shown for so many requests.
    per: usize,
    /// Of all requests in milliseconds; a hundredth took longer.
    p99_ms: f64,
}

fn main() {
    let plan = std::env::var(PLAN).ok();
    let Some(plan) = plan.and_then(|plan| serde_json::from_str::<Plan>(&plan).ok()) else {
        panic!("`cargo xtask bench caching` starts this");
    };
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let bench = Bench {
        catalogue: runtime.block_on(Catalogue::serve()),
        client: reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap_or_else(|error| panic!("no client: {error}")),
        plan,
        runtime,
    };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut findings = bench.kept(&mut criterion);
    findings.extend(bench.expiry(&mut criterion));
    criterion.final_summary();
    let written = serde_json::to_vec(&findings).unwrap_or_default();
    if let Err(error) = std::fs::write(&bench.plan.findings, written) {
        panic!("{}: {error}", bench.plan.findings.display());
    }
}

impl Plan {
    fn redis_url(&self) -> &str {
        let mut variables = self.environment.iter();
        let redis = variables.find(|(name, _)| name == "REDIS_URL");
        redis.map_or("", |(_, url)| url)
    }
}

struct Bench {
    runtime: Runtime,
    catalogue: Catalogue,
    client: reqwest::Client,
    plan: Plan,
}

impl Bench {
    /// One reader after the other, of a product that was read before.
    fn kept(&self, criterion: &mut Criterion) -> Vec<Finding> {
        const GROUP: &str = "a kept product";
        let mut group = criterion.benchmark_group(GROUP);
        let measure = |(name, path): &(String, PathBuf)| {
            let app = self.start(path);
            let url = app.at("/products/7");
            if let Err(failed) = self.try_once(&url) {
                return Finding::none(GROUP, name, failed);
            }
            let mut times = Vec::new();
            self.catalogue.forget();
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times_to_do| {
                    self.runtime.block_on(async {
                        let began = Instant::now();
                        for _ in 0..times_to_do {
                            times.push(self.get(&url).await);
                        }
                        began.elapsed()
                    })
                });
            });
            Finding::of(GROUP, name, times, self.catalogue.loads(), 1000)
        };
        self.plan.apps.iter().map(measure).collect()
    }

    /// A crowd that wants a deal which Redis has just forgotten.
    fn expiry(&self, criterion: &mut Criterion) -> Vec<Finding> {
        const GROUP: &str = "a crowd at an expiry";
        let mut group = criterion.benchmark_group(GROUP);
        group.sample_size(10);
        let measure = |(name, path): &(String, PathBuf)| {
            let app = self.start(path);
            let url = app.at("/deals/7");
            if let Err(failed) = self.try_once(&url) {
                return Finding::none(GROUP, name, failed);
            }
            let mut times = Vec::new();
            self.catalogue.forget();
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times_to_do| {
                    self.runtime.block_on(async {
                        let mut all = Duration::ZERO;
                        for _ in 0..times_to_do {
                            self.empty_redis().await;
                            let began = Instant::now();
                            let crowd = (0..CALLERS).map(|_| self.get(&url));
                            times.extend(join_all(crowd).await);
                            all += began.elapsed();
                        }
                        all
                    })
                });
            });
            Finding::of(GROUP, name, times, self.catalogue.loads(), CALLERS)
        };
        self.plan.apps.iter().map(measure).collect()
    }

    fn start(&self, path: &std::path::Path) -> App {
        self.runtime.block_on(async {
            self.empty_redis().await;
            App::start(path, &self.plan.environment, &self.catalogue.url()).await
        })
    }

    /// An exercise that is not written yet answers with an error.
    fn try_once(&self, url: &str) -> Result<(), String> {
        self.runtime.block_on(async {
            match self.client.get(url).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("it answers {}", answer.status().as_u16())),
                Err(_) => Err("it closes the connection: is it written yet?".to_owned()),
            }
        })
    }

    /// How long it took until the whole answer was there.
    async fn get(&self, url: &str) -> Duration {
        let began = Instant::now();
        let answer = async {
            let answer = self.client.get(url).send().await?.error_for_status()?;
            answer.bytes().await
        };
        if let Err(error) = answer.await {
            panic!("in the middle of a measurement: {error}");
        }
        began.elapsed()
    }

    async fn empty_redis(&self) {
        let emptied = async {
            let client = redis::Client::open(self.plan.redis_url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("FLUSHALL").exec_async(&mut connection).await
        };
        if let Err(error) = emptied.await {
            panic!("Redis is not emptied: {error}");
        }
    }
}

impl Finding {
    fn of(
        group: &'static str,
        app: &str,
        mut times: Vec<Duration>,
        loads: usize,
        per: usize,
    ) -> Self {
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).copied();
        Self {
            group,
            app: app.to_owned(),
            failed: None,
            requests: times.len(),
            loads,
            per,
            p99_ms: p99.unwrap_or_default().as_secs_f64() * 1000.0,
        }
    }

    fn none(group: &'static str, app: &str, failed: String) -> Self {
        Self {
            failed: Some(failed),
            ..Self::of(group, app, Vec::new(), 0, 1)
        }
    }
}
