//! Exercise 1 with a hash: a field for each part of the product, written and given its
//! expiry in one transaction. A hash that does not read is a miss.

use std::collections::HashMap;

use crate::prelude::*;

/// The product with this number: from Redis if it is there, else from the catalogue.
pub async fn product(shop: &Shop, id: u64) -> Result<Product, ShopError> {
    let mut redis = shop.redis();
    let key = format!("products/{id}");
    let fields = redis.hgetall(&key).await?;
    if let Some(product) = from_fields(id, fields) {
        return Ok(product);
    }
    let product = shop.catalogue.product(id).await?;
    let seconds = i64::try_from(shop.config.product_ttl.as_secs()).unwrap_or(i64::MAX);
    let mut transaction = redis::pipe();
    transaction
        .atomic()
        .hset(&key, "name", &product.name)
        .hset(&key, "description", &product.description)
        .hset(&key, "stock", product.stock)
        .expire(&key, seconds);
    transaction.exec_async(&mut redis).await?;
    Ok(product)
}

fn from_fields(id: u64, mut fields: HashMap<String, String>) -> Option<Product> {
    Some(Product {
        id,
        name: fields.remove("name")?,
        description: fields.remove("description")?,
        stock: fields.remove("stock")?.parse().ok()?,
    })
}
