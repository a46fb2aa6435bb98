//! The checkout: takes the money for a cart, and writes receipts. Measured by exercise 1.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::instrument;
use crate::shop::Shop;

/// The routes of the checkout, each request of which is measured.
pub fn routes(shop: &Shop) -> Router<Shop> {
    Router::new()
        .route("/checkout/{cart}", post(pay))
        .route("/checkout/{cart}/receipt", get(receipt))
        .layer(middleware::from_fn_with_state(shop.clone(), measured))
}

async fn measured(State(shop): State<Shop>, request: Request, next: Next) -> Response {
    instrument::record(shop.checkout_metrics(), &shop.clock, request, next).await
}

/// 200 when it is paid, 402 when the till refuses, 502 when the till fails.
async fn pay(State(shop): State<Shop>, Path(cart): Path<u64>) -> StatusCode {
    match shop.till.ask("POST", &format!("/charges/{cart}")).await {
        Some((StatusCode::OK, _)) => StatusCode::OK,
        Some((StatusCode::PAYMENT_REQUIRED, _)) => StatusCode::PAYMENT_REQUIRED,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// Panics for an empty cart, which is cart 0. That is for another team to mend.
async fn receipt(Path(cart): Path<u64>) -> String {
    let items: Vec<u64> = (1..=cart.min(10)).collect();
    format!("cart {cart}: {} articles, first {}", items.len(), items[0])
}
