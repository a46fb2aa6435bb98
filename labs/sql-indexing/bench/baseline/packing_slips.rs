//! What the benchmark is held against: one question for each order, and one for its items.

use crate::prelude::*;

/// A slip for each of these orders, one after the other.
pub async fn slips(pool: &PgPool, refs: &[String]) -> Result<Vec<Slip>, DeskError> {
    let mut slips = Vec::new();
    for reference in refs {
        let order: Option<(i64, String)> =
            sqlx::query_as("SELECT id, ship_to FROM orders WHERE ref = $1")
                .bind(reference)
                .fetch_optional(pool)
                .await?;
        let Some((id, ship_to)) = order else {
            continue;
        };
        let lines: Vec<(String, i32)> = sqlx::query_as(
            "SELECT sku, quantity FROM order_items WHERE order_id = $1 ORDER BY line",
        )
        .bind(id)
        .fetch_all(pool)
        .await?;
        let items = lines.into_iter();
        slips.push(Slip {
            reference: reference.clone(),
            ship_to,
            items: items.map(|(sku, quantity)| Item { sku, quantity }).collect(),
        });
    }
    Ok(slips)
}
