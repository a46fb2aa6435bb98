//! Exercise 1: CRUD semantics.

use crate::prelude::*;

/// The routes of items: the collection `/items`, and each item at `/items/{id}`.
///
/// What each method does and answers stands in the brief. A method that a route does not have
/// is a 405 that names those it has.
pub fn routes() -> Router<Shop> {
    // BEGIN PROMPT
    // Router::new()
    //     .route("/items", any(items))
    //     .route("/items/{id}", any(item))
    // END PROMPT
    // BEGIN SOLUTION
    Router::new()
        .route("/items", post(create))
        .route("/items/{id}", get(read).put(replace).delete(remove))
    // END SOLUTION
}
// BEGIN PROMPT
//
// async fn items(State(_shop): State<Shop>) -> StatusCode {
//     todo!("which methods has the collection, and what does each answer?")
// }
//
// async fn item(State(_shop): State<Shop>) -> StatusCode {
//     todo!("which methods has an item, and what does each answer?")
// }
// END PROMPT
// BEGIN SOLUTION

async fn create(
    State(shop): State<Shop>,
    Json(new): Json<NewItem>,
) -> Result<impl IntoResponse, Fault> {
    let insert = "INSERT INTO items (name, cents) VALUES ($1, $2) RETURNING id, name, cents";
    let item: Item = sqlx::query_as(insert)
        .bind(new.name)
        .bind(new.cents)
        .fetch_one(&shop.pool)
        .await?;
    let location = format!("/items/{}", item.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(item),
    ))
}

async fn read(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<Json<Item>, Fault> {
    let item = sqlx::query_as("SELECT id, name, cents FROM items WHERE id = $1")
        .bind(id)
        .fetch_optional(&shop.pool)
        .await?;
    item.map(Json).ok_or(Fault::NotFound)
}

async fn replace(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
    Json(new): Json<NewItem>,
) -> Result<Json<Item>, Fault> {
    let update = "UPDATE items SET name = $2, cents = $3 WHERE id = $1 RETURNING id, name, cents";
    let item = sqlx::query_as(update)
        .bind(id)
        .bind(new.name)
        .bind(new.cents)
        .fetch_optional(&shop.pool)
        .await?;
    item.map(Json).ok_or(Fault::NotFound)
}

async fn remove(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<StatusCode, Fault> {
    let done = sqlx::query("DELETE FROM items WHERE id = $1")
        .bind(id)
        .execute(&shop.pool)
        .await?;
    match done.rows_affected() {
        0 => Err(Fault::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
// END SOLUTION
