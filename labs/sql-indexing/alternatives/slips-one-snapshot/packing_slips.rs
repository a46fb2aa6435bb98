//! Exercise 7: packing slips.

use crate::prelude::*;

/// A slip for each of these orders, in the order in which they are named; one that does not
/// exist is left out. The items of a slip come line by line, and an order may have none.
pub async fn slips(pool: &PgPool, refs: &[String]) -> Result<Vec<Slip>, DeskError> {
    // Both statements see one moment.
    let mut snapshot = pool.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *snapshot)
        .await?;
    let orders: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, ref, ship_to FROM orders WHERE ref IN (SELECT unnest($1::text[]))")
            .bind(refs)
            .fetch_all(&mut *snapshot)
            .await?;
    let ids: Vec<i64> = orders.iter().map(|(id, _, _)| *id).collect();
    let lines: Vec<(i64, String, i32)> = sqlx::query_as(
        "SELECT order_id, sku, quantity FROM order_items
         WHERE order_id = ANY($1) ORDER BY order_id, line",
    )
    .bind(&ids)
    .fetch_all(&mut *snapshot)
    .await?;
    snapshot.commit().await?;
    let mut items: HashMap<i64, Vec<Item>> = HashMap::new();
    for (order, sku, quantity) in lines {
        items.entry(order).or_default().push(Item { sku, quantity });
    }
    let mut found: HashMap<String, Slip> = HashMap::new();
    for (id, reference, ship_to) in orders {
        let slip = Slip {
            reference: reference.clone(),
            ship_to,
            items: items.remove(&id).unwrap_or_default(),
        };
        found.insert(reference, slip);
    }
    let in_order = refs.iter().filter_map(|reference| found.remove(reference));
    Ok(in_order.collect())
}
