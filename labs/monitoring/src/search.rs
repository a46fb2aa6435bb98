//! The search: asks the index, and says how long that took. Measured by exercise 3.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;

use crate::shop::Shop;

/// The one route of the search.
pub fn routes() -> Router<Shop> {
    Router::new().route("/search", get(search))
}

async fn search(State(shop): State<Shop>, RawQuery(query): RawQuery) -> Result<String, StatusCode> {
    let began = shop.clock.now();
    let path = format!("/hits?{}", query.unwrap_or_default());
    let answer = shop.index.ask("GET", &path).await;
    shop.search_metrics().answered(shop.clock.now() - began);
    match answer {
        Some((StatusCode::OK, hits)) => Ok(hits),
        _ => Err(StatusCode::BAD_GATEWAY),
    }
}
