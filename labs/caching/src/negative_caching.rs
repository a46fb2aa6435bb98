//! Exercise 3: negative caching.

use crate::prelude::*;

/// The voucher behind a code, or `None` where there is none
/// (`shop.catalogue.voucher` tells).
///
/// Both answers are kept in Redis: a voucher for `shop.config.voucher_ttl`, an absence for
/// `shop.config.negative_ttl`, however often it is asked for. A failure of the catalogue
/// is neither.
pub async fn find_voucher(shop: &Shop, code: &str) -> Result<Option<Voucher>, ShopError> {
    let _ = (shop, code); // delete with the line below
    todo!("what can Redis hold for a code that does not exist?")
}

/// Creates the voucher in the catalogue (`shop.catalogue.create_voucher`).
///
/// Once this returns `Ok`, the next lookup finds it, whatever was looked up before.
pub async fn create_voucher(shop: &Shop, code: &str, voucher: &Voucher) -> Result<(), ShopError> {
    let _ = (shop, code, voucher); // delete with the line below
    todo!("what may Redis still believe about this code?")
}
