//! Exercise 6: pages by key.

use crate::prelude::*;

/// The last order that was shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    created_at: String,
    id: i64,
}

type Row = (i64, String, String, i32);

/// The latest orders first; on the first page both bounds are NULL.
pub async fn page(
    pool: &PgPool,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Page<Cursor>, DeskError> {
    let (moment, id) = after.map(|cursor| (cursor.created_at, cursor.id)).unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, ref, created_at::text, total_cents FROM orders
         WHERE (created_at, id) < (coalesce($1, 'infinity')::timestamptz, coalesce($2, 0))
         ORDER BY orders.created_at DESC, orders.id DESC LIMIT $3",
    )
    .bind(moment)
    .bind(id)
    .bind(limit)
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
    let next = (orders.len() as i64 >= limit)
        .then(|| orders.last())
        .flatten()
        .map(|last| Cursor {
            created_at: last.created_at.clone(),
            id: last.id,
        });
    Ok(Page { orders, next })
}
