//! Exercise 3: list, filter, injection-proof.

use crate::prelude::*;

/// The route of products.
pub fn routes() -> Router<Shop> {
    Router::new().route("/products", get(list))
}

/// What a client may ask for, as it wrote it.
#[derive(Debug, Deserialize)]
struct Wishes {
    q: Option<String>,
    sort: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A page of products, and what leads to the next one.
#[derive(Debug, Serialize)]
struct Products {
    items: Vec<Item>,
    next: Option<String>,
}

/// One page.
///
/// What the client wrote reaches the database as values, or not at all.
async fn list(
    State(shop): State<Shop>,
    Query(wishes): Query<Wishes>,
) -> Result<Json<Products>, Fault> {
    let sort = Sort::of(wishes.sort.as_deref())?;
    let limit = limit(wishes.limit.as_deref())?;
    let after = match wishes.cursor.as_deref() {
        Some(cursor) => Some(Place::read(cursor, sort)?),
        None => None,
    };
    let (name, cents, id) = match after {
        Some(Place { name, cents, id }) => (Some(name), Some(cents), Some(id)),
        None => (None, None, None),
    };
    let mut items: Vec<Item> = sqlx::query_as(sort.statement())
        .bind(wishes.q.unwrap_or_default())
        .bind(name)
        .bind(cents)
        .bind(id)
        // One more than is shown says whether there is a next page.
        .bind(i64::from(limit) + 1)
        .fetch_all(&shop.pool)
        .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|last| {
        let place = Place {
            name: last.name.clone(),
            cents: last.cents,
            id: last.id,
        };
        place.write(sort)
    });
    Ok(Json(Products { items, next }))
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Sort {
    Name,
    Cheapest,
    Dearest,
}

impl Sort {
    fn of(wish: Option<&str>) -> Result<Self, Fault> {
        match wish {
            None | Some("name") => Ok(Self::Name),
            Some("price") => Ok(Self::Cheapest),
            Some("-price") => Ok(Self::Dearest),
            Some(_) => Err(refused("sort is name, price or -price")),
        }
    }

    /// `$1` what is looked for, `$2` to `$4` where the last page ended, `$5` how many.
    fn statement(self) -> &'static str {
        match self {
            Self::Name => {
                "SELECT id, name, cents FROM products
                 WHERE strpos(lower(name), lower($1::text)) <> 0
                 AND ($4::bigint IS NULL OR $3::bigint IS NULL OR name > $2::text
                      OR (name = $2::text AND id > $4))
                 ORDER BY name, id LIMIT $5"
            }
            Self::Cheapest => {
                "SELECT id, name, cents FROM products
                 WHERE strpos(lower(name), lower($1::text)) <> 0
                 AND ($4::bigint IS NULL OR $2::text IS NULL OR cents > $3::bigint
                      OR (cents = $3::bigint AND id > $4))
                 ORDER BY cents, id LIMIT $5"
            }
            Self::Dearest => {
                "SELECT id, name, cents FROM products
                 WHERE strpos(lower(name), lower($1::text)) <> 0
                 AND ($4::bigint IS NULL OR $2::text IS NULL OR cents < $3::bigint
                      OR (cents = $3::bigint AND id < $4))
                 ORDER BY cents DESC, id DESC LIMIT $5"
            }
        }
    }
}

fn limit(wish: Option<&str>) -> Result<u8, Fault> {
    let Some(wish) = wish else {
        return Ok(20);
    };
    match wish.parse::<u64>() {
        Ok(0) | Err(_) => Err(refused("limit is a number from 1")),
        Ok(n) => Ok(u8::try_from(n.min(100)).unwrap_or(100)),
    }
}

/// Where a page ended.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    name: String,
    cents: i64,
    id: i64,
}

impl Place {
    fn write(&self, sort: Sort) -> String {
        let json = json!((sort, self)).to_string();
        json.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(cursor: &str, sort: Sort) -> Result<Self, Fault> {
        let bytes: Option<Vec<u8>> = cursor
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let read: Option<(Sort, Place)> =
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match read {
            Some((of, place)) if of == sort => Ok(place),
            _ => Err(refused("this is no cursor of this list")),
        }
    }
}

fn refused(why: &'static str) -> Fault {
    Fault::Refused(StatusCode::BAD_REQUEST, why)
}
