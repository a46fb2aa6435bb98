//! Exercise 1: CRUD semantics.

use crate::prelude::*;

/// The routes of items: the collection `/items`, and each item at `/items/{id}`.
pub fn routes() -> Router<Shop> {
    let item = get(read).put(replace).delete(remove);
    Router::new()
        .route("/items", post(create))
        .route("/items/{id}", item)
}

async fn create(State(shop): State<Shop>, Json(new): Json<NewItem>) -> Result<Response, Fault> {
    let mut transaction = shop.pool.begin().await?;
    sqlx::query("INSERT INTO items (name, cents) VALUES ($1, $2)")
        .bind(new.name)
        .bind(new.cents)
        .execute(&mut *transaction)
        .await?;
    let number = "SELECT currval(pg_get_serial_sequence('items', 'id'))";
    let id: i64 = sqlx::query_scalar(number)
        .fetch_one(&mut *transaction)
        .await?;
    let item: Item = sqlx::query_as("SELECT * FROM items WHERE id = $1")
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let mut answer = (StatusCode::CREATED, Json(item)).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/items/{id}")) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

async fn read(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<Json<Item>, Fault> {
    let mut found: Vec<Item> = sqlx::query_as("SELECT * FROM items WHERE id = $1")
        .bind(id)
        .fetch_all(&shop.pool)
        .await?;
    found.pop().map(Json).ok_or(Fault::NotFound)
}

async fn replace(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
    Json(new): Json<NewItem>,
) -> Result<Json<Item>, Fault> {
    let mut transaction = shop.pool.begin().await?;
    let there = sqlx::query("SELECT id FROM items WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_none() {
        return Err(Fault::NotFound);
    }
    sqlx::query("UPDATE items SET (name, cents) = ($1, $2) WHERE id = $3")
        .bind(&new.name)
        .bind(new.cents)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Json(Item {
        id,
        name: new.name,
        cents: new.cents,
    }))
}

async fn remove(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<StatusCode, Fault> {
    let gone = sqlx::query("DELETE FROM items WHERE id = $1 RETURNING 1")
        .bind(id)
        .fetch_optional(&shop.pool)
        .await?;
    gone.map(|_| StatusCode::NO_CONTENT).ok_or(Fault::NotFound)
}
