//! What every request shares: Redis, the catalogue, and what the environment decides.

use std::env;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use redis::IntoConnectionInfo as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use crate::catalogue::Catalogue;
use crate::clock::Clock;

/// The state of the service. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    /// Where products, prices and vouchers come from.
    pub catalogue: Catalogue,
    /// How long things live in the cache, and what a request may use.
    pub config: Config,
    /// What time it is.
    pub clock: Clock,
    /// What jitter is drawn from; seeded by `JITTER_SEED`.
    pub jitter: Arc<Mutex<StdRng>>,
    redis: ConnectionManager,
}

/// How long things live in the cache, and what a request may use.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `PRODUCT_TTL_S`: a product.
    pub product_ttl: Duration,
    /// `VOUCHER_TTL_S`: a voucher that exists.
    pub voucher_ttl: Duration,
    /// `NEGATIVE_TTL_S`: the knowledge that a voucher does not exist.
    pub negative_ttl: Duration,
    /// `LISTING_TTL_MS`: a listing of the nightly import, before jitter.
    pub listing_ttl: Duration,
    /// `DEAL_TTL_S`: a deal.
    pub deal_ttl: Duration,
    /// `LOCK_TTL_MS`: a lock whose holder does not come back.
    pub lock_ttl: Duration,
    /// `MANUAL_TTL_S`: a manual.
    pub manual_ttl: Duration,
    /// `REDIS_BUDGET_MS`: how long one question to Redis may take.
    pub redis_budget: Duration,
    /// `ORIGIN_LIMIT`: how many loads one instance may have under way at the same time.
    pub origin_limit: usize,
    /// `RANKING_SOFT_MS`: how long a ranking is fresh.
    pub ranking_soft: Duration,
    /// `RANKING_HARD_MS`: how long a ranking may be shown at all.
    pub ranking_hard: Duration,
    /// `STOCK_TTL_S`: a stock.
    pub stock_ttl: Duration,
}

impl Shop {
    /// Connects as the environment says.
    pub async fn from_environment() -> anyhow::Result<Self> {
        let redis = required("REDIS_URL")?;
        let catalogue = required("CATALOGUE_URL")?;
        let config = Config {
            product_ttl: Duration::from_secs(number("PRODUCT_TTL_S", 600)?),
            voucher_ttl: Duration::from_secs(number("VOUCHER_TTL_S", 3600)?),
            negative_ttl: Duration::from_secs(number("NEGATIVE_TTL_S", 30)?),
            listing_ttl: Duration::from_millis(number("LISTING_TTL_MS", 3_600_000)?),
            deal_ttl: Duration::from_secs(number("DEAL_TTL_S", 600)?),
            lock_ttl: Duration::from_millis(number("LOCK_TTL_MS", 30_000)?),
            manual_ttl: Duration::from_secs(number("MANUAL_TTL_S", 600)?),
            redis_budget: Duration::from_millis(number("REDIS_BUDGET_MS", 500)?),
            origin_limit: usize::try_from(number("ORIGIN_LIMIT", 8)?)?,
            ranking_soft: Duration::from_millis(number("RANKING_SOFT_MS", 60_000)?),
            ranking_hard: Duration::from_millis(number("RANKING_HARD_MS", 600_000)?),
            stock_ttl: Duration::from_secs(number("STOCK_TTL_S", 600)?),
        };
        // Unset in production: two shops must not draw the same numbers.
        let seed = number("JITTER_SEED", rand::random())?;
        Ok(Self {
            catalogue: Catalogue::at(catalogue)?,
            config,
            clock: Clock::default(),
            jitter: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            redis: connect(&redis).await?,
        })
    }

    /// A handle to Redis. Clones share one connection: taking one costs nothing.
    pub fn redis(&self) -> ConnectionManager {
        self.redis.clone()
    }
}

async fn connect(url: &str) -> anyhow::Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        // A Redis that is back is to be used soon.
        .set_max_delay(Duration::from_millis(100))
        // The client's own half second would turn a slow Redis into an error.
        .set_response_timeout(Some(Duration::from_secs(60)));
    let address = url
        .into_connection_info()
        .with_context(|| format!("REDIS_URL `{url}` is not a Redis URL"))?;
    // Redis before 7.2 does not know CLIENT SETINFO and answers it with an error.
    let settings = address.redis_settings().clone().set_skip_set_lib_name();
    redis::Client::open(address.set_redis_settings(settings))?
        .get_connection_manager_with_config(config)
        .await
        .with_context(|| format!("cannot connect to Redis at {url}"))
}

fn required(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}

fn number(name: &str, otherwise: u64) -> anyhow::Result<u64> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} `{text}` is not a whole number")),
        Err(_) => Ok(otherwise),
    }
}
