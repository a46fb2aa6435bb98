//! Exercise 1: a read costs the catalogue once.

use caching_checks::{Inside, NOTHING_KEPT, Product, Shop};
use labkit::answer::Answer;
use labkit::finding::{fail, fail_because};
use labkit::wire::Match;

/// Why a copy outside of Redis is none.
const IN_THE_PROCESS: &str = "The second read was answered by a copy that your service keeps to \
                              itself: no other instance finds it, and nobody can drop it.";

/// How many open the same page, one after the other.
const VISITORS: usize = 100;

/// Without the write-back every visitor still pays for the catalogue, and the first busy
/// evening takes it down.
#[labkit::test]
async fn a_second_read_never_reaches_the_catalogue(shop: Shop) {
    let [product] = shop.catalogue.products();
    let _ = shop.app.get(&product.path()).await.expect_ok();
    let _ = shop.app.get(&product.path()).await.expect_ok();
    shop.catalogue
        .loads_of(&product.path())
        .expect(1, "only the first read is a miss");
}

/// A page that everybody opens is what a cache is for: the hundredth visitor must not cost
/// what the first one did.
#[labkit::test]
async fn a_hundred_visitors_load_once(shop: Shop) {
    let [product] = shop.catalogue.products();
    let path = product.path();
    let mut answers = Vec::new();
    for _ in 0..VISITORS {
        answers.push(shop.app.get(&path).await);
    }
    shop.measured(shop.catalogue.door.count("GET", &path));
    shop.catalogue
        .loads_of(&path)
        .expect(1, "only the first visit is a miss");
    for answer in answers {
        let _ = answer.expect_ok();
    }
}

/// Production runs many instances: what one keeps in its own memory saves the others
/// nothing, and is gone with the next deployment.
#[labkit::test]
async fn another_instance_reads_what_the_first_has_loaded(shop: Shop) {
    let [product] = shop.catalogue.products();
    let other = shop.second_app().await;
    let _ = shop.app.get(&product.path()).await.expect_ok();
    let _ = other.get(&product.path()).await.expect_ok();
    let did = format!("GET {} on one instance, then on another", product.path());
    shop.catalogue
        .loads_of(&product.path())
        .after(did)
        .expect(1, "what one instance has loaded, the other finds in Redis");
}

/// A cache that loses half of the product shows a different shop to every second visitor,
/// and nobody finds that in the logs.
#[labkit::test]
async fn a_hit_is_the_same_product_as_a_miss(shop: Shop) {
    for product in shop.catalogue.products::<5>() {
        for time in ["first", "second"] {
            let answer = shop.app.get(&product.path()).await.expect_ok();
            let shown: Product = answer.json();
            if shown.id != product.id {
                answer.point("another product");
                fail_because(
                    "",
                    format!("{} for the {time} time: {}", answer.request, json(&shown)),
                    format!("product {}", product.id),
                    "Keys that two products share show one customer another product's page.",
                );
            }
            if shown != product {
                answer.point("not what the catalogue says");
                fail(
                    "",
                    format!("{} for the {time} time: {}", answer.request, json(&shown)),
                    format!("what the catalogue says: {}", json(&product)),
                );
            }
        }
    }
}

/// Keys that two products share show one customer another product's page.
#[labkit::test]
async fn every_product_has_its_own_entry(shop: Shop) {
    let products = shop.catalogue.products::<5>();
    for _ in 0..2 {
        for product in &products {
            let answer = shop.app.get(&product.path()).await.expect_ok();
            let shown: serde_json::Value = answer.json();
            if shown["id"] != product.id {
                answer.point("another product");
                fail(
                    "GET of five products, then of the same five again",
                    format!("{} answered with product {}", product.path(), shown["id"]),
                    format!("product {}", product.id),
                );
            }
        }
    }
    for product in &products {
        shop.catalogue
            .loads_of(&product.path())
            .after("GET of five products, then of the same five again")
            .expect(1, "each of them is loaded once");
    }
}

/// With no expiry one missed invalidation is stale for ever; and a life that is written
/// into the code cannot be turned down when the shop needs it.
#[labkit::test]
async fn a_cached_product_expires(shop: Shop) {
    let [first, second, other, another] = shop.catalogue.products();
    let rounds = shop.mark();
    for (mut product, meanwhile, life) in [(first, other.path(), 600), (second, another.path(), 60)]
    {
        shop.begin_round(rounds);
        let shorter;
        let app = match life {
            600 => &shop.app,
            _ => {
                shorter = shop.second_app_with(&[("PRODUCT_TTL_S", 60)]).await;
                &shorter
            }
        };
        let path = product.path();
        let _ = app.get(&path).await.expect_ok();
        shop.redis
            .expect_lives("PRODUCT_TTL_S", life, &format!("GET {path}"))
            .await;
        let loads = || shop.catalogue.door.count("GET", &path);
        let read = async || {
            let _ = app.get(&path).await;
        };
        shop.redis
            .expect_no_longer_lives(&format!("GET {path} of what is in Redis"), loads, read)
            .await;
        // Neither may what is done for another product.
        shop.redis.shorten_everything_to(1_000).await;
        let _ = app.get(&meanwhile).await.expect_ok();
        shop.redis.let_pass(1_000).await;
        product.name += ", used";
        shop.catalogue.set_product(&product);
        let did = format!(
            "GET {path}; when a second of its life was left GET {meanwhile}; the second passes, \
             the product changes; GET {path}"
        );
        expect_now(&app.get(&path).await, &product, did);
        shop.redis.forget_everything().await;
    }
}

/// What an instance keeps to itself nobody can drop: not the next change, not the end of
/// its life in Redis, and each visitor sees another shop.
#[labkit::test]
async fn what_redis_has_forgotten_is_loaded_again(shop: Shop) {
    let [mut product] = shop.catalogue.products();
    let path = product.path();
    for _ in 0..2 {
        let _ = shop.app.get(&path).await.expect_ok();
    }
    if shop.redis.entries().await.is_empty() {
        let saw = shop.redis.holds_nothing().await;
        let did = format!("GET {path}, twice");
        let why = match shop.catalogue.door.count("GET", &path) {
            1 => IN_THE_PROCESS,
            _ => NOTHING_KEPT,
        };
        fail_because(did, saw, "the product's entry", why);
    }
    shop.redis.forget_everything().await;
    product.stock = 7;
    product.name += ", used";
    shop.catalogue.set_product(&product);
    // Once without Redis: then an error is as right as the truth.
    shop.app.redis.cut(Match::any());
    let did = format!("GET {path}; its entry expires, the product changes; GET {path}");
    let without = shop.app.get(&path).await;
    if without.status < 500 {
        expect_now(&without, &product, did.clone());
    }
    expect_now(&shop.app.get(&path).await, &product, did);

    // And once another instance has brought the entry back.
    shop.redis.forget_everything().await;
    product.stock = 8;
    shop.catalogue.set_product(&product);
    let other = shop.second_app().await;
    for app in [&other, &shop.app] {
        let did = format!(
            "GET {path}; its entry expires, the product changes; GET {path} on a second instance, \
             then on the first one"
        );
        expect_now(&app.get(&path).await, &product, did);
    }
}

/// Fails the check unless the answer has the name and the stock that the catalogue has now, when
/// what Redis held is gone.
fn expect_now(answer: &Answer, product: &Product, did: String) {
    let changed = |shown: Product| shown.name != product.name || shown.stock != product.stock;
    if answer.status != 200 || changed(answer.json()) {
        answer.point("not what the catalogue says now");
        fail_because(
            did,
            format!("your service answered {answer}"),
            format!("what the catalogue says now: {}", json(product)),
            "What lives on past its life nobody can drop: a copy that an instance keeps to itself, \
             or an entry that is prolonged by what is done for another product.",
        );
    }
}

/// Between a write and an expiry that follows it there is time for a crash, a cut
/// connection or a deployment: what stays is an entry that never goes.
#[labkit::test]
async fn value_and_expiry_arrive_together(shop: Shop) {
    let [product] = shop.catalogue.products();
    shop.expect_expiry_with_the_value(&product.path()).await;
}

/// An outage of one second must not be served for the whole life of an entry: that is how
/// a short incident becomes a long one. And what is not there today may be there tomorrow.
#[labkit::test]
async fn neither_an_outage_nor_a_404_is_remembered(shop: Shop) {
    let [product] = shop.catalogue.products();
    let path = product.path();
    shop.catalogue.door.fail("GET", &path, 503);
    let _ = shop
        .app
        .get(&path)
        .await
        .expect_status(502, "the catalogue failed, and the shop says so");
    shop.catalogue.door.heal();
    let answer = shop.app.get(&path).await;
    if answer.status != 200 || answer.json::<serde_json::Value>()["id"] != product.id {
        answer.point("the catalogue is well again");
        fail(
            format!("GET {path} while the catalogue was down, and again when it was back"),
            format!(
                "the outage is over, and {path} still answers {answer}{}",
                kept(&shop.redis).await
            ),
            "the product: the catalogue is well again",
        );
    }

    shop.redis.forget_everything().await;
    let mut unknown = product;
    unknown.id += 1_000_000;
    let path = unknown.path();
    let _ = shop
        .app
        .get(&path)
        .await
        .expect_status(404, "the catalogue knows no such product");
    shop.catalogue.set_product(&unknown);
    let answer = shop.app.get(&path).await;
    if answer.status != 200 {
        answer.point("the catalogue knows it now");
        fail(
            format!("GET {path}, and again when the catalogue had got the product"),
            format!("it still answers {answer}{}", kept(&shop.redis).await),
            "the product: a 404 is not remembered",
        );
    }
}

/// What Redis holds, in words.
async fn kept(redis: &Inside) -> String {
    match redis.entries().await.first() {
        Some(entry) => format!("; Redis keeps `{}`", entry.key),
        None => String::new(),
    }
}

fn json(product: &Product) -> String {
    serde_json::to_string(product).unwrap_or_default()
}
