//! The doors of the shop: what each exercise brings, and the document that promises it.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::shop::Shop;
use crate::{customers, images, items, listing, orders, pages, payments};

/// Whether the service is alive; whoever starts and ends it asks here.
pub const HEALTH: &str = "/health";

/// What the API promises, in the form of OpenAPI 3.0.
const DOCUMENT: &str = include_str!("openapi.json");

/// All routes, over one shop.
pub fn of(shop: Shop) -> Router {
    Router::new()
        .route(HEALTH, get(async || StatusCode::NO_CONTENT))
        .route("/openapi.json", get(document))
        .merge(items::routes())
        .merge(customers::routes())
        .merge(listing::routes())
        .merge(pages::routes())
        .merge(payments::routes())
        .merge(orders::routes())
        .merge(images::routes())
        .with_state(shop)
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
