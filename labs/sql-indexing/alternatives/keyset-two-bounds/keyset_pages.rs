//! Exercise 6: pages by key.

use crate::prelude::*;

/// Where a page ended, and the next one goes on. A client gets it as a text, and sends it back
/// as it is; what stands in it is yours to decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    created_at: String,
    id: i64,
}

/// The latest orders first, and those of one moment by id, the highest first: at most `limit`
/// of those that come after `after`, or of all where there is no `after`.
///
/// Whatever comes in between two pages: an order that was there before the first one is shown
/// once. `next` is none when there is nothing more.
pub async fn page(
    pool: &PgPool,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Page<Cursor>, DeskError> {
    let rows: Vec<(i64, String, String, i32)> = match &after {
        None => {
            sqlx::query_as(
                "SELECT id, ref, created_at::text, total_cents FROM orders
                 ORDER BY orders.created_at DESC, id DESC LIMIT $1",
            )
            .bind(limit)
            .fetch_all(pool)
            .await?
        }
        Some(last) => {
            sqlx::query_as(
                "SELECT id, ref, created_at::text, total_cents FROM orders
                 WHERE created_at <= $1::timestamptz AND (created_at < $1::timestamptz OR id < $2)
                 ORDER BY orders.created_at DESC, id DESC LIMIT $3",
            )
            .bind(&last.created_at)
            .bind(last.id)
            .bind(limit)
            .fetch_all(pool)
            .await?
        }
    };
    let orders: Vec<Order> = rows
        .into_iter()
        .map(|(id, reference, created_at, total_cents)| Order {
            id,
            reference,
            created_at,
            total_cents,
        })
        .collect();
    // A page that is not full is the last one.
    let full = i64::try_from(orders.len()) == Ok(limit);
    let next = orders.last().filter(|_| full).map(|last| Cursor {
        created_at: last.created_at.clone(),
        id: last.id,
    });
    Ok(Page { orders, next })
}
