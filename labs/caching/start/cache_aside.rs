//! Exercise 1: cache-aside reads.

use crate::prelude::*;

/// The product with this number: from Redis if it is there, else from the catalogue.
///
/// After a miss the next reader, also one of another instance, finds the product in
/// Redis, for `shop.config.product_ttl`. A failure of the catalogue is passed on and
/// leaves nothing behind.
pub async fn product(shop: &Shop, id: u64) -> Result<Product, ShopError> {
    let mut redis = shop.redis();
    let key = format!("product:{id}");
    if let Some(json) = redis.get(&key).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let product = shop.catalogue.product(id).await?;
    // HERE the product is known, and Redis has not been told.
    Ok(product)
}
