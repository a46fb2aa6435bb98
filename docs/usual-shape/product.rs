//! What a learner would write: cache-aside reads, linked into the binary that judges them.

use redis::AsyncTypedCommands as _;

use crate::{Catalogue, Product};

/// The product with this number: from Redis if it is there, else from the catalogue.
pub(crate) async fn product(
    redis: &mut redis::aio::MultiplexedConnection,
    catalogue: &Catalogue,
    id: u64,
) -> redis::RedisResult<Product> {
    let key = format!("product:{id}");
    if let Some(json) = redis.get(&key).await?
        && let Ok(product) = serde_json::from_str(&json)
    {
        return Ok(product);
    }
    let product = catalogue.product(id).await;
    let json = serde_json::json!(product).to_string();
    redis.set_ex(&key, json, 600).await?;
    Ok(product)
}
