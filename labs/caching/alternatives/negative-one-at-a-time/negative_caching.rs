//! Exercise 3 with a lock for each code: in one instance a lookup waits until a creation of the
//! same code is over, and the other way round.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::prelude::*;

type Turn = Arc<tokio::sync::Mutex<()>>;

static TURNS: LazyLock<Mutex<HashMap<String, Turn>>> = LazyLock::new(Mutex::default);

async fn turn(code: &str) -> OwnedMutexGuard<()> {
    let turn = {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for those that are here only.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(code.to_owned()).or_default())
    };
    turn.lock_owned().await
}

/// The voucher behind a code, or `None` where there is none.
pub async fn find_voucher(shop: &Shop, code: &str) -> Result<Option<Voucher>, ShopError> {
    let _turn = turn(code).await;
    if let Some(json) = shop.redis().get(code).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let found = shop.catalogue.voucher(code).await?;
    let life = match found {
        Some(_) => shop.config.voucher_ttl,
        None => shop.config.negative_ttl,
    };
    let json = serde_json::to_string(&found)?;
    shop.redis().set_ex(code, json, life.as_secs()).await?;
    Ok(found)
}

/// Creates the voucher in the catalogue.
pub async fn create_voucher(shop: &Shop, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
    let _turn = turn(code).await;
    shop.catalogue.create_voucher(code, voucher).await?;
    shop.redis().del(code).await?;
    Ok(())
}
