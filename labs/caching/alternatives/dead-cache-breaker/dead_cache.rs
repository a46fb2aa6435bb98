//! Exercise 7: dead cache.

use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::prelude::*;

/// How long a Redis that has failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// Until when nobody asks Redis.
static OPEN_UNTIL: LazyLock<Mutex<Option<Instant>>> = LazyLock::new(Mutex::default);
static PLACES: OnceLock<Semaphore> = OnceLock::new();

/// The manual with this number. A circuit breaker: after a failure Redis is left alone for
/// a second, so that only few readers pay the budget.
pub async fn manual(shop: &Shop, id: u64) -> Result<Manual, ShopError> {
    let key = format!("manual:{id}");
    let kept = asked(shop, redis::cmd("GET").arg(&key)).await;
    if let Some(redis::Value::BulkString(json)) = kept {
        return Ok(serde_json::from_slice(&json)?);
    }
    let places = PLACES.get_or_init(|| Semaphore::new(shop.config.origin_limit));
    let place = places.acquire().await;
    let manual = shop.catalogue.manual(id).await?;
    drop(place);
    let mut keep = redis::cmd("SET");
    keep.arg(&key).arg(serde_json::to_string(&manual)?);
    keep.arg("EX").arg(shop.config.manual_ttl.as_secs());
    asked(shop, &keep).await;
    Ok(manual)
}

async fn asked(shop: &Shop, question: &redis::Cmd) -> Option<redis::Value> {
    let open_until = *OPEN_UNTIL.lock().unwrap_or_else(PoisonError::into_inner);
    if open_until.is_some_and(|until| Instant::now() < until) {
        return None;
    }
    let mut redis = shop.redis();
    let answer = tokio::select! {
        answer = question.query_async(&mut redis) => answer.ok(),
        () = tokio::time::sleep(shop.config.redis_budget) => None,
    };
    if answer.is_none() {
        let until = Instant::now() + LEFT_ALONE;
        *OPEN_UNTIL.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
    answer
}
