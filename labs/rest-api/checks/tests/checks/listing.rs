//! Exercise 3: what a client writes is a value.

use labkit::finding::fail;
use rand::RngExt as _;
use rest_api_checks::products::{
    PRODUCTS, encoded, expect_no_part_of_a_statement, ids, in_order, items, next, page_of,
    rows_read, texts, word,
};
use rest_api_checks::{Api, Call, Probe, expect_agreement};
use serde_json::Value;

const SORTS: [&str; 3] = ["name", "price", "-price"];
/// The most that one page may show, and what it shows when nobody says; both in the brief.
const MOST: usize = 100;
const USUAL: usize = 20;

/// More pages than a walk has.
const PAGES: usize = 60;

/// How a name may go on, before the sign by which it differs from the next one.
const LONG: &str =
    "with a drawer, two shelves, four wheels, a lock with its key, and a name that goes on";

/// What has been tried on every search field of the world, and products that are called so.
const PAYLOADS: [&str; 20] = [
    "' OR 1=1--",
    "' OR ''='",
    "'; DROP TABLE products;--",
    "'; UPDATE products SET cents = 0;--",
    "') UNION SELECT id, token, 1 FROM tokens--",
    "' UNION ALL SELECT 1, version(), 1--",
    "\\' OR 1=1--",
    "%' OR '%'='",
    "'||(SELECT pg_sleep(0))||'",
    "''",
    "\"; --",
    "$$ OR 1=1 $$",
    "$1 OR true",
    "/* a comment */",
    "-- Drop-leaf table --",
    "Select oak; insert drawer; update handle",
    "${jndi:none} {{7*7}}",
    "\u{2019} OR 1=1--",
    "E'\\x27' OR 1=1",
    "1; COPY products TO PROGRAM 'true'",
];

/// People turn pages while the shop sells: what was there when they began they see once, not
/// twice and not never.
#[labkit::test]
async fn a_walk_shows_each_product_once_and_in_order(mut api: Api) {
    let other = api.second_app().await;
    let word = word(&mut api);
    let rounds = api.mark();
    for sort in SORTS {
        api.begin_round(rounds);
        // Of one name and of one price there are many: more than fit on a page.
        api.inside
            .run(&format!(
                "INSERT INTO products (name, cents)
             SELECT '{word} {LONG} ' || n % 3, 100 * (n % 4) FROM generate_series(1, 60) AS n"
            ))
            .await;
        let there = ids(&api, &word).await;
        let mut seen: Vec<(i64, Value)> = Vec::new();
        let mut cursor: Option<String> = None;
        for page in 0..PAGES {
            let mut path = format!("{PRODUCTS}?q={word}&sort={sort}&limit=7");
            if let Some(cursor) = &cursor {
                path += &format!("&cursor={}", encoded(cursor));
            }
            let app = if page % 2 == 0 { &api.app } else { &other };
            let reply = page_of(app, &path).await;
            let shown = items(&reply);
            if shown.len() > 7 {
                reply.refuse(
                    "",
                    format!("{} products", shown.len()),
                    "7 at most: limit=7",
                );
            }
            for item in shown {
                if let Some((_, last)) = seen.last()
                    && !in_order(sort, last, &item)
                {
                    reply.refuse(
                        "out of order",
                        format!("{item} comes after {last}"),
                        format!("products in the order that sort={sort} asks for"),
                    );
                }
                let id = item["id"].as_i64().unwrap_or_default();
                if seen.iter().any(|(other, _)| *other == id) {
                    reply.refuse(
                        "a second time",
                        format!("product {id} is shown a second time, on page {}", page + 1),
                        "each product once",
                    );
                }
                seen.push((id, item));
            }
            cursor = next(&reply);
            if cursor.is_none() {
                break;
            }
            // The shop goes on: before, at and behind the place where the page ended, and the
            // last product of the page is sold out.
            let last = seen.last().map_or(0, |(id, _)| *id);
            let sold_out = format!("DELETE FROM products WHERE id = {last}");
            api.inside.run(&sold_out).await;
            api.inside
                .run(&format!(
                    "INSERT INTO products (name, cents) VALUES
                     ('{word}', 0), ('{word} {LONG} 1', 100), ('{word} {LONG} 2', 200),
                     ('{word} {LONG} 9', 999)"
                ))
                .await;
        }
        if cursor.is_some() {
            fail(
                format!("walked {PRODUCTS}?q={word}&sort={sort}&limit=7 from page to page"),
                format!("there is a `next` after {PAGES} pages, and fewer are needed"),
                "no `next` behind the last page: whoever follows it comes to an end",
            );
        }
        let missed = there
            .iter()
            .find(|id| !seen.iter().any(|(it, _)| it == *id));
        if let Some(missed) = missed {
            let seen = there
                .iter()
                .filter(|id| seen.iter().any(|(it, _)| it == *id));
            fail(
                format!(
                    "walked {PRODUCTS}?q={word}&sort={sort}&limit=7 from page to page; four \
                     products came in between every two"
                ),
                format!(
                    "product {missed} was there all the time and never shown; {} of {} were",
                    seen.count(),
                    there.len()
                ),
                "each product that is there from the first page to the last, once",
            );
        }
        api.inside
            .run(&format!("DELETE FROM products WHERE name LIKE '{word}%'"))
            .await;
    }
}

/// `%` and `_` are letters to whoever types them, and so is everything else.
#[labkit::test]
async fn a_search_finds_what_contains_it_and_nothing_else(mut api: Api) {
    let word = word(&mut api);
    let names = [
        "100% wool",
        "100 wool",
        "a_b",
        "aXb",
        "back\\slash",
        "backslash",
        "it''s",
        "KETTLE",
        "kettle",
        "Küche",
    ];
    for name in names {
        api.inside
            .run(&format!(
                "INSERT INTO products (name, cents) VALUES ('{word} {name}', 5)"
            ))
            .await;
    }
    let searches = [
        ("100% w", 1),
        ("100%", 1),
        ("a_b", 1),
        ("back\\", 1),
        ("it's", 1),
        ("kettle", 2),
        ("Kettle", 2),
        ("Küche", 1),
        ("KüCHE", 1),
        ("kÜche", 0),
        ("wool 100", 0),
        ("kettle ", 0),
        ("100% ", 1),
        ("%", 1),
        ("_", 1),
        ("\\", 1),
        ("", 10),
        ("nowhere", 0),
    ];
    let rounds = api.mark();
    for (search, expected) in searches {
        api.begin_round(rounds);
        // Alone where another product would not meet it, else behind the word.
        let q = match search {
            "%" | "_" | "\\" => search.to_owned(),
            _ => format!("{word} {search}"),
        };
        let path = format!("{PRODUCTS}?q={}&limit=100", encoded(&q));
        let reply = page_of(&api.app, &path).await;
        let contains = |item: &&Value| {
            let name = item["name"].as_str().unwrap_or_default();
            let (name, q) = (name.to_ascii_lowercase(), q.to_ascii_lowercase());
            name.contains(&q)
        };
        let shown = items(&reply);
        if let Some(stranger) = shown.iter().find(|item| !contains(item)) {
            reply.refuse(
                "without it",
                format!(
                    "q=`{q}` found {} products, {stranger} among them",
                    shown.len()
                ),
                "products whose name contains it, letter by letter, and no others",
            );
        }
        let ours = shown
            .into_iter()
            .filter(|item| {
                item["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with(&word))
            })
            .count();
        if ours != expected {
            reply.refuse(
                "",
                format!("q=`{q}` found {ours} of the ten products called `{word} …`"),
                format!("{expected}: those whose name contains it, letter by letter"),
            );
        }
    }
}

/// What becomes part of a statement can say anything. What is bound to it is a text, whatever
/// it says.
#[labkit::test]
async fn what_is_searched_for_is_never_part_of_a_statement(mut api: Api) {
    let word = word(&mut api);
    for (n, payload) in PAYLOADS.iter().enumerate() {
        let quoted = payload.replace('\'', "''");
        api.inside
            .run(&format!(
                "INSERT INTO products (name, cents) VALUES ('{word}{n} {quoted}', {n})"
            ))
            .await;
    }
    let _ = page_of(&api.app, &format!("{PRODUCTS}?q={word}&limit=100")).await;
    let plain = texts(&api.app);
    let before = api.inside.snapshot().await;
    let rounds = api.mark();
    for (n, payload) in PAYLOADS.iter().enumerate() {
        api.begin_round(rounds);
        let q = format!("{word}{n} {payload}");
        for q in [&q, *payload] {
            let path = format!("{PRODUCTS}?q={}&limit=100", encoded(q));
            let reply = api.app.send(Call::get(&path)).await;
            expect_no_part_of_a_statement(&api.app, &reply, payload);
            let reply = reply.expect(200, "it is a text like any other");
            let names: Vec<String> = items(&reply)
                .iter()
                .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            let contains = |name: &String| name.to_lowercase().contains(&q.to_lowercase());
            let expected = format!("{word}{n} {payload}");
            if !names.iter().all(contains) || !names.contains(&expected) {
                let strangers = names.iter().filter(|name| !contains(name)).count();
                reply.refuse(
                    "",
                    format!(
                        "`q={q}` found {} products, {strangers} without it",
                        names.len()
                    ),
                    format!("what contains it, `{expected}` among them"),
                );
            }
        }
        if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
            fail(
                format!("searched for `{payload}`"),
                format!("{rows} changed"),
                "no row changed",
            );
        }
    }
    let now = texts(&api.app);
    if now.len() > plain.len() {
        let new: Vec<&String> = now.difference(&plain).collect();
        fail(
            format!("searched for {} texts, in one order", PAYLOADS.len()),
            format!(
                "{} statements, the first of the new ones: {}",
                now.len(),
                new[0]
            ),
            format!(
                "{}, as for any other search: a text is no reason for a new one",
                plain.len()
            ),
        );
    }
}

/// A column cannot be a value. It can be one of three words that you have written yourself.
#[labkit::test]
async fn sort_is_one_of_three_words(api: Api) {
    let others = [
        "cents",
        "id",
        "NAME",
        "name ",
        "name,id",
        "name desc",
        "-name",
        "",
        "1",
        "price--",
        "(CASE WHEN true THEN name END)",
        "(SELECT token FROM tokens LIMIT 1)",
        "name; DROP TABLE products",
        "name\"",
        "cents) --",
        "pg_sleep(0)",
        "random()",
        "name NULLS FIRST",
        "price/**/DESC",
        "--",
    ];
    for sort in SORTS {
        let _ = page_of(&api.app, &format!("{PRODUCTS}?sort={sort}")).await;
    }
    let before = api.inside.snapshot().await;
    let rounds = api.mark();
    for sort in others {
        api.begin_round(rounds);
        let path = format!("{PRODUCTS}?sort={}", encoded(sort));
        let reply = api.app.send(Call::get(path)).await;
        let _ = reply.expect(400, "sort is name, price or -price");
    }
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "asked for other orders",
            format!("{rows} changed"),
            "no row changed",
        );
    }
}

/// One request for a billion rows is an outage with one curl. And a page that is cut in the
/// service has been read, sent and kept in memory whole.
#[labkit::test]
async fn a_page_is_never_longer_than_a_hundred(api: Api) {
    let asked = [
        ("", USUAL),
        ("&limit=1", 1),
        ("&limit=100", MOST),
        ("&limit=101", MOST),
        ("&limit=1000000000", MOST),
    ];
    for (limit, expected) in asked {
        let reply = page_of(&api.app, &format!("{PRODUCTS}?q={limit}")).await;
        let shown = items(&reply).len();
        if shown != expected {
            reply.refuse(
                "",
                format!("{shown} products"),
                format!("{expected}: there are more than that, and 100 is the most"),
            );
        }
        if next(&reply).is_none() {
            reply.refuse(
                "the end?",
                format!("no `next` after {shown} products"),
                "a cursor: there is more, whatever limit was asked for",
            );
        }
        let read = rows_read(&api.app);
        if read > MOST as u64 + 1 {
            reply.refuse(
                "read whole",
                format!("{shown} products are shown, and {read} were read for it"),
                "as many rows as are shown, and one more to know whether there is a next page",
            );
        }
    }
    for limit in ["0", "-1", "many", "1.5", ""] {
        let reply = api
            .app
            .send(Call::get(format!("{PRODUCTS}?limit={limit}")))
            .await;
        let _ = reply.expect(400, "a limit is a number from 1");
    }
}

/// A cursor goes to the client and comes back. What comes back is input like any other.
#[labkit::test]
async fn a_cursor_that_was_tampered_with_is_refused(mut api: Api) {
    let (long, odd) = ("\u{1F375}".repeat(200), "ü".repeat(33));
    let garbage: [&str; 20] = [
        "x",
        "0",
        "--",
        "' OR 1=1--",
        "(cents, id) > (0, 0)",
        "00",
        "7b7d",
        "e30=",
        "bnVsbA==",
        "[]",
        "{}",
        "null",
        "100",
        "9223372036854775808",
        "\u{1F375}",
        "/",
        "%",
        "\u{0}",
        &long,
        &odd,
    ];
    for sort in SORTS {
        for cursor in garbage {
            let path = format!("{PRODUCTS}?sort={sort}&cursor={}", encoded(cursor));
            let reply = api.app.send(Call::get(path)).await;
            expect_no_part_of_a_statement(&api.app, &reply, "OR 1=1--");
            let _ = reply.expect_one_of(&[400, 422], "this service has made no such cursor");
        }
    }
    let rounds = api.mark();
    for sort in SORTS {
        let reply = page_of(&api.app, &format!("{PRODUCTS}?sort={sort}&limit=5")).await;
        let Some(cursor) = next(&reply) else {
            reply.refuse(
                "",
                "no `next` after the first page",
                "a cursor: there is more",
            );
        };
        let whole = page_of(
            &api.app,
            &format!("{PRODUCTS}?sort={sort}&limit=5&cursor={}", encoded(&cursor)),
        )
        .await;
        if items(&whole).len() != 5 {
            whole.refuse(
                "",
                format!("{} products", items(&whole).len()),
                "5: there is more",
            );
        }
        for _ in 0..40 {
            api.begin_round(rounds);
            let mut letters: Vec<char> = cursor.chars().collect();
            let at = api.rng.random_range(0..letters.len());
            match api.rng.random_range(0..3) {
                0 => letters.truncate(at),
                1 => letters[at] = char::from(api.rng.random_range(33_u8..127)),
                _ => letters.insert(at, '\''),
            }
            let changed: String = letters.iter().collect();
            let path = format!("{PRODUCTS}?sort={sort}&cursor={}", encoded(&changed));
            let reply = api.app.send(Call::get(path)).await;
            if ![200, 400, 422].contains(&reply.status) {
                reply.refuse(
                    "no answer to that",
                    format!("the cursor `{changed}`, one letter off, was answered {reply}"),
                    "a 400 or a 422, or some page: it is the cursor that is at fault",
                );
            }
        }
    }
}

/// The document promises what a client can rely on, errors included.
#[labkit::test]
async fn the_document_and_the_service_agree(api: Api) {
    let probes = vec![
        Probe::of(PRODUCTS, 200, Call::get(PRODUCTS)),
        Probe::of(
            PRODUCTS,
            200,
            Call::get("/products?q=lamp&sort=-price&limit=3"),
        ),
        Probe::of(PRODUCTS, 400, Call::get("/products?limit=0")),
        Probe::of(PRODUCTS, 422, Call::get("/products?q=%00")),
    ];
    expect_agreement(&api.app, &[PRODUCTS], probes).await;
}
