//! Exercise 7: packing slips.

use crate::prelude::*;

/// A slip for each of these orders, in the order in which they are named; one that does not
/// exist is left out. The items of a slip come line by line, and an order may have none.
pub async fn slips(pool: &PgPool, refs: &[String]) -> Result<Vec<Slip>, DeskError> {
    let rows: Vec<(String, String, Option<String>, Option<i32>)> = sqlx::query_as(
        "SELECT ref, ship_to, sku, quantity
         FROM unnest($1::text[]) WITH ORDINALITY AS wanted (ref, place)
         JOIN orders USING (ref)
         LEFT JOIN order_items ON order_id = orders.id
         ORDER BY place, line",
    )
    .bind(refs)
    .fetch_all(pool)
    .await?;
    let mut slips: Vec<Slip> = Vec::new();
    for (reference, ship_to, sku, quantity) in rows {
        if slips.last().is_none_or(|last| last.reference != reference) {
            slips.push(Slip {
                reference,
                ship_to,
                items: Vec::new(),
            });
        }
        if let (Some(slip), Some(sku), Some(quantity)) = (slips.last_mut(), sku, quantity) {
            slip.items.push(Item { sku, quantity });
        }
    }
    Ok(slips)
}
