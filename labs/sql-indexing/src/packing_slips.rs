//! Exercise 7: packing slips.

use crate::prelude::*;

/// A slip for each of these orders, in the order in which they are named; one that does not
/// exist is left out. The items of a slip come line by line, and an order may have none.
pub async fn slips(pool: &PgPool, refs: &[String]) -> Result<Vec<Slip>, DeskError> {
    let _ = (pool, refs); // delete with the line below
    todo!("how many questions are a hundred orders?")
}
