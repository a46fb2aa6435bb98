//! Exercise 4: optimistic concurrency.

use crate::prelude::*;

/// The routes of pages.
pub fn routes() -> Router<Shop> {
    Router::new().route("/pages/{id}", get(read).put(replace))
}

/// What an editor sends.
#[derive(Debug, Deserialize)]
struct Edit {
    title: String,
    text: String,
}

/// A page, with an ETag that stands for exactly this version of it.
async fn read(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<Response, Fault> {
    let select = "SELECT id, title, text, xmin::text::bigint AS version FROM pages WHERE id = $1";
    let page: Option<Page> = sqlx::query_as(select)
        .bind(id)
        .fetch_optional(&shop.pool)
        .await?;
    Ok(shown(page.ok_or(Fault::NotFound)?))
}

/// Replaces a page, if it is still the version that the client has seen.
async fn replace(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
    headers: HeaderMap,
    Json(edit): Json<Edit>,
) -> Result<Response, Fault> {
    let condition = Condition::of(&headers)?;
    let update = "UPDATE pages SET title = $2, text = $3
                  WHERE id = $1 AND ($4 OR xmin::text::bigint = ANY($5))
                  RETURNING id, title, text, xmin::text::bigint AS version";
    let page: Option<Page> = sqlx::query_as(update)
        .bind(id)
        .bind(edit.title)
        .bind(edit.text)
        .bind(condition.any)
        .bind(condition.versions)
        .fetch_optional(&shop.pool)
        .await?;
    if let Some(page) = page {
        return Ok(shown(page));
    }
    let there = sqlx::query("SELECT 1 FROM pages WHERE id = $1")
        .bind(id)
        .fetch_optional(&shop.pool)
        .await?;
    there.ok_or(Fault::NotFound)?;
    let why = "somebody else has changed it meanwhile";
    Err(Fault::Refused(StatusCode::PRECONDITION_FAILED, why))
}

/// What `If-Match` asks for.
struct Condition {
    any: bool,
    versions: Vec<i64>,
}

impl Condition {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        if !headers.contains_key(header::IF_MATCH) {
            let why = "say which version you have seen: If-Match";
            return Err(Fault::Refused(StatusCode::PRECONDITION_REQUIRED, why));
        }
        let mut condition = Self {
            any: false,
            versions: Vec::new(),
        };
        for line in headers.get_all(header::IF_MATCH) {
            let line = line.to_str().unwrap_or_default();
            condition.any |= line.trim() == "*";
            // Between quotes stands a tag, outside them a comma or a `W/`. A weak tag is never
            // the same as another (RFC 9110, 8.8.3.2).
            let mut outside = "";
            for (n, part) in line.split('"').enumerate() {
                match n % 2 {
                    0 => outside = part,
                    _ if outside.trim_end().ends_with("W/") => {}
                    _ => {
                        let version = part.parse().ok();
                        let ours = |version: &i64| version.to_string() == part;
                        condition.versions.extend(version.filter(ours));
                    }
                }
            }
        }
        Ok(condition)
    }
}

fn shown(page: Page) -> Response {
    let tag = format!("\"{}\"", page.version);
    ([(header::ETAG, tag)], Json(page)).into_response()
}
