//! Exercise 7: packing slips.

use crate::prelude::*;

#[derive(Deserialize)]
struct Printed {
    id: usize,
    to: String,
    items: Vec<(String, i32)>,
}

/// A slip for each of these orders: all of them in one value.
pub async fn slips(pool: &PgPool, refs: &[String]) -> Result<Vec<Slip>, DeskError> {
    let all: Option<String> = sqlx::query_scalar(
        "/* slips */
         SELECT json_agg(json_build_object('id', w.place, 'to', o.ship_to, 'items', coalesce((
                    SELECT json_agg(json_build_array(i.sku, i.quantity) ORDER BY i.line)
                    FROM order_items i WHERE i.order_id = o.id
                ), '[]')) ORDER BY w.place)::text
         FROM unnest($1) WITH ORDINALITY AS w (ref, place), orders o
         WHERE o.ref = w.ref",
    )
    .bind(refs)
    .fetch_one(pool)
    .await?;
    let printed: Vec<Printed> = match all {
        Some(json) => {
            serde_json::from_str(&json).map_err(|error| sqlx::Error::Decode(Box::new(error)))?
        }
        None => Vec::new(),
    };
    let slip = |one: Printed| Slip {
        reference: refs[one.id - 1].clone(),
        ship_to: one.to,
        items: one
            .items
            .into_iter()
            .map(|(sku, quantity)| Item { sku, quantity })
            .collect(),
    };
    Ok(printed.into_iter().map(slip).collect())
}
