//! Exercise 6: the lock stands in the deal's place, and the look and the lock are one command.

use crate::prelude::*;

/// What a token begins with, and no deal.
const HELD: char = 'L';

/// How long a caller waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(40);

/// Writes the deal over our lock, or where nothing is or a deal; another's lock is left alone.
const WRITE: &str = "
    local there = redis.call('GET', KEYS[1])
    if there and there ~= ARGV[1] and string.sub(there, 1, 1) == 'L' then
        return 0
    end
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
    return 1";

/// Ends our lock.
const RELEASE: &str = "
    if redis.call('GET', KEYS[1]) == ARGV[1] then
        return redis.call('DEL', KEYS[1])
    end
    return 0";

pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let shop = shop.clone();
    // A client that hangs up ends its request, and not this.
    let found = tokio::spawn(async move { look_or_load(&shop, id).await });
    found
        .await
        .unwrap_or_else(|lost| Err(ShopError::Catalogue(format!("the load was lost: {lost}"))))
}

async fn look_or_load(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let mut redis = shop.redis();
    let place = format!("deal:{id}");
    loop {
        let token = format!("{HELD}{:032x}", rand::random::<u128>());
        // What is there; nothing, and the lock is ours.
        let there: Option<String> = redis::cmd("SET")
            .arg(&place)
            .arg(&token)
            .arg("NX")
            .arg("GET")
            .arg("PX")
            .arg(shop.config.lock_ttl.as_millis() as u64)
            .query_async(&mut redis)
            .await?;
        match there {
            None => return load(shop, id, &place, &token).await,
            Some(text) if text.starts_with(HELD) => tokio::time::sleep(LOOK_AGAIN).await,
            Some(text) => return Ok(serde_json::from_str(&text)?),
        }
    }
}

async fn load(shop: &Shop, id: u64, place: &str, token: &str) -> Result<Deal, ShopError> {
    let mut redis = shop.redis();
    match shop.catalogue.deal(id).await {
        Ok(deal) => {
            let script = Script::new(WRITE);
            let mut write = script.key(place);
            write
                .arg(token)
                .arg(serde_json::to_string(&deal)?)
                .arg(shop.config.deal_ttl.as_secs());
            let _: i64 = write.invoke_async(&mut redis).await?;
            Ok(deal)
        }
        Err(error) => {
            let script = Script::new(RELEASE);
            let mut release = script.key(place);
            let _: i64 = release.arg(token).invoke_async(&mut redis).await?;
            Err(error)
        }
    }
}
