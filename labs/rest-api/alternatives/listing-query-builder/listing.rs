//! Exercise 3: list, filter, injection-proof.

use sqlx::{Postgres, QueryBuilder};

use crate::prelude::*;

/// The route of products.
pub fn routes() -> Router<Shop> {
    Router::new().route("/products", get(list))
}

async fn list(
    State(shop): State<Shop>,
    Query(wishes): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Fault> {
    let wish = |name: &str| {
        let found = wishes.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    };
    // Columns and direction are this program's own words.
    let (column, descends) = match wish("sort").unwrap_or("name") {
        "name" => ("name", false),
        "price" => ("cents", false),
        "-price" => ("cents", true),
        _ => return Err(bad()),
    };
    let limit: i64 = match wish("limit").map(str::parse::<i64>) {
        None => 20,
        Some(Ok(n)) if n > 0 => n.min(100),
        _ => return Err(bad()),
    };
    let pattern: String = wish("q")
        .unwrap_or_default()
        .chars()
        .flat_map(|c| {
            let escape = matches!(c, '%' | '_' | '\\').then_some('\\');
            escape.into_iter().chain([c])
        })
        .collect();
    let mut query =
        QueryBuilder::<Postgres>::new("SELECT id, name, cents FROM products WHERE name ILIKE ");
    query.push_bind(format!("%{pattern}%"));
    if let Some(cursor) = wish("cursor") {
        // ID.KEY
        let (id, key) = cursor.split_once('.').ok_or_else(bad)?;
        let id: i64 = id.parse().map_err(|_| bad())?;
        let sign = if descends { "<" } else { ">" };
        query.push(format!(" AND ({column}, id) {sign} ("));
        match column {
            "cents" => query.push_bind(key.parse::<i64>().map_err(|_| bad())?),
            _ => query.push_bind(key),
        };
        query.push(", ").push_bind(id).push(")");
    }
    let way = if descends { "DESC" } else { "ASC" };
    query.push(format!(" ORDER BY {column} {way}, id {way} LIMIT "));
    query.push_bind(limit);
    let items: Vec<Item> = query.build_query_as().fetch_all(&shop.pool).await?;
    // A full page may be the last one: then an empty one follows.
    let full = i64::try_from(items.len()).is_ok_and(|n| n == limit);
    let next = items.last().filter(|_| full).map(|last| match column {
        "cents" => format!("{}.{}", last.id, last.cents),
        _ => format!("{}.{}", last.id, last.name),
    });
    Ok(Json(json!({ "items": items, "next": next })))
}

fn bad() -> Fault {
    Fault::Refused(
        StatusCode::BAD_REQUEST,
        "one of the parameters cannot be read",
    )
}
