//! Exercise 9: what was loaded before a change is not kept after it.

use caching_checks::{InFlight, Instance, Shop, Sort, Thing, expect_answered, expect_shown};
use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::upstream::Gate;
use labkit::wire::Match;
use serde_json::Value;

/// How many messages a reader may need.
const MOST_STEPS: usize = 20;

/// Whoever never keeps anything keeps nothing old. That is no cache.
#[labkit::test]
async fn a_stock_that_nobody_changes_is_loaded_once(shop: Shop) {
    let [stock, another] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app_with(&[("STOCK_TTL_S", 90)]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut read = shop.app.begin_get(path);
    until_loading(&mut read, &gate, 1, path).await;
    expect_nothing_for_ever(&shop, &format!("GET {path}, looking while it is loaded")).await;
    gate.open();
    expect_shown(&read.answer().await, &stock.value, "");
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &stock.value, "");
    }
    shop.catalogue
        .loads_of(path)
        .after(format!(
            "GET {path}, twice on one instance and once on another"
        ))
        .expect(1, "only the first read is a miss");
    expect_nothing_for_ever(&shop, &format!("GET {path}")).await;
    shop.redis.expect_lives("STOCK_TTL_S", 600, path).await;
    shop.redis.forget_everything().await;
    expect_shown(&other.get(&another.path).await, &another.value, "");
    shop.redis
        .expect_lives("STOCK_TTL_S", 90, &another.path)
        .await;
}

/// A shop that sells what it does not have writes apologies.
#[labkit::test]
async fn a_change_is_seen_by_the_next_read(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &stock.value, "");
    }
    change(&mut shop, &stock).on(&other).await;
    let did = format!("GET {path} on both instances, PUT on one, GET on both");
    expect_the_truth(&shop, &other, path, &did).await;
    expect_nothing_for_ever(&shop, &did).await;
}

/// A reader who was told the old number may be slow: a full queue, a long pause, a packet
/// sent twice. What it then keeps is the old number, with its whole life before it.
#[labkit::test]
async fn a_slow_reader_does_not_bring_the_old_number_back(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    // One reader; then one on each instance.
    for more in [0, 1] {
        shop.redis.forget_everything().await;
        let new = change(&mut shop, &stock);
        let gate = shop.catalogue.door.gate_reply("GET", path);
        let mut readers = shop
            .app
            .begin_crowd([path])
            .and(other.begin_crowd(vec![path; more]));
        until_loading(&mut readers, &gate, 1 + more, path).await;
        readers.during(new.on(&other)).await;
        gate.open();
        let (one, another) = readers.answer().await;
        let did = format!(
            "GET {path} by {} reader(s), held with the old number; PUT {path} on the other \
             instance; let the reader(s) go",
            1 + more
        );
        for answers in [one, another] {
            expect_answered(&answers, &did, "the catalogue has answered");
        }
        expect_the_truth(&shop, &other, path, &did).await;
    }
}

/// Readers come in crowds, and some of them after the change. What one of these has noted
/// down must not let in what another has carried about since before it.
#[labkit::test]
async fn slow_readers_on_both_sides_of_a_change_do_not_help_each_other(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let new = change(&mut shop, &stock);
    let before = shop.catalogue.door.gate_reply("GET", path);
    let mut readers = shop.app.begin_get(path).and(other.begin_get(path));
    until_loading(&mut readers, &before, 2, path).await;
    readers.during(new.on(&other)).await;
    // Who comes from here on stops at this gate when the first one has been opened.
    let after = shop.catalogue.door.gate_reply("GET", path);
    let mut late = other.begin_get(path);
    // It may as well be answered: a writer may have left the new number.
    readers.during(late.until(before.parked(3))).await;
    let parked = usize::from(late.answered().is_none());
    before.open();
    let did = format!(
        "GET {path} on two instances, held with the old number; PUT {path}; a third GET, held \
         with the new one; let the first two go"
    );
    let mut visitor = shop.app.begin_get(path);
    let early = async {
        let (one, another) = readers.answer().await;
        let _ = (one.expect_ok(), another.expect_ok());
        // A miss asks the catalogue, and has nothing old; a hit must have nothing old either.
        visitor.until(after.parked(parked + 1)).await;
    };
    late.during(early).await;
    after.open();
    let truth = shop.catalogue.goods.truth(path);
    expect_next(&visitor.answer().await, &truth, &did);
    expect_next(&late.answer().await, &truth, &did);
    expect_the_truth(&shop, &other, path, &(did + ", then the third")).await;
}

/// Between any two messages of a reader there is room for a whole change. A fill that first
/// looks and then writes is right until somebody comes between.
#[labkit::test]
async fn a_change_at_any_moment_of_a_fill_wins(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    // Before each message of the reader once; with a visitor after the change, and without.
    for (nth, visited) in (0..MOST_STEPS).flat_map(|nth| [(nth, false), (nth, true)]) {
        shop.redis.forget_everything().await;
        let new = change(&mut shop, &stock);
        let (mut step, mut before) = (0, None);
        let mut steps = shop.app.steps();
        let answer = steps
            .walk(shop.app.begin_get(path), async |last| {
                if step == nth {
                    new.on(&other).await;
                    if visited {
                        let _ = other.get(path).await.expect_ok();
                    }
                    before = last.map(str::to_owned);
                }
                step += 1;
            })
            .await;
        drop(steps);
        let _ = answer.expect_ok();
        if step <= nth {
            return;
        }
        let visitor = if visited { " and a visitor" } else { "" };
        let did = match before {
            Some(message) => {
                format!("GET {path}; after its `{message}`, PUT{visitor} on the other instance")
            }
            None => format!(
                "PUT {path}{visitor} on the other instance, before the first message of a GET"
            ),
        };
        expect_the_truth(&shop, &other, path, &did).await;
    }
}

/// A reader can come while the change is on its way to the catalogue. What it keeps, and
/// rightly so, must not outlive the change.
#[labkit::test]
async fn a_reader_during_the_change_does_not_keep_the_old_number(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let value = change(&mut shop, &stock).value;
    let gate = shop.catalogue.door.gate("PUT", path);
    let mut change = other.begin_put(path, &value);
    if change.until(gate.parked(1)).await != Some(Ok(())) {
        never_committed(path);
    }
    let read = change.during(shop.app.get(path)).await;
    let _ = read.expect_ok();
    gate.open();
    let _ = change.answer().await.expect_ok();
    let did = format!("PUT {path}, held before the commit; GET {path}; the commit");
    expect_the_truth(&shop, &other, path, &did).await;
}

/// Two changes have an order at the catalogue, and may reach Redis in the other one.
#[labkit::test]
async fn two_writers_leave_the_number_that_the_catalogue_has(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let (first, second) = (change(&mut shop, &stock), change(&mut shop, &stock));
    let committed = shop.catalogue.door.gate_reply("PUT", path);
    let mut slow = shop.app.begin_put(path, &first.value);
    if slow.until(committed.parked(1)).await != Some(Ok(())) {
        never_committed(path);
    }
    let held = shop.app.redis.hold_each(Match::any());
    committed.open();
    slow.during(second.on(&other)).await;
    let _ = slow.during(other.get(path)).await.expect_ok();
    drop(held);
    let _ = slow.answer().await.expect_ok();
    let did = format!(
        "PUT {path}, held between the commit and Redis; a newer PUT and a GET on the other \
         instance"
    );
    expect_the_truth(&shop, &other, path, &did).await;
}

/// A change that is to come.
struct Change {
    path: String,
    value: Value,
}

/// Another number than the catalogue has now.
fn change(shop: &mut Shop, stock: &Thing) -> Change {
    let goods = &shop.catalogue.goods;
    Change {
        value: goods.other_than(stock, Sort::Stock, &mut shop.rng),
        path: stock.path.clone(),
    }
}

impl Change {
    /// Makes it.
    async fn on(&self, app: &Instance) {
        let _ = app.put(&self.path, &self.value).await.expect_ok();
    }
}

/// Fails the check unless both instances show what the catalogue says, and go on doing so.
async fn expect_the_truth(shop: &Shop, other: &Instance, path: &str, did: &str) {
    let truth = shop.catalogue.goods.truth(path);
    for app in [&shop.app, other, &shop.app, other] {
        expect_next(&app.get(path).await, &truth, did);
    }
}

fn expect_next(answer: &Answer, truth: &Value, did: &str) {
    if answer.status != 200 {
        answer.point("not 200");
        fail(did, format!("the next read is {answer}"), truth.to_string());
    }
    let shown: Value = answer.json();
    if shown != *truth {
        answer.point("not what the catalogue says");
        fail(
            did,
            format!(
                "the next read is {shown}, until the entry expires; the catalogue says {truth}"
            ),
            format!("{truth}: the change was answered with a success"),
        );
    }
}

async fn expect_nothing_for_ever(shop: &Shop, did: &str) {
    if let Some(entry) = shop
        .redis
        .entries()
        .await
        .into_iter()
        .find(|entry| entry.pttl == -1)
    {
        fail(
            did,
            format!("`{}` has no expiry (PTTL -1)", entry.key),
            "nothing in Redis that stays for ever",
        );
    }
}

/// Waits until so many loads are parked at the gate.
async fn until_loading<T>(request: &mut InFlight<'_, T>, gate: &Gate, loads: usize, path: &str) {
    if request.until(gate.parked(loads)).await != Some(Ok(())) {
        fail(
            format!("GET {path}, with nothing of it in Redis"),
            format!(
                "{} of {loads} readers have asked the catalogue",
                gate.parked_now()
            ),
            "each of them asks: nobody has to wait for another's load",
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
