//! Exercise 2 with one writer at a time: under a lock in Redis, the price may be written
//! and need not be dropped.

use redis::ExistenceCheck;

use crate::prelude::*;

/// Changes the price of a product in the catalogue.
pub async fn update_price(shop: &Shop, id: u64, price: Price) -> Result<(), ShopError> {
    let mut redis = shop.redis();
    let lock = format!("lock:price:{id}");
    let token = rand::random::<u64>().to_string();
    let options = SetOptions::default()
        .conditional_set(ExistenceCheck::NX)
        .with_expiration(SetExpiry::EX(30));
    while redis
        .set_options(&lock, &token, options.clone())
        .await?
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let changed = change(shop, id, price).await;
    // Ours only: it may have expired, and be somebody else's by now.
    let unlock = Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end",
    );
    let _: () = unlock.key(&lock).arg(&token).invoke_async(&mut redis).await?;
    changed
}

async fn change(shop: &Shop, id: u64, price: Price) -> Result<(), ShopError> {
    shop.catalogue.change_price(id, price).await?;
    let json = serde_json::to_string(&price)?;
    shop.redis().set_ex(format!("price:{id}"), json, 600).await?;
    Ok(())
}
