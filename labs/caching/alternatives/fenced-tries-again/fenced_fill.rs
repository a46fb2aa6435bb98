//! Exercise 9: fenced fill.

use crate::prelude::*;

/// How often one reader loads: a stock that never stands still is not kept.
const LOADS: usize = 3;

/// What is there: the stock, or the lease of whoever missed it first. All who miss it until
/// the next change share that one.
const LOOK: &str = "
    redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
    return redis.call('GET', KEYS[1])";

/// Puts the stock in the place of the lease.
const FILL: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then
        return 0
    end
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
    return 1";

/// How much there is of a product. A reader whose fill is refused begins again.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    for _ in 1..LOADS {
        if let (stock, true) = once(shop, id).await? {
            return Ok(stock);
        }
    }
    let (stock, _) = once(shop, id).await?;
    Ok(stock)
}

/// The stock, and whether it is kept.
async fn once(shop: &Shop, id: u64) -> Result<(Stock, bool), ShopError> {
    let lease = format!("lease {:032x}", rand::random::<u128>());
    let script = Script::new(LOOK);
    let mut look = script.key(key(id));
    look.arg(lease).arg(shop.config.lock_ttl.as_millis() as u64);
    let there: String = look.invoke_async(&mut shop.redis()).await?;
    if !there.starts_with("lease ") {
        return Ok((serde_json::from_str(&there)?, true));
    }
    let stock = shop.catalogue.stock(id).await?;
    let script = Script::new(FILL);
    let mut fill = script.key(key(id));
    fill.arg(there)
        .arg(serde_json::to_string(&stock)?)
        .arg(shop.config.stock_ttl.as_secs());
    let kept: bool = fill.invoke_async(&mut shop.redis()).await?;
    Ok((stock, kept))
}

/// Changes how much there is, and takes away what stands there: stock or lease.
pub async fn change_stock(shop: &Shop, id: u64, stock: Stock) -> Result<(), ShopError> {
    shop.catalogue.change_stock(id, stock).await?;
    shop.redis().del(key(id)).await?;
    Ok(())
}

fn key(id: u64) -> String {
    format!("stock:{id}")
}
