//! A copy of the shop that somebody's migrations have run on, for as long as the value lives.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use labkit::bench::{Attempt, value};
use labkit::sql::statements;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::Bench;

/// A database with everybody's right of way to it.
pub(crate) struct Copy<'b> {
    bench: &'b Bench,
    name: String,
    /// What the app is told: as the owner of the tables.
    pub(crate) url: String,
}

impl Bench {
    /// A copy with these files of somebody run on it, or what Postgres says to one of them.
    pub(crate) fn copy(&self, attempt: &Attempt, files: &[&str]) -> Result<Copy<'_>, String> {
        static COPIES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("bench_{}", COPIES.fetch_add(1, Ordering::Relaxed));
        let app = value(&self.plan.environment, "DATABASE_URL");
        let (server, shop) = app.rsplit_once('/').unwrap_or_default();
        let owner = options(app).get_username().to_owned();
        // All that it holds is its owner's already; what is written to the log here would be
        // written out in the middle of a measurement.
        self.as_administrator(&format!(
            "CREATE DATABASE {name} TEMPLATE \"{shop}\" OWNER \"{owner}\" STRATEGY file_copy"
        ));
        let copy = Copy {
            bench: self,
            url: format!("{server}/{name}"),
            name,
        };
        for file in files {
            copy.deploy(&attempt.exercise_files.join(file), file)?;
        }
        Ok(copy)
    }

    /// On the server, and in no database that is copied.
    fn as_administrator(&self, sql: &str) {
        let url = value(&self.plan.administrator, "DATABASE_URL");
        let (server, _) = url.rsplit_once('/').unwrap_or_default();
        self.runtime.block_on(async {
            let mut session = open(&format!("{server}/postgres")).await;
            must(&mut session, sql).await;
            close(session).await;
        });
    }
}

impl Copy<'_> {
    /// A connection of the owner, with the settings that the checks have.
    pub(crate) fn session(&self) -> PgConnection {
        self.bench.runtime.block_on(async {
            let mut session = open(&self.url).await;
            for setting in [
                "SET jit = off",
                "SET max_parallel_workers_per_gather = 0",
                "SET plan_cache_mode = force_custom_plan",
            ] {
                must(&mut session, setting).await;
            }
            session
        })
    }

    /// A connection of whoever may look at everything.
    pub(crate) async fn inside(&self) -> PgConnection {
        let url = value(&self.bench.plan.administrator, "DATABASE_URL");
        let (server, _) = url.rsplit_once('/').unwrap_or_default();
        open(&format!("{server}/{}", self.name)).await
    }

    /// Statement by statement: VACUUM is taken alone only.
    fn deploy(&self, path: &Path, file: &str) -> Result<(), String> {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.bench.runtime.block_on(async {
            let mut session = open(&self.url).await;
            for statement in statements(&text) {
                let done = sqlx::raw_sql(AssertSqlSafe(statement.text))
                    .execute(&mut session)
                    .await;
                if let Err(error) = done {
                    return Err(format!("{file}, line {}: {error}", statement.line));
                }
            }
            close(session).await;
            Ok(())
        })
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        self.bench
            .as_administrator(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs what has to work.
pub(crate) async fn must(session: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await;
    if let Err(error) = done {
        panic!("`{sql}`: {error}");
    }
}

async fn open(url: &str) -> PgConnection {
    let session = options(url).connect().await;
    session.unwrap_or_else(|error| panic!("no connection to Postgres: {error}"))
}

/// A database that somebody is connected to is not copied.
async fn close(session: PgConnection) {
    if let Err(error) = session.close().await {
        panic!("a connection to Postgres: {error}");
    }
}

fn options(url: &str) -> PgConnectOptions {
    let options = PgConnectOptions::from_str(url);
    let options = options.unwrap_or_else(|error| panic!("no address of a database: {error}"));
    options.disable_statement_logging()
}
