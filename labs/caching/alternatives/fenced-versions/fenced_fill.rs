//! Exercise 9: fenced fill.

use crate::prelude::*;

/// How long a version is remembered. One that is forgotten does not come again, as it is
/// drawn and not counted: the fill that it belongs to is refused.
const VERSION_LIFE_S: u64 = 86_400;

/// What is kept, and else the version, which the first reader draws.
const LOOK: &str = "
    local kept = redis.call('GET', KEYS[1])
    if kept then
        return {kept, false}
    end
    redis.call('SET', KEYS[2], ARGV[1], 'NX', 'EX', ARGV[2])
    return {false, redis.call('GET', KEYS[2])}";

/// Fills if the version is still the one that was seen.
const FILL: &str = "
    if redis.call('GET', KEYS[2]) == ARGV[1] then
        redis.call('SETEX', KEYS[1], ARGV[3], ARGV[2])
    end";

/// How much there is of a product. Each change draws another version; a fill must find the
/// version that the load began with.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    let (key, version_key) = keys(id);
    let script = Script::new(LOOK);
    let mut look = script.key(&key);
    look.key(&version_key).arg(drawn()).arg(VERSION_LIFE_S);
    let (kept, version): (Option<String>, Option<String>) =
        look.invoke_async(&mut shop.redis()).await?;
    if let Some(json) = kept {
        return Ok(serde_json::from_str(&json)?);
    }
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
    let mut tell = redis::pipe();
    tell.atomic()
        .set_ex(version_key, drawn(), VERSION_LIFE_S)
        .del(key);
    tell.exec_async(&mut shop.redis()).await?;
    Ok(())
}

fn drawn() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn keys(id: u64) -> (String, String) {
    (format!("stock:{id}"), format!("stock:{id}:version"))
}
