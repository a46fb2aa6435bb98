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
    let key = key_of(&headers)?;
    if payment.order.contains('\0') {
        // Nothing is charged that cannot be written down.
        let why = "this cannot be stored";
        return Err(Fault::Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let fingerprint = fingerprint_of(&payment);
    let mut transaction = shop.pool.begin().await?;
    // Whoever has the same key under way is waited for.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ':' || $2, 0))";
    sqlx::query(lock)
        .bind(caller.user_id)
        .bind(key)
        .execute(&mut *transaction)
        .await?;
    let claim = "INSERT INTO idempotency_keys (user_id, key, fingerprint) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, key) DO NOTHING";
    let claimed = sqlx::query(claim)
        .bind(caller.user_id)
        .bind(key)
        .bind(&fingerprint)
        .execute(&mut *transaction)
        .await?;
    if claimed.rows_affected() == 0 {
        let select =
            "SELECT fingerprint, answer FROM idempotency_keys WHERE user_id = $1 AND key = $2";
        let (first, answer): (String, Option<String>) = sqlx::query_as(select)
            .bind(caller.user_id)
            .bind(key)
            .fetch_one(&mut *transaction)
            .await?;
        return match answer {
            _ if first != fingerprint => Err(Fault::Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this key was used for another payment",
            )),
            Some(answer) => Ok(created(answer)),
            None => Err(Fault::Refused(StatusCode::CONFLICT, "it is under way")),
        };
    }
    let charge = Charge {
        order: &payment.order,
        cents: payment.cents,
    };
    // The same for each try, whoever makes it, and nobody else's.
    let passed_on = format!("{}:{key}", caller.user_id);
    let charged = shop.provider.charge(&charge, Some(&passed_on)).await?;
    let insert = "INSERT INTO payments (user_id, order_name, cents, charge)
                  VALUES ($1, $2, $3, $4) RETURNING id";
    let id: i64 = sqlx::query_scalar(insert)
        .bind(caller.user_id)
        .bind(&payment.order)
        .bind(payment.cents)
        .bind(&charged)
        .fetch_one(&mut *transaction)
        .await?;
    let answer = json!({
        "id": id,
        "order": payment.order,
        "cents": payment.cents,
        "charge": charged,
    });
    let answer = answer.to_string();
    sqlx::query("UPDATE idempotency_keys SET answer = $3 WHERE user_id = $1 AND key = $2")
        .bind(caller.user_id)
        .bind(key)
        .bind(&answer)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(created(answer))
}

fn key_of(headers: &HeaderMap) -> Result<&str, Fault> {
    let key = headers.get("idempotency-key");
    let key = key.and_then(|value| value.to_str().ok());
    key.filter(|key| !key.is_empty()).ok_or(Fault::Refused(
        StatusCode::BAD_REQUEST,
        "say which payment this is: Idempotency-Key",
    ))
}

fn fingerprint_of(payment: &Payment) -> String {
    let whole = format!("{:?}", payment);
    let hash = Sha256::digest(whole.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn created(answer: String) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::CREATED, json, answer).into_response()
}
