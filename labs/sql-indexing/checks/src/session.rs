//! One connection to the database, and what comes back over it: rows as text, or a refusal.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use labkit::finding;
use labkit::wire::Target;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgErrorPosition, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, PgConnection, Row as _,
};

/// How long one statement may take: more than fifty times what the dearest of the
/// reference's takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// More rows than any question of the brief has.
const MOST_ROWS: usize = 10_000;

/// What Postgres says to a connection that is ended: the server stops, or somebody has called
/// `pg_terminate_backend`.
pub(crate) const ENDED: &str = "57P01";

/// The classes of what Postgres answers to who writes what a table does not take: data, a
/// constraint, a name, a trigger (<https://www.postgresql.org/docs/15/errcodes-appendix.html>).
const NOT_TAKEN: [&str; 4] = ["22", "23", "42", "P0"];

/// A connection of its own.
pub struct Session {
    connection: PgConnection,
    /// The server process behind it.
    pub pid: i32,
}

/// A result as text, in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The names of its columns.
    pub columns: Vec<String>,
    /// The values, `None` for NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Why the server did not do what it was asked.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// The server's words, with what it says in detail.
    pub message: String,
    /// The character of the statement that it points at; the first is 1.
    pub position: Option<usize>,
}

impl Session {
    /// Logs in, with the settings that a fresh connection has.
    pub async fn open(target: &Target) -> Self {
        let options = match target.postgres_url().parse::<PgConnectOptions>() {
            Ok(options) => options.disable_statement_logging(),
            Err(error) => finding::error(format!("no address of a database: {error}")),
        };
        let mut connection = match PgConnection::connect_with(&options).await {
            Ok(connection) => connection,
            Err(error) => give_up(&error),
        };
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
        let pid = match pid.fetch_one(&mut connection).await {
            Ok(pid) => pid,
            Err(error) => give_up(&error),
        };
        Self { connection, pid }
    }

    /// From now on ends what takes longer than anything of the reference's.
    pub(crate) async fn limited(mut self) -> Self {
        let limit = format!("SET statement_timeout = '{}s'", LIMIT.as_secs());
        self.must(&limit).await;
        self
    }

    /// Runs one statement of anybody's.
    pub async fn run(&mut self, sql: &str) -> Result<Rows, Refusal> {
        let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(&mut self.connection);
        let mut found = Rows::default();
        loop {
            match stream.try_next().await {
                Ok(Some(row)) => {
                    if found.columns.is_empty() {
                        let names = row.columns().iter().map(|column| column.name().to_owned());
                        found.columns = names.collect();
                    }
                    // The rest is read, or the connection could not be used again.
                    if found.rows.len() < MOST_ROWS {
                        found.rows.push(values(&row));
                    }
                }
                Ok(None) => return Ok(found),
                Err(error) => return Err(refusal(&error)),
            }
        }
    }

    /// Runs one statement of ours.
    pub async fn must(&mut self, sql: &str) -> Rows {
        match self.run(sql).await {
            Ok(rows) => rows,
            Err(refusal) if refusal.code == ENDED => {
                finding::unavailable(format!("Postgres does not go on: {}", refusal.in_words()))
            }
            Err(refusal) => finding::error(format!("`{sql}`: {}", refusal.in_words())),
        }
    }

    /// Writes what the table of the brief takes. Refused by what the learner's file has made of it,
    /// it fails the check; `did` says what was done before.
    pub async fn place(&mut self, did: &str, sql: &str) {
        match self.run(sql).await {
            Ok(_) => {}
            Err(refusal) if refusal.is_not_taken() => finding::fail(
                format!("{did}; then orders came in"),
                format!("one was refused: {}", refusal.in_words()),
                "orders are taken as before",
            ),
            Err(refusal) => finding::error(format!("`{sql}`: {}", refusal.in_words())),
        }
    }

    /// Commits what was begun; false if somebody has ended the connection before.
    pub(crate) async fn commit(mut self) -> bool {
        let commit = sqlx::raw_sql("COMMIT").execute(&mut self.connection);
        commit.await.is_ok()
    }

    /// The one value of a statement of ours; empty for NULL.
    pub async fn value(&mut self, sql: &str) -> String {
        let mut rows = self.must(sql).await.rows.into_iter().flatten();
        rows.next().flatten().unwrap_or_default()
    }
}

impl Rows {
    /// Whether it is the one answer "yes".
    pub(crate) fn is_true(&self) -> bool {
        self.rows == [[Some("t".to_owned())]]
    }
}

impl Refusal {
    /// Whether the table does not take what was written.
    pub(crate) fn is_not_taken(&self) -> bool {
        NOT_TAKEN.iter().any(|class| self.code.starts_with(class))
    }

    /// `ERROR 42601: syntax error at or near "INDX"`.
    pub fn in_words(&self) -> String {
        format!("ERROR {}: {}", self.code, self.message)
    }
}

fn values(row: &PgRow) -> Vec<Option<String>> {
    let value = |index| {
        let raw = row.try_get_raw(index).ok()?;
        // What is asked for without parameters comes as text.
        raw.as_str().ok().map(str::to_owned)
    };
    (0..row.len()).map(value).collect()
}

fn refusal(error: &sqlx::Error) -> Refusal {
    let Some(said) = error.as_database_error() else {
        give_up(error);
    };
    let said = said.downcast_ref::<PgDatabaseError>();
    // No room, no disk, shut down: no answer to what was asked.
    let goes_on = said.code() == ENDED;
    if !goes_on
        && ["53", "57P", "58"]
            .iter()
            .any(|class| said.code().starts_with(class))
    {
        give_up(error);
    }
    Refusal {
        code: said.code().to_owned(),
        message: match said.detail() {
            Some(detail) => format!("{}: {detail}", said.message()),
            None => said.message().to_owned(),
        },
        position: match said.position() {
            Some(PgErrorPosition::Original(at)) => Some(at),
            _ => None,
        },
    }
}

/// The server is gone, or cannot go on.
fn give_up(error: &sqlx::Error) -> ! {
    finding::unavailable(format!("Postgres does not go on: {error}"))
}
