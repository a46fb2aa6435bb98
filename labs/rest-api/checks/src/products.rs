//! Products: pages of them, and what was said to the database for a page.

use std::collections::BTreeSet;

use labkit::wire::{ReplyKind, SqlReply};
use rand::RngExt as _;
use serde_json::Value;

use crate::{Api, Call, Instance, Reply};

/// The route of products.
pub const PRODUCTS: &str = "/products";

/// A word that no other product has.
pub fn word(api: &mut Api) -> String {
    format!("w{}x", api.rng.random_range(100_000..1_000_000))
}

/// The numbers of the products whose name begins with a word.
pub async fn ids(api: &Api, word: &str) -> Vec<i64> {
    let rows: Vec<(i64,)> = api
        .inside
        .rows(&format!(
            "SELECT id FROM products WHERE name LIKE '{word}%'"
        ))
        .await;
    rows.into_iter().map(|row| row.0).collect()
}

/// A page that has to be there.
pub async fn page_of(app: &Instance, path: &str) -> Reply {
    let reply = app.send(Call::get(path)).await;
    reply.expect(200, "there are products, and all parameters are right")
}

/// The products of a page.
pub fn items(reply: &Reply) -> Vec<Value> {
    match reply.json()["items"].as_array() {
        Some(items) => items.clone(),
        None => reply.refuse("", "no `items`", "{\"items\": [ … ], \"next\": … }"),
    }
}

/// What leads to the next page, if there is one.
pub fn next(reply: &Reply) -> Option<String> {
    reply.json()["next"].as_str().map(str::to_owned)
}

/// Whether two products stand as a `sort` of the brief wants them.
pub fn in_order(sort: &str, before: &Value, after: &Value) -> bool {
    let cents = |item: &Value| item["cents"].as_i64();
    match sort {
        "name" => before["name"].as_str() <= after["name"].as_str(),
        "price" => cents(before) <= cents(after),
        _ => cents(before) >= cents(after),
    }
}

/// All texts of statements that the service has sent so far.
pub fn texts(app: &Instance) -> BTreeSet<String> {
    let messages = app.db.messages();
    let texts = messages.iter().filter_map(|message| message.sql());
    texts.map(str::to_owned).collect()
}

/// Fails the check if something that a client wrote stands in a statement.
pub fn expect_no_part_of_a_statement(app: &Instance, reply: &Reply, written: &str) {
    // Quotes may have been doubled, or taken away, on the way there.
    let bare = |text: &str| text.replace(['\'', '\\', '"', ' '], "").to_lowercase();
    let written = bare(written);
    let messages = app.db.messages();
    let mut texts = messages.iter().filter_map(|message| message.sql());
    if written.len() > 3
        && let Some(text) = texts.find(|text| bare(text).contains(&written))
    {
        let text: String = text.chars().take(300).collect();
        reply.refuse(
            "it became a statement",
            format!("what the client wrote stands in a statement: {text}"),
            "statements of your own words; what a client writes travels as a parameter",
        );
    }
}

/// The most rows that one statement has brought.
pub fn rows_read(app: &Instance) -> u64 {
    let messages = app.db.messages();
    let rows = messages.iter().filter_map(|message| match &message.reply {
        Some(reply) => match &reply.kind {
            ReplyKind::Postgres(SqlReply::Done { rows, .. }) => Some(*rows),
            _ => None,
        },
        None => None,
    });
    rows.max().unwrap_or_default()
}

/// As a query wants what may be any text.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte.is_ascii_alphanumeric() {
            true => url.push(char::from(byte)),
            false => url += &format!("%{byte:02X}"),
        }
        url
    })
}
