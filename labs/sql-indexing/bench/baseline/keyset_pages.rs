//! What the benchmark is held against: pages by OFFSET.

use crate::prelude::*;

/// How many orders were shown already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    shown: i64,
}

/// The orders behind those that were shown.
pub async fn page(
    pool: &PgPool,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Page<Cursor>, DeskError> {
    let shown = after.map_or(0, |after| after.shown);
    let rows: Vec<(i64, String, String, i32)> = sqlx::query_as(
        "SELECT id, ref, created_at::text, total_cents FROM orders
         ORDER BY orders.created_at DESC, id DESC LIMIT $1 OFFSET $2",
    )
    .bind(limit)
    .bind(shown)
    .fetch_all(pool)
    .await?;
    let orders: Vec<Order> = rows
        .into_iter()
        .map(|(id, reference, created_at, total_cents)| Order {
            id,
            reference,
            created_at,
            total_cents,
        })
        .collect();
    let full = i64::try_from(orders.len()) == Ok(limit);
    let next = full.then_some(Cursor {
        shown: shown + limit,
    });
    Ok(Page { orders, next })
}
