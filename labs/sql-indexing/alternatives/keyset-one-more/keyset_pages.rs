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
    let (moment, id) = match &after {
        Some(last) => (last.created_at.as_str(), last.id),
        None => ("infinity", i64::MAX),
    };
    // One more than is shown: is there a next page?
    let rows: Vec<(i64, String, String, i32)> = sqlx::query_as(
        "SELECT id, ref, created_at::text, total_cents FROM orders
         WHERE ROW(created_at, id) < ROW($1::timestamptz, $2)
         ORDER BY orders.created_at DESC, id DESC FETCH FIRST ($3 + 1) ROWS ONLY",
    )
    .bind(moment)
    .bind(id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let shown = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > shown;
    let orders: Vec<Order> = rows
        .into_iter()
        .take(shown)
        .map(|(id, reference, created_at, total_cents)| Order {
            id,
            reference,
            created_at,
            total_cents,
        })
        .collect();
    let next = orders.last().filter(|_| more).map(|last| Cursor {
        created_at: last.created_at.clone(),
        id: last.id,
    });
    Ok(Page { orders, next })
}
