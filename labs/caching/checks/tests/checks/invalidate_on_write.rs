//! Exercise 2: the storefront shows the price that the catalogue has.

use std::time::Duration;

use caching_checks::{InFlight, Price, Shop};
use labkit::finding::fail;
use labkit::wire::Match;
use rand::RngExt as _;

/// A writer that has not ended after this is taken for one that waits for another. Decides
/// in which order the check goes on, never the verdict.
const BLOCKED: Duration = Duration::from_secs(1);

/// A shop that goes on selling at the old price sells at a loss, for as long as the entry
/// lives.
#[labkit::test]
async fn a_changed_price_is_seen_by_the_next_read(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let storefront = shop.storefront().await;
    storefront.price(id).await;
    let _ = shop.app.put(&path(id), &new).await.expect_ok();
    expect_committed(&shop, id, new);
    storefront
        .expect_the_truth(
            id,
            &shop.app,
            &format!("a visitor, PUT {}, a visitor", path(id)),
        )
        .await;
}

/// A visitor can come at any moment, also while the change is on its way to the catalogue.
/// What they leave in Redis must not outlive the change.
#[labkit::test]
async fn a_visitor_during_the_write_does_not_keep_the_old_price(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let path = path(id);
    let storefront = shop.storefront().await;
    storefront.price(id).await;
    let gate = shop.catalogue.door.gate("PUT", &path);
    let mut change = shop.app.begin_put(&path, &new);
    match change.until(gate.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(&path),
    }
    change.during(storefront.price(id)).await;
    gate.open();
    let _ = change.answer().await.expect_ok();
    expect_committed(&shop, id, new);
    let did = format!("PUT {path}, held before the commit; a visitor; the commit; a visitor");
    storefront.expect_the_truth(id, &shop.app, &did).await;
}

/// "Done" is what the admin tells the customer on the phone. From that answer on nobody may
/// see the old price.
#[labkit::test]
async fn a_change_is_not_done_before_the_old_price_is_gone(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let path = path(id);
    let storefront = shop.storefront().await;
    storefront.price(id).await;
    let committed = shop.catalogue.door.gate_reply("PUT", &path);
    let mut change = shop.app.begin_put(&path, &new);
    match change.until(committed.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(&path),
    }
    let held = shop.app.redis.hold(Match::any());
    committed.open();
    // Whether it speaks to Redis at all after the commit is its own affair.
    let mut spoken = "all it may have to say to Redis".to_owned();
    if let Some(Ok(message)) = change.until(held.reached()).await {
        spoken = format!("its `{message}`");
        // A service that does not wait for Redis answers meanwhile.
        change.during(storefront.price(id)).await;
        change.during(shop.app.settle()).await;
    }
    if let Some(answer) = change.answered() {
        let (answer, shown) = (answer.to_string(), storefront.price(id).await);
        if shown != new {
            fail(
                format!("PUT {path}, with the first message to Redis after the commit held"),
                format!(
                    "it answered {answer} while {spoken} was still on the way; \
                     the storefront shows {} cents",
                    shown.cents
                ),
                format!("no answer before every visitor sees {}", new.cents),
            );
        }
    }
    held.release();
    let _ = change.answer().await.expect_ok();
    expect_committed(&shop, id, new);
    let did = format!("PUT {path}, a visitor between commit and Redis; a visitor after the answer");
    storefront.expect_the_truth(id, &shop.app, &did).await;
}

/// Redis can fail between commit and answer. A service that says "done" all the same has
/// left a price behind that nobody will look for.
#[labkit::test]
async fn a_change_that_redis_never_heard_of_is_not_called_done(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let path = path(id);
    let storefront = shop.storefront().await;
    storefront.price(id).await;
    let committed = shop.catalogue.door.gate_reply("PUT", &path);
    let mut change = shop.app.begin_put(&path, &new);
    match change.until(committed.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(&path),
    }
    shop.app.redis.cut(Match::any());
    committed.open();
    let answer = change.answer().await;
    let shown = storefront.price(id).await;
    if (200..300).contains(&answer.status) && shown != new {
        answer.point("the old price is still there");
        fail(
            format!("PUT {path}, and cut the connection to Redis right after the commit"),
            format!(
                "it answered {answer}; the storefront still shows {} cents",
                shown.cents
            ),
            format!(
                "either {} cents on the next read, or an answer that is no success",
                new.cents
            ),
        );
    }
}

/// Two admins, two instances, one product: their commits have an order, and what they tell
/// Redis afterwards may arrive in the other one.
#[labkit::test]
async fn two_writers_leave_the_price_that_the_catalogue_has(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let path = path(id);
    let storefront = shop.storefront().await;
    let other = shop.second_app().await;
    storefront.price(id).await;
    let committed = shop.catalogue.door.gate_reply("PUT", &path);
    let mut change = shop.app.begin_put(&path, &new);
    match change.until(committed.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(&path),
    }
    // Before each message of the first writer, the second one does all of its work: or as
    // much of it as it can, where it waits for the first.
    let newer: Vec<Price> = (1..=3)
        .map(|more| Price {
            cents: new.cents + more,
        })
        .collect();
    let mut writes = newer.iter();
    let mut waiting: Option<InFlight<'_>> = None;
    let mut steps = shop.app.steps();
    committed.open();
    let answer = steps
        .walk(change, async |_| {
            if waiting.is_some() {
                return;
            }
            let Some(price) = writes.next() else { return };
            let mut write = other.begin_put(&path, price);
            if write.until(tokio::time::sleep(BLOCKED)).await.is_some() {
                waiting = Some(write);
                return;
            }
            let _ = write.answer().await.expect_ok();
            storefront.price(id).await;
        })
        .await;
    drop(steps);
    let _ = answer.expect_ok();
    if let Some(write) = waiting {
        let _ = write.answer().await.expect_ok();
    }
    let did = format!(
        "PUT {path} on one instance; whenever it was about to speak to Redis, a newer PUT on \
         another one",
    );
    storefront.expect_the_truth(id, &shop.app, &did).await;
}

/// A change that the catalogue refuses must be refused to the admin too, and must show
/// nowhere.
#[labkit::test]
async fn a_refused_change_changes_no_price(shop: Shop) {
    let [product] = shop.catalogue.products();
    let path = path(product.id);
    let storefront = shop.storefront().await;
    storefront.price(product.id).await;
    let answer = shop.app.put(&path, &Price { cents: 0 }).await;
    if answer.status != 422 {
        answer.point("not 422");
        fail(
            format!("PUT {path} with a price of 0 cents, which the catalogue refuses with 422"),
            format!("your service answered {answer}"),
            "422 from your service too",
        );
    }
    shop.catalogue.door.fail("PUT", &path, 503);
    let answer = shop.app.put(&path, &Price { cents: 1 }).await;
    if answer.status < 400 {
        answer.point("the catalogue was down");
        fail(
            format!("PUT {path} while the catalogue answers 503"),
            format!("your service answered {answer}"),
            "no success: nothing was changed",
        );
    }
    let did = format!("a visitor, PUT {path} with a price that the catalogue refuses, a visitor");
    storefront
        .expect_the_truth(product.id, &shop.app, &did)
        .await;
}

/// Whoever empties the whole cache for one price sends every visitor of every other
/// product to the catalogue at once.
#[labkit::test]
async fn only_the_changed_price_is_forgotten(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let id = product.id;
    let storefront = shop.storefront().await;
    // Numbers that begin or end alike, as a pattern would match them.
    let others = [id * 10, id * 10 + 1, id + 1, id + 1_000_000];
    for other in others {
        let price = new_price(&mut shop, id);
        shop.catalogue.set_price(other, price);
        storefront.price(other).await;
    }
    storefront.price(id).await;
    let new = new_price(&mut shop, id);
    let _ = shop.app.put(&path(id), &new).await.expect_ok();
    for other in others {
        if storefront.look(other).await.1 {
            fail(
                format!(
                    "visitors of five products, PUT {}, the same visitors",
                    path(id)
                ),
                format!("product {other} had to be loaded again, and nobody had changed it"),
                format!("only product {id} is loaded again"),
            );
        }
    }
}

fn path(id: u64) -> String {
    format!("/prices/{id}")
}

/// A price that the product does not have.
fn new_price(shop: &mut Shop, id: u64) -> Price {
    let cents = shop.catalogue.price(id).cents + shop.rng.random_range(1..5_000);
    Price { cents }
}

fn expect_committed(shop: &Shop, id: u64, new: Price) {
    let truth = shop.catalogue.price(id);
    if truth != new {
        fail(
            "",
            format!(
                "PUT {} was answered with a success; the catalogue still says {} cents",
                path(id),
                truth.cents
            ),
            format!("{} cents in the catalogue", new.cents),
        );
    }
}

fn never_committed(path: &str) -> ! {
    fail(
        format!("PUT {path}"),
        "no change has arrived at the catalogue",
        format!("PUT {path} at the catalogue: it is the truth"),
    )
}
