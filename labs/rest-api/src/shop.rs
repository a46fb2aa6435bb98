//! What every request shares: the database, the other services, and what the environment
//! decides.

use std::env;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::images::ImageStore;
use crate::provider::Provider;

/// The state of the service. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    /// Connections to Postgres: at most `POOL_SIZE` of them.
    pub pool: PgPool,
    /// Where money is moved: `PROVIDER_URL`.
    pub provider: Provider,
    /// Where pictures are kept: `IMAGES_URL`.
    pub images: ImageStore,
}

impl Shop {
    /// Connects as the environment says.
    pub async fn from_environment() -> anyhow::Result<Self> {
        let url = required("DATABASE_URL")?;
        let pool = PgPoolOptions::new()
            .max_connections(number("POOL_SIZE", 10)?)
            // Who gets no connection by then is told so.
            .acquire_timeout(Duration::from_secs(8))
            .connect(&url)
            .await
            .context("cannot connect to Postgres")?;
        let provider = Provider::at(required("PROVIDER_URL")?)?;
        let images = ImageStore::at(&required("IMAGES_URL")?)?;
        Ok(Self {
            pool,
            provider,
            images,
        })
    }
}

pub(crate) fn required(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}

pub(crate) fn number<T>(name: &str, otherwise: T) -> anyhow::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} `{text}` is not a whole number")),
        Err(_) => Ok(otherwise),
    }
}
