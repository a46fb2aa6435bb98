//! Exercise 8: stale-while-revalidate.

use crate::prelude::*;

/// The ranking with this number. Beside it stands a mark that lives as long as it is
/// fresh; whoever puts the mark there again is the one who refreshes.
pub async fn ranking(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let claim = shop.config.lock_ttl.as_millis() as u64;
    let (kept, claimed): (Option<String>, Option<String>) = redis::pipe()
        .get(format!("ranking:{id}"))
        .cmd("SET")
        .arg(mark(id))
        .arg("claimed")
        .arg("NX")
        .arg("PX")
        .arg(claim)
        .query_async(&mut shop.redis())
        .await?;
    let Some(json) = kept else {
        return load(shop, id).await;
    };
    if claimed.is_some() {
        let shop = shop.clone();
        // On failure the claim lapses by itself.
        tokio::spawn(async move { load(&shop, id).await.map(drop) });
    }
    Ok(serde_json::from_str(&json)?)
}

async fn load(shop: &Shop, id: u64) -> Result<Ranking, ShopError> {
    let ranking = shop.catalogue.ranking(id).await?;
    let json = serde_json::to_string(&ranking)?;
    let (soft, hard) = (shop.config.ranking_soft, shop.config.ranking_hard);
    let mut keep = redis::pipe();
    keep.atomic()
        .pset_ex(format!("ranking:{id}"), json, hard.as_millis() as u64)
        .pset_ex(mark(id), "fresh", soft.as_millis() as u64);
    keep.exec_async(&mut shop.redis()).await?;
    Ok(ranking)
}

fn mark(id: u64) -> String {
    format!("ranking:{id}:mark")
}
