//! What `EXPLAIN` says of a statement, in numbers.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// How a statement was carried out.
pub(crate) struct Explained(Value);

impl Explained {
    /// Carries it out, twice: the first time a connection looks things up in the catalogue, and
    /// that counts too.
    pub(crate) async fn of(session: &mut PgConnection, sql: &str) -> Self {
        Self::once(session, sql).await;
        Self::once(session, sql).await
    }

    /// Carries it out.
    pub(crate) async fn once(session: &mut PgConnection, sql: &str) -> Self {
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING OFF, FORMAT JSON) {sql}");
        // Without parameters it comes as text.
        let said = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_one(session)
            .await;
        let json = said.and_then(|row| {
            row.try_get_raw(0)?
                .as_str()
                .map(str::to_owned)
                .map_err(sqlx::Error::Decode)
        });
        let json = json.unwrap_or_else(|error| panic!("`{sql}`: {error}"));
        let mut plan: Value = serde_json::from_str(&json)
            .unwrap_or_else(|error| panic!("EXPLAIN speaks another language: {error}"));
        Self(plan[0]["Plan"].take())
    }

    /// The pages that were read, from memory or from the disk.
    pub(crate) fn pages(&self) -> f64 {
        number(&self.0, "Shared Hit Blocks") + number(&self.0, "Shared Read Blocks")
    }

    /// The rows that were looked at: those that were found, and those that were thrown away.
    pub(crate) fn rows(&self) -> f64 {
        rows(&self.0)
    }

    /// What it wrote to the log, in bytes.
    pub(crate) fn wal(&self) -> f64 {
        number(&self.0, "WAL Bytes")
    }
}

fn rows(node: &Value) -> f64 {
    let inner = node["Plans"].as_array().into_iter().flatten();
    let inner: f64 = inner.map(rows).sum();
    // What only collects the places of rows reads no table.
    let own = match node["Relation Name"].is_string() {
        true => [
            "Actual Rows",
            "Rows Removed by Filter",
            "Rows Removed by Index Recheck",
        ]
        .map(|count| number(node, count))
        .into_iter()
        .sum::<f64>(),
        false => 0.0,
    };
    own * number(node, "Actual Loops") + inner
}

fn number(node: &Value, name: &str) -> f64 {
    node[name].as_f64().unwrap_or_default()
}
