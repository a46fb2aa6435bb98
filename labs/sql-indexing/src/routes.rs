//! The doors of the desk: one route each for the Rust exercises, nothing shared behind them.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{DeskError, Slip};
use crate::{keyset_pages, packing_slips};

/// What a page has where nobody says otherwise, and what it has at most.
const USUAL: i64 = 20;
const MOST: i64 = 1000;

/// All routes, over one pool of connections.
pub fn of(pool: PgPool) -> Router {
    Router::new()
        .route("/health", get(async || StatusCode::NO_CONTENT))
        .route("/orders", get(orders))
        .route("/slips", post(slips))
        .with_state(pool)
}

#[derive(Deserialize)]
struct Asked {
    after: Option<String>,
    limit: Option<i64>,
}

async fn orders(
    State(pool): State<PgPool>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, DeskError> {
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(DeskError::BadRequest("limit is 1 to 1000"));
    }
    // To a client a cursor is a text without meaning.
    let after = match asked.after {
        Some(text) => Some(
            serde_json::from_str(&text)
                .map_err(|_| DeskError::BadRequest("after is no cursor of ours"))?,
        ),
        None => None,
    };
    let page = keyset_pages::page(&pool, after, limit).await?;
    let next = page.next.map(|cursor| json!(cursor).to_string());
    Ok(Json(json!({ "orders": page.orders, "next": next })))
}

#[derive(Deserialize)]
struct Wanted {
    refs: Vec<String>,
}

async fn slips(
    State(pool): State<PgPool>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Vec<Slip>>, DeskError> {
    Ok(Json(packing_slips::slips(&pool, &wanted.refs).await?))
}
