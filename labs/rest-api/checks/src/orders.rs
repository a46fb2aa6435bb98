//! Orders of two users, and who may know of which.

use std::collections::BTreeSet;

use labkit::finding::fail;
use serde_json::{Value, json};

use crate::{Api, Call, Person, Reply, Snapshot};

/// The number of no order, and of no line.
pub const UNKNOWN: i64 = 9_999_999;

/// What one of two users has.
pub struct Owner {
    /// Who it is.
    pub person: Person,
    /// Two orders, the second one with a second line.
    pub orders: [i64; 2],
    /// Their lines.
    pub lines: [i64; 3],
}

/// Every route, with the ids of an order and of a line.
pub const ROUTES: [(&str, &str, &str); 10] = [
    ("GET", "/me", "/me"),
    ("PATCH", "/me", "/me"),
    ("GET", "/orders", "/orders"),
    ("POST", "/orders/cancel", "/orders/cancel"),
    ("POST", "/orders/merge", "/orders/merge"),
    ("GET", "/orders/{id}", "/orders/{o}"),
    ("PATCH", "/orders/{id}", "/orders/{o}"),
    ("DELETE", "/orders/{id}", "/orders/{o}"),
    ("GET", "/orders/{id}/lines/{line}", "/orders/{o}/lines/{l}"),
    (
        "PATCH",
        "/orders/{id}/lines/{line}",
        "/orders/{o}/lines/{l}",
    ),
];

/// Two users who have the same, but for its ids.
pub async fn two(api: &mut Api) -> (Owner, Owner) {
    (owner(api, "Ann").await, owner(api, "Ben").await)
}

async fn owner(api: &mut Api, name: &str) -> Owner {
    let person = api.person(name).await;
    let mut orders = [0; 2];
    let mut lines = Vec::new();
    for (n, order) in orders.iter_mut().enumerate() {
        let sql = format!(
            "WITH o AS (INSERT INTO orders (user_id, note) VALUES ({}, 'leave it at the door')
                 RETURNING id) SELECT id FROM o",
            person.id
        );
        *order = api.inside.number(&sql).await;
        for _ in 0..=n {
            let sql = format!(
                "WITH l AS (INSERT INTO order_lines (order_id, product, quantity)
                     VALUES ({order}, 'lamp', 1) RETURNING id) SELECT id FROM l"
            );
            lines.push(api.inside.number(&sql).await);
        }
    }
    let lines = [lines[0], lines[1], lines[2]];
    Owner {
        person,
        orders,
        lines,
    }
}

/// Nobody is exempt, whatever they are called.
pub async fn promote(api: &Api, owner: &Owner) {
    let id = owner.person.id;
    let promote = format!("UPDATE users SET role = 'admin' WHERE id = {id}");
    api.inside.run(&promote).await;
}

/// Where a line of an order is.
pub fn path(order: i64, line: i64) -> String {
    format!("/orders/{order}/lines/{line}")
}

/// The numbers of the orders of a list.
pub fn ids(orders: &Value) -> Vec<i64> {
    let orders = orders.as_array().into_iter().flatten();
    orders.filter_map(|order| order["id"].as_i64()).collect()
}

/// A 404 that is not like every other 404 says that there is something.
pub async fn expect_as_if_unknown(api: &Api, foreign: Call, nowhere: Call) {
    let line = foreign.line();
    let reply = api.app.send(foreign).await;
    if (200..300).contains(&reply.status) {
        reply.refuse(
            "somebody else's",
            format!("{line} was answered {reply}, to somebody whose order that is not"),
            "404: for this caller there is no such order (OWASP API1:2023)",
        );
    }
    let reply = reply.expect(404, "for this caller there is no such order");
    expect_as_silent(api, &reply, nowhere).await;
}

/// Fails the check if what is not there is answered in another way.
pub async fn expect_as_silent(api: &Api, reply: &Reply, nowhere: Call) {
    let unknown = api.app.send(nowhere).await;
    let unknown = unknown.expect(404, "there is no such thing");
    // All but the moment of the answer.
    let telling = |reply: &Reply| {
        let head = reply.head();
        let lines = head.lines().filter(|line| !line.starts_with("date: "));
        let lines: BTreeSet<String> = lines.map(str::to_owned).collect();
        (lines, reply.body.clone())
    };
    let (other, nothing) = (telling(reply), telling(&unknown));
    if other != nothing {
        let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| {
            let lines: Vec<String> = some.difference(others).cloned().collect();
            lines.join(", ")
        };
        reply.refuse(
            "it tells",
            format!(
                "`{}` {} for what is another's, `{}` {} for what is not there",
                reply.body,
                only(&other.0, &nothing.0),
                unknown.body,
                only(&nothing.0, &other.0)
            ),
            "one answer for both: nobody learns which numbers are taken",
        );
    }
}

/// Fails the check if a row has changed.
pub async fn expect_unchanged(api: &Api, before: &Snapshot) {
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "",
            format!("it was refused, and {rows} changed"),
            "no row touched",
        );
    }
}

/// Every route asks who is there.
pub async fn expect_401_for_nobody(api: &Api, ann: &Owner, methods: &[&str]) {
    for (method, _, path) in ROUTES {
        if !methods.contains(&method) {
            continue;
        }
        let path = path.replace("{o}", &ann.orders[0].to_string());
        let path = path.replace("{l}", &ann.lines[0].to_string());
        let body = json!({
            "note": "", "quantity": 1, "name": "", "ids": ann.orders,
            "from": ann.orders[0], "into": ann.orders[1],
        });
        for token in [None, Some("wrong"), Some("")] {
            let call = Call::new(method, &path).json(&body);
            let call = match token {
                Some(token) => call.by(token),
                None => call,
            };
            let _ = api
                .app
                .send(call)
                .await
                .expect(401, "nobody knows this caller");
        }
    }
}
