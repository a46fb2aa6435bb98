//! Exercise 6: stampede lock.

use crate::prelude::*;

/// The deal with this number. The lock is a value in the program as well: whichever way it
/// is dropped, the lock in Redis ends, and one of those who wait takes over.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    loop {
        if let Some(deal) = kept(shop, id).await? {
            return Ok(deal);
        }
        if let Some(_held) = Held::take(shop, id).await? {
            if let Some(deal) = kept(shop, id).await? {
                return Ok(deal);
            }
            let deal = shop.catalogue.deal(id).await?;
            let json = serde_json::to_string(&deal)?;
            let expiry = SetExpiry::EX(shop.config.deal_ttl.as_secs());
            let options = SetOptions::default().with_expiration(expiry);
            shop.redis()
                .set_options(format!("deal:{id}"), json, options)
                .await?;
            return Ok(deal);
        }
        let moment = rand::rng().random_range(10..40);
        tokio::time::sleep(Duration::from_millis(moment)).await;
    }
}

async fn kept(shop: &Shop, id: u64) -> Result<Option<Deal>, ShopError> {
    let json = shop.redis().get(format!("deal:{id}")).await?;
    Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
}

struct Held {
    shop: Shop,
    key: String,
    token: String,
}

impl Held {
    async fn take(shop: &Shop, id: u64) -> Result<Option<Self>, ShopError> {
        let held = Self {
            shop: shop.clone(),
            key: format!("deal:{id}:lock"),
            token: rand::random::<u64>().to_string(),
        };
        let taken: Option<String> = redis::cmd("SET")
            .arg(&held.key)
            .arg(&held.token)
            .arg("NX")
            .arg("PX")
            .arg(shop.config.lock_ttl.as_millis() as u64)
            .query_async(&mut shop.redis())
            .await?;
        if taken.is_some() {
            return Ok(Some(held));
        }
        // Not ours: nothing to end.
        std::mem::forget(held);
        Ok(None)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (shop, key, token) = (self.shop.clone(), self.key.clone(), self.token.clone());
        tokio::spawn(async move {
            let script = Script::new(
                "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end",
            );
            let mut end = script.key(key);
            let _: Result<(), _> = end.arg(token).invoke_async(&mut shop.redis()).await;
        });
    }
}
