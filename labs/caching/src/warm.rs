//! The nightly import: every listing into Redis, each with a life of its own.

use std::sync::PoisonError;

use crate::error::ShopError;
use crate::shop::Shop;
use crate::ttl_jitter::ttl;

/// Enough to spare most round trips, few enough that nobody waits behind a batch.
const BATCH: usize = 100;

/// Caches every listing and says how many there were.
pub async fn import(shop: &Shop) -> Result<usize, ShopError> {
    let listings = shop.catalogue.listings().await?;
    let mut redis = shop.redis();
    for batch in listings.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        for listing in batch {
            let life = {
                let mut rng = shop.jitter.lock().unwrap_or_else(PoisonError::into_inner);
                ttl(shop.config.listing_ttl, &mut rng)
            };
            pipeline
                .cmd("SET")
                .arg(format!("listing:{}", listing.id))
                .arg(serde_json::to_string(listing)?)
                .arg("PX")
                .arg(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
                .ignore();
        }
        pipeline.exec_async(&mut redis).await?;
    }
    Ok(listings.len())
}
