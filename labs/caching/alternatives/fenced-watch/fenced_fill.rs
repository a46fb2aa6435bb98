//! Exercise 9: fenced fill.

use redis::aio::MultiplexedConnection;

use crate::prelude::*;

/// How much there is of a product. The reader watches the key from before the load on, on
/// a connection of its own; its fill is a transaction that any change breaks off.
pub async fn stock(shop: &Shop, id: u64) -> Result<Stock, ShopError> {
    if let Some(json) = shop.redis().get(key(id)).await? {
        return Ok(serde_json::from_str(&json)?);
    }
    let mut own = own_connection().await?;
    let _: () = redis::cmd("WATCH")
        .arg(fence(id))
        .query_async(&mut own)
        .await?;
    let stock = shop.catalogue.stock(id).await?;
    let json = serde_json::to_string(&stock)?;
    let life = shop.config.stock_ttl.as_secs();
    let mut fill = redis::pipe();
    fill.atomic().set_ex(key(id), json, life).ignore();
    // Nothing, where a change came between.
    let _: Option<()> = fill.query_async(&mut own).await?;
    Ok(stock)
}

/// Changes how much there is, and touches what readers watch.
pub async fn change_stock(shop: &Shop, id: u64, stock: Stock) -> Result<(), ShopError> {
    shop.catalogue.change_stock(id, stock).await?;
    let changed = rand::random::<u64>();
    let mut tell = redis::pipe();
    tell.atomic()
        .pset_ex(fence(id), changed, 60_000)
        .del(key(id));
    tell.exec_async(&mut shop.redis()).await?;
    Ok(())
}

async fn own_connection() -> Result<MultiplexedConnection, ShopError> {
    let url = std::env::var("REDIS_URL").unwrap_or_default();
    let client = redis::Client::open(url)?;
    // Its own half second would turn a slow Redis into an error.
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(60)));
    Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
}

fn key(id: u64) -> String {
    format!("stock:{id}")
}

fn fence(id: u64) -> String {
    format!("stock:{id}:changed")
}
