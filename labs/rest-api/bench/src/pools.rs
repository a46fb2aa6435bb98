//! 50 callers at once, and a pool of connections as the service has one.

use std::time::{Duration, Instant};

use criterion::Criterion;
use futures_util::future::join_all;
use labkit::bench::{Group, Row};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::{Bench, database};

/// How many want a connection in the same moment.
const CALLERS: usize = 50;

/// The pools that are compared.
const SIZES: [u32; 3] = [1, 10, 50];

/// What each of them asks: a thousand rows to add up, so that Postgres has something to do.
const QUERY: &str = "SELECT sum(cents)::bigint FROM products WHERE name > 'Cup 7' AND id % 100 = 7";

impl Bench {
    /// The whole crowd, from the first question to the last answer; and how long one waited.
    pub(crate) fn pools(&self, criterion: &mut Criterion) -> Group {
        const GROUP: &str = "50 callers at once";
        let mut group = criterion.benchmark_group(GROUP);
        group.sample_size(20);
        let measure = |size: u32| {
            let name = in_words(size);
            let pool = self.runtime.block_on(open(size, &self.plan.environment));
            let mut waits = Vec::new();
            group.bench_function(&name, |bencher| {
                bencher.iter_custom(|times| {
                    self.runtime.block_on(async {
                        let began = Instant::now();
                        for _ in 0..times {
                            let crowd = (0..CALLERS).map(|_| ask(&pool));
                            waits.extend(join_all(crowd).await);
                        }
                        began.elapsed()
                    })
                });
            });
            self.runtime.block_on(pool.close());
            waits.sort_unstable();
            let at = |share: usize| waits.get(waits.len() * share / 100).copied();
            let ms = |wait: Option<Duration>| {
                format!("{:.2} ms", wait.unwrap_or_default().as_secs_f64() * 1000.0)
            };
            Row::of(&name, [ms(at(50)), ms(at(99))])
        };
        Group {
            name: GROUP.to_owned(),
            baseline: in_words(SIZES[0]),
            counts: vec!["wait".to_owned(), "p99 wait".to_owned()],
            rows: SIZES.into_iter().map(measure).collect(),
        }
    }
}

/// All its connections are there before anybody comes.
async fn open(size: u32, environment: &[(String, String)]) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .connect_with(database(environment))
        .await;
    let pool = pool.unwrap_or_else(|error| panic!("no pool: {error}"));
    let all = join_all((0..size).map(|_| pool.acquire())).await;
    for connection in all {
        if let Err(error) = connection {
            panic!("a connection of {size}: {error}");
        }
    }
    pool
}

/// How long it took to get a connection.
async fn ask(pool: &PgPool) -> Duration {
    let began = Instant::now();
    let asked = async {
        let mut connection = pool.acquire().await?;
        let waited = began.elapsed();
        let _: Option<i64> = sqlx::query_scalar(QUERY)
            .fetch_one(&mut *connection)
            .await?;
        Ok::<_, sqlx::Error>(waited)
    };
    let asked = asked.await;
    asked.unwrap_or_else(|error| panic!("in the middle of a measurement: {error}"))
}

fn in_words(size: u32) -> String {
    match size {
        1 => "1 connection".to_owned(),
        _ => format!("{size} connections"),
    }
}
