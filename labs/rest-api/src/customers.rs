//! Exercise 2: validation and problem details.

use axum::body::Bytes;

use crate::prelude::*;

/// The routes of customers.
///
/// Whatever goes wrong behind them is answered with problem details (RFC 9457): a body that is
/// nobody's fault names each wrong field, and a fault of ours names nothing.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/customers", post(create))
        .route("/customers/{id}", get(read))
}

/// What the brief calls a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Customer {
    name: String,
    email: String,
    birth_year: i64,
    address: Address,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Address {
    street: String,
    postcode: String,
    city: String,
}

/// All that a customer's client can be told.
#[derive(Debug)]
enum Problem {
    NotFound,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        todo!("which status, which title, and of which media type?")
    }
}

async fn create(
    State(shop): State<Shop>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let _ = (shop, headers, body);
    todo!("what may come in, and which answer tells the client most?")
}

async fn read(
    State(shop): State<Shop>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Problem> {
    let _ = (shop, id);
    todo!("and here?")
}
