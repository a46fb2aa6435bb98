//! The queries of the brief: what each reads, and how long it takes.

use std::time::Instant;

use criterion::Criterion;
use labkit::bench::{Attempt, Group, Row};
use labkit::sql::statements;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::Bench;
use crate::copy::must;
use crate::plan::Explained;

/// One query, and what an exercise does for it.
struct Query {
    name: &'static str,
    /// What is run before.
    migration: &'static str,
    asks: Asks,
    /// The type of `$1`, if there is one, and what stands for it.
    parameter: Option<(&'static str, &'static str)>,
}

/// Who writes the query.
enum Asks {
    Brief(&'static str),
    File(&'static str),
}

const QUERIES: [Query; 6] = [
    Query {
        name: "1 my orders",
        migration: "migrations/01.sql",
        asks: Asks::Brief(
            "SELECT id, ref, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY id",
        ),
        parameter: Some(("int", "1234")),
    },
    Query {
        name: "2 the ten latest of a customer",
        migration: "migrations/02.sql",
        asks: Asks::Brief(
            "SELECT id, ref, total_cents, created_at FROM orders
             WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10",
        ),
        parameter: Some(("int", "1234")),
    },
    Query {
        name: "3 the orders of a day",
        migration: "migrations/03.sql",
        asks: Asks::File("queries/03_day.sql"),
        parameter: Some(("date", "2026-05-05")),
    },
    Query {
        name: "3 the orders of an address",
        migration: "migrations/03.sql",
        asks: Asks::File("queries/03_email.sql"),
        parameter: Some(("text", "mia_10@example.org")),
    },
    Query {
        name: "4 what a customer has spent",
        migration: "migrations/04.sql",
        asks: Asks::File("queries/04_spending.sql"),
        parameter: Some(("int", "1234")),
    },
    Query {
        name: "5 the next twenty to pack",
        migration: "migrations/05.sql",
        asks: Asks::Brief(
            "SELECT id, ref, ship_to FROM orders
             WHERE status = 'new' ORDER BY created_at, id LIMIT 20",
        ),
        parameter: None,
    },
];

impl Bench {
    /// Each query, in a copy for each of those who have written an index for it.
    pub(crate) fn queries(&self, criterion: &mut Criterion) -> Vec<Group> {
        let measure = |query: &Query| {
            let mut group = criterion.benchmark_group(query.name);
            let measure = |attempt: &Attempt| {
                let copy = match self.copy(attempt, &[query.migration]) {
                    Ok(copy) => copy,
                    Err(why) => return Row::none(&attempt.name, why),
                };
                let mut session = copy.session();
                let execute = match self.prepare(&mut session, query, attempt) {
                    Ok(execute) => execute,
                    Err(why) => return Row::none(&attempt.name, why),
                };
                let explained = Explained::of(&mut session, &execute);
                let explained = self.runtime.block_on(explained);
                group.bench_function(&attempt.name, |bencher| {
                    bencher.iter_custom(|times| {
                        self.runtime.block_on(async {
                            let began = Instant::now();
                            for _ in 0..times {
                                must(&mut session, &execute).await;
                            }
                            began.elapsed()
                        })
                    });
                });
                let counts = [explained.pages(), explained.rows()];
                Row::of(&attempt.name, counts.map(|count| count.to_string()))
            };
            self.plan.compare(query.name, ["pages", "rows"], measure)
        };
        QUERIES.iter().map(measure).collect()
    }

    /// Has Postgres parse a query; what carries it out comes back.
    fn prepare(
        &self,
        session: &mut PgConnection,
        query: &Query,
        attempt: &Attempt,
    ) -> Result<String, String> {
        let (types, values) = match query.parameter {
            Some((kind, value)) => (format!("({kind})"), format!("('{value}')")),
            None => Default::default(),
        };
        let text = match query.asks {
            Asks::Brief(sql) => sql.to_owned(),
            Asks::File(file) => {
                let path = attempt.exercise_files.join(file);
                std::fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            }
        };
        let [statement] = statements(&text)[..] else {
            return Err("it is not one query".to_owned());
        };
        let prepare = format!("PREPARE measured{types} AS {}", statement.text);
        let prepared = sqlx::raw_sql(AssertSqlSafe(prepare)).execute(session);
        match self.runtime.block_on(prepared) {
            Ok(_) => Ok(format!("EXECUTE measured{values}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
