//! Exercise 8: stale-while-revalidate.

// BEGIN SOLUTION
use serde::{Deserialize, Serialize};

// END SOLUTION
use crate::prelude::*;

// BEGIN SOLUTION
/// What Redis holds: the ranking, and from when on it is stale. When it may not be shown
/// any more is for Redis to say.
#[derive(Serialize, Deserialize)]
struct Kept {
    ranking: Ranking,
    stale_from: Duration,
}

impl Kept {
    fn is_stale(&self, shop: &Shop) -> bool {
        shop.clock.now() >= self.stale_from
    }
}

// END SOLUTION
/// The ranking with this number: from Redis if it is there, else from the catalogue
/// (`shop.catalogue.ranking`).
///
/// It is fresh for `shop.config.ranking_soft`. Then it is stale: still shown, at once,
/// while one caller of all instances has it loaded behind the scenes. It is shown for
/// `shop.config.ranking_hard` at most. What time it is, `shop.clock.now()` says.
pub async fn ranking(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, id); // delete with the line below
    // todo!("a ranking of an hour ago: whom may it keep waiting, and who fetches the new one?")
    // END PROMPT
    // BEGIN SOLUTION
    let Some(kept) = look(shop, id).await? else {
        return load(shop, id).await;
    };
    if kept.is_stale(shop) && first_to_refresh(shop, id).await? {
        let shop = shop.clone();
        tokio::spawn(async move {
            // A failure leaves what is there; who comes after the guard tries again.
            let _ = refresh(&shop, id).await;
        });
    }
    Ok(kept.ranking)
    // END SOLUTION
}
// BEGIN SOLUTION

async fn look(shop: &Shop, id: u64) -> Result<Option<Kept>, ShopError> {
    let there = shop.redis().get(key(id)).await?;
    Ok(there.map(|json| serde_json::from_str(&json)).transpose()?)
}

/// Loads it, unless somebody else has done so between this reader's look and its choice.
async fn refresh(shop: &Shop, id: u64) -> Result<(), ShopError> {
    let kept = look(shop, id).await?;
    if kept.is_none_or(|kept| kept.is_stale(shop)) {
        load(shop, id).await?;
    }
    Ok(())
}

async fn load(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    // Before the load: what it brings is as old as the question.
    let stale_from = shop.clock.now() + shop.config.ranking_soft;
    let ranking = shop.catalogue.ranking(id).await?;
    let kept = Kept { ranking, stale_from };
    let (json, life) = (serde_json::to_string(&kept)?, shop.config.ranking_hard);
    let life = life.as_millis() as u64;
    shop.redis().pset_ex(key(id), json, life).await?;
    Ok(kept.ranking)
}

/// Whether nobody else has taken the refresh. The guard is never released: it lapses, and
/// until then a catalogue that fails is left alone.
async fn first_to_refresh(shop: &Shop, id: u64) -> Result<bool, ShopError> {
    let options = SetOptions::default()
        .conditional_set(ExistenceCheck::NX)
        .with_expiration(SetExpiry::PX(shop.config.lock_ttl.as_millis() as u64));
    let guard = format!("refresh:ranking:{id}");
    Ok(shop.redis().set_options(guard, "taken", options).await?.is_some())
}

fn key(id: u64) -> String {
    format!("ranking:{id}")
}
// END SOLUTION
