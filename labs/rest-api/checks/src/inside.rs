//! The database seen from the side, by its administrator: on no timeline.

use std::collections::{BTreeMap, BTreeSet};

use labkit::finding;
use labkit::wire::Target;
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres, Transaction};

use crate::in_flight::MOMENT;

/// What is about the service and not about us: a lock that is never given back, a table that
/// is gone or has other columns.
const THEIRS: [&str; 5] = ["57014", "55P03", "42P01", "42703", "40P01"];

/// The database of a check.
pub struct Inside {
    pool: PgPool,
}

/// Rows that the check has locked, until it is dropped.
pub struct Locked {
    _transaction: Transaction<'static, Postgres>,
}

/// All rows of all tables, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, Vec<String>>);

impl Inside {
    pub(crate) fn of(target: &Target) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let patience = "SET statement_timeout = '10s'";
                    sqlx::query(patience).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy(&target.as_administrator().postgres_url());
        let pool =
            pool.unwrap_or_else(|error| finding::error(format!("no way to Postgres: {error}")));
        Self { pool }
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await;
        done.unwrap_or_else(|error| failed(&error));
    }

    /// Rows as tuples. The data is in the text: it is the check's own.
    pub async fn rows<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await;
        rows.unwrap_or_else(|error| failed(&error))
    }

    /// Locks what these statements lock, until the answer is dropped.
    pub async fn lock(&self, statements: &[String]) -> Locked {
        let locked = async {
            let mut transaction = self.pool.begin().await?;
            for statement in statements {
                let locked = sqlx::raw_sql(AssertSqlSafe(statement.as_str()));
                locked.execute(&mut *transaction).await?;
            }
            Ok(Locked {
                _transaction: transaction,
            })
        };
        locked
            .await
            .unwrap_or_else(|error: sqlx::Error| failed(&error))
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows: Vec<(i64,)> = self.rows(sql).await;
        rows.first().map_or(0, |row| row.0)
    }

    /// All rows of all tables, by their place and version: whatever writes a row changes it,
    /// also with the values that it had.
    pub async fn snapshot(&self) -> Snapshot {
        let tables: Vec<(String,)> = self
            .rows(
                "SELECT format('%I.%I', nspname, relname) FROM pg_class
                 JOIN pg_namespace ON pg_namespace.oid = relnamespace
                 WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema)'
                 ORDER BY 1",
            )
            .await;
        let mut snapshot = BTreeMap::new();
        for (table,) in tables {
            let rows: Vec<(String,)> = self
                .rows(&format!(
                    "SELECT concat_ws(' ', t.ctid, t.xmin, t::text) FROM {table} AS t"
                ))
                .await;
            let mut rows: Vec<String> = rows.into_iter().map(|row| row.0).collect();
            rows.sort();
            snapshot.insert(table, rows);
        }
        Snapshot(snapshot)
    }

    /// How many sessions of this database wait for what another one has locked.
    pub(crate) async fn blocked(&self) -> usize {
        let blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND cardinality(pg_blocking_pids(pid)) > 0";
        usize::try_from(self.number(blocked).await).unwrap_or_default()
    }

    /// Waits until a session of this database waits for what another one has locked.
    pub async fn somebody_waits(&self) {
        while self.blocked().await == 0 {
            tokio::time::sleep(MOMENT).await;
        }
    }
}

impl Snapshot {
    /// Which rows differ: `2 rows of items`; nothing where none does.
    pub fn changed_to(&self, after: &Self) -> Option<String> {
        let mut words = Vec::new();
        let tables: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        for table in tables {
            let of = |snapshot: &Self| snapshot.0.get(table).cloned().unwrap_or_default();
            let (before, rows) = (of(self), of(after));
            let new = rows.iter().filter(|row| !before.contains(row)).count();
            let gone = before.iter().filter(|row| !rows.contains(row)).count();
            let table = table.strip_prefix("public.").unwrap_or(table);
            match new.max(gone) {
                0 => {}
                1 => words.push(format!("1 row of {table}")),
                n => words.push(format!("{n} rows of {table}")),
            }
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Whether the fault is the service's or nobody's.
fn failed(error: &sqlx::Error) -> ! {
    let code = error.as_database_error().and_then(|error| error.code());
    match code {
        Some(code) if THEIRS.contains(&code.as_ref()) => finding::fail(
            "looked into the database",
            format!("{error}"),
            "the tables of the brief, and no lock that stays",
        ),
        None => finding::unavailable(format!("Postgres does not answer: {error}")),
        Some(_) => finding::error(format!("Postgres refuses the check: {error}")),
    }
}
