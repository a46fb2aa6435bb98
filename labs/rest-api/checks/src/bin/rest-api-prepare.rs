//! Makes the tables of the shop, once for each server: `DATABASE_URL` says where.

use anyhow::Context as _;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// What every check's database looks like at its beginning.
const SCHEMA: &str = include_str!("../schema.sql");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let mut database = PgConnection::connect(&url).await?;
    database.execute(SCHEMA).await?;
    database.execute("VACUUM ANALYZE").await?;
    database.close().await?;
    Ok(())
}
