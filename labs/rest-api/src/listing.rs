//! Exercise 3: list, filter, injection-proof.

use crate::prelude::*;

/// The route of products.
pub fn routes() -> Router<Shop> {
    Router::new().route("/products", get(list))
}

/// What a client may ask for, as it wrote it.
#[derive(Debug, Deserialize)]
struct Wishes {
    q: Option<String>,
    sort: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A page of products, and what leads to the next one.
#[derive(Debug, Serialize)]
struct Products {
    items: Vec<Item>,
    next: Option<String>,
}

/// One page.
///
/// What the client wrote reaches the database as values, or not at all.
async fn list(
    State(shop): State<Shop>,
    Query(wishes): Query<Wishes>,
) -> Result<Json<Products>, Fault> {
    let _ = (shop, wishes);
    todo!("which part of the statement may a client choose, and which are values?")
}
