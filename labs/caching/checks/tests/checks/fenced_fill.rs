//! Exercise 9: what was loaded before a change is not kept after it.

use caching_checks::changes::{
    Change, Writer, change, expect_next, expect_the_truth, hold_load, never_committed, until_held,
};
use caching_checks::{
    InFlight, Instance, MOMENT, SILENCE, Shop, Sort, Thing, expect_answered, expect_shown,
};
use labkit::finding::{fail, fail_because};
use labkit::patience::{PATIENCE, timeout};
use labkit::upstream::Gate;
use labkit::wire::Match;

/// How many messages a reader or a writer may need.
const MOST_STEPS: usize = 20;

/// How many tries of one reader come upon a change; whoever tries on after that is left alone.
const TRIES: usize = 3;

/// STOCK_TTL_S, where a check does not say otherwise, in milliseconds.
const STOCK: i64 = 600_000;
/// LOCK_TTL_MS.
const LOCK: i64 = 30_000;
/// Longer than anybody notes something down for.
const WEEK: i64 = 7 * 86_400_000;
/// What is added to a life so that it is over.
const OVER: i64 = 1_000;
/// What is left of a life that is not over: more than a check takes.
const MINUTE: i64 = 60_000;

/// Whoever never keeps anything keeps nothing old. That is no cache.
#[labkit::test]
async fn a_stock_that_nobody_changes_is_loaded_once(shop: Shop) {
    // Three everyday ones, and one with the largest number.
    let stocks: [Thing; 4] = shop.catalogue.goods.some(Sort::Stock);
    let other = shop.second_app().await;
    for Thing { path, value } in &stocks {
        for app in [&shop.app, &shop.app, &other] {
            expect_shown(&app.get(path).await, value, "");
        }
        shop.catalogue
            .loads_of(path)
            .after(format!(
                "GET {path}, twice on one instance and once on another"
            ))
            .expect(1, "only the first read is a miss");
    }
}

/// A shop changes some stock every second. If each change refuses the fills of all, nothing
/// is ever kept.
#[labkit::test]
async fn the_change_of_another_stock_refuses_no_fill(mut shop: Shop) {
    let [stock, changed] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let new = change(&mut shop, &changed);
    let load = hold_load(&shop.app, path);
    let mut reader = shop.app.begin_get(path);
    until_held(&mut reader, &load, path).await;
    reader.during(new.on(&other)).await;
    load.release();
    expect_shown(&reader.answer().await, &stock.value, "");
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &stock.value, "");
    }
    shop.catalogue
        .loads_of(path)
        .after(format!(
            "GET {path}, held at the catalogue; PUT {} on the other instance; let the GET go; GET \
             on both",
            changed.path
        ))
        .expect(1, "nobody has changed this one");
}

/// Redis is small, and readers die: what has no end is there for good. And when a stock ends
/// is for whoever runs the shop to say.
#[labkit::test]
async fn whatever_is_kept_ends_and_a_stock_when_the_environment_says(mut shop: Shop) {
    let [stock, here, there] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app_with(&[("STOCK_TTL_S", 90)]).await;
    change(&mut shop, &stock).on(&other).await;
    expect_nothing_for_ever(&shop, &format!("PUT {path}, with an empty Redis")).await;
    shop.redis.forget_everything().await;
    shop.expect_expiry_with_the_value(path).await;
    shop.redis.forget_everything().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut read = shop.app.begin_get(path);
    until_loading(&mut read, &gate, 1, path).await;
    expect_nothing_for_ever(&shop, &format!("GET {path}, looking while it is loaded")).await;
    gate.open();
    let _ = read.answer().await.expect_ok();
    expect_nothing_for_ever(&shop, &format!("GET {path}")).await;
    change(&mut shop, &stock).on(&other).await;
    expect_nothing_for_ever(&shop, &format!("GET {path}, PUT on another instance")).await;
    for (app, Thing { path, value }, life) in [(&shop.app, here, 600), (&other, there, 90)] {
        shop.redis.forget_everything().await;
        expect_shown(&app.get(&path).await, &value, "");
        let loads = || shop.catalogue.door.count("GET", &path);
        let read = async || {
            let _ = app.get(&path).await;
        };
        let did = format!("GET {path} of what is in Redis");
        shop.redis.expect_no_longer_lives(&did, loads, read).await;
        shop.redis.forget_everything().await;
        let before = loads();
        expect_shown(&app.get(&path).await, &value, "");
        let ended = shop.redis.end_what_lives("STOCK_TTL_S", life, &path).await;
        expect_shown(&app.get(&path).await, &value, "");
        shop.catalogue
            .loads_of(&path)
            .after(format!(
                "GET {path} with STOCK_TTL_S={life}; ended {ended}, which lived so long; GET again"
            ))
            .expect(before + 2, "the life of the stock is over");
    }
}

/// What a change has left behind may end before what was filled after it. Then the stock is still
/// what it was.
#[labkit::test]
async fn a_stock_that_is_filled_long_after_a_change_lives_its_whole_life(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let new = change(&mut shop, &stock);
    new.on(&shop.app).await;
    let left = shop.redis.entries().await;
    let left = left.iter().map(|entry| entry.pttl).max().unwrap_or(0);
    // Not all of it: what goes is at its end, and not gone. And not too early: what is to keep
    // nobody from filling for longer than a lock lives may do so until then.
    let almost = (left - MINUTE).max(LOCK + OVER);
    shop.redis.pass(almost, &[&shop.app]).await;
    expect_shown(&shop.app.get(path).await, &new.value, "");
    let before = shop.catalogue.door.count("GET", path);
    // A minute less, for what the check itself takes.
    let half = STOCK / 2 - MINUTE;
    shop.redis.pass(half, &[&shop.app]).await;
    expect_shown(&shop.app.get(path).await, &new.value, "");
    // What the change itself had left may have been shown first, and have ended since.
    let loaded = before > 0;
    let loads = shop.catalogue.door.count("GET", path) - before;
    if loaded && loads > 0 {
        fail(
            format!(
                "PUT {path}; {} s later GET, which loads it; {} s later GET, with STOCK_TTL_S={}",
                almost / 1000,
                half / 1000,
                STOCK / 1000
            ),
            "it was loaded once more",
            "a hit: half of its life is not over, and nobody has changed it",
        );
    }
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
}

/// A reader who was told the old number may be slow: a full queue, a long pause, a packet
/// sent twice. What it then keeps is the old number, with its whole life before it.
#[labkit::test]
async fn a_slow_reader_does_not_bring_the_old_number_back(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // One reader; one on each instance; two that share a connection to Redis.
    for (here, there) in [(1, 0), (1, 1), (2, 0)] {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let new = change(&mut shop, &stock);
        let gate = shop.catalogue.door.gate_reply("GET", path);
        let mut readers = shop
            .app
            .begin_crowd(vec![path; here])
            .and(other.begin_crowd(vec![path; there]));
        until_loading(&mut readers, &gate, here + there, path).await;
        readers.during(new.on(&other)).await;
        gate.open();
        let (one, another) = readers.answer().await;
        let did = format!(
            "GET {path} by {here} reader(s) on one instance and {there} on the other, held with \
             the old number; PUT {path} on the other; let the reader(s) go"
        );
        for answers in [one, another] {
            expect_answered(&answers, &did, "the catalogue has answered");
        }
        expect_the_truth(&shop, &other, path, &did).await;
    }
}

/// Who was refused may try again. Each try is a reader like any other: it has to be safe from a
/// change of its own.
#[labkit::test]
async fn each_try_of_a_reader_may_come_upon_a_change(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    for overtaken in 1..=TRIES {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let changes: [Change; TRIES] = std::array::from_fn(|_| change(&mut shop, &stock));
        let mut load = hold_load(&shop.app, path);
        let mut reader = shop.app.begin_get(path);
        let mut loads = 0;
        for new in changes.iter().take(overtaken) {
            match reader.until(load.reached()).await {
                Some(Ok(_)) => {}
                Some(Err(_)) => never_loaded(path),
                // It has given up, which it may, and is answered.
                None => break,
            }
            reader.during(new.on(&other)).await;
            load = hold_load(&shop.app, path);
            loads += 1;
        }
        drop(load);
        let _ = reader.answer().await.expect_ok();
        let did = match loads {
            1 => format!("GET {path}, held with the old number; PUT on the other instance"),
            _ => format!(
                "GET {path}, which has asked the catalogue {loads} times; each time, when the \
                 catalogue had answered, PUT on the other instance"
            ),
        };
        expect_the_truth(&shop, &other, path, &did).await;
        if loads < overtaken {
            return;
        }
    }
}

/// Readers of one instance share a connection. What guards one of them must not end because
/// another has filled: the next change then comes between the load and the fill unseen.
#[labkit::test]
async fn a_fill_does_not_end_the_guard_of_another(mut shop: Shop) {
    let stocks: [Thing; 2] = shop.catalogue.goods.some(Sort::Stock);
    let gets = format!("GET {} and GET {}", stocks[0].path, stocks[1].path);
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Before each message that follows the loads.
    for nth in 0..2 * MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let news = stocks.each_ref().map(|stock| change(&mut shop, stock));
        let (mut loads, mut readers) = (Vec::new(), Vec::new());
        for Thing { path, .. } in &stocks {
            let load = hold_load(&shop.app, path);
            let mut reader = shop.app.begin_get(path);
            until_held(&mut reader, &load, path).await;
            loads.push(load);
            readers.push(reader);
        }
        let (mut step, mut before) = (0, None);
        let mut steps = shop.app.steps();
        drop(loads);
        let answers = steps
            .walk(InFlight::all(readers), async |last| {
                if step == nth {
                    for new in &news {
                        new.on(&other).await;
                    }
                    before = last.map(str::to_owned);
                }
                step += 1;
            })
            .await;
        drop(steps);
        for answer in answers {
            let _ = answer.expect_ok();
        }
        if step <= nth {
            return;
        }
        let after = before.map_or_else(String::new, |message| format!(" and `{message}`"));
        let did =
            format!("{gets} on one instance; after the loads{after}, PUT of both on the other");
        for Thing { path, .. } in &stocks {
            expect_the_truth(&shop, &other, path, &did).await;
        }
    }
}

/// A change takes as long as the catalogue takes. Nobody who has another one to make waits for
/// that.
#[labkit::test]
async fn a_change_does_not_wait_for_another_change(mut shop: Shop) {
    let stocks: [Thing; 2] = shop.catalogue.goods.some(Sort::Stock);
    let rounds = shop.mark();
    // Of another stock, and of the same.
    for second in [&stocks[0], &stocks[1]] {
        shop.begin_round(rounds);
        let path = &stocks[1].path;
        let (slow, quick) = (change(&mut shop, &stocks[1]), change(&mut shop, second));
        let held = shop.app.catalogue.hold(Match::request("PUT", path));
        let mut slow = shop.app.begin_patient_put(path, &slow.value);
        if !matches!(slow.until(held.reached()).await, Some(Ok(_))) {
            never_committed(path);
        }
        let before = shop.catalogue.door.count("PUT", &second.path);
        let mut other = shop.app.begin_patient_put(&second.path, &quick.value);
        let arrives = async {
            while shop.catalogue.door.count("PUT", &second.path) == before {
                tokio::time::sleep(MOMENT).await;
            }
        };
        if other.during(timeout(PATIENCE, arrives)).await.is_err() {
            fail(
                format!(
                    "PUT {path}, held on its way to the catalogue; PUT {} on the same instance",
                    second.path
                ),
                format!(
                    "{} s later the second one has not arrived at the catalogue",
                    PATIENCE.as_secs()
                ),
                "it arrives: a change waits for no other",
            );
        }
        drop(held);
        let answers = vec![slow.answer().await, other.answer().await];
        let did = format!("PUT {path} and PUT {} at once", second.path);
        expect_answered(&answers, &did, "the catalogue has committed both");
        for answer in answers.into_iter().flatten() {
            let _ = answer.expect_ok();
        }
    }
}

/// Success is what the admin believes. A change that Redis has not heard of is none, for as
/// long as a stock lives.
#[labkit::test]
async fn a_change_that_redis_does_not_hear_of_is_not_called_done(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Each message of the writer is lost once.
    for nth in 1..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let _ = shop.app.get(path).await.expect_ok();
        let new = change(&mut shop, &stock);
        let said = other.redis.messages().len();
        other.redis.cut(Match::any().nth(nth));
        let answer = other.put(path, &new.value).await;
        other.settle().await;
        if other.redis.messages().len() < said + nth {
            return;
        }
        if answer.status < 300 {
            let did = format!("GET {path}; PUT, whose message {nth} to Redis is lost");
            let truth = shop.catalogue.goods.truth(path);
            expect_next(&shop.app.get(path).await, &truth, &did);
        }
    }
}

/// A Redis that is busy answers late. What is not waited for is on its way, and so are the
/// readers.
#[labkit::test]
async fn a_change_that_redis_has_not_heard_of_yet_is_not_called_done(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app_with(&[("REDIS_BUDGET_MS", 100)]).await;
    let new = change(&mut shop, &stock);
    let committed = shop.catalogue.door.gate_reply("PUT", path);
    let comes = shop.catalogue.door.gate("PUT", path);
    let mut writer = other.begin_put(path, &new.value);
    if writer.until(comes.parked(1)).await != Some(Ok(())) {
        never_committed(path);
    }
    let _ = writer.during(shop.app.get(path)).await.expect_ok();
    comes.open();
    if writer.until(committed.parked(1)).await != Some(Ok(())) {
        never_committed(path);
    }
    let held = other.redis.hold_each(Match::any());
    committed.open();
    writer.until(tokio::time::sleep(SILENCE)).await;
    if writer.answered().is_some_and(|answer| answer.status < 300) {
        let did = format!(
            "PUT {path}, a GET just before the commit; each message of the PUT to Redis held from \
             the commit on"
        );
        let truth = shop.catalogue.goods.truth(path);
        expect_next(&shop.app.get(path).await, &truth, &did);
    }
    drop(held);
    let _ = writer.answer().await;
}

/// A connection is lost as easily as a reader is slow, and what was watched on it is watched
/// no more.
#[labkit::test]
async fn a_reader_whose_connection_is_lost_does_not_bring_the_old_number_back(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let new = change(&mut shop, &stock);
    let load = hold_load(&shop.app, path);
    let mut reader = shop.app.begin_get(path);
    until_held(&mut reader, &load, path).await;
    shop.app.redis.down();
    shop.app.redis.up();
    reader.during(new.on(&other)).await;
    load.release();
    // Without its connection it may fail.
    let _ = reader.answer().await;
    shop.app.come_in().await;
    let did = format!(
        "GET {path}, held with the old number; its connections to Redis are cut; PUT {path} on \
         the other instance; let the GET go"
    );
    let truth = shop.catalogue.goods.truth(path);
    for _ in 0..2 {
        expect_next(&other.get(path).await, &truth, &did);
    }
}

/// Readers come in crowds, and some of them after the change. What one of these has noted
/// down must not let in what another has carried about since before it.
#[labkit::test]
async fn slow_readers_on_both_sides_of_a_change_do_not_help_each_other(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Old readers on one instance or on both; the new one on either. First of all the first
    // reader of each instance, for whom a number that it counts up is the same.
    for (both, here) in [(false, false), (false, true), (true, false), (true, true)] {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let new = change(&mut shop, &stock);
        let (olds, late) = match (both, here) {
            (true, true) => (vec![&shop.app, &other], &shop.app),
            (true, false) => (vec![&shop.app, &other], &other),
            (false, true) => (vec![&shop.app], &shop.app),
            (false, false) => (vec![&shop.app], &other),
        };
        let mut held = Vec::new();
        let mut readers = Vec::new();
        for app in &olds {
            let load = hold_load(app, path);
            let mut reader = app.begin_get(path);
            until_held(&mut reader, &load, path).await;
            held.push(load);
            readers.push(reader);
        }
        let mut readers = InFlight::all(readers);
        readers.during(new.on(&other)).await;
        let mut newer = Some(hold_load(late, path));
        let mut reader = late.begin_get(path);
        if let Some(load) = &newer {
            let _ = readers.during(reader.until(load.reached())).await;
        }
        // It may as well be answered: a writer may have left the new number.
        newer = newer.filter(|_| reader.answered().is_none());
        // Whose fill is refused may load again: no second load of theirs is held.
        drop(held);
        for answer in reader.during(readers.answer()).await {
            let _ = answer.expect_ok();
        }
        let did = format!(
            "GET {path} on {} instance(s), held with the old number; PUT {path}; another GET on \
             {}, held with the new one; let the old ones go",
            olds.len(),
            if here {
                "the first instance"
            } else {
                "the second"
            },
        );
        let visitor = reader.during(shop.app.get(path)).await;
        drop(newer);
        let truth = shop.catalogue.goods.truth(path);
        expect_next(&visitor, &truth, &did);
        expect_next(&reader.answer().await, &truth, &did);
        expect_the_truth(&shop, &other, path, &(did + ", then the new one")).await;
    }
}

/// Nobody can say how slow a reader is: a machine may be asleep for a week. What it noted
/// down is gone by then, and must not come again.
#[labkit::test]
async fn however_slow_a_reader_is_the_old_number_does_not_come_back(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // With a change that the reader may know of, just now or long ago, and without.
    let earlier = [Earlier::None, Earlier::JustNow, Earlier::LongAgo];
    for (earlier, lapse) in earlier
        .into_iter()
        .flat_map(|earlier| [STOCK + OVER, WEEK].map(|lapse| (earlier, lapse)))
    {
        // What a visitor fills after the change is over as well when the reader comes.
        for (before, visited, after) in [
            (lapse, false, 0),
            (0, false, lapse),
            (0, true, lapse),
            (lapse, false, lapse),
            (lapse, true, lapse),
        ] {
            shop.redis.forget_everything().await;
            shop.begin_round(rounds);
            if earlier != Earlier::None {
                change(&mut shop, &stock).on(&other).await;
            }
            if earlier == Earlier::LongAgo {
                // What it has left of itself is about to end.
                let left = shop.redis.entries().await;
                let left = left.iter().map(|entry| entry.pttl).max().unwrap_or(0);
                let almost = (left - MINUTE).max(0);
                shop.redis.pass(almost, &[&shop.app, &other]).await;
            }
            let new = change(&mut shop, &stock);
            let load = hold_load(&shop.app, path);
            let mut reader = shop.app.begin_get(path);
            let Some(Ok(_)) = reader.until(load.reached()).await else {
                // The writer has left its number: nobody is slow.
                continue;
            };
            let apps = [&shop.app, &other];
            shop.redis.pass(before, &apps).await;
            new.on(&other).await;
            if visited {
                let _ = reader.during(other.get(path)).await.expect_ok();
            }
            shop.redis.pass(after, &apps).await;
            load.release();
            let _ = reader.answer().await.expect_ok();
            let earlier = match earlier {
                Earlier::None => "",
                Earlier::JustNow => "PUT; ",
                Earlier::LongAgo => "PUT; all but a minute passes of what it left in Redis; ",
            };
            let did = format!(
                "{earlier}GET {path}, held with the old number; {} s pass; PUT{} on the other \
                 instance; {} s pass; let the reader go",
                before / 1000,
                if visited { ", then GET," } else { "" },
                after / 1000
            );
            expect_the_truth(&shop, &other, path, &did).await;
        }
    }
}

/// Who comes after a change, while a reader is still on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visitors {
    None,
    One,
    EachTime,
}

/// Between any two messages of a reader there is room for a whole change. A fill that first
/// looks and then writes is right until somebody comes between.
#[labkit::test]
async fn a_change_at_any_moment_of_a_fill_wins(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Before each message of the reader once: a change alone, with a visitor after it, with one
    // more after each message that follows, or long before the reader goes on.
    let after = |nth| {
        [
            (nth, Visitors::None, 0),
            (nth, Visitors::One, 0),
            (nth, Visitors::EachTime, 0),
            (nth, Visitors::None, 2 * WEEK),
        ]
    };
    for (nth, visitors, asleep) in (0..MOST_STEPS).flat_map(after) {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let new = change(&mut shop, &stock);
        let (mut step, mut before) = (0, None);
        let mut steps = shop.app.steps();
        let answer = steps
            .walk(shop.app.begin_get(path), async |last| {
                if step == nth {
                    new.on(&other).await;
                    if visitors == Visitors::One {
                        let _ = other.get(path).await.expect_ok();
                    }
                    if asleep > 0 {
                        shop.redis.pass(asleep, &[&shop.app, &other]).await;
                    }
                    before = last.map(str::to_owned);
                } else if step > nth && visitors == Visitors::EachTime {
                    let did = format!(
                        "GET {path}; after its `{}`, PUT on the other instance; after its `{}`, \
                         GET there",
                        before.as_deref().unwrap_or_default(),
                        last.unwrap_or_default()
                    );
                    expect_next(&other.get(path).await, &new.value, &did);
                }
                step += 1;
            })
            .await;
        drop(steps);
        let _ = answer.expect_ok();
        if step <= nth {
            return;
        }
        let visitor = match (visitors, asleep) {
            (Visitors::One, _) => " and a visitor",
            (Visitors::EachTime, _) => ", and visitors after each of the following,",
            (Visitors::None, 0) => "",
            (Visitors::None, _) => ", two weeks before it goes on,",
        };
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

/// Between any two messages of a writer there is room for a whole fill. What is dropped first
/// and forbidden then comes back in between.
#[labkit::test]
async fn a_fill_at_any_moment_of_a_change_does_not_outlive_it(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // A reader from before the change comes back at that moment; one that comes at that
    // moment comes back when all is done.
    for (k, early) in (1..=MOST_STEPS).flat_map(|k| [(k, true), (k, false)]) {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let new = change(&mut shop, &stock);
        let load = hold_load(&shop.app, path);
        let mut reader = shop.app.begin_get(path);
        if early {
            until_held(&mut reader, &load, path).await;
        }
        let mut writer = other.begin_put(path, &new.value);
        let Some(held) = other.standstill(&mut writer, k).await else {
            let _ = writer.answer().await.expect_ok();
            return;
        };
        let at = held.at.clone();
        let did = if early {
            load.release();
            let _ = reader.answer().await.expect_ok();
            drop(held);
            let _ = writer.answer().await.expect_ok();
            format!(
                "GET {path}, held with the old number; PUT {path} on the other instance; the GET \
                 was let go while {at} was held"
            )
        } else {
            // What it finds may be enough for it.
            let _ = reader.until(load.reached()).await;
            drop(held);
            let _ = writer.answer().await.expect_ok();
            load.release();
            let _ = reader.answer().await.expect_ok();
            format!(
                "PUT {path}; while {at} was held, GET {path} on the other instance, held with \
                 what the catalogue said; the PUT was done; let the GET go"
            )
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

/// Nobody can say how long a commit takes. Whatever the writer has left in Redis to announce it may
/// have ended by then, and a reader have come who knows nothing of it.
#[labkit::test]
async fn a_change_that_is_slow_to_commit_is_told_as_well(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    for lapse in [LOCK + OVER, STOCK + OVER, WEEK] {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let new = change(&mut shop, &stock);
        let mut writer = Writer::at_the_commit(&other, &new).await;
        shop.redis.pass(lapse, &[&shop.app, &other]).await;
        let load = hold_load(&shop.app, path);
        let mut reader = shop.app.begin_get(path);
        until_held(&mut reader, &load, path).await;
        writer.commit().await;
        writer.end().await;
        load.release();
        let _ = reader.answer().await.expect_ok();
        let did = format!(
            "PUT {path}, held on its way to the catalogue; {} s pass; GET on the other instance, \
             held with the old number; the commit, and the end of the PUT; let the GET go",
            lapse / 1000
        );
        expect_the_truth(&shop, &other, path, &did).await;
    }
}

/// Two changes have an order at the catalogue, and may reach Redis in the opposite one.
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

/// Two changes may overtake each other anywhere: who came first need not commit first, and
/// who committed first need not be the first to say so.
#[labkit::test]
async fn changes_that_overtake_each_other_leave_the_number_that_the_catalogue_has(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let third = shop.third_app_with(&[]).await;
    let rounds = shop.mark();
    for (commits, words) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let (first, second) = (change(&mut shop, &stock), change(&mut shop, &stock));
        let load = hold_load(&third, path);
        let mut reader = third.begin_get(path);
        let mut writers = [
            (Writer::at_the_commit(&shop.app, &first).await, &shop.app),
            (Writer::at_the_commit(&other, &second).await, &other),
        ];
        writers.rotate_left(commits);
        for (n, (writer, _)) in writers.iter_mut().enumerate() {
            writer.commit().await;
            // Between the two comes a reader, and is slow.
            if n == 0 {
                until_held(&mut reader, &load, path).await;
            }
        }
        writers.rotate_left((commits + words) % 2);
        let order = ["1, 2", "2, 1"];
        let did = format!(
            "PUT {path} on two instances, 1 before 2, both held before they committed; the \
             commits of {}, and between them a GET on a third instance, held with its number; \
             what they told Redis then, of {}",
            order[commits], order[words]
        );
        let truth = shop.catalogue.goods.truth(path);
        for (writer, app) in writers {
            writer.end().await;
            // One of them was answered with a success, whatever the other still has to say.
            expect_next(&app.get(path).await, &truth, &did);
        }
        load.release();
        let _ = reader.answer().await.expect_ok();
        expect_the_truth(&shop, &other, path, &(did + "; let the GET go")).await;
    }
}

/// A number can come back: five, six, five. That Redis still has the five says nothing of a reader
/// who was told six.
#[labkit::test]
async fn a_change_back_to_the_number_that_is_kept_is_told_as_well(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let between = change(&mut shop, &stock);
    let load = hold_load(&shop.app, path);
    let question = shop.app.catalogue.hold(Match::request("GET", path));
    let mut reader = shop.app.begin_get(path);
    until_held(&mut reader, &question, path).await;
    let _ = reader.during(other.get(path)).await.expect_ok();
    // By somebody who has died before they told Redis.
    shop.catalogue.goods.set(path, between.value.clone());
    question.release();
    until_held(&mut reader, &load, path).await;
    let back = Change {
        path: path.to_owned(),
        value: stock.value.clone(),
    };
    reader.during(back.on(&other)).await;
    load.release();
    let _ = reader.answer().await.expect_ok();
    let did = format!(
        "GET {path}, held on its way to the catalogue; GET on the other instance; a change to {} \
         of which nobody told Redis; let the GET be told that, and no more; PUT of what it was \
         before on the other instance; let the GET go",
        between.value
    );
    expect_the_truth(&shop, &other, path, &did).await;
}

/// A number that was told twice is no sign that nothing was told between. Who takes the number
/// itself for its version fills what is long over.
#[labkit::test]
async fn a_number_that_comes_back_is_not_the_same_change(mut shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let (first, between) = (change(&mut shop, &stock), change(&mut shop, &stock));
    first.on(&other).await;
    let load = hold_load(&shop.app, path);
    let question = shop.app.catalogue.hold(Match::request("GET", path));
    let mut reader = shop.app.begin_get(path);
    let Some(Ok(_)) = reader.until(question.reached()).await else {
        // The writer has left its number: nobody loads.
        return;
    };
    reader.during(between.on(&other)).await;
    question.release();
    until_held(&mut reader, &load, path).await;
    reader.during(first.on(&other)).await;
    load.release();
    let _ = reader.answer().await.expect_ok();
    let did = format!(
        "PUT {path} of {0}; GET on the other instance, held on its way to the catalogue; PUT of \
         {1}; let the GET be told that, and no more; PUT of {0} again; let the GET go",
        first.value, between.value
    );
    expect_the_truth(&shop, &other, path, &did).await;
}

/// A load can fail late, when somebody else has loaded and filled in its place. What is there then
/// is not its own to drop.
#[labkit::test]
async fn a_load_that_fails_late_drops_nothing_of_another(shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let question = shop.app.catalogue.hold(Match::request("GET", path));
    let mut reader = shop.app.begin_get(path);
    until_held(&mut reader, &question, path).await;
    shop.redis.pass(LOCK + OVER, &[&shop.app, &other]).await;
    expect_shown(&reader.during(other.get(path)).await, &stock.value, "");
    shop.app.catalogue.down();
    drop(question);
    let _ = reader.answer().await;
    shop.app.settle().await;
    let before = shop.catalogue.door.count("GET", path);
    expect_shown(&other.get(path).await, &stock.value, "");
    if shop.catalogue.door.count("GET", path) > before {
        fail(
            format!(
                "GET {path}, held on its way to the catalogue; LOCK_TTL_MS={LOCK} later GET on the \
                 other instance; let the first load fail; GET on the other instance"
            ),
            "the catalogue was asked once more",
            "never: the other instance had loaded and kept it",
        );
    }
}

/// Nobody can say how long a load takes. Who waits for another's waits for as long, and so do those
/// behind; a short wait only makes each of them later.
#[labkit::test]
async fn a_reader_does_not_wait_for_the_load_of_another(shop: Shop) {
    let [stock] = shop.catalogue.goods.some(Sort::Stock);
    let path = stock.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut first = shop.app.begin_get(path);
    until_loading(&mut first, &gate, 1, path).await;
    let mut second = other.begin_get(path);
    // At rest, with all of its questions to Redis answered, it waits for time to go by.
    let waits = second.until(other.waits_for_no_answer()).await == Some(true);
    if waits && gate.parked_now() < 2 {
        fail(
            format!("GET {path} on two instances, with the catalogue held back"),
            "the second one has asked Redis, was answered, and does not ask the catalogue",
            "its own load, at once",
        );
    }
    until_loading(&mut second, &gate, 2, path).await;
    gate.open();
    for answer in [first.answer().await, second.answer().await] {
        expect_shown(&answer, &stock.value, "");
    }
}

/// Readers hang up, and machines die. What they had noted down must not keep everybody else
/// from keeping anything until a whole life is over.
#[labkit::test]
async fn a_reader_who_is_gone_keeps_nobody_from_filling(shop: Shop) {
    let stocks: [Thing; 2] = shop.catalogue.goods.some(Sort::Stock);
    let other = shop.second_app().await;
    for (Thing { path, value }, killed) in stocks.iter().zip([false, true]) {
        let gate = shop.catalogue.door.gate("GET", path);
        let mut reader = other.begin_get(path);
        until_loading(&mut reader, &gate, 1, path).await;
        let gone = if killed {
            other.kill().await;
            "killed the instance that loads"
        } else {
            other.hang_up(reader, path).await;
            "hung up while it was loaded"
        };
        gate.open();
        let alive: &[&Instance] = if killed {
            &[&shop.app]
        } else {
            &[&shop.app, &other]
        };
        // Who comes meanwhile may not fill, and does not make it longer.
        shop.redis.pass(LOCK / 2, alive).await;
        expect_shown(&shop.app.get(path).await, value, "");
        shop.redis.pass(LOCK / 2 + OVER, alive).await;
        let before = shop.catalogue.door.count("GET", path);
        for _ in 0..2 {
            expect_shown(&shop.app.get(path).await, value, "");
        }
        let loads = shop.catalogue.door.count("GET", path) - before;
        if loads > 1 {
            fail(
                format!(
                    "GET {path}, and {gone}; GET on another instance half of LOCK_TTL_MS={LOCK} \
                     later, and twice when it is over"
                ),
                format!("the last two asked the catalogue {loads} times"),
                "once at most: from then on the stock is kept again",
            );
        }
        if killed {
            continue;
        }
        // The one that was left behind fills as well.
        shop.redis.forget_everything().await;
        let before = shop.catalogue.door.count("GET", path);
        for _ in 0..2 {
            expect_shown(&other.get(path).await, value, "");
        }
        let loads = shop.catalogue.door.count("GET", path) - before;
        if loads > 1 {
            fail(
                format!(
                    "GET {path}, and {gone}; LOCK_TTL_MS={LOCK} later emptied Redis; GET on the same \
                     instance, twice"
                ),
                format!("the last two asked the catalogue {loads} times"),
                "once: the instance keeps the stock again",
            );
        }
    }
}

/// A change before the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    None,
    JustNow,
    LongAgo,
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

fn never_loaded(path: &str) -> ! {
    fail(
        format!("GET {path}, with nothing of it in Redis"),
        "no answer, and nothing has arrived at the catalogue",
        "one of the two",
    )
}

/// Waits until so many loads are parked at the gate.
async fn until_loading<T>(request: &mut InFlight<'_, T>, gate: &Gate, loads: usize, path: &str) {
    if request.until(gate.parked(loads)).await != Some(Ok(())) {
        fail_because(
            format!("GET {path}, with nothing of it in Redis"),
            format!(
                "{} of {loads} readers have asked the catalogue",
                gate.parked_now()
            ),
            "each of them asks: nobody has to wait for another's load",
            "Nobody can say how long a load takes. Who waits for another's waits for as long.",
        );
    }
}
