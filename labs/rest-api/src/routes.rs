//! The doors of the shop: what each exercise brings, the document that promises it, and the
//! net below all of it.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};

use crate::shop::Shop;
use crate::{customers, items, listing, net, orders, pages, payments};

/// What the API promises, in the form of OpenAPI 3.0.
const DOCUMENT: &str = include_str!("openapi.json");

/// All routes, over one shop.
pub fn of(shop: Shop) -> Router {
    Router::new()
        .route("/health", get(async || StatusCode::NO_CONTENT))
        .route("/openapi.json", get(document))
        .merge(items::routes())
        .merge(customers::routes())
        .merge(listing::routes())
        .merge(pages::routes())
        .merge(payments::routes())
        .merge(orders::routes())
        .layer(middleware::from_fn(net::catch))
        .with_state(shop)
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
