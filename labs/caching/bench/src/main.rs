//! What a cache is worth, with criterion: a kept product, and a crowd at the moment in which
//! a deal expires. Without a cache, with the learner's code, with the reference; each a
//! release build behind the same HTTP client, the same Redis and the same catalogue.
//!
//! `cargo xtask bench caching` starts it: what criterion does not know (loads, the slowest
//! callers) is counted beside it.

mod catalogue;

use std::time::{Duration, Instant};

use criterion::Criterion;
use futures_util::future::join_all;
use labkit::bench::{App, Attempt, Group, Plan, Row, value};
use tokio::runtime::Runtime;

use catalogue::Catalogue;

/// How many want the deal in the same moment.
const CALLERS: usize = 200;

/// What is counted beside the times.
const COUNTS: [&str; 2] = ["loads", "p99"];

fn main() {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let bench = Bench {
        catalogue: runtime.block_on(Catalogue::serve()),
        client: reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap_or_else(|error| panic!("no client: {error}")),
        plan: Plan::from_env(),
        runtime,
    };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let groups = [bench.kept(&mut criterion), bench.expiry(&mut criterion)];
    criterion.final_summary();
    bench.plan.leave(&groups);
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
        let measure = |Attempt { name, app, .. }: &Attempt| {
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
            counted(name, times, self.catalogue.loads(), 1000)
        };
        self.plan.compare(GROUP, COUNTS, measure)
    }

    /// A crowd that wants a deal which Redis has just forgotten.
    fn expiry(&self, criterion: &mut Criterion) -> Group {
        const GROUP: &str = "a crowd at an expiry";
        let mut group = criterion.benchmark_group(GROUP);
        group.sample_size(10);
        let measure = |Attempt { name, app, .. }: &Attempt| {
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
            counted(name, times, self.catalogue.loads(), CALLERS)
        };
        self.plan.compare(GROUP, COUNTS, measure)
    }

    fn start(&self, path: &std::path::Path) -> App {
        self.runtime.block_on(async {
            self.empty_redis().await;
            let catalogue = ("CATALOGUE_URL".to_owned(), self.catalogue.url());
            let environment = self.plan.environment.iter().cloned();
            App::start(path, environment.chain([catalogue])).await
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
            let client = redis::Client::open(value(&self.plan.environment, "REDIS_URL"))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("FLUSHALL").exec_async(&mut connection).await
        };
        if let Err(error) = emptied.await {
            panic!("Redis is not emptied: {error}");
        }
    }
}

/// How many of a round number of requests reached the catalogue, and what a hundredth of them
/// took at least.
fn counted(name: &str, mut times: Vec<Duration>, loads: usize, per: usize) -> Row {
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied();
    let p99 = p99.unwrap_or_default().as_secs_f64() * 1000.0;
    #[allow(clippy::cast_precision_loss, reason = "a benchmark counts thousands")]
    let share = loads as f64 * per as f64 / times.len().max(1) as f64;
    let digits = usize::from(share > 0.0 && share < 10.0);
    Row::of(
        name,
        [format!("{share:.digits$} of {per}"), format!("{p99:.1} ms")],
    )
}
