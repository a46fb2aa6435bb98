//! Exercise 6: stampede lock.

use crate::prelude::*;

// BEGIN SOLUTION
/// How long a caller waits before it looks again. Short beside a load, long beside a look.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Ends the lock if it is still ours: between two commands it could become another's.
const RELEASE: &str = "
    if redis.call('GET', KEYS[1]) == ARGV[1] then
        return redis.call('DEL', KEYS[1])
    end
    return 0";

// END SOLUTION
/// The deal with this number: from Redis if it is there, else from the catalogue
/// (`shop.catalogue.deal`), and then in Redis for `shop.config.deal_ttl`.
///
/// Of all callers on all instances one loads, under a lock in Redis that ends after
/// `shop.config.lock_ttl` if its holder does not; the others wait for what it brings.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, id); // delete with the line below
    // todo!("a hundred callers miss at once: who may ask the catalogue, and what do the others do?")
    // END PROMPT
    // BEGIN SOLUTION
    let mut redis = shop.redis();
    loop {
        if let Some(deal) = kept(shop, id).await? {
            return Ok(deal);
        }
        let token = format!("{:032x}", rand::random::<u128>());
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(shop.config.lock_ttl.as_millis() as u64));
        if redis.set_options(lock(id), &token, options).await?.is_some() {
            let shop = shop.clone();
            // A task of its own: a client that hangs up ends this function, not that.
            let load = tokio::spawn(async move { load(&shop, id, &token).await });
            return load.await.unwrap_or_else(|lost| {
                Err(ShopError::Catalogue(format!("the load was lost: {lost}")))
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // END SOLUTION
}
// BEGIN SOLUTION

/// Loads under the lock, and ends it whatever comes of that.
async fn load(shop: &Shop, id: u64, token: &str) -> Result<Deal, ShopError> {
    let loaded = fill(shop, id).await;
    let script = Script::new(RELEASE);
    let mut release = script.key(lock(id));
    let _: i64 = release.arg(token).invoke_async(&mut shop.redis()).await?;
    loaded
}

async fn fill(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    // Another holder may have brought it after we looked and before we had the lock.
    if let Some(deal) = kept(shop, id).await? {
        return Ok(deal);
    }
    let deal = shop.catalogue.deal(id).await?;
    let json = serde_json::to_string(&deal)?;
    let life = shop.config.deal_ttl.as_secs();
    shop.redis().set_ex(key(id), json, life).await?;
    Ok(deal)
}

async fn kept(shop: &Shop, id: u64) -> Result<Option<Deal>, ShopError> {
    match shop.redis().get(key(id)).await? {
        Some(json) => Ok(Some(serde_json::from_str(&json)?)),
        None => Ok(None),
    }
}

fn key(id: u64) -> String {
    format!("deal:{id}")
}

fn lock(id: u64) -> String {
    format!("lock:deal:{id}")
}
// END SOLUTION
