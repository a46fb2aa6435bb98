//! Exercise 6: stampede lock.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use redis::AsyncCommands;
use tokio::sync::watch;

use crate::prelude::*;

type Outcome = Option<Result<Deal, String>>;

/// The deals that this instance waits for: one task each, however many ask.
static UNDER_WAY: LazyLock<Mutex<HashMap<u64, watch::Receiver<Outcome>>>> =
    LazyLock::new(Mutex::default);

/// The deal with this number. One task for each instance waits or loads; the lock is given
/// back in a transaction that a change of hands breaks off.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    if let Some(json) = AsyncTypedCommands::get(&mut shop.redis(), key(id)).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let mut outcome = {
        let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || {
            let (sender, receiver) = watch::channel(None);
            let shop = shop.clone();
            tokio::spawn(async move {
                let deal = get_or_load(&shop, id).await.map_err(|e| e.to_string());
                let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.remove(&id);
                sender.send_replace(Some(deal));
            });
            receiver
        };
        under_way.entry(id).or_insert_with(begin).clone()
    };
    let lost = || ShopError::Catalogue("the load was lost".to_owned());
    let seen = outcome.wait_for(Option::is_some).await;
    let outcome = seen.map_err(|_| lost())?.clone().ok_or_else(lost)?;
    outcome.map_err(ShopError::Catalogue)
}

async fn get_or_load(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let mut redis = shop.redis();
    let token = rand::random::<u64>().to_string();
    let options = SetOptions::default()
        .conditional_set(ExistenceCheck::NX)
        .with_expiration(SetExpiry::PX(shop.config.lock_ttl.as_millis() as u64));
    while AsyncTypedCommands::set_options(&mut redis, lock(id), &token, options.clone())
        .await?
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(json) = AsyncTypedCommands::get(&mut redis, key(id)).await? {
            return Ok(serde_json::from_str(&json)?);
        }
    }
    let deal = match AsyncTypedCommands::get(&mut redis, key(id)).await? {
        Some(json) => Ok(serde_json::from_str(&json)?),
        None => load(shop, id).await,
    };
    give_back(id, &token).await?;
    deal
}

async fn load(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let deal = shop.catalogue.deal(id).await?;
    let json = serde_json::to_string(&deal)?;
    let life = shop.config.deal_ttl.as_secs();
    AsyncTypedCommands::set_ex(&mut shop.redis(), key(id), json, life).await?;
    Ok(deal)
}

/// On a connection of its own: WATCH is about a connection, and the shop's is shared.
async fn give_back(id: u64, token: &str) -> Result<(), ShopError> {
    let url = std::env::var("REDIS_URL").unwrap_or_default();
    let client = redis::Client::open(url)?;
    // Its own half second would turn a slow Redis into an error.
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(60)));
    let mut own = client.get_multiplexed_async_connection_with_config(&patient).await?;
    let _: () = redis::cmd("WATCH").arg(lock(id)).query_async(&mut own).await?;
    let held: Option<String> = AsyncCommands::get(&mut own, lock(id)).await?;
    if held.as_deref() == Some(token) {
        let mut end = redis::pipe();
        end.atomic().del(lock(id)).ignore();
        let _: Option<()> = end.query_async(&mut own).await?;
    }
    Ok(())
}

fn key(id: u64) -> String {
    format!("deal:{id}")
}

fn lock(id: u64) -> String {
    format!("lock:{{{id}}}")
}
