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
    /// The baseline, the learner's, the reference.
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
    counts: [&'static str; 2],
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
    let groups = [bench.kept(&mut criterion), bench.expiry(&mut criterion)];
    criterion.final_summary();
    let written = serde_json::to_vec(&groups).unwrap_or_default();
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
    fn kept(&self, criterion: &mut Criterion) -> Group {
        const GROUP: &str = "a kept product";
        let mut group = criterion.benchmark_group(GROUP);
        let measure = |Attempt { name, app }: &Attempt| {
            let app = self.start(app);
            let url = app.at("/products/7");
            if let Err(failed) = self.try_once(&url) {
                return Row::none(name, failed);
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
            Row::of(name, times, self.catalogue.loads(), 1000)
        };
        self.group(GROUP, self.plan.attempts.iter().map(measure).collect())
    }

    /// A crowd that wants a deal which Redis has just forgotten.
    fn expiry(&self, criterion: &mut Criterion) -> Group {
        const GROUP: &str = "a crowd at an expiry";
        let mut group = criterion.benchmark_group(GROUP);
        group.sample_size(10);
        let measure = |Attempt { name, app }: &Attempt| {
            let app = self.start(app);
            let url = app.at("/deals/7");
            if let Err(failed) = self.try_once(&url) {
                return Row::none(name, failed);
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
            Row::of(name, times, self.catalogue.loads(), CALLERS)
        };
        self.group(GROUP, self.plan.attempts.iter().map(measure).collect())
    }

    fn group(&self, name: &'static str, rows: Vec<Row>) -> Group {
        let baseline = self.plan.attempts.first();
        Group {
            name,
            baseline: baseline.map(|it| it.name.clone()).unwrap_or_default(),
            counts: ["loads", "p99"],
            rows,
        }
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

impl Row {
    /// How many of a round number of requests reached the catalogue, and what a hundredth of
    /// them took at least.
    fn of(name: &str, mut times: Vec<Duration>, loads: usize, per: usize) -> Self {
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).copied();
        let p99 = p99.unwrap_or_default().as_secs_f64() * 1000.0;
        #[allow(clippy::cast_precision_loss, reason = "a benchmark counts thousands")]
        let share = loads as f64 * per as f64 / times.len().max(1) as f64;
        let digits = usize::from(share > 0.0 && share < 10.0);
        Self {
            name: name.to_owned(),
            failed: None,
            counts: vec![format!("{share:.digits$} of {per}"), format!("{p99:.1} ms")],
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
