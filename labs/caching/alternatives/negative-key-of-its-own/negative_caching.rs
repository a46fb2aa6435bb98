//! Exercise 3 with two keys: one for a voucher, one for its absence, never both.

use crate::prelude::*;

/// The voucher behind a code, or `None` where there is none.
pub async fn find_voucher(shop: &Shop, code: &str) -> Result<Option<Voucher>, ShopError> {
    let (here, gone) = (format!("voucher:{code}"), format!("no-voucher:{code}"));
    let mut redis = shop.redis();
    let kept = redis.mget(&[&here, &gone][..]).await?;
    match kept.as_slice() {
        [Some(json), _] => return Ok(Some(serde_json::from_str(json)?)),
        [None, Some(_)] => return Ok(None),
        _ => {}
    }
    let found = shop.catalogue.voucher(code).await?;
    if let Some(voucher) = &found {
        let json = serde_json::to_string(voucher)?;
        let seconds = shop.config.voucher_ttl.as_secs();
        redis.set_ex(&here, json, seconds).await?;
    } else {
        let seconds = shop.config.negative_ttl.as_secs();
        redis.set_ex(&gone, "", seconds).await?;
    }
    Ok(found)
}

/// Creates the voucher in the catalogue.
pub async fn create_voucher(shop: &Shop, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
    shop.catalogue.create_voucher(code, voucher).await?;
    let keys = [format!("voucher:{code}"), format!("no-voucher:{code}")];
    shop.redis().unlink(&keys[..]).await?;
    Ok(())
}
