//! Exercise 9: fenced fill.

use crate::prelude::*;

/// What is there, or the lease for whoever asks first; nothing for who comes later.
const LOOK: &str = "
    local there = redis.call('HGET', KEYS[1], 'stock')
    if there then
        return there
    end
    if redis.call('HSETNX', KEYS[1], 'lease', ARGV[1]) == 1 then
        redis.call('PEXPIRE', KEYS[1], ARGV[2])
    end
    return false";

const FILL: &str = "
    if redis.call('HGET', KEYS[1], 'lease') == ARGV[1] then
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'stock', ARGV[2])
        redis.call('EXPIRE', KEYS[1], ARGV[3])
    end";

/// How much there is of a product. Stock and lease are one hash, so that one `DEL` takes
/// both; only the first reader has a lease and fills.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    let key = format!("stock:{id}");
    let lease = format!("{:016x}", rand::random::<u64>());
    let script = Script::new(LOOK);
    let mut look = script.key(&key);
    look.arg(&lease)
        .arg(shop.config.lock_ttl.as_millis() as u64);
    let there: Option<String> = look.invoke_async(&mut shop.redis()).await?;
    if let Some(json) = there {
        return Ok(serde_json::from_str(&json)?);
    }
    let stock = shop.catalogue.stock(id).await?;
    let script = Script::new(FILL);
    let mut fill = script.key(&key);
    fill.arg(lease)
        .arg(serde_json::to_string(&stock)?)
        .arg(shop.config.stock_ttl.as_secs());
    let _: () = fill.invoke_async(&mut shop.redis()).await?;
    Ok(stock)
}

/// Changes how much there is.
pub async fn change_stock(shop: &Shop, id: u64, stock: Stock) -> Result<(), ShopError> {
    shop.catalogue.change_stock(id, stock).await?;
    shop.redis().unlink(format!("stock:{id}")).await?;
    Ok(())
}
