//! Exercise 1: CRUD semantics.

use crate::prelude::*;

/// The routes of items: the collection `/items`, and each item at `/items/{id}`.
pub fn routes() -> Router<Shop> {
    Router::new()
        .route("/items", any(collection))
        .route("/items/{id}", any(item))
}

fn not_allowed(allow: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]).into_response()
}

async fn collection(State(shop): State<Shop>, request: Request) -> Result<Response, Fault> {
    if request.method() != "POST" {
        return Ok(not_allowed("POST"));
    }
    let new = match body(request).await {
        Ok(new) => new,
        Err(refusal) => return Ok(refusal),
    };
    let id: i64 =
        sqlx::query_scalar("INSERT INTO items (name, cents) VALUES ($1, $2) RETURNING id")
            .bind(&new.name)
            .bind(new.cents)
            .fetch_one(&shop.pool)
            .await?;
    let shown = Json(json!({ "id": id, "name": new.name, "cents": new.cents }));
    // Relative to the request (RFC 9110, 10.2.2).
    let place = format!("items/{id}");
    Ok((StatusCode::CREATED, [("location", place)], shown).into_response())
}

async fn item(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let method = request.method().as_str().to_owned();
    if !["GET", "HEAD", "PUT", "DELETE"].contains(&method.as_str()) {
        return Ok(not_allowed("GET, HEAD, PUT, DELETE"));
    }
    let Ok(id) = id.parse::<i64>() else {
        return Ok((StatusCode::BAD_REQUEST, "an item has a number").into_response());
    };
    match method.as_str() {
        "PUT" => {
            let new = match body(request).await {
                Ok(new) => new,
                Err(refusal) => return Ok(refusal),
            };
            let done = sqlx::query("UPDATE items SET name = $1, cents = $2 WHERE id = $3")
                .bind(new.name)
                .bind(new.cents)
                .bind(id)
                .execute(&shop.pool)
                .await?;
            if done.rows_affected() == 0 {
                return Err(Fault::NotFound);
            }
            shown(&shop, id).await
        }
        "DELETE" => {
            let gone: Option<(i64,)> =
                sqlx::query_as("DELETE FROM items WHERE id = $1 RETURNING id")
                    .bind(id)
                    .fetch_optional(&shop.pool)
                    .await?;
            gone.ok_or(Fault::NotFound)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => shown(&shop, id).await,
    }
}

async fn shown(shop: &Shop, id: i64) -> Result<Response, Fault> {
    let row = sqlx::query("SELECT * FROM items WHERE id = $1")
        .bind(id)
        .fetch_one(&shop.pool)
        .await
        .map_err(|error| match error {
            sqlx::Error::RowNotFound => Fault::NotFound,
            other => other.into(),
        })?;
    let name: String = row.try_get("name")?;
    let cents: i64 = row.try_get("cents")?;
    Ok(Json(json!({ "id": id, "name": name, "cents": cents })).into_response())
}

async fn body(request: Request) -> Result<NewItem, Response> {
    use axum::extract::FromRequest as _;
    match Json::<NewItem>::from_request(request, &()).await {
        Ok(Json(new)) => Ok(new),
        Err(rejection) => Err((rejection.status(), rejection.body_text()).into_response()),
    }
}
