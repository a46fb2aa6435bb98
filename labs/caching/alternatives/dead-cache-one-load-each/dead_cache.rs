//! Exercise 7: dead cache.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use crate::prelude::*;

type Load = Arc<OnceCell<Manual>>;

/// The loads under way in this instance.
static LOADS: LazyLock<Mutex<HashMap<u64, Load>>> = LazyLock::new(Mutex::default);
static PLACES: OnceLock<Semaphore> = OnceLock::new();

/// The manual with this number. Who misses while another loads the same one waits for that.
pub async fn manual(shop: &Shop, id: u64) -> Result<Manual, ShopError> {
    let key = format!("manual:{id}");
    let mut redis = shop.redis();
    if let Ok(Ok(Some(json))) = timeout(shop.config.redis_budget, redis.get(&key)).await {
        return Ok(serde_json::from_str(&json)?);
    }
    let load = Arc::clone(
        LOADS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(id)
            .or_default(),
    );
    load.get_or_try_init(|| fill(shop, id, &load))
        .await
        .cloned()
}

async fn fill(shop: &Shop, id: u64, load: &Load) -> Result<Manual, ShopError> {
    let places = PLACES.get_or_init(|| Semaphore::new(shop.config.origin_limit));
    let loaded = {
        let _place = places.acquire().await;
        shop.catalogue.manual(id).await
    };
    // Before Redis is told: who comes from here on has come too late for this load.
    over(id, load);
    let manual = loaded?;
    let json = serde_json::to_string(&manual)?;
    let life = shop.config.manual_ttl.as_secs();
    let mut redis = shop.redis();
    let keep = redis.set_ex(format!("manual:{id}"), json, life);
    let _ = timeout(shop.config.redis_budget, keep).await;
    Ok(manual)
}

/// From here on nobody joins this load any more.
fn over(id: u64, load: &Load) {
    let mut loads = LOADS.lock().unwrap_or_else(PoisonError::into_inner);
    if loads.get(&id).is_some_and(|other| Arc::ptr_eq(other, load)) {
        loads.remove(&id);
    }
}
