//! What the benchmark is held against: a shop without a cache.

use crate::prelude::*;

/// The product with this number, from the catalogue.
pub async fn product(shop: &Shop, id: u64) -> Result<Product, ShopError> {
    shop.catalogue.product(id).await
}
