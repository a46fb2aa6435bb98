//! Exercise 2 with two deletions: one before the commit, which is not needed, and the one
//! that is.

use crate::prelude::*;

/// Changes the price of a product in the catalogue.
pub async fn update_price(shop: &Shop, id: u64, price: Price) -> Result<(), ShopError> {
    let key = format!("price:{id}");
    shop.redis().unlink(&key).await?;
    shop.catalogue.change_price(id, price).await?;
    shop.redis().unlink(&key).await?;
    Ok(())
}
