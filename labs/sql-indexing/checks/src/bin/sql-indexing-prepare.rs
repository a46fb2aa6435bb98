//! Fills the database that each check gets a copy of.

use anyhow::Context as _;
use labkit::sql::statements;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const SHOP: &str = include_str!("shop.sql");

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let options: PgConnectOptions = url.parse().context("DATABASE_URL")?;
    let mut database = PgConnection::connect_with(&options).await?;
    // One by one: VACUUM is taken alone only.
    for statement in statements(SHOP) {
        sqlx::raw_sql(AssertSqlSafe(statement.text))
            .execute(&mut database)
            .await
            .with_context(|| format!("shop.sql, line {}", statement.line))?;
    }
    database.close().await?;
    Ok(())
}
