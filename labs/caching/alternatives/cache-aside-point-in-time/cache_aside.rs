//! Exercise 1 with a life that is drawn, and given as a point in time.

use std::time::SystemTime;

use crate::prelude::*;

/// The product with this number: from Redis if it is there, else from the catalogue.
pub async fn product(shop: &Shop, id: u64) -> Result<Product, ShopError> {
    let mut redis = shop.redis();
    let key = format!("product:{id}");
    let kept = redis.get(&key).await?;
    // What does not read is a miss: an older version of the shop may have written it.
    if let Some(product) = kept.and_then(|json| serde_json::from_str(&json).ok()) {
        return Ok(product);
    }
    let product = shop.catalogue.product(id).await?;
    let life = shop
        .config
        .product_ttl
        .mul_f64(rand::random_range(0.7..1.0));
    let end = SystemTime::now() + life;
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(life);
    let options = SetOptions::default().with_expiration(SetExpiry::EXAT(end.as_secs()));
    let json = serde_json::to_string(&product)?;
    redis.set_options(&key, json, options).await?;
    Ok(product)
}
