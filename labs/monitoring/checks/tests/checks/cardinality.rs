//! Exercise 2: cardinality.

use std::collections::BTreeMap;

use labkit::finding::{fail, fail_because};
use monitoring_checks::{Exposition, Shop, Visit};
use rand::RngExt as _;
use rand::rngs::StdRng;

const REQUESTS: &str = "pages_requests_total";

/// Whatever was made beforehand; stated in the brief.
const MOST_SERIES: usize = 300;

/// As many as a check sends to one route; stated in the brief.
const CROWD: u64 = 500;

/// Each series costs your service and Prometheus memory, disk for weeks, and each query time. One for
/// each product is a bill that grows with the shop.
#[labkit::test]
async fn five_hundred_products_are_one_series(mut shop: Shop) {
    let visits = products(&mut shop.rng);
    shop.visits("GET /products/{id}, 500 different ones", &visits, 200)
        .await;
    let page = shop.app.metrics("pages").await;
    expect_exactly(&page, &[("GET", "/products/{id}", "200", CROWD)]);
}

/// An id is one wherever it stands.
#[labkit::test]
async fn an_id_in_the_middle_of_a_path_is_no_label_either(mut shop: Shop) {
    let first = shop.rng.random_range(1..1_000_000_u64);
    let visits: Vec<Visit> = (first..first + CROWD)
        .map(|id| Visit::get(format!("/customers/{id}/orders")))
        .collect();
    shop.visits(
        "GET /customers/{id}/orders, 500 different ones",
        &visits,
        200,
    )
    .await;
    let page = shop.app.metrics("pages").await;
    expect_exactly(&page, &[("GET", "/customers/{id}/orders", "200", CROWD)]);
}

/// Within the hour each new address is found by a scanner that asks for `/wp-login.php` and ten
/// thousand other things. Who makes a label of that lets a stranger fill the memory.
#[labkit::test]
async fn what_a_scanner_asks_for_is_one_series(mut shop: Shop) {
    let visits: Vec<Visit> = (0..CROWD)
        .map(|n| {
            let word = shop.rng.random_range(0..u32::MAX);
            let path = match n % 12 {
                0 => format!("/{word:x}.php"),
                1 => format!("/admin/{word:x}/"),
                2 => format!("/products/{n}/{word:x}"),
                3 => format!("/products%2F{word:x}"),
                // Very much like one that exists.
                4 => format!("/products/{n}/"),
                5 => format!("//products/{n}"),
                6 => "/products/".to_owned(),
                7 => format!("/Products/{n}"),
                8 => format!("/customers/{n}/orders/"),
                9 => format!("/customers/{n}"),
                10 => format!("/orders/{n}"),
                _ => format!("/.git/{word:x}?{word}"),
            };
            Visit::get(path)
        })
        .collect();
    shop.visits("GET of 500 paths that do not exist", &visits, 404)
        .await;
    let page = shop.app.metrics("pages").await;
    expect_exactly(&page, &[("GET", "other", "404", CROWD)]);
}

/// A method is a word that the client chooses (RFC 9110, 9.1): it is as little yours as the path.
#[labkit::test]
async fn made_up_methods_are_one_series(mut shop: Shop) {
    let visits: Vec<Visit> = (0..CROWD)
        .map(|n| Visit {
            method: match n {
                // Not what they look like (RFC 9110, 9.1: a method is case-sensitive).
                0 => "get".to_owned(),
                1 => "Post".to_owned(),
                2 => "QUERY".to_owned(),
                3 => "other".to_owned(),
                _ => format!("BREW{:X}", shop.rng.random_range(0..u32::MAX)),
            },
            ..Visit::get(format!("/no/such/page/{n}"))
        })
        .collect();
    shop.visits(
        "500 made-up methods for paths that do not exist",
        &visits,
        404,
    )
    .await;
    let page = shop.app.metrics("pages").await;
    expect_exactly(&page, &[("other", "other", "404", CROWD)]);
}

/// Who asks is what everybody would like to know, and is a question for a log: in a label it
/// is a series for each visitor and each browser's version.
#[labkit::test]
async fn who_asks_is_no_label(mut shop: Shop) {
    let visits: Vec<Visit> = (0..CROWD)
        .map(|n| Visit {
            visitor: format!("visitor-{}", shop.rng.random_range(0..u64::MAX)),
            ..Visit::get(format!("/products/7?visitor={n}"))
        })
        .collect();
    shop.visits("GET /products/7 by 500 visitors", &visits, 200)
        .await;
    let page = shop.app.metrics("pages").await;
    expect_exactly(&page, &[("GET", "/products/{id}", "200", CROWD)]);
}

/// A word that you know says something; one that a client made up says nothing, also where the route
/// is one of yours.
#[labkit::test]
async fn each_method_is_told_or_other(shop: Shop) {
    let known = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let with = |method: &str, path: &str| Visit {
        method: method.to_owned(),
        ..Visit::get(path)
    };
    let visits = known.map(|method| with(method, "/no/such/page"));
    shop.visits(
        "a page that does not exist, with eight methods",
        &visits,
        404,
    )
    .await;
    let brew = with("BREW", "/products/7");
    shop.visits("BREW /products/7", &[brew], 405).await;
    let page = shop.app.metrics("pages").await;
    let mut expected: Vec<_> = known
        .into_iter()
        .map(|method| (method, "other", "404", 1))
        .collect();
    expected.push(("other", "/products/{id}", "405", 1));
    expect_exactly(&page, &expected);
}

/// Few labels are not no labels. Which page fails, and for which method, is what the counter is
/// for.
#[labkit::test]
async fn what_can_be_told_apart_is_told_apart(shop: Shop) {
    let get = |path: &str| Visit::get(path);
    let with = |method: &str, path: &str| Visit {
        method: method.to_owned(),
        ..Visit::get(path)
    };
    for (visit, times, status) in [
        (get("/products/7"), 3, 200),
        (get("/products/100001"), 2, 404),
        (with("HEAD", "/products/8"), 1, 200),
        (get("/customers/9/orders"), 1, 200),
        (with("POST", "/orders"), 4, 201),
        (with("DELETE", "/orders"), 1, 405),
        (get("/orders/7"), 1, 404),
        (get("/favicon.ico"), 1, 404),
    ] {
        let visits = vec![visit.clone(); times];
        let words = format!("{} {}", visit.method, visit.path);
        shop.visits(&words, &visits, status).await;
    }
    let page = shop.app.metrics("pages").await;
    shop.measured(page.all(REQUESTS).filter(|(_, n)| *n != 0.0).count());
    expect_exactly(
        &page,
        &[
            ("GET", "/products/{id}", "200", 3),
            ("GET", "/products/{id}", "404", 2),
            ("HEAD", "/products/{id}", "200", 1),
            ("GET", "/customers/{id}/orders", "200", 1),
            ("POST", "/orders", "201", 4),
            ("DELETE", "/orders", "405", 1),
            ("GET", "other", "404", 2),
        ],
    );
}

/// 500 different ones.
fn products(rng: &mut StdRng) -> Vec<Visit> {
    let first = rng.random_range(1..50_000_u64);
    let step = rng.random_range(1..100_u64);
    (0..CROWD)
        .map(|n| Visit::get(format!("/products/{}", first + n * step)))
        .collect()
}

/// Fails the check unless the counter has these series and no other one.
fn expect_exactly(page: &Exposition, expected: &[(&str, &str, &str, u64)]) {
    match page.kind(REQUESTS) {
        Some("counter") => {}
        Some(kind) => fail("", format!("`{REQUESTS}` is a {kind}"), "a counter"),
        None => fail(
            "",
            format!("no series of `{REQUESTS}` at all"),
            in_words(expected),
        ),
    }
    let wanted: BTreeMap<[&str; 3], u64> = expected
        .iter()
        .map(|(method, route, status, count)| ([*method, *route, *status], *count))
        .collect();
    let there = page.all(REQUESTS).count();
    // What was made beforehand counts nothing.
    let all: Vec<_> = page.all(REQUESTS).filter(|(_, n)| *n != 0.0).collect();
    if all.len() > wanted.len() || there > MOST_SERIES {
        let some = all
            .iter()
            .filter(|(series, value)| {
                let labels = ["method", "route", "status"].map(|name| series.label(name));
                wanted.get(&labels).map(|count| *count as f64) != Some(*value)
            })
            .take(3)
            .map(|(series, value)| format!("{series} {value}"));
        let some: Vec<String> = some.collect();
        fail(
            "",
            match all.len() > wanted.len() {
                true => format!("{} series, among them {}", all.len(), some.join("; ")),
                false => format!("{there} series, most of which count nothing"),
            },
            match all.len() > wanted.len() {
                true => format!("{} series", wanted.len()),
                false => format!("{MOST_SERIES} at most"),
            },
        );
    }
    for (series, value) in &all {
        if let Some(label) = series
            .labels
            .keys()
            .find(|label| !["method", "route", "status"].contains(&label.as_str()))
        {
            fail_because(
                "",
                format!("a label `{label}` in {series}"),
                "the labels `method`, `route` and `status`",
                "A label that nobody has agreed on multiplies the series, and stands in the way \
                 of each `sum by`.",
            );
        }
        let labels = ["method", "route", "status"].map(|name| series.label(name));
        let count = wanted.get(&labels).copied().unwrap_or(0);
        if *value != count as f64 {
            fail(
                "",
                format!("{series} is {value}"),
                match count {
                    0 => format!("no such series; {}", in_words(expected)),
                    count => format!("{count}"),
                },
            );
        }
    }
    if all.len() < wanted.len() {
        let there: Vec<String> = all
            .iter()
            .map(|(series, value)| format!("{series} {value}"))
            .collect();
        let saw = match there.is_empty() {
            true => "no series".to_owned(),
            false => format!("no other series than {}", there.join("; ")),
        };
        fail("", saw, in_words(expected));
    }
}

fn in_words(expected: &[(&str, &str, &str, u64)]) -> String {
    let words: Vec<String> = expected
        .iter()
        .map(|(method, route, status, count)| {
            format!("{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}")
        })
        .collect();
    words.join("; ")
}
