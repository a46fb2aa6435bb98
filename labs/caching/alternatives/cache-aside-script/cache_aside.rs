//! Exercise 1 with a script: two commands inside, one for everybody outside.

use crate::prelude::*;

/// The product with this number: from Redis if it is there, else from the catalogue.
pub async fn product(shop: &Shop, id: u64) -> Result<Product, ShopError> {
    let mut redis = shop.redis();
    let key = format!("{{shop}}:p:{id:08x}");
    if let Some(json) = redis.get(&key).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let product = shop.catalogue.product(id).await?;
    let script = Script::new(
        "redis.call('SET', KEYS[1], ARGV[1])
         return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    );
    let life = u64::try_from(shop.config.product_ttl.as_millis()).unwrap_or(u64::MAX);
    let _: u64 = script
        .key(&key)
        .arg(serde_json::to_string(&product)?)
        .arg(life)
        .invoke_async(&mut redis)
        .await?;
    Ok(product)
}
