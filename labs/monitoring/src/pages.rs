//! The pages of the shop, and all that is asked for and is none. Measured by exercise 2.

use std::convert::Infallible;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use crate::cardinality;
use crate::shop::Shop;

/// How many products there are: 1 to this.
const PRODUCTS: u64 = 100_000;

/// The route that a request has matched, as it is written in the router: `/products/{id}`. It is an
/// extension of each request that has matched one. (axum has its own, `MatchedPath`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template(pub &'static str);

/// The pages, each request to which is measured, also one that no route matches.
pub fn routes(shop: &Shop) -> Router {
    let measured = || middleware::from_fn_with_state(shop.clone(), measured);
    let mut router = Router::new();
    for (template, methods) in [
        ("/products/{id}", get(product)),
        ("/customers/{id}/orders", get(orders)),
        ("/orders", post(async || StatusCode::CREATED)),
    ] {
        // The last one is the outermost: `measured` has to find the template.
        let methods = methods
            .layer::<_, Infallible>(measured())
            .layer::<_, Infallible>(Extension(Template(template)));
        router = router.route(template, methods);
    }
    let missing = Router::new()
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(measured());
    router.fallback_service(missing)
}

async fn measured(State(shop): State<Shop>, request: Request, next: Next) -> Response {
    cardinality::record(shop.page_metrics(), request, next).await
}

async fn product(Path(id): Path<u64>) -> Result<String, StatusCode> {
    match id {
        1..=PRODUCTS => Ok(format!("product {id}")),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn orders(Path(id): Path<u64>) -> String {
    format!("the orders of customer {id}")
}
