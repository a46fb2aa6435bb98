//! What the benchmark is held against: a shop without a cache.

use crate::prelude::*;

/// The deal with this number, from the catalogue.
pub async fn deal(shop: &Shop, id: u64) -> Result<Deal, ShopError> {
    shop.catalogue.deal(id).await
}
