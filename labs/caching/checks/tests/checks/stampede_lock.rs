//! Exercise 6: a hundred callers miss, one loads.

use std::time::{Duration, Instant};

use caching_checks::deals::{
    FREE, begin_crowds, both, first_lock, never_asked, state_of, take_over, until_loading,
};
use caching_checks::{
    Entry, Lock, MOMENT, Shop, Sort, Thing, arrivals, expect_answered, expect_each_served,
    expect_served, expect_shown, lost_since,
};
use labkit::finding::{fail, fail_because};
use labkit::patience::{PATIENCE, timeout};
use labkit::wire::Match;
use rand::RngExt as _;

/// How many ask each instance at the same time.
const CALLERS: usize = 50;

/// What a check leaves of a lock's life, in milliseconds: less than any holder may give it,
/// more than a check takes.
const SHORTENED: i64 = 25_000;

/// Of how many messages of a waiter each is held once: some looks, and tries for the lock.
const WAITING_STEPS: usize = 6;

/// Longer than a waiter usually pauses before it looks again. Decides how sure we are to see
/// it, never the verdict on a service that looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// A load that takes long: longer than somebody waits who waits for a moment only. Decides how
/// sure we are to see that, never the verdict on a service that waits.
const LONG_LOAD: Duration = Duration::from_millis(3_500);

/// A lock's life that is over soon.
const SHORT_LOCK_MS: u64 = 2_000;

/// A load in which more than half of that life is over: whoever prolongs a lock by then does so
/// meanwhile. Decides how sure we are to see that, never the verdict on a service that does not.
const HALF_A_LOCK: Duration = Duration::from_millis(1_200);

/// So many deals begin at eight o'clock.
const MANY_DEALS: usize = 20;

/// How many messages a holder may need to write the deal and to end its lock.
const MOST_STEPS: usize = 20;

/// `LOCK_TTL_MS`, where a check does not say otherwise; stated in the brief.
const LOCK_TTL_MS: i64 = 30_000;

/// What goes by of a deal's life before somebody finds it late: more than any lock has, and so much
/// less than a deal has that what is left is more, too.
const PASSES: i64 = 200_000;

/// The moment in which the deal of the day expires is the moment in which everybody wants
/// it. Without a lock each of them is a load. With a lock in the process each instance loads once.
/// With a lock that ends before the deal is in Redis, whoever comes in between loads again.
#[labkit::test]
async fn a_hundred_callers_on_two_instances_load_once(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} by {CALLERS} callers on each of two instances, with the catalogue held back"
    );
    let crowd = begin_crowds::<CALLERS>([&shop.app, &other], &gate, path).await;
    gate.open();
    let answers = both(crowd.answer().await);
    shop.measured(shop.catalogue.door.count("GET", path));
    expect_answered(&answers, &did, "the catalogue has answered");
    shop.catalogue
        .loads_of(path)
        .after(&did)
        .expect(1, "one loads, the others wait for what it brings");
    expect_served(&answers, &deal, &did, "");
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &deal.value, "");
    }
    shop.catalogue
        .loads_of(path)
        .after(did + ", and one later caller on each")
        .expect(1, "who comes later finds the deal in Redis");
}

/// A holder can die at any moment, also between two commands. A lock that does not end by
/// itself then closes the page for ever; one that ends too soon lets the crowd through.
#[labkit::test]
async fn the_lock_ends_by_itself(mut shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let life: i64 = shop.rng.random_range(60_000..120_000);
    let app = shop
        .second_app_with(&[("LOCK_TTL_MS", life.cast_unsigned())])
        .await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}, looking into Redis after each message of your service");
    let mut steps = app.steps();
    let began = Instant::now();
    let mut request = app.begin_get(path);
    // Its life when it was first seen, and what may have gone by then.
    let mut first_seen = None;
    let loading = steps
        .walk_until(&mut request, gate.parked(1), async |after| {
            let entries = shop.redis.expect_expiries(&did, after).await;
            // Most of it is gone at once: who prolongs it from here on is seen to do so.
            if let (None, Some(entry)) = (first_seen, entries.first()) {
                first_seen = Some((entry.pttl, lost_since(began)));
                shop.redis.shorten_everything_to(SHORTENED).await;
            }
        })
        .await;
    if loading != Some(Ok(())) {
        never_asked(path);
    }
    drop(steps);
    request.during(app.come_in()).await;
    let lock = shop.redis.lock(&did).await;
    let (taken, lost) = first_seen.unwrap_or((lock.pttl, lost_since(began)));
    if taken > life || taken + lost < life / 2 {
        fail(
            format!("GET {path} with LOCK_TTL_MS={life}, and PTTL when the lock was taken"),
            format!("the lock `{}` lives {taken} ms", lock.key),
            format!("a life of {} to {life} ms", life / 2),
        );
    }
    if lock.pttl > SHORTENED {
        fail(
            format!(
                "GET {path}; took all but {SHORTENED} ms of its life from the lock, as if the \
                 load had been under way for that long"
            ),
            format!("`{}` lives another {} ms", lock.key, lock.pttl),
            format!("at most the {SHORTENED} ms: nothing prolongs a lock"),
        );
    }
    let mut steps = app.steps();
    gate.open();
    let answer = steps
        .walk(request, async |after| {
            shop.redis.expect_expiries(&did, after).await;
        })
        .await;
    drop(steps);
    expect_shown(&answer, &deal.value, "");
    if !shop.redis.is_released(&lock).await {
        fail(
            format!("GET {path}"),
            format!("the deal is there, and so is the lock `{}`", lock.key),
            "no lock when the load is over",
        );
    }
}

/// A lock that is prolonged now and then, as some libraries do after a third of its life, lives
/// for as long as its holder hangs, and nobody else may load. A load that outlasts its lock is
/// still a load: whoever throws it away has asked for nothing.
#[labkit::test]
async fn a_slow_load_does_not_prolong_its_lock(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let app = shop
        .second_app_with(&[("LOCK_TTL_MS", SHORT_LOCK_MS)])
        .await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut request = app.begin_get(path);
    until_loading(&mut request, &gate, path).await;
    let before = shop.redis.contents().await;
    request.during(tokio::time::sleep(HALF_A_LOCK)).await;
    for (key, token, ends) in shop.redis.contents().await {
        let earlier = before
            .iter()
            .find(|(it, was, _)| (it, was) == (&key, &token));
        if let Some((_, _, was)) = earlier
            && ends > *was
        {
            fail(
                format!(
                    "GET {path} with LOCK_TTL_MS={SHORT_LOCK_MS}, with the catalogue held back for \
                     {} s",
                    HALF_A_LOCK.as_secs_f64()
                ),
                format!(
                    "meanwhile the lock `{key}` was given {} ms more to live",
                    ends - was
                ),
                "a lock that ends when it was to end: nothing prolongs it",
            );
        }
    }
    gate.open();
    let did = format!("GET {path} with LOCK_TTL_MS={SHORT_LOCK_MS}, and a load that takes as long");
    expect_shown(&request.answer().await, &deal.value, &did);
}

/// The catalogue is slowest on the evening when everybody comes. Whoever then gives up shows an
/// error page, and whoever loads all the same makes it slower still.
#[labkit::test]
async fn the_others_wait_for_as_long_as_the_load_takes(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} by two callers on each of two instances, with the catalogue held back for {} s \
         or more",
        LONG_LOAD.as_secs_f64()
    );
    let mut crowd = begin_crowds::<2>([&shop.app, &other], &gate, path).await;
    shop.redis.shorten_everything_to(SHORTENED).await;
    crowd.during(tokio::time::sleep(LONG_LOAD)).await;
    crowd
        .during(async { tokio::join!(shop.app.settle(), other.settle()) })
        .await;
    let entries = shop.redis.entries().await;
    if let Some(longer) = entries.iter().find(|entry| entry.pttl > SHORTENED) {
        fail_because(
            format!("{did}, and {SHORTENED} ms of the lock's life left"),
            format!("`{}` lives another {} ms", longer.key, longer.pttl),
            format!("at most the {SHORTENED} ms: nothing prolongs a lock"),
            "A lock that is prolonged, by its holder or by those who wait, outlives a holder who \
             hangs or has died, and nobody else may load.",
        );
    }
    gate.open();
    let answers = both(crowd.answer().await);
    shop.catalogue
        .loads_of(path)
        .after(&did)
        .expect(1, "who found the lock taken waits until the load is over");
    expect_served(&answers, &deal, &did, "the catalogue has answered");
}

/// While the lock is there, somebody loads, however long it takes. That you have waited long enough,
/// or for as long as a lock of your own would live, says nothing about theirs.
#[labkit::test]
async fn who_has_waited_for_the_life_of_a_lock_loads_nothing_without_one(shop: Shop) {
    let [deal, late]: [Thing; 2] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let short = shop
        .second_app_with(&[("LOCK_TTL_MS", SHORT_LOCK_MS)])
        .await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} by one caller, and by two on another instance, with LOCK_TTL_MS={SHORT_LOCK_MS}; \
         the catalogue held back for {} s or more, and the lock still there",
        LONG_LOAD.as_secs_f64()
    );
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    let mut waiters = short.begin_crowd([path; 2]);
    waiters.during(short.come_in()).await;
    // And one whose own lock ends before its load does.
    let late_gate = shop.catalogue.door.gate("GET", &late.path);
    let mut outlasts = short.begin_crowd([late.path.as_str()]);
    if outlasts.until(late_gate.parked(1)).await != Some(Ok(())) {
        never_asked(&late.path);
    }
    waiters
        .during(outlasts.during(tokio::time::sleep(LONG_LOAD)))
        .await;
    late_gate.open();
    let late_did = format!(
        "GET {} with LOCK_TTL_MS={SHORT_LOCK_MS}; the catalogue held back for {} s",
        late.path,
        LONG_LOAD.as_secs_f64()
    );
    let answers = waiters.during(outlasts.answer()).await;
    expect_served(&answers, &late, &late_did, "the catalogue has answered");
    gate.open();
    expect_shown(&holder.answer().await, &deal.value, "");
    let answers = waiters.answer().await;
    shop.catalogue
        .loads_of(path)
        .after(&did)
        .expect(1, "who found the lock taken waits for it, however long");
    expect_served(&answers, &deal, &did, "the catalogue has answered");
}

/// Between the load and the deal in Redis there is nothing to be found. A lock that ends there
/// lets the next one load what is just arriving.
#[labkit::test]
async fn the_lock_is_held_until_the_deal_is_there(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Before each message that follows the load once.
    for nth in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let before = shop.catalogue.door.count("GET", path);
        let gate = shop.catalogue.door.gate("GET", path);
        let mut request = shop.app.begin_get(path);
        until_loading(&mut request, &gate, path).await;
        let (mut step, mut after) = (0, None);
        let mut late = None;
        let mut steps = shop.app.steps();
        gate.open();
        let answer = steps
            .walk(request, async |last| {
                if step == nth {
                    let mut crowd = other.begin_crowd([path]);
                    crowd.during(other.come_in()).await;
                    late = Some(crowd);
                    after = last.map(|last| format!(" and its `{last}`"));
                }
                step += 1;
            })
            .await;
        drop(steps);
        expect_shown(&answer, &deal.value, "");
        let Some(late) = late else { return };
        let did = format!(
            "GET {path}; after the load{}, GET on another instance",
            after.unwrap_or_default()
        );
        expect_served(
            &late.answer().await,
            &deal,
            &did,
            "the catalogue has answered",
        );
        let loads = shop.catalogue.door.count("GET", path) - before;
        if loads != 1 {
            fail(
                did,
                format!("the catalogue was asked {loads} times"),
                "once: the lock is there, or the deal is",
            );
        }
    }
}

/// A deal that a hit prolongs is the deal of yesterday, for as long as people look at it.
#[labkit::test]
async fn a_deal_is_forgotten_in_time(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let app = shop.second_app_with(&[("DEAL_TTL_S", 120)]).await;
    expect_shown(&app.get(path).await, &deal.value, "");
    shop.redis
        .expect_lives("DEAL_TTL_S", 120, &format!("GET {path}"))
        .await;
    let loads = || shop.catalogue.door.count("GET", path);
    let read = async || {
        let _ = app.get(path).await;
    };
    shop.redis
        .expect_no_longer_lives(&format!("GET {path} of what is in Redis"), loads, read)
        .await;
}

/// A load that takes longer than the lock's life finds another holder in its place. Whoever
/// then ends "the lock" ends the other's, and lets in a third. To have looked before whose it is
/// does not help: between two messages it can change hands. Even then whoever has loaded answers with
/// what it has.
#[labkit::test]
async fn the_lock_of_another_holder_survives(mut shop: Shop) {
    let deals: [Thing; 2] = shop.catalogue.goods.some(Sort::Deal);
    let other = shop.second_app().await;
    let rounds = shop.mark();
    let mut tokens = vec![first_lock(&shop, &other, &deals[0].path).await.token];
    // Two that end at the same time: what one says to Redis on a connection that both share
    // must not vouch for the other.
    for deals in [&deals[..1], &deals[..]] {
        // Once before each message that follows the load.
        for nth in 0..MOST_STEPS * deals.len() {
            shop.redis.forget_everything().await;
            shop.begin_round(rounds);
            let steps = take_over(&mut shop, deals, None, nth, &mut tokens).await;
            if steps <= nth {
                break;
            }
        }
    }
}

/// A load that fails has a lock to end as well, and is no sooner over than one that succeeds. By
/// then the lock may be another's, also between a look at it and its end.
#[labkit::test]
async fn a_failed_load_ends_no_lock_of_another_holder(mut shop: Shop) {
    let deals: [Thing; 1] = shop.catalogue.goods.some(Sort::Deal);
    let other = shop.second_app().await;
    let rounds = shop.mark();
    let mut tokens = vec![first_lock(&shop, &other, &deals[0].path).await.token];
    for (says, _) in FAILURES {
        for nth in 0..MOST_STEPS {
            shop.redis.forget_everything().await;
            shop.begin_round(rounds);
            let steps = take_over(&mut shop, &deals, Some(says), nth, &mut tokens).await;
            shop.catalogue.door.heal();
            if steps <= nth {
                break;
            }
        }
    }
}

/// Who was brought the deal meanwhile has a lock that it does not need. Until it is ended, it can
/// end by itself and be another's, also between a look at it and its end.
#[labkit::test]
async fn a_lock_that_was_not_needed_may_belong_to_another_by_then(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    let Lock {
        key: name,
        token: foreign,
        ..
    } = first_lock(&shop, &other, path).await;
    for nth in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let (mut step, mut overtaken, mut held) = (0, None, 0);
        let mut given: Option<(String, String)> = None;
        let mut steps = shop.app.steps();
        let answer = steps
            .walk(shop.app.begin_get(path), async |last| {
                let entries = shop.redis.entries().await;
                // In its place the deal may stand, which lives longer.
                let is_lock = |it: &&Entry| it.key == name && it.pttl <= LOCK_TTL_MS;
                let lock = entries.iter().find(is_lock);
                let last = || last.unwrap_or_default().to_owned();
                if overtaken.is_none() {
                    // It has looked, found nothing, and does not hold the lock yet.
                    if step > 0 && entries.is_empty() {
                        expect_shown(&other.get(path).await, &deal.value, "");
                        overtaken = Some(last());
                    }
                } else if let Some(lock) = lock {
                    if held == nth {
                        shop.give_away(&lock.key, &foreign).await;
                        given = Some((lock.key.clone(), last()));
                    }
                    held += 1;
                }
                step += 1;
            })
            .await;
        drop(steps);
        shop.app.settle().await;
        expect_shown(&answer, &deal.value, "");
        let Some((key, after)) = given else { return };
        let did = format!(
            "GET {path}; after its `{}`, another instance did all of its work; after its `{after}`, \
             gave `{key}` to another holder",
            overtaken.unwrap_or_default()
        );
        if shop.redis.text_of(&key, &did).await.as_ref() != Some(&foreign) {
            fail(
                did,
                "the other holder's lock is gone: your service has ended it",
                format!("`{key}` with the other holder's token: it is not yours any more"),
            );
        }
    }
}

/// A lock that ended too soon has let in another load, perhaps. What was loaded under it is no
/// less the deal, and whoever throws it away has everybody load it again.
#[labkit::test]
async fn a_lock_that_ended_early_costs_nobody_the_deal(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut request = shop.app.begin_get(path);
    until_loading(&mut request, &gate, path).await;
    let did = format!("GET {path}");
    let lock = shop.redis.lock(&did).await;
    shop.end(&lock.key).await;
    gate.open();
    expect_shown(&request.answer().await, &deal.value, "");
    let did =
        format!("{did}; ended its lock while the catalogue was asked; GET on another instance");
    expect_shown(&other.get(path).await, &deal.value, &did);
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(1, "the deal is in Redis when the first answer is out");
}

/// Instances are killed: by a deployment, by the machine, by their own memory. What they
/// held must not be held for ever.
#[labkit::test]
async fn a_dead_holder_is_replaced(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}; killed the instance that loads, and ended its lock");
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    let mut crowd = other.begin_crowd([path; CALLERS]);
    crowd.during(other.come_in()).await;
    let lock = shop.redis.lock(&did).await;
    shop.app.kill().await;
    drop(holder);
    shop.end(&lock.key).await;
    let _ = crowd.until(arrivals(&shop.catalogue.door, path, 2)).await;
    gate.open();
    let answers = crowd.answer().await;
    let still = match shop.catalogue.door.count("GET", path) {
        1 => "the lock is gone, and nobody has taken over",
        _ => FREE,
    };
    expect_served(&answers, &deal, &did, still);
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(2, "the dead holder's load, and one in its place");
}

/// People close tabs. A load, or the end of a lock, that ends with the request that began it
/// leaves the lock closed, and those who are still waiting wait for nobody.
#[labkit::test]
async fn a_client_that_hangs_up_strands_nobody(mut shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path} by one caller, who hangs up during the load, and by ten others");
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    let mut crowd = shop
        .app
        .begin_crowd([path; 5])
        .and(other.begin_crowd([path; 5]));
    crowd
        .during(async { tokio::join!(shop.app.come_in(), other.come_in()) })
        .await;
    let lock = shop.redis.lock(&did).await;
    crowd.during(shop.app.hang_up(holder, path)).await;
    gate.open();
    let answers = both(crowd.answer().await);
    let still = state_of(&shop, &lock).await;
    expect_served(&answers, &deal, &did, &still);
    if !shop.redis.is_released(&lock).await {
        fail(
            &did,
            format!("the deal is there, and so is the lock `{}`", lock.key),
            "no lock when the load is over",
        );
    }
    tokio::join!(shop.app.settle(), other.settle());
    shop.redis.forget_everything().await;
    let changed = shop.renew(&deal, Sort::Deal);
    let did = did + "; then Redis was emptied, and the deal changed in the catalogue";
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &changed.value, &did);
    }
}

/// People close tabs, also when the lock under which their load began has long been another's. What
/// tidies up behind a request that was cut short has to look whose lock it ends, like everybody else.
#[labkit::test]
async fn a_client_that_hangs_up_ends_no_lock_of_another_holder(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    let foreign = first_lock(&shop, &other, path).await.token;
    // Whether the load goes on without its client: seen once.
    let mut goes_on = None;
    // Before it hangs up, and before each message that follows once.
    for nth in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let gate = shop.catalogue.door.gate("GET", path);
        let mut holder = shop.app.begin_get(path);
        until_loading(&mut holder, &gate, path).await;
        let did = format!("GET {path}; while the catalogue was asked");
        let lock = shop.redis.lock(&did).await;
        if nth == 0 {
            shop.give_away(&lock.key, &foreign).await;
        }
        let mut words = shop.app.redis.hold_each(Match::any());
        shop.app.hang_up(holder, path).await;
        if goes_on != Some(true) {
            shop.app.abandoned_loads_leave(&gate).await;
        }
        if *goes_on.get_or_insert_with(|| gate.parked_now() > 0) {
            shop.app.finish_load(&gate).await;
        } else {
            gate.open();
        }
        let mut held = None;
        if nth > 0 {
            held = shop.app.said_after(nth - 1, &mut words).await;
            if held.is_none() {
                return;
            }
            shop.give_away(&lock.key, &foreign).await;
        }
        let before = held.as_ref().map(|held| held.message().kind.to_string());
        drop((held, words));
        shop.app.fall_silent().await;
        if shop.redis.text_of(&lock.key, &did).await.as_ref() != Some(&foreign) {
            let did = match before {
                None => format!("{did}, gave its lock to another holder, and the client hung up"),
                Some(message) => format!(
                    "{did}, the client hung up; before `{message}` gave its lock to another holder"
                ),
            };
            fail(
                did,
                "the other holder's lock is gone: your service has ended it",
                format!(
                    "`{}` with the other holder's token: it is not yours any more",
                    lock.key
                ),
            );
        }
    }
}

/// Who waits may close the tab as well. If others of the instance wait by its hand, they must not go
/// with it.
#[labkit::test]
async fn a_waiter_who_hangs_up_strands_nobody(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} on one instance; on another by one caller, who hangs up while it waits, and by \
         five others"
    );
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    let mut first = other.begin_get(path);
    first.during(other.come_in()).await;
    let mut others = other.begin_crowd([path; 5]);
    others.during(first.during(other.come_in())).await;
    others.during(other.hang_up(first, path)).await;
    gate.open();
    expect_shown(&others.during(holder.answer()).await, &deal.value, "");
    let answers = others.answer().await;
    expect_served(&answers, &deal, &did, "the deal is in Redis");
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(1, "one loads, whoever of those who wait goes");
}

/// A load may go on when its client is gone, and the catalogue is no less busy with it. If its lock
/// goes with the client, each who closes the tab and comes again is one load more at the same time.
#[labkit::test]
async fn a_load_that_goes_on_without_its_client_keeps_its_lock(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    shop.app.hang_up(holder, path).await;
    shop.app.abandoned_loads_leave(&gate).await;
    let mut next = other.begin_get(path);
    let _ = next.until(gate.parked_within(2, PAUSE)).await;
    // One that ended with its client may just be leaving.
    let one_leaves = async {
        while gate.parked_now() > 1 {
            tokio::time::sleep(MOMENT).await;
        }
    };
    // The caller would go as well after the whole of it, and say something else.
    if next
        .during(timeout(PATIENCE / 2, one_leaves))
        .await
        .is_err()
    {
        fail_because(
            format!(
                "GET {path} by one caller, who hangs up during the load; GET on another instance"
            ),
            "the first load goes on, and a second one is at the catalogue beside it",
            "one load at a time: a lock ends with its load, or when its life is over",
            "Whoever waits too long hangs up and comes again. If each of them leaves a load behind \
             and begins another, the slow catalogue has to do the same work many times over.",
        );
    }
    gate.open();
    expect_shown(
        &next.answer().await,
        &deal.value,
        "what is loaded is for everybody",
    );
}

/// The last one who waits may close the tab as well. What is loaded for nobody is in Redis, or
/// nowhere: whatever an instance keeps of it is shown to the next one, a day later, or has them wait
/// for nobody.
#[labkit::test]
async fn a_load_that_nobody_waits_for_leaves_no_copy(mut shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let gate = shop.catalogue.door.gate("GET", path);
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    shop.app.hang_up(holder, path).await;
    shop.app.finish_abandoned_load(&gate).await;
    shop.redis.forget_everything().await;
    let changed = shop.renew(&deal, Sort::Deal);
    let did = format!(
        "GET {path} by one caller, who hangs up during the load; when that was over, Redis was \
         emptied, and the deal changed in the catalogue; GET"
    );
    let answers = shop.app.begin_crowd([path]).answer().await;
    expect_served(&answers, &changed, &did, "Redis is empty");
}

/// Between "nothing there" and "the lock is mine" there is time for another to load, to
/// write and to go. Who then finds the deal has a lock that it does not need: one that is not
/// ended on this way out as well closes the page for the rest of its life.
#[labkit::test]
async fn who_gets_the_lock_late_looks_again(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let (mut step, mut overtaken, mut left) = (0, None, 0);
    let mut steps = shop.app.steps();
    let answer = steps
        .walk(shop.app.begin_get(path), async |last| {
            // It has looked, found nothing, and does not hold the lock yet.
            if step > 0 && overtaken.is_none() && shop.redis.entries().await.is_empty() {
                expect_shown(&other.get(path).await, &deal.value, "");
                shop.redis.let_pass(PASSES).await;
                let entries = shop.redis.entries().await;
                left = entries.iter().map(|entry| entry.pttl).max().unwrap_or(0);
                overtaken = Some(last.unwrap_or_default().to_owned());
            }
            step += 1;
        })
        .await;
    drop(steps);
    expect_shown(&answer, &deal.value, "");
    // Where the look and the lock are one command, nobody comes between.
    let Some(overtaken) = overtaken else { return };
    let did = format!(
        "GET {path}; after its `{overtaken}`, another instance did all of its work, and {} s passed",
        PASSES / 1000
    );
    shop.catalogue.loads_of(path).after(&did).expect(
        1,
        "when the late one has the lock, the deal is in Redis already",
    );
    tokio::join!(shop.app.settle(), other.settle());
    let entries = shop.redis.entries().await;
    if let Some(longer) = entries.iter().find(|entry| entry.pttl > left) {
        fail_because(
            did,
            format!("`{}` lives another {} ms", longer.key, longer.pttl),
            format!("at most the {left} ms that were left: it was not loaded anew"),
            "Who writes a deal again that another has loaded gives it a second life, and all that \
             has become wrong in it.",
        );
    }
    // Redis lets go of the deal, as when it needs room. No lock lives as long as that.
    let (locks, others): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| entry.pttl <= LOCK_TTL_MS);
    for entry in others {
        shop.end(&entry.key).await;
    }
    let did = did + "; then Redis let go of the deal, and GET on the other instance";
    let answers = other.begin_crowd([path]).answer().await;
    let still = match locks.first() {
        Some(lock) => format!(
            "nobody loads: the late one found the deal, needed its lock for nothing, and left `{}` \
             behind",
            lock.key
        ),
        None => FREE.to_owned(),
    };
    expect_served(&answers, &deal, &did, &still);
}

/// Who has waited has looked long ago. Between its last look and the lock there is as much
/// time as at the first one.
#[labkit::test]
async fn who_waited_for_the_lock_looks_again(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Before each of the first things that it says once.
    for nth in 1..=WAITING_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let before = shop.catalogue.door.count("GET", path);
        let gate = shop.catalogue.door.gate("GET", path);
        let mut holder = shop.app.begin_get(path);
        until_loading(&mut holder, &gate, path).await;
        let mut words = other.redis.hold_each(Match::any());
        let mut waiter = other.begin_crowd([path]);
        let mut held = None;
        for _ in 0..nth {
            // The one before goes on.
            drop(held.take());
            let next = tokio::time::timeout(PAUSE, words.next());
            held = waiter.during(next).await.ok().flatten();
        }
        gate.open();
        expect_shown(&holder.answer().await, &deal.value, "");
        shop.app.settle().await;
        let Some(word) = held.as_ref().map(|held| held.message().kind.to_string()) else {
            // It waits without a word.
            return;
        };
        drop((held, words));
        let did = format!(
            "GET {path}; meanwhile GET on another instance, which waits; before its `{word}` the \
             first one was answered"
        );
        expect_served(&waiter.answer().await, &deal, &did, "the deal is in Redis");
        let loads = shop.catalogue.door.count("GET", path) - before;
        if loads != 1 {
            fail(
                did,
                format!("the catalogue was asked {loads} times"),
                "once: when the other one has the lock, the deal is in Redis already",
            );
        }
    }
}

/// A catalogue that is down, and one that knows no such deal, with what callers may hear of it:
/// who waited for another's load may hear of it as of any failure.
const FAILURES: [(u16, &[u16]); 2] = [(503, &[502]), (404, &[404, 502])];

/// A load fails more easily than it succeeds while everybody wants it. An error that keeps
/// the lock turns one failed request into half a minute without the page.
#[labkit::test]
async fn a_failed_load_leaves_no_lock(shop: Shop) {
    let deals: [Thing; 2] = shop.catalogue.goods.some(Sort::Deal);
    let other = shop.second_app().await;
    for (deal, (says, expected)) in deals.iter().zip(FAILURES) {
        let path = deal.path.as_str();
        let gate = shop.catalogue.door.gate("GET", path);
        let did =
            format!("GET {path} by four callers on two instances; the catalogue answers {says}");
        let crowd = begin_crowds::<2>([&shop.app, &other], &gate, path).await;
        let lock = shop.redis.lock(&did).await;
        shop.catalogue.door.fail("GET", path, says);
        gate.open();
        let answers = both(crowd.answer().await);
        let still = state_of(&shop, &lock).await;
        expect_answered(&answers, &did, &still);
        for answer in answers.iter().flatten() {
            if !expected.contains(&answer.status) {
                answer.point(format!("the catalogue said {says}"));
                fail(
                    &did,
                    format!("{path} answered {answer}"),
                    format!("{}: nobody has the deal", expected[0]),
                );
            }
        }
        if !shop.redis.goes(&lock.key).await {
            fail(
                &did,
                format!("`{}` is still there", lock.key),
                "no lock without a load",
            );
        }
        shop.catalogue.door.heal();
        shop.redis.forget_everything().await;
    }
}

/// One failure is one failure. Whatever is remembered of it, in Redis or in an instance, turns
/// those away who come when the catalogue is long well again.
#[labkit::test]
async fn after_a_failed_load_the_next_ones_are_served(shop: Shop) {
    let deals: [Thing; 2] = shop.catalogue.goods.some(Sort::Deal);
    let other = shop.second_app().await;
    for (deal, (says, _)) in deals.iter().zip(FAILURES) {
        let path = deal.path.as_str();
        let gate = shop.catalogue.door.gate("GET", path);
        let mut first = shop.app.begin_crowd([path]);
        until_loading(&mut first, &gate, path).await;
        let locks = shop.redis.entries().await;
        shop.catalogue.door.fail("GET", path, says);
        gate.open();
        let _ = first.answer().await;
        shop.app.settle().await;
        shop.catalogue.door.heal();
        // A lock that is still there has a check of its own.
        for Entry { key, .. } in locks {
            shop.end(&key).await;
        }
        let gate = shop.catalogue.door.gate("GET", path);
        // Some of them find a lock, and wait for what it brings.
        let crowd = begin_crowds::<2>([&shop.app, &other], &gate, path).await;
        gate.open();
        let answers = both(crowd.answer().await);
        let did = format!(
            "GET {path}, and the catalogue answers {says}; then it is well again, GET by two \
             callers on each of two instances"
        );
        expect_served(&answers, deal, &did, "the catalogue is well again");
        shop.redis.forget_everything().await;
    }
}

/// A lock that several deals share makes the slowest of them the pace of all.
#[labkit::test]
async fn one_deal_does_not_wait_for_another(shop: Shop) {
    let [slow, quick] = shop.catalogue.goods.some(Sort::Deal);
    let gate = shop.catalogue.door.gate("GET", &slow.path);
    let did = format!(
        "GET {}, held at the catalogue, and GET {}",
        slow.path, quick.path
    );
    let mut request = shop.app.begin_crowd([slow.path.as_str()]);
    until_loading(&mut request, &gate, &slow.path).await;
    let others = shop.app.begin_crowd([quick.path.as_str()]);
    let answers = request.during(others.answer()).await;
    expect_served(&answers, &quick, &did, &format!("{} is loaded", slow.path));
    gate.open();
    expect_served(&request.answer().await, &slow, &did, "");
    // Nor for many others.
    let deals: [Thing; MANY_DEALS] = shop.catalogue.goods.some(Sort::Deal);
    shop.redis.forget_everything().await;
    let gate = shop.catalogue.door.gate("GET", "/deals/*");
    let did = format!("GET of {MANY_DEALS} deals at once, with the catalogue held back");
    let mut crowd = shop
        .app
        .begin_crowd(deals.iter().map(|deal| deal.path.as_str()));
    if crowd.until(gate.parked(MANY_DEALS)).await != Some(Ok(())) {
        fail(
            did,
            format!(
                "{} of them have reached the catalogue, and no more come",
                gate.parked_now()
            ),
            format!("{MANY_DEALS}: each is loaded, under a lock of its own"),
        );
    }
    gate.open();
    let answers = crowd.answer().await;
    expect_each_served(&answers, &deals, &did, "the catalogue has answered");
}
