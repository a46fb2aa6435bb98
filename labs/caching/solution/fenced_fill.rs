//! Exercise 9: fenced fill.

use crate::prelude::*;

// BEGIN SOLUTION
/// Fills if the lease is still the one that the reader took before it loaded.
const FILL: &str = "
    if redis.call('GET', KEYS[2]) == ARGV[1] then
        redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
        redis.call('DEL', KEYS[2])
        return 1
    end
    return 0";

// END SOLUTION
/// How much there is of a product: from Redis if it is there, else from the catalogue
/// (`shop.catalogue.stock`), and then in Redis for `shop.config.stock_ttl`.
///
/// What was loaded before a change is not kept after it, however late it comes.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, id); // delete with the line below
    // todo!("how can you tell, when the load is back, that nobody has changed it meanwhile?")
    // END PROMPT
    // BEGIN SOLUTION
    let mut redis = shop.redis();
    if let Some(json) = redis.get(key(id)).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let token = format!("{:032x}", rand::random::<u128>());
    // Before the load: a change that comes after this takes the lease away.
    let life = shop.config.lock_ttl.as_millis() as u64;
    redis.pset_ex(lease(id), &token, life).await?;
    let stock = shop.catalogue.stock(id).await?;
    let script = Script::new(FILL);
    let mut fill = script.key(key(id));
    fill.key(lease(id))
        .arg(token)
        .arg(serde_json::to_string(&stock)?)
        .arg(shop.config.stock_ttl.as_secs());
    let _: i64 = fill.invoke_async(&mut redis).await?;
    Ok(stock)
    // END SOLUTION
}

/// Changes how much there is, in the catalogue (`shop.catalogue.change_stock`).
///
/// Once this returns `Ok`, the next read on every instance is what the catalogue says,
/// whoever was reading meanwhile.
pub async fn change_stock(shop: &Shop, id: u64, stock: Stock) -> Result<(), ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, id, stock); // delete with the line below
    // todo!("what has to be told to a reader who is still holding the old number?")
    // END PROMPT
    // BEGIN SOLUTION
    shop.catalogue.change_stock(id, stock).await?;
    // One command for both: who takes a lease after it loads what is committed.
    shop.redis().del(&[key(id), lease(id)]).await?;
    Ok(())
    // END SOLUTION
}
// BEGIN SOLUTION

fn key(id: u64) -> String {
    format!("stock:{id}")
}

fn lease(id: u64) -> String {
    format!("lease:stock:{id}")
}
// END SOLUTION
