//! What the benchmark is held against: pages by OFFSET.

use crate::prelude::*;

/// The route of products.
pub fn routes() -> Router<Shop> {
    Router::new().route("/products", get(list))
}

#[derive(Debug, Deserialize)]
struct Wishes {
    q: Option<String>,
    limit: Option<i64>,
    /// How many products were shown already.
    cursor: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Products {
    items: Vec<Item>,
    next: Option<String>,
}

/// The products behind those that were shown, by name.
async fn list(
    State(shop): State<Shop>,
    Query(wishes): Query<Wishes>,
) -> Result<Json<Products>, Fault> {
    let shown = wishes.cursor.unwrap_or_default();
    let limit = wishes.limit.unwrap_or(20);
    let items: Vec<Item> = sqlx::query_as(
        "SELECT id, name, cents FROM products
         WHERE position(lower($1::text) IN lower(name)) > 0
         ORDER BY name, id LIMIT $2 OFFSET $3",
    )
    .bind(wishes.q.unwrap_or_default())
    .bind(limit)
    .bind(shown)
    .fetch_all(&shop.pool)
    .await?;
    let full = i64::try_from(items.len()) == Ok(limit);
    let next = full.then(|| (shown + limit).to_string());
    Ok(Json(Products { items, next }))
}
