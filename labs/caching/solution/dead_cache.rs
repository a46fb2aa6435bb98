//! Exercise 7: dead cache.

// BEGIN SOLUTION
use std::sync::OnceLock;

use tokio::sync::Semaphore;
use tokio::time::timeout;

// END SOLUTION
use crate::prelude::*;

/// The manual with this number: from Redis if it is there, else from the catalogue
/// (`shop.catalogue.manual`), and then in Redis for `shop.config.manual_ttl`.
///
/// A Redis that fails, or that has not answered after `shop.config.redis_budget`, costs no
/// reader their manual. Never more than `shop.config.origin_limit` loads of this instance
/// are under way.
pub async fn manual(shop: &Shop, id: u64) -> Result<Manual, ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, id); // delete with the line below
    // todo!("what becomes of this read when Redis does not answer, and of the catalogue then?")
    // END PROMPT
    // BEGIN SOLUTION
    let mut redis = shop.redis();
    let key = format!("manual:{id}");
    if let Some(Some(json)) = within_budget(shop, redis.get(&key)).await {
        return Ok(serde_json::from_str(&json)?);
    }
    let manual = {
        // Never closed: there is always a place in the end.
        let _place = places(shop).acquire().await;
        shop.catalogue.manual(id).await?
    };
    let json = serde_json::to_string(&manual)?;
    let life = shop.config.manual_ttl.as_secs();
    // What cannot be kept is shown all the same.
    let _ = within_budget(shop, redis.set_ex(&key, json, life)).await;
    Ok(manual)
    // END SOLUTION
}
// BEGIN SOLUTION

/// What Redis answers; nothing when it fails or does not answer in time.
async fn within_budget<T>(
    shop: &Shop,
    question: impl Future<Output = redis::RedisResult<T>>,
) -> Option<T> {
    timeout(shop.config.redis_budget, question).await.ok()?.ok()
}

/// Where a load has to find a place: one room for the whole instance.
fn places(shop: &Shop) -> &'static Semaphore {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    PLACES.get_or_init(|| Semaphore::new(shop.config.origin_limit))
}
// END SOLUTION
