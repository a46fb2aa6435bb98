//! Exercise 8: stale-while-revalidate.

use crate::prelude::*;

/// What is there, and whether it is for the reader to refresh it: to look and to choose are
/// one step, so that nobody is chosen for what is fresh.
const LOOK: &str = "
    local there = redis.call('GET', KEYS[1])
    local stale = there and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[1])
    local chosen = stale and redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2])
    return {there, chosen and 1 or 0}";

/// The ranking with this number. It is stale when less of its life is left than the second
/// one is longer than the first.
pub async fn ranking(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let stale_for = shop.config.ranking_hard - shop.config.ranking_soft;
    let script = Script::new(LOOK);
    let mut look = script.key(key(id));
    look.key(format!("refreshing:{id}"))
        .arg(stale_for.as_millis() as u64)
        .arg(shop.config.lock_ttl.as_millis() as u64);
    let (there, chosen): (Option<String>, bool) = look.invoke_async(&mut shop.redis()).await?;
    let Some(json) = there else {
        return load(shop, id).await;
    };
    if chosen {
        let shop = shop.clone();
        // One that fails is tried again when the choice has lapsed.
        tokio::spawn(async move { load(&shop, id).await.map(drop) });
    }
    Ok(serde_json::from_str(&json)?)
}

async fn load(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let ranking = shop.catalogue.ranking(id).await?;
    let json = serde_json::to_string(&ranking)?;
    let life = shop.config.ranking_hard.as_millis() as u64;
    shop.redis().pset_ex(key(id), json, life).await?;
    Ok(ranking)
}

fn key(id: u64) -> String {
    format!("ranking:{id}")
}
