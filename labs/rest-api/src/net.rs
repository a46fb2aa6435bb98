//! A safety net below all handlers: one that panics costs its own request and no more.
//!
//! Without it the server drops the connection, and the client hears nothing at all. The net
//! answers in its place, and says so in a header: a 500 that nobody wrote must not pass for
//! one that somebody did.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

/// Marks an answer that stands for a dropped connection, and says where the panic was.
const PANICKED: &str = "x-panicked";

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Lets [`catch`] know where a panic was; what is written to stderr stays as it is.
pub fn remember_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| at.to_string());
        PLACE.set(place.unwrap_or_default());
        usual(info);
    }));
}

/// Lays the net below a router and all that its requests pass.
pub fn below(router: Router) -> Router {
    router.layer(middleware::from_fn(catch))
}

/// Answers for a handler that panics.
async fn catch(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => {
            let place = PLACE.with_borrow(|place| HeaderValue::from_str(place));
            let place = place.unwrap_or(HeaderValue::from_static("somewhere"));
            (StatusCode::INTERNAL_SERVER_ERROR, [(PANICKED, place)]).into_response()
        }
    }
}
