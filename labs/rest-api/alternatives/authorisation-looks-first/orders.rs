//! Exercise 6: object authorisation.

use crate::prelude::*;

// A colleague wrote these routes, and tested them with one user. `$1` is what the request asks
// for and `$2` the number of whoever asks, in all of them.

const ALL: &str = "SELECT id, user_id, note, state FROM orders
    WHERE $1::bigint IS NULL AND user_id = $2 ORDER BY id";
const ONE: &str = "SELECT id, user_id, note, state FROM orders WHERE id = $1 AND user_id = $2";
const CHANGE: &str = "UPDATE orders SET note = $3
    WHERE id = $1 AND user_id = $2 RETURNING id, user_id, note, state";
const DELETE_LINES: &str = "DELETE FROM order_lines
    WHERE order_id = (SELECT id FROM orders WHERE id = $1 AND user_id = $2)";
const DELETE: &str = "DELETE FROM orders WHERE id = $1 AND user_id = $2";
const LINE: &str = "SELECT id, order_id, product, quantity FROM order_lines
    WHERE id = $1 AND order_id = (SELECT id FROM orders WHERE user_id = $2 AND id = $3)";
const CHANGE_LINE: &str = "UPDATE order_lines AS l SET quantity = $4 FROM orders AS o
    WHERE o.id = l.order_id AND l.id = $1 AND o.user_id = $2 AND o.id = $3
    RETURNING l.id, l.order_id, l.product, l.quantity";
const CANCEL: &str = "UPDATE orders SET state = 'cancelled' WHERE id = ANY($1) AND user_id = $2";
const MOVE_LINES: &str = "UPDATE order_lines SET order_id = $3
    WHERE order_id = (SELECT id FROM orders WHERE id = $1 AND user_id = $2)
    AND EXISTS (SELECT 1 FROM orders WHERE id = $3 AND user_id = $2)";

/// The routes of orders, and of whoever calls.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/me", get(me).patch(change_me))
        .route("/orders", get(all))
        .route("/orders/cancel", post(cancel))
        .route("/orders/merge", post(merge))
        .route("/orders/{id}", get(one).patch(change).delete(remove))
        .route("/orders/{id}/lines/{line}", get(line).patch(change_line))
}

async fn all(State(shop): State<Shop>, caller: Caller) -> Result<Json<Value>, Fault> {
    let orders: Vec<Order> = sqlx::query_as(ALL)
        .bind(None::<i64>)
        .bind(caller.user_id)
        .fetch_all(&shop.pool)
        .await?;
    Ok(Json(json!({ "orders": orders })))
}

async fn one(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Order>, Fault> {
    let order = sqlx::query_as(ONE)
        .bind(id)
        .bind(caller.user_id)
        .fetch_optional(&shop.pool)
        .await?;
    order.map(Json).ok_or(Fault::NotFound)
}

/// What a client may change of an order.
#[derive(Debug, Deserialize)]
struct Note {
    note: String,
}

async fn change(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(change): Json<Note>,
) -> Result<Json<Order>, Fault> {
    let order = sqlx::query_as(CHANGE)
        .bind(id)
        .bind(caller.user_id)
        .bind(change.note)
        .fetch_optional(&shop.pool)
        .await?;
    order.map(Json).ok_or(Fault::NotFound)
}

async fn remove(
    State(shop): State<Shop>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Fault> {
    let mut transaction = shop.pool.begin().await?;
    sqlx::query(DELETE_LINES)
        .bind(id)
        .bind(caller.user_id)
        .execute(&mut *transaction)
        .await?;
    let gone = sqlx::query(DELETE)
        .bind(id)
        .bind(caller.user_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    match gone.rows_affected() {
        0 => Err(Fault::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

async fn line(
    State(shop): State<Shop>,
    caller: Caller,
    Path((order, line)): Path<(i64, i64)>,
) -> Result<Json<Line>, Fault> {
    let line = sqlx::query_as(LINE)
        .bind(line)
        .bind(caller.user_id)
        .bind(order)
        .fetch_optional(&shop.pool)
        .await?;
    line.map(Json).ok_or(Fault::NotFound)
}

/// What a client may change of a line.
#[derive(Debug, Deserialize)]
struct Quantity {
    quantity: i64,
}

async fn change_line(
    State(shop): State<Shop>,
    caller: Caller,
    Path((order, line)): Path<(i64, i64)>,
    Json(change): Json<Quantity>,
) -> Result<Json<Line>, Fault> {
    let line = sqlx::query_as(CHANGE_LINE)
        .bind(line)
        .bind(caller.user_id)
        .bind(order)
        .bind(change.quantity)
        .fetch_optional(&shop.pool)
        .await?;
    line.map(Json).ok_or(Fault::NotFound)
}

/// Several orders.
#[derive(Debug, Deserialize)]
struct These {
    ids: Vec<i64>,
}

/// Cancels all of them, or none.
async fn cancel(
    State(shop): State<Shop>,
    caller: Caller,
    Json(these): Json<These>,
) -> Result<StatusCode, Fault> {
    let mut transaction = shop.pool.begin().await?;
    for id in &these.ids {
        let own = sqlx::query(ONE)
            .bind(id)
            .bind(caller.user_id)
            .fetch_optional(&mut *transaction)
            .await?;
        own.ok_or(Fault::NotFound)?;
    }
    let done = sqlx::query(CANCEL)
        .bind(&these.ids)
        .bind(caller.user_id)
        .execute(&mut *transaction)
        .await?;
    let asked: std::collections::BTreeSet<i64> = these.ids.into_iter().collect();
    if usize::try_from(done.rows_affected()) != Ok(asked.len()) {
        return Err(Fault::NotFound);
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Two orders.
#[derive(Debug, Deserialize)]
struct Two {
    from: i64,
    into: i64,
}

/// Moves the lines of one order into another, and deletes the one that is empty then.
async fn merge(
    State(shop): State<Shop>,
    caller: Caller,
    Json(two): Json<Two>,
) -> Result<StatusCode, Fault> {
    if two.from == two.into {
        let why = "these are one order";
        return Err(Fault::Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let mut transaction = shop.pool.begin().await?;
    for id in [two.from, two.into] {
        let own = sqlx::query(ONE)
            .bind(id)
            .bind(caller.user_id)
            .fetch_optional(&mut *transaction)
            .await?;
        own.ok_or(Fault::NotFound)?;
    }
    sqlx::query(MOVE_LINES)
        .bind(two.from)
        .bind(caller.user_id)
        .bind(two.into)
        .execute(&mut *transaction)
        .await?;
    let gone = sqlx::query(DELETE)
        .bind(two.from)
        .bind(caller.user_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    match gone.rows_affected() {
        0 => Err(Fault::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

async fn me(State(shop): State<Shop>, caller: Caller) -> Result<Json<User>, Fault> {
    let user = sqlx::query_as("SELECT id, name, role FROM users WHERE id = $1")
        .bind(caller.user_id)
        .fetch_one(&shop.pool)
        .await?;
    Ok(Json(user))
}

/// What a client may change of a user.
#[derive(Debug, Deserialize)]
struct Profile {
    name: Option<String>,
}

async fn change_me(
    State(shop): State<Shop>,
    caller: Caller,
    Json(profile): Json<Profile>,
) -> Result<Json<User>, Fault> {
    let update = "UPDATE users SET name = coalesce($2, name) WHERE id = $1
                  RETURNING id, name, role";
    let user = sqlx::query_as(update)
        .bind(caller.user_id)
        .bind(profile.name)
        .fetch_optional(&shop.pool)
        .await?;
    user.map(Json).ok_or(Fault::NotFound)
}
