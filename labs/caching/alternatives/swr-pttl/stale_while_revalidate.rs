//! Exercise 8: stale-while-revalidate.

use crate::prelude::*;

/// The ranking as it is, and how long it has left: how old it is follows from that.
const LOOK: &str = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";

/// The ranking with this number. Its age is read off the life that Redis counts down.
pub async fn ranking(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let Some((ranking, fresh)) = look(shop, id).await? else {
        return load(shop, id).await;
    };
    if !fresh {
        let shop = shop.clone();
        tokio::spawn(async move { refresh(&shop, id).await });
    }
    Ok(ranking)
}

/// What is there, and whether it is fresh.
async fn look(shop: &Shop, id: u64) -> Result<Option<(Ranking, bool)>, ShopError> {
    let script = Script::new(LOOK);
    let mut look = script.key(format!("ranking:{id}"));
    let (there, left): (Option<String>, i64) = look.invoke_async(&mut shop.redis()).await?;
    let Some(json) = there else {
        return Ok(None);
    };
    let left = Duration::from_millis(left.max(0).unsigned_abs());
    let fresh = left > shop.config.ranking_hard - shop.config.ranking_soft;
    Ok(Some((serde_json::from_str(&json)?, fresh)))
}

/// One of all who try, unless another has been there before.
async fn refresh(shop: &Shop, id: u64) -> Result<(), ShopError> {
    let guard = format!("ranking:{id}:guard");
    let token = rand::random::<u64>().to_string();
    let taken: Option<String> = redis::cmd("SET")
        .arg(&guard)
        .arg(&token)
        .arg("NX")
        .arg("PX")
        .arg(shop.config.lock_ttl.as_millis() as u64)
        .query_async(&mut shop.redis())
        .await?;
    if taken.is_some() {
        let loaded = match look(shop, id).await {
            Ok(Some((_, true))) => Ok(()),
            _ => load(shop, id).await.map(drop),
        };
        let script = Script::new(
            "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end",
        );
        let mut end = script.key(guard);
        let _: () = end.arg(token).invoke_async(&mut shop.redis()).await?;
        loaded?;
    }
    Ok(())
}

async fn load(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let ranking = shop.catalogue.ranking(id).await?;
    let json = serde_json::to_string(&ranking)?;
    let life = shop.config.ranking_hard.as_millis() as u64;
    shop.redis()
        .pset_ex(format!("ranking:{id}"), json, life)
        .await?;
    Ok(ranking)
}
