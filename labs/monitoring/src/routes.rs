//! The doors of the shop: three parts of it, and for each of them the page that Prometheus
//! reads.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt as _;
use prometheus::Registry;

use crate::shop::{Shop, exposition};
use crate::{checkout, pages, search};

/// All routes, over one shop.
pub fn of(shop: Shop) -> Router {
    Router::new()
        .route("/", get(async || StatusCode::NO_CONTENT))
        .route("/health", get(async || StatusCode::NO_CONTENT))
        .route(
            "/metrics/checkout",
            get(async |State(shop): State<Shop>| text(shop.checkout_metrics().registry())),
        )
        .route(
            "/metrics/pages",
            get(async |State(shop): State<Shop>| text(shop.page_metrics().registry())),
        )
        .route(
            "/metrics/search",
            get(async |State(shop): State<Shop>| text(shop.search_metrics().registry())),
        )
        .merge(checkout::routes(&shop))
        .merge(search::routes())
        // All that is not listed above belongs to the pages.
        .fallback_service(pages::routes(&shop))
        .layer(middleware::from_fn(answer_panics))
        .with_state(shop)
}

fn text(registry: &Registry) -> Response {
    let kind = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    (kind, exposition(registry)).into_response()
}

/// A handler that panics costs its caller a 500, and nobody else anything.
async fn answer_panics(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
