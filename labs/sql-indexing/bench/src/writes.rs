//! What every index costs: 20,000 orders written, and what that writes to the log.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use labkit::bench::{Attempt, Group, Row};

use crate::Bench;
use crate::copy::{Copy, must};
use crate::plan::Explained;

/// All that an exercise makes an index with.
const MIGRATIONS: [&str; 7] = [
    "migrations/01.sql",
    "migrations/02.sql",
    "migrations/03.sql",
    "migrations/04.sql",
    "migrations/05.sql",
    "migrations/06.sql",
    "migrations/08.sql",
];

/// As the marketplaces send them.
const INSERT: &str =
    "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
     SELECT 'bench-' || lpad(i::text, 7, '0'), i * 7919 % 5000 + 1, 'new',
            timestamptz '2026-11-24 00:00:00+00' + i / 7 * interval '20 minutes',
            500 + i * 37 % 20000, 'Noah_4@example.org', '4 Harbour Street, 10052 Port Bell'
     FROM generate_series(1, 20000) AS i";

/// What is there besides the table.
const SIZE: &str = "SELECT pg_indexes_size('orders')";

impl Bench {
    /// Without the indexes of the exercises, with each file's alone, and with all of them.
    pub(crate) fn writes(&self, criterion: &mut Criterion) -> Group {
        const GROUP: &str = "20000 orders written";
        let mut group = criterion.benchmark_group(GROUP);
        group.sampling_mode(SamplingMode::Flat);
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(1));
        let [baseline, yours, reference] = &self.plan.attempts[..] else {
            panic!("three are compared");
        };
        let mut tried: Vec<(String, &Attempt, &[&str])> =
            vec![(baseline.name.clone(), baseline, &[])];
        for file in &MIGRATIONS {
            tried.push((
                format!("{} alone", file.replace("migrations/", "")),
                reference,
                std::slice::from_ref(file),
            ));
        }
        for attempt in [yours, reference] {
            tried.push((attempt.name.clone(), attempt, &MIGRATIONS));
        }
        let measure = |(name, attempt, files): (String, &Attempt, &[&str])| {
            let copy = match self.copy(attempt, files) {
                Ok(copy) => copy,
                Err(why) => return Row::none(&name, why),
            };
            let (size, log) = self.runtime.block_on(copy.cost());
            let mut session = copy.session();
            group.bench_function(&name, |bencher| {
                bencher.iter_custom(|times| {
                    self.runtime.block_on(async {
                        let mut all = Duration::ZERO;
                        for _ in 0..times {
                            must(&mut session, "BEGIN").await;
                            let began = Instant::now();
                            must(&mut session, INSERT).await;
                            all += began.elapsed();
                            must(&mut session, "ROLLBACK").await;
                            must(&mut session, "VACUUM orders").await;
                        }
                        all
                    })
                });
            });
            Row::of(&name, [log, size].map(megabytes))
        };
        Group {
            name: GROUP.to_owned(),
            baseline: baseline.name.clone(),
            counts: vec!["log".to_owned(), "indexes".to_owned()],
            rows: tried.into_iter().map(measure).collect(),
        }
    }
}

impl Copy<'_> {
    /// How large the indexes are, and what the orders write to the log. After a checkpoint the
    /// first change to a page logs all of it; that is the first round's, and is not counted.
    async fn cost(&self) -> (f64, f64) {
        let mut inside = self.inside().await;
        let size = sqlx::query_scalar::<_, i64>(SIZE)
            .fetch_one(&mut inside)
            .await;
        let size = size.unwrap_or_else(|error| panic!("`{SIZE}`: {error}"));
        let mut log = 0.0;
        for _ in 0..2 {
            must(&mut inside, "BEGIN").await;
            log = Explained::once(&mut inside, INSERT).await.wal();
            must(&mut inside, "ROLLBACK").await;
            must(&mut inside, "VACUUM orders").await;
        }
        #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
        let size = size as f64;
        (size, log)
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.2} MB", bytes / 1e6)
}
