//! Exercise 5: idempotency keys.

use crate::prelude::*;

/// The route of payments.
pub fn routes() -> Router<Shop> {
    Router::new().route("/payments", post(pay))
}

/// What a client wants to pay.
#[derive(Debug, Deserialize)]
struct Payment {
    order: String,
    cents: i64,
}

/// Charges, once for each key of each caller, however often and to whomever it is sent.
async fn pay(
    State(shop): State<Shop>,
    caller: Caller,
    headers: HeaderMap,
    Json(payment): Json<Payment>,
) -> Result<Response, Fault> {
    let _ = (shop, caller, headers, payment);
    todo!("what has to be known before the money moves, and what if you die right then?")
}
