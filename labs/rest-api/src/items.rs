//! Exercise 1: CRUD semantics.

use crate::prelude::*;

/// The routes of items: the collection `/items`, and each item at `/items/{id}`.
///
/// What each method does and answers stands in the brief. A method that a route does not have
/// is a 405 that names those it has.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/items", any(items))
        .route("/items/{id}", any(item))
}

async fn items(State(_shop): State<Shop>) -> StatusCode {
    todo!("which methods has the collection, and what does each answer?")
}

async fn item(State(_shop): State<Shop>) -> StatusCode {
    todo!("which methods has an item, and what does each answer?")
}
