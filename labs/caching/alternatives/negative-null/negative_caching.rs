//! Exercise 3 with `null` for an absence, which JSON has a word for, and a creation that
//! writes the voucher through.

use crate::prelude::*;

/// The voucher behind a code, or `None` where there is none.
pub async fn find_voucher(shop: &Shop, code: &str) -> Result<Option<Voucher>, ShopError> {
    let kept = shop.redis().get(code).await?;
    if let Some(json) = kept {
        return Ok(serde_json::from_str(&json)?);
    }
    let found = shop.catalogue.voucher(code).await?;
    keep(shop, code, found.as_ref()).await?;
    Ok(found)
}

/// Creates the voucher in the catalogue.
pub async fn create_voucher(shop: &Shop, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
    shop.catalogue.create_voucher(code, voucher).await?;
    keep(shop, code, Some(voucher)).await
}

async fn keep(shop: &Shop, code: &str, voucher: Option<&Voucher>) -> Result<(), ShopError> {
    let life = match voucher {
        Some(_) => shop.config.voucher_ttl,
        None => shop.config.negative_ttl,
    };
    let options = SetOptions::default().with_expiration(SetExpiry::EX(life.as_secs()));
    let json = serde_json::to_string(&voucher)?;
    shop.redis().set_options(code, json, options).await?;
    Ok(())
}
