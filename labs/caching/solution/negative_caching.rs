//! Exercise 3: negative caching.

use crate::prelude::*;

// BEGIN SOLUTION
/// What Redis holds for a code that the catalogue does not know. No JSON, so it cannot be
/// taken for a voucher.
const ABSENT: &str = "absent";

fn key(code: &str) -> String {
    format!("voucher:{code}")
}

// END SOLUTION
/// The voucher behind a code, or `None` where there is none
/// (`shop.catalogue.voucher` tells).
///
/// Both answers are kept in Redis: a voucher for `shop.config.voucher_ttl`, an absence for
/// `shop.config.negative_ttl`, however often it is asked for. A failure of the catalogue
/// is neither.
pub async fn find_voucher(shop: &Shop, code: &str) -> Result<Option<Voucher>, ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, code); // delete with the line below
    // todo!("what can Redis hold for a code that does not exist?")
    // END PROMPT
    // BEGIN SOLUTION
    let mut redis = shop.redis();
    match redis.get(key(code)).await?.as_deref() {
        Some(ABSENT) => return Ok(None),
        Some(json) => return Ok(Some(serde_json::from_str(json)?)),
        None => {}
    }
    let found = shop.catalogue.voucher(code).await?;
    let (value, life) = match &found {
        Some(voucher) => (serde_json::to_string(voucher)?, shop.config.voucher_ttl),
        None => (ABSENT.to_owned(), shop.config.negative_ttl),
    };
    redis.set_ex(key(code), value, life.as_secs()).await?;
    Ok(found)
    // END SOLUTION
}

/// Creates the voucher in the catalogue (`shop.catalogue.create_voucher`).
///
/// Once this returns `Ok`, the next lookup finds it, whatever was looked up before.
pub async fn create_voucher(shop: &Shop, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
    // BEGIN PROMPT
    // let _ = (shop, code, voucher); // delete with the line below
    // todo!("what may Redis still believe about this code?")
    // END PROMPT
    // BEGIN SOLUTION
    shop.catalogue.create_voucher(code, voucher).await?;
    shop.redis().del(key(code)).await?;
    Ok(())
    // END SOLUTION
}
