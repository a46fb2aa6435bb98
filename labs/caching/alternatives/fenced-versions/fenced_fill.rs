//! Exercise 9: fenced fill.

use crate::prelude::*;

/// How long a version is remembered after the last change: longer than any load.
const VERSION_LIFE_S: i64 = 86_400;

/// Fills if the version is still the one that was seen.
const FILL: &str = "
    local version = redis.call('GET', KEYS[2]) or '0'
    if version == ARGV[1] then
        redis.call('SETEX', KEYS[1], ARGV[3], ARGV[2])
    end";

/// How much there is of a product. Each change counts a version up; a fill must find the
/// version that the load began with.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    let (key, version_key) = keys(id);
    let (kept, version): (Option<String>, Option<String>) = redis::cmd("MGET")
        .arg(&key)
        .arg(&version_key)
        .query_async(&mut shop.redis())
        .await?;
    if let Some(json) = kept {
        return Ok(serde_json::from_str(&json)?);
    }
    let version = version.unwrap_or_else(|| "0".to_owned());
    let stock = shop.catalogue.stock(id).await?;
    let script = Script::new(FILL);
    let mut fill = script.key(key);
    fill.key(version_key)
        .arg(version)
        .arg(serde_json::to_string(&stock)?)
        .arg(shop.config.stock_ttl.as_secs());
    let _: () = fill.invoke_async(&mut shop.redis()).await?;
    Ok(stock)
}

/// Changes how much there is: the truth, then the version, then what is kept.
pub async fn change_stock(shop: &Shop, id: u64, stock: Stock) -> Result<(), ShopError> {
    shop.catalogue.change_stock(id, stock).await?;
    let (key, version_key) = keys(id);
    let _: () = redis::pipe()
        .atomic()
        .incr(&version_key, 1)
        .expire(&version_key, VERSION_LIFE_S)
        .del(&key)
        .ignore()
        .query_async(&mut shop.redis())
        .await
        .map(|_: redis::Value| ())?;
    Ok(())
}

fn keys(id: u64) -> (String, String) {
    (format!("stock:{id}"), format!("stock:{id}:version"))
}
