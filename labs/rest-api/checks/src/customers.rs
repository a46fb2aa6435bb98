//! Customers: right ones, and ones with something wrong.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// A customer that holds to every rule.
pub fn customer(rng: &mut StdRng) -> Value {
    const NAMES: [&str; 4] = ["Ann O'Neill", "Łukasz Żak", "李 小龍", "X"];
    let number: u64 = rng.random_range(0..1_000_000_000_000);
    json!({
        "name": NAMES[rng.random_range(0..NAMES.len())],
        "email": format!("c{number}+news@example.org"),
        "birth_year": rng.random_range(1900..=2026),
        "address": {
            "street": format!("Lange Straße {}", rng.random_range(1..200)),
            "postcode": format!("{:05}", rng.random_range(0..100_000)),
            "city": "Köln",
        },
    })
}

/// A body with its long texts cut, and with what nobody sees spelled out.
pub fn in_words(body: &Value) -> String {
    let Some(fields) = body.as_object() else {
        return short(body);
    };
    let fields = fields.iter().map(|(name, value)| match value.is_object() {
        true => format!("{name} {{{}}}", in_words(value)),
        false => format!("{name} {}", short(value)),
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// A value that fits a line.
pub fn short(value: &Value) -> String {
    const MOST: usize = 30;
    let Some(text) = value.as_str() else {
        return value.to_string();
    };
    match text.chars().count() {
        ..=MOST => format!("{text:?}"),
        letters => {
            let begin: String = text.chars().take(MOST / 2).collect();
            format!("{begin:?}… ({letters} characters, {} bytes)", text.len())
        }
    }
}

/// Makes one to four fields wrong, or takes them away, and says which. Each way comes first in one
/// of the rounds.
pub fn spoil(body: &mut Value, round: usize, rng: &mut StdRng) -> Vec<String> {
    let long = |n: usize| json!("ü".repeat(n));
    // Nothing stands for a field that is not there.
    let ways: Vec<(&str, Option<Value>)> = vec![
        ("/name", Some(json!(""))),
        ("/name", Some(json!("  \u{2003} "))),
        ("/name", Some(long(81))),
        ("/name", Some(json!(format!("{} ", "n".repeat(80))))),
        ("/name", Some(json!(7))),
        ("/name", Some(json!("Ann\u{0}Other"))),
        ("/name", Some(json!("Ann\u{7f}"))),
        ("/name", Some(json!("Ann\u{9b}"))),
        ("/name", Some(Value::Null)),
        ("/email", Some(json!("ann.example.org"))),
        ("/email", Some(json!("@example.org"))),
        ("/email", Some(json!("ann@"))),
        ("/email", Some(json!("ann@home@example.org"))),
        ("/email", Some(json!("ann other@example.org"))),
        ("/email", Some(json!("ann\u{2003}other@example.org"))),
        ("/email", Some(json!("ann\u{7}@example.org"))),
        ("/email", Some(json!(format!("a@{}", "b".repeat(253))))),
        ("/email", Some(json!(["ann@example.org"]))),
        ("/birth_year", Some(json!(1899))),
        ("/birth_year", Some(json!(2027))),
        ("/birth_year", Some(json!("1990"))),
        ("/birth_year", Some(json!(1990.5))),
        ("/birth_year", Some(json!(1e30))),
        ("/birth_year", Some(json!(-1990))),
        ("/address/street", Some(long(121))),
        (
            "/address/street",
            Some(json!(format!("{:121}", "Lange Straße 7"))),
        ),
        ("/address/street", Some(json!(" "))),
        ("/address/street", Some(json!("\u{3000}"))),
        ("/address/street", Some(json!("Lange\u{85}Straße 7"))),
        ("/address/street", Some(json!(true))),
        ("/address/postcode", Some(json!("1234"))),
        ("/address/postcode", Some(json!("123456"))),
        ("/address/postcode", Some(json!("１２３４５"))),
        ("/address/postcode", Some(json!("12 45"))),
        ("/address/postcode", Some(json!(12345))),
        ("/address/city", Some(json!(""))),
        ("/address/city", Some(json!("\u{a0}\u{2003}"))),
        ("/address/city", Some(long(81))),
        ("/address/city", Some(json!("Köln\u{7}"))),
        ("/name", None),
        ("/email", None),
        ("/birth_year", None),
        ("/address/street", None),
        ("/address/postcode", None),
        ("/address/city", None),
        ("/address", Some(json!("Köln"))),
        ("/address", None),
    ];
    let mut wrong: Vec<String> = Vec::new();
    let mut chosen = vec![round % ways.len()];
    for _ in 0..rng.random_range(0..4) {
        // The last two are about the whole address: with them little else could be wrong.
        chosen.push(rng.random_range(0..ways.len() - 2));
    }
    for way in chosen {
        let (pointer, value) = &ways[way];
        // One that lies in another, or is wrong already, stays as it is.
        if wrong.iter().any(|it| pointer.starts_with(it.as_str())) {
            continue;
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        let Some(fields) = body.pointer_mut(parent).and_then(Value::as_object_mut) else {
            continue;
        };
        match value {
            Some(value) => fields.insert(name.to_owned(), value.clone()),
            None => fields.remove(name),
        };
        wrong.push((*pointer).to_owned());
    }
    wrong
}
