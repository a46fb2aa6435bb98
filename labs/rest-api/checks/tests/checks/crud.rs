//! Exercise 1: what a method does, and what its answer says.

use labkit::finding::fail;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rest_api_checks::{Api, Call, Document, Instance, Interrupted, Probe, Reply, expect_agreement};
use serde_json::{Value, json};

const COLLECTION: &str = "/items";
const ONE: &str = "/items/{id}";
/// More statements than a request has.
const MOST_STATEMENTS: usize = 8;

/// Whoever creates something wants to know where it is. A Location that leads nowhere is found
/// out by the first client that follows it, on the day after the release.
#[labkit::test]
async fn a_new_item_is_where_its_location_says(mut api: Api) {
    let mut numbers = Vec::new();
    let mut new = some_item(&mut api.rng);
    for n in 0..4 {
        // The second one is the first one's equal, and an item of its own all the same.
        if n != 1 {
            new = some_item(&mut api.rng);
        }
        // In every run a price that 32 bits do not hold.
        if n == 2 {
            new["cents"] = json!(i64::MAX);
        }
        let created = create(&api.app, &new).await;
        let location = created.location(&api.app, COLLECTION);
        let found = api.app.send(Call::get(&location)).await;
        let found = found.expect(200, "the item that was just created is there");
        for reply in [&created, &found] {
            expect_item(reply, &new);
        }
        let (id, said) = (found.json()["id"].clone(), created.json()["id"].clone());
        if !said.is_i64() {
            created.refuse(
                "no number",
                format!("POST /items answered {created}"),
                "the item, with the `id` that the database gave it",
            );
        }
        if id != said {
            found.refuse(
                "another item",
                format!("created item {said}; its Location shows item {id}"),
                "the item that was created",
            );
        }
        if numbers.contains(&id) {
            created.refuse(
                "an older number",
                format!("created item {id}, which an earlier POST had created"),
                "a number that no other item has: each POST makes an item of its own",
            );
        }
        numbers.push(id);
    }
}

/// The next request may meet another instance, and the next deployment ends all of them: what
/// is not in the database is lost.
#[labkit::test]
async fn another_instance_sees_every_change(mut api: Api) {
    let other = api.second_app().await;
    let new = some_item(&mut api.rng);
    let location = create(&api.app, &new).await.location(&api.app, COLLECTION);
    for app in [&other, &api.app] {
        let found = app.send(Call::get(&location)).await;
        let found = found.expect(200, "it was created on the first instance");
        expect_item(&found, &new);
    }
    let changed = some_item(&mut api.rng);
    let put = other.send(Call::put(&location).json(&changed)).await;
    let _ = put.expect(200, "it is there");
    for app in [&api.app, &other] {
        let found = app.send(Call::get(&location)).await;
        expect_item(&found.expect(200, "it is there"), &changed);
    }
    let deleted = api.app.send(Call::delete(&location)).await;
    let _ = deleted.expect(204, "it was there");
    for app in [&other, &api.app] {
        let gone = app.send(Call::get(&location)).await;
        let _ = gone.expect(404, "it was deleted on the first instance");
    }
}

/// A 500 says "we are broken" and is retried and paged about. Most of the time it was somebody
/// with an old bookmark.
#[labkit::test]
async fn what_is_not_there_is_a_404(mut api: Api) {
    let unknown = api.inside.number("SELECT max(id) + 1000 FROM items").await;
    let before = api.inside.snapshot().await;
    for id in [unknown, 0, -1, i64::MAX] {
        let path = format!("/items/{id}");
        let new = some_item(&mut api.rng);
        for call in [
            Call::get(&path),
            Call::new("HEAD", &path),
            Call::put(&path).json(&new),
            Call::delete(&path),
        ] {
            let reply = api.app.send(call).await;
            let _ = reply.expect(404, "there is no such item");
        }
    }
    let path = "/items/seven";
    for call in [
        Call::get(path),
        Call::new("HEAD", path),
        Call::put(path).json(&some_item(&mut api.rng)),
        Call::delete(path),
    ] {
        let _ = api
            .app
            .send(call)
            .await
            .expect(400, "this is no number of an item");
    }
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "GET, PUT and DELETE of items that are not there",
            format!("{rows} changed"),
            "no row changed: the shop gives out the numbers, and nothing was there to change",
        );
    }
}

/// A price of 19.99 that is kept as 19 is missed when the books are closed; one that was left
/// out and became 0 is noticed by those who buy.
#[labkit::test]
async fn what_is_no_item_is_a_422_and_changes_nothing(mut api: Api) {
    let id = api.inside.number("SELECT min(id) FROM items").await;
    let name = format!("lamp {}", api.rng.random_range(0..1_000_000_u32));
    let before = api.inside.snapshot().await;
    let bodies = [
        json!({ "name": name }),
        json!({ "cents": 5 }),
        json!({ "name": name, "cents": null }),
        json!({ "name": name, "cents": 1.5 }),
        json!({ "name": name, "cents": 1e30 }),
        json!({ "name": name, "cents": "5" }),
        json!({ "name": 7, "cents": 5 }),
        // Postgres keeps no text with a NUL in it.
        json!({ "name": format!("{name}\0"), "cents": 5 }),
        json!([]),
    ];
    for body in &bodies {
        for call in [Call::post(COLLECTION), Call::put(format!("/items/{id}"))] {
            let reply = api.app.send(call.json(body)).await;
            let _ = reply.expect(
                422,
                &format!(
                    "an item has a text without a NUL, `name`, and a whole number, `cents`; this is {body}"
                ),
            );
        }
    }
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "POST and PUT of what is no item",
            format!("{rows} changed"),
            "nothing is stored of them",
        );
    }
}

/// Clients that hear nothing send again. PUT promises them that twice is the same as once.
#[labkit::test]
async fn a_put_sent_twice_leaves_what_one_leaves(mut api: Api) {
    let another = create(&api.app, &some_item(&mut api.rng)).await;
    let created = create(&api.app, &some_item(&mut api.rng)).await;
    let location = created.location(&api.app, COLLECTION);
    let all = "SELECT count(*) FROM items";
    let count = api.inside.number(all).await;
    // Whoever has read an item sends it back whole. What it is called there is not where it is.
    let mut new = some_item(&mut api.rng);
    new["id"] = another.json()["id"].clone();
    for time in ["first", "second"] {
        let put = api.app.send(Call::put(&location).json(&new)).await;
        let put = put.expect(200, "the item is there");
        expect_item(&put, &new);
        let named: Vec<(String, i64)> = api
            .inside
            .rows("SELECT name, count(*) FROM items GROUP BY name HAVING count(*) > 1")
            .await;
        if let Some((name, times)) = named.first() {
            fail(
                "",
                format!("{times} items are called `{name}`"),
                "one: a PUT changes the item that it names, and no other",
            );
        }
        if put.json()["id"] != created.json()["id"] {
            put.refuse(
                "another number",
                format!("PUT {location} answered {put}"),
                format!(
                    "number {}: an `id` in the body says nothing",
                    created.json()["id"]
                ),
            );
        }
        let found = api.app.send(Call::get(&location)).await;
        let found = found.expect(200, "the item is still there");
        expect_item(&found, &new);
        let now = api.inside.number(all).await;
        if now != count {
            fail(
                format!("PUT {location}; looked at the table after the {time} one"),
                format!("{now} items, and {count} before"),
                format!("{count}: a PUT replaces the item, and nothing else"),
            );
        }
    }
}

/// 204 says: done, and nothing to read. Whoever is told so must not find it again.
#[labkit::test]
async fn a_deleted_item_is_gone_and_the_others_stay(mut api: Api) {
    let created = create(&api.app, &some_item(&mut api.rng)).await;
    let location = created.location(&api.app, COLLECTION);
    let count = api.inside.number("SELECT count(*) FROM items").await;
    let deleted = api.app.send(Call::delete(&location)).await;
    let deleted = deleted.expect(204, "the item was there");
    if !deleted.body.is_empty() {
        deleted.refuse("204 has no body", format!("a body: {deleted}"), "no body");
    }
    let _ = api
        .app
        .send(Call::get(&location))
        .await
        .expect(404, "it was deleted");
    let again = api.app.send(Call::delete(&location)).await;
    let _ = again.expect(404, "it was deleted before");
    let now = api.inside.number("SELECT count(*) FROM items").await;
    if now != count - 1 {
        fail(
            "",
            format!("{now} items are left of {count}"),
            format!("{}: one was deleted", count - 1),
        );
    }
    let next = create(&api.app, &some_item(&mut api.rng)).await;
    if next.json()["id"] == created.json()["id"] {
        next.refuse(
            "once more",
            format!(
                "the next item is number {}, as the deleted one was",
                next.json()["id"]
            ),
            "a number that was never given out: who kept the old address must not meet a stranger",
        );
    }
}

/// Between "is it there?" and the statement that acts on the answer somebody else has deleted
/// it. What is deleted stays so, and one of two was the one who did it.
#[labkit::test]
async fn a_delete_meanwhile_is_neither_undone_nor_done_twice(mut api: Api) {
    let other = api.second_app().await;
    let rounds = api.mark();
    for method in ["PUT", "DELETE"] {
        for nth in 1..=MOST_STATEMENTS {
            api.begin_round(rounds);
            let location = create(&api.app, &some_item(&mut api.rng))
                .await
                .location(&api.app, COLLECTION);
            let call = match method {
                "PUT" => Call::put(&location).json(&some_item(&mut api.rng)),
                _ => Call::delete(&location),
            };
            let one = api.app.send(call);
            let two = other.send(Call::delete(&location));
            let (held, deleted, at) = match api.app.interrupted(&api.inside, nth, one, two).await {
                Interrupted::Over(_) => break,
                Interrupted::Both { held, other, at } => (held, other, at),
            };
            let did = format!(
                "{method} {location}; on another instance DELETE of it, while the first one's \
                 `{at}` was held"
            );
            let statuses = [held.status, deleted.status];
            let fine: &[[u16; 2]] = match method {
                "PUT" => &[[200, 204], [404, 204]],
                _ => &[[204, 404], [404, 204]],
            };
            if !fine.contains(&statuses) {
                held.point("at the same time");
                deleted.point("at the same time");
                fail(
                    did,
                    format!("{} and {}", statuses[0], statuses[1]),
                    match method {
                        "PUT" => {
                            "204 for the DELETE, and 200 or 404 for the PUT: before or after it"
                        }
                        _ => "204 for one and 404 for the other: it is deleted once",
                    },
                );
            }
            let gone = api.app.send(Call::get(&location)).await;
            if gone.status != 404 {
                fail(
                    did,
                    format!(
                        "{} and {}; a GET afterwards is {gone}",
                        statuses[0], statuses[1]
                    ),
                    "404: a PUT makes no item, also not one that has just been deleted",
                );
            }
        }
    }
}

/// GET is safe: caches repeat it, browsers prefetch it, crawlers follow every link, all night.
#[labkit::test]
async fn a_safe_method_changes_no_row(mut api: Api) {
    let location = create(&api.app, &some_item(&mut api.rng))
        .await
        .location(&api.app, COLLECTION);
    let before = api.inside.snapshot().await;
    for call in [
        Call::get(&location),
        Call::new("HEAD", &location),
        Call::get(&location),
    ] {
        let words = call.words();
        let reply = api.app.send(call).await.expect(200, "the item is there");
        if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
            reply.point("a safe method");
            fail(
                words,
                format!("a safe method changed {rows}: crawlers will too"),
                "not one row changed",
            );
        }
    }
}

/// "Not here" and "not this way" are two answers. The second one says which way, and a client
/// needs no documentation to try again.
#[labkit::test]
async fn another_method_is_a_405_that_names_those_that_work(mut api: Api) {
    let location = create(&api.app, &some_item(&mut api.rng))
        .await
        .location(&api.app, COLLECTION);
    let document = Document::of(&api.app).await;
    let before = api.inside.snapshot().await;
    document
        .expect_no_other_methods(&api.app, COLLECTION, COLLECTION)
        .await;
    document
        .expect_no_other_methods(&api.app, ONE, &location)
        .await;
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "",
            format!("{rows} changed"),
            "a method that is refused does nothing",
        );
    }
}

/// A document that promises what the service does not do is worse than none: clients are
/// generated from it.
#[labkit::test]
async fn the_document_and_the_service_agree(mut api: Api) {
    let new = some_item(&mut api.rng);
    let location = create(&api.app, &new).await.location(&api.app, COLLECTION);
    let unknown = "/items/9999999";
    let number = "/items/seven";
    let text = |call: Call| call.raw("text/plain", new.to_string());
    let broken = |call: Call| call.raw("application/json", &b"{\"name\": "[..]);
    let wrong = |call: Call| call.json(&json!({ "name": "lamp", "cents": "many" }));
    let probes = vec![
        Probe::of(COLLECTION, 201, Call::post(COLLECTION).json(&new)),
        Probe::of(COLLECTION, 400, broken(Call::post(COLLECTION))),
        Probe::of(COLLECTION, 415, text(Call::post(COLLECTION))),
        Probe::of(COLLECTION, 422, wrong(Call::post(COLLECTION))),
        Probe::of(ONE, 200, Call::get(&location)),
        Probe::of(ONE, 400, Call::get(number)),
        Probe::of(ONE, 404, Call::get(unknown)),
        Probe::of(ONE, 200, Call::put(&location).json(&new)),
        Probe::of(ONE, 400, broken(Call::put(&location))),
        Probe::of(ONE, 404, Call::put(unknown).json(&new)),
        Probe::of(ONE, 415, text(Call::put(&location))),
        Probe::of(ONE, 422, wrong(Call::put(&location))),
        Probe::of(ONE, 400, Call::delete(number)),
        Probe::of(ONE, 204, Call::delete(&location)),
        Probe::of(ONE, 404, Call::delete(&location)),
    ];
    expect_agreement(&api.app, &[COLLECTION, ONE], probes).await;
}

/// An item with what home-made encodings trip over.
fn some_item(rng: &mut StdRng) -> Value {
    const NAMES: [&str; 6] = [
        "kettle \"the old one\"",
        "für Küche & Bad ☕",
        "50% off\nuntil Friday",
        "Robert'); DROP TABLE items;--",
        "back\\slash ",
        "",
    ];
    let name = NAMES[rng.random_range(0..NAMES.len())];
    let cents = match rng.random_range(0..4) {
        0 => i64::from(i32::MAX) + rng.random_range(1..1000),
        1 => i64::MAX - rng.random_range(0..1000),
        _ => rng.random_range(0..100_000),
    };
    let number: u32 = rng.random_range(0..1_000_000);
    json!({ "name": format!("{name} {number}"), "cents": cents })
}

async fn create(app: &Instance, new: &Value) -> Reply {
    let reply = app.send(Call::post(COLLECTION).json(new)).await;
    reply.expect(201, "an item was created")
}

fn expect_item(reply: &Reply, expected: &Value) {
    let shown = reply.json();
    for field in ["name", "cents"] {
        if shown[field] != expected[field] {
            reply.refuse(
                "another item",
                format!("{} answered {field} = {}", reply.request, shown[field]),
                format!("{}, to the last letter", expected[field]),
            );
        }
    }
}
