//! Exercise 5: idempotency keys.

use crate::prelude::*;

/// The route of payments.
pub fn routes() -> Router<Shop> {
    Router::new().route("/payments", post(pay))
}

#[derive(Debug, Deserialize, Serialize)]
struct Payment {
    order: String,
    cents: i64,
}

/// A claim that is a second old is taken over: the provider sees to it that a charge happens
/// once, and the row is written by whoever comes first.
async fn pay(
    State(shop): State<Shop>,
    caller: Caller,
    headers: HeaderMap,
    Json(payment): Json<Payment>,
) -> Result<Response, Fault> {
    let key = headers.get("idempotency-key").map(HeaderValue::as_bytes);
    let key = match key.map(std::str::from_utf8) {
        Some(Ok(key)) if !key.is_empty() => key,
        _ => {
            return Err(Fault::Refused(
                StatusCode::BAD_REQUEST,
                "which payment is it?",
            ));
        }
    };
    if payment.order.contains('\0') {
        // Nothing is charged that cannot be written down.
        let why = "this cannot be stored";
        return Err(Fault::Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let whole = json!(payment).to_string();
    let claim = "INSERT INTO idempotency_keys (user_id, key, fingerprint) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, key) DO UPDATE SET created_at = now()
                 WHERE idempotency_keys.answer IS NULL
                 AND idempotency_keys.created_at < now() - interval '1 second'
                 AND idempotency_keys.fingerprint = $3
                 RETURNING key";
    let claimed = sqlx::query(claim)
        .bind(caller.user_id)
        .bind(key)
        .bind(&whole)
        .fetch_optional(&shop.pool)
        .await?;
    if claimed.is_none() {
        let (first, answer) = known(&shop, caller, key).await?;
        return match answer {
            _ if first != whole => Err(Fault::Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "another payment has this key",
            )),
            Some(answer) => Ok(created(answer)),
            None => Err(Fault::Refused(StatusCode::CONFLICT, "it is under way")),
        };
    }
    let charge = Charge {
        order: &payment.order,
        cents: payment.cents,
    };
    let hash = Sha256::digest(format!("{} {key}", caller.user_id));
    let passed_on: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let charged = shop.provider.charge(&charge, Some(&passed_on)).await?;
    let finish = "WITH mine AS (
                      SELECT key FROM idempotency_keys
                      WHERE user_id = $1 AND key = $2 AND answer IS NULL FOR UPDATE
                  ), paid AS (
                      INSERT INTO payments (user_id, order_name, cents, charge)
                      SELECT $1, $3, $4, $5 FROM mine RETURNING id
                  )
                  UPDATE idempotency_keys
                  SET answer = json_build_object('id', paid.id, 'order', $3::text,
                                                 'cents', $4::bigint, 'charge', $5::text)::text
                  FROM paid WHERE user_id = $1 AND key = $2";
    sqlx::query(finish)
        .bind(caller.user_id)
        .bind(key)
        .bind(&payment.order)
        .bind(payment.cents)
        .bind(&charged)
        .execute(&shop.pool)
        .await?;
    let (_, answer) = known(&shop, caller, key).await?;
    Ok(created(answer.unwrap_or_default()))
}

async fn known(shop: &Shop, caller: Caller, key: &str) -> Result<(String, Option<String>), Fault> {
    let select = "SELECT fingerprint, answer FROM idempotency_keys
                  WHERE user_id = $1 AND key = $2";
    let row = sqlx::query_as(select)
        .bind(caller.user_id)
        .bind(key)
        .fetch_one(&shop.pool)
        .await?;
    Ok(row)
}

fn created(answer: String) -> Response {
    (
        StatusCode::CREATED,
        [(header::CONTENT_TYPE, "application/json")],
        answer,
    )
        .into_response()
}
