//! Exercise 2: the storefront shows the price that the catalogue has.

use std::time::Duration;

use caching_checks::{InFlight, Price, SILENCE, Shop, Storefront};
use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::upstream::Gate;
use labkit::wire::Match;
use rand::RngExt as _;

/// A writer that has not ended after this is taken for one that waits for another. Decides
/// in which order the check goes on, never the verdict.
const BLOCKED: Duration = Duration::from_millis(500);

/// A change of a price has fewer messages than this; one that never comes to an end is
/// not followed for ever.
const MOMENTS: usize = 20;

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
        .expect_the_truth(id, &format!("a visitor, PUT {}, a visitor", path(id)))
        .await;
}

/// A visitor can come at any moment, also while the change is on its way to the catalogue.
/// What they leave in Redis must not outlive the change.
#[labkit::test]
async fn a_visitor_during_the_write_does_not_keep_the_old_price(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let id = product.id;
    let path = path(id);
    let storefront = shop.storefront().await;
    let rounds = shop.mark();
    for (before, entry) in [("a visitor; ", true), ("", false)] {
        for k in 1..=MOMENTS {
            shop.redis.forget_everything().await;
            shop.begin_round(rounds);
            if entry {
                storefront.price(id).await;
            }
            let new = new_price(&mut shop, id);
            let mut change = shop.app.begin_put(&path, &new);
            let Some(held) = shop.app.standstill(&mut change, k).await else {
                let _ = change.answer().await.expect_ok();
                expect_committed(&shop, id, new);
                break;
            };
            change.during(storefront.price(id)).await;
            let at = held.at.clone();
            drop(held);
            let _ = change.answer().await.expect_ok();
            expect_committed(&shop, id, new);
            let did = format!("{before}PUT {path}, with a visitor while {at} was held; a visitor");
            storefront.expect_the_truth(id, &did).await;
        }
    }
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
    let mut change = shop.app.begin_put(&path, &new);
    let committed = until_committed(&shop, &mut change, &path, &storefront, id).await;
    let mut steps = shop.app.steps();
    committed.open();
    let answer = steps
        .walk(change, async |_| {
            storefront.price(id).await;
        })
        .await
        .expect_ok();
    expect_committed(&shop, id, new);
    // What it did not wait for is held until here.
    let shown = storefront.price(id).await;
    if shown != new {
        let unawaited = steps.unawaited().map_or_else(String::new, |message| {
            format!(" while its `{message}` was still on the way")
        });
        answer.point("when this was answered, the old price was still there");
        fail(
            format!(
                "a visitor, PUT {path}, a visitor just before the commit; then each message to \
                 Redis held in turn"
            ),
            format!(
                "it answered {answer}{unawaited}, and the old price is still there: the \
                 storefront shows {} cents",
                shown.cents
            ),
            format!("no answer before every visitor sees {}", new.cents),
        );
    }
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
    let mut change = shop.app.begin_put(&path, &new);
    let committed = until_committed(&shop, &mut change, &path, &storefront, id).await;
    let said = shop.app.redis.messages().len();
    shop.app.redis.cut(Match::any());
    committed.open();
    let answer = change.answer().await;
    let silent = match shop.app.redis.messages().len() == said {
        true => ", and nothing was said to Redis after the commit",
        false => "",
    };
    let shown = storefront.price(id).await;
    if is_success(&answer) && shown != new {
        answer.point("when this was answered, the old price was still there");
        fail(
            format!(
                "a visitor, PUT {path}, a visitor just before the commit; the connection to Redis \
                 cut right after it"
            ),
            format!(
                "it answered {answer}{silent}; the storefront still shows {} cents",
                shown.cents
            ),
            format!(
                "either {} cents on the next read, or an answer that is no success",
                new.cents
            ),
        );
    }
}

/// A Redis that is busy answers late. What is not waited for is on its way, and so are the
/// visitors.
#[labkit::test]
async fn a_change_that_redis_has_not_heard_of_yet_is_not_called_done(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let (id, new) = (product.id, new_price(&mut shop, product.id));
    let path = path(id);
    let storefront = shop.storefront().await;
    storefront.price(id).await;
    let app = shop.second_app_with(&[("REDIS_BUDGET_MS", 100)]).await;
    let mut change = app.begin_put(&path, &new);
    let committed = until_committed(&shop, &mut change, &path, &storefront, id).await;
    let held = app.redis.hold_each(Match::any());
    committed.open();
    change.until(tokio::time::sleep(SILENCE)).await;
    let shown = storefront.price(id).await;
    if let Some(answer) = change.answered()
        && is_success(answer)
        && shown != new
    {
        answer.point("when this was answered, the old price was still there");
        fail(
            format!(
                "a visitor, PUT {path}, a visitor just before the commit; each message to Redis \
                 held from the commit on"
            ),
            format!(
                "it answered {answer}; the storefront still shows {} cents",
                shown.cents
            ),
            "no success before Redis has answered, however long that takes",
        );
    }
    drop(held);
    let _ = change.answer().await;
}

/// Two admins, two instances, one product: their commits have an order, and what they tell
/// Redis may arrive in the opposite one.
#[labkit::test]
async fn two_writers_leave_the_price_that_the_catalogue_has(mut shop: Shop) {
    let [product] = shop.catalogue.products();
    let id = product.id;
    let path = path(id);
    let storefront = shop.storefront().await;
    let other = shop.second_app().await;
    let rounds = shop.mark();
    for k in 1..=MOMENTS {
        shop.begin_round(rounds);
        storefront.price(id).await;
        let prices = [new_price(&mut shop, id), new_price(&mut shop, id)];
        let mut change = shop.app.begin_put(&path, &prices[0]);
        let Some(held) = shop.app.standstill(&mut change, k).await else {
            let _ = change.answer().await.expect_ok();
            expect_committed(&shop, id, prices[0]);
            break;
        };
        // All of the other's work, or as much as it can do where it waits for the first.
        let mut write = other.begin_put(&path, &prices[1]);
        let waits = write.until(tokio::time::sleep(BLOCKED)).await.is_some();
        if !waits {
            storefront.price(id).await;
        }
        let at = held.at.clone();
        drop(held);
        let answers = [change.answer().await, write.answer().await];
        // Whoever gives way to the other has to say so, and may.
        if answers.iter().all(is_success) {
            let did = format!(
                "PUT {path} on one instance; while {at} was held, PUT {path} on another one; \
                 a visitor"
            );
            storefront.expect_the_truth(id, &did).await;
        }
    }
}

/// A change that the catalogue refuses must be refused to the admin too, and must show
/// nowhere.
#[labkit::test]
async fn a_refused_change_changes_no_price(shop: Shop) {
    let [product] = shop.catalogue.products();
    let id = product.id;
    let path = path(id);
    let storefront = shop.storefront().await;
    let refusals = [(0, None), (1, Some(503)), (1, Some(404))];
    let rounds = shop.mark();
    for (cents, status) in refusals {
        let words = match status {
            None => {
                format!("PUT {path} with a price of 0 cents, which the catalogue refuses with 422")
            }
            Some(status) => format!("PUT {path} while the catalogue answers {status}"),
        };
        if let Some(status) = status {
            shop.catalogue.door.heal();
            shop.catalogue.door.fail("PUT", &path, status);
        }
        for k in 1..=MOMENTS {
            shop.begin_round(rounds);
            storefront.price(id).await;
            let price = Price { cents };
            let mut change = shop.app.begin_put(&path, &price);
            let held = shop.app.standstill(&mut change, k).await;
            if let Some(held) = &held {
                let did = format!("a visitor; {words}; a visitor while {} was held", held.at);
                storefront.expect_the_truth(id, &did).await;
            }
            let ended = held.is_none();
            drop(held);
            expect_refused(&change.answer().await, status, &words);
            let did = format!("a visitor; {words}; a visitor");
            storefront.expect_the_truth(id, &did).await;
            if ended {
                break;
            }
        }
    }
}

fn expect_refused(answer: &Answer, status: Option<u16>, did: &str) {
    let (right, expected) = match status {
        None => (answer.status == 422, "422 from your service too"),
        Some(_) => (answer.status >= 400, "no success: nothing was changed"),
    };
    if !right {
        answer.point("nothing was changed");
        fail(did, format!("your service answered {answer}"), expected);
    }
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

fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
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

/// Lets a change go until the catalogue has made it, with a visitor just before: whatever the
/// service told Redis until then, the old price is there.
async fn until_committed(
    shop: &Shop,
    change: &mut InFlight<'_>,
    path: &str,
    storefront: &Storefront,
    id: u64,
) -> Gate {
    let door = &shop.catalogue.door;
    let (comes, committed) = (door.gate("PUT", path), door.gate_reply("PUT", path));
    match change.until(comes.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(path),
    }
    change.during(storefront.price(id)).await;
    comes.open();
    match change.until(committed.parked(1)).await {
        Some(Ok(())) => committed,
        _ => never_committed(path),
    }
}

fn never_committed(path: &str) -> ! {
    fail(
        format!("PUT {path}"),
        "no change has arrived at the catalogue",
        format!("PUT {path} at the catalogue: it is the truth"),
    )
}
