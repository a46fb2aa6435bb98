//! Exercise 6 with a bell: who waits reads a stream that is written to when a load is over. The
//! callers of one instance share a flight, and the lock is ended by WATCH and EXEC on a connection
//! that nobody shares.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::prelude::*;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

type Told = Option<Result<Deal, Failure>>;

#[derive(Clone)]
enum Failure {
    NotFound,
    Catalogue(String),
}

static FLIGHTS: Mutex<Option<HashMap<u64, watch::Receiver<Told>>>> = Mutex::new(None);

fn landed(id: u64) {
    let mut flights = FLIGHTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(flights) = flights.as_mut() {
        flights.remove(&id);
    }
}

/// The deal with this number. The flight goes on whoever hangs up.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let mut flight = {
        let mut flights = FLIGHTS.lock().unwrap_or_else(PoisonError::into_inner);
        let flights = flights.get_or_insert_default();
        match flights.get(&id) {
            Some(flight) => flight.clone(),
            None => {
                let (tell, told) = watch::channel(None);
                flights.insert(id, told.clone());
                let shop = shop.clone();
                tokio::spawn(async move {
                    let result = fetch(&shop, id).await.map_err(|error| match error {
                        ShopError::NotFound => Failure::NotFound,
                        other => Failure::Catalogue(other.to_string()),
                    });
                    landed(id);
                    let _ = tell.send(Some(result));
                });
                told
            }
        }
    };
    let told = flight
        .wait_for(Option::is_some)
        .await
        .map(|told| told.clone());
    match told {
        Ok(Some(Ok(deal))) => Ok(deal),
        Ok(Some(Err(Failure::NotFound))) => Err(ShopError::NotFound),
        Ok(Some(Err(Failure::Catalogue(reason)))) => Err(ShopError::Catalogue(reason)),
        Ok(None) | Err(_) => Err(ShopError::Catalogue("the load broke off".to_owned())),
    }
}

async fn own() -> Result<MultiplexedConnection, ShopError> {
    let url = std::env::var("REDIS_URL").unwrap_or_default();
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(60)));
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

async fn fetch(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    let key = format!("d:{id}");
    let lock = format!("d:{id}:lock");
    let bell = format!("d:{id}:bell");
    let life = u64::try_from(shop.config.lock_ttl.as_millis()).unwrap_or(u64::MAX);
    let mut redis = shop.redis();
    let mut waiting: Option<MultiplexedConnection> = None;
    loop {
        if let Some(json) = redis.get(&key).await? {
            return Ok(serde_json::from_str(&json)?);
        }
        let token = format!("{:032x}", rand::random::<u128>());
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(life));
        if redis.set_options(&lock, &token, options).await?.is_some() {
            let result = under_lock(shop, id, &key).await;
            end(&lock, &token, &bell).await?;
            return result;
        }
        if waiting.is_none() {
            waiting = Some(own().await?);
        }
        if let Some(connection) = waiting.as_mut() {
            // Rings when a load is over; at the latest in a second one looks again.
            let _: redis::Value = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(1_000)
                .arg("STREAMS")
                .arg(&bell)
                .arg("$")
                .query_async(connection)
                .await?;
        }
    }
}

async fn under_lock(shop: &Shop, id: u64, key: &str) -> Result<Deal, ShopError> {
    let mut redis = shop.redis();
    if let Some(json) = redis.get(key).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let deal = shop.catalogue.deal(id).await?;
    redis
        .set_ex(
            key,
            serde_json::to_string(&deal)?,
            shop.config.deal_ttl.as_secs(),
        )
        .await?;
    Ok(deal)
}

async fn end(lock: &str, token: &str, bell: &str) -> Result<(), ShopError> {
    let mut mine = own().await?;
    redis::cmd("WATCH").arg(lock).exec_async(&mut mine).await?;
    let mut last = redis::pipe();
    last.atomic();
    if mine.get(lock).await?.as_deref() == Some(token) {
        last.del(lock).ignore();
    }
    last.cmd("XADD")
        .arg(bell)
        .arg("MAXLEN")
        .arg(1)
        .arg("*")
        .arg("over")
        .arg(1)
        .ignore();
    last.pexpire(bell, 2_000).ignore();
    // `None`: the lock ended meanwhile, and it is not ours any more.
    let _: Option<()> = last.query_async(&mut mine).await?;
    Ok(())
}
