//! Exercise 6: stampede lock.

use crate::prelude::*;

/// The deal, or a mark in its place: whoever set the mark loads. One step, so that nobody
/// comes between looking and marking.
const TAKE: &str = "
    local there = redis.call('GET', KEYS[1])
    if there then
        return there
    end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return ARGV[1]";

/// Puts the deal where our mark is, or was and nobody else's is by now; or takes the mark away.
const GIVE: &str = "
    local there = redis.call('GET', KEYS[1])
    if there and there ~= ARGV[1] then
        return 0
    end
    if ARGV[2] == '' then
        return redis.call('DEL', KEYS[1])
    end
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
    return 1";

/// The deal with this number. The lock stands in the place of the deal.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    loop {
        let mark = format!("loading {:032x}", rand::random::<u128>());
        let script = Script::new(TAKE);
        let mut take = script.key(key(id));
        take.arg(&mark).arg(shop.config.lock_ttl.as_millis() as u64);
        let there: String = take.invoke_async(&mut shop.redis()).await?;
        if there == mark {
            let shop = shop.clone();
            let (sender, receiver) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                let _ = sender.send(load(&shop, id, &mark).await);
            });
            let lost = |_| Err(ShopError::Catalogue("the load was lost".to_owned()));
            return receiver.await.unwrap_or_else(lost);
        }
        if !there.starts_with("loading ") {
            return Ok(serde_json::from_str(&there)?);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

async fn load(shop: &Shop, id: u64, mark: &str) -> Result<Deal, ShopError> {
    let loaded = shop.catalogue.deal(id).await;
    let json = match &loaded {
        Ok(deal) => serde_json::to_string(deal)?,
        Err(_) => String::new(),
    };
    let script = Script::new(GIVE);
    let mut give = script.key(key(id));
    give.arg(mark).arg(json).arg(shop.config.deal_ttl.as_secs());
    let _: i64 = give.invoke_async(&mut shop.redis()).await?;
    loaded
}

fn key(id: u64) -> String {
    format!("deal:{id}")
}
