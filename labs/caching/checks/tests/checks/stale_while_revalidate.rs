//! Exercise 8: what is stale is shown at once, and one reader has it refreshed.

use std::time::{Duration, Instant};

use caching_checks::{
    Instance, Shop, Sort, Thing, arrivals, expect_answered, expect_served, expect_shown,
};
use labkit::finding::fail;
use rand::RngExt as _;
use serde_json::Value;

/// RANKING_SOFT_MS, where a check does not say otherwise.
const SOFT: i64 = 60_000;
/// RANKING_HARD_MS, where a check does not say otherwise.
const HARD: i64 = 600_000;
/// LOCK_TTL_MS.
const LOCK: i64 = 30_000;
/// What is added to a life so that it is over.
const OVER: i64 = 1_000;

/// How many ask each instance at the same time.
const CALLERS: usize = 10;

/// How long a refresh that is done may stay unseen.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is fresh needs no refresh: a cache that asks all the same costs more than none.
#[labkit::test]
async fn a_fresh_ranking_is_loaded_once(shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    for _ in 0..2 {
        for app in [&shop.app, &other] {
            expect_shown(&app.get(path).await, &ranking.value, "");
        }
        shop.redis.pass(SOFT / 3, &[&shop.app, &other]).await;
    }
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &ranking.value, "");
        app.settle().await;
    }
    shop.catalogue
        .loads_of(path)
        .after(format!(
            "GET {path} on two instances; again after 20 s and after 40 s, with RANKING_SOFT_MS={SOFT}"
        ))
        .expect(1, "it is fresh for a minute");
}

/// Nobody waits for a ranking that is an hour old and good enough. And whoever has it
/// refreshed by each reader has built the stampede anew, behind the scenes.
#[labkit::test]
async fn stale_readers_are_answered_at_once_and_one_refreshes(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let _ = go_stale(&mut shop, &ranking, &[&other]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path}; let {} s pass; {CALLERS} callers on each of two instances, with the \
         catalogue held back",
        (SOFT + OVER) / 1000
    );
    let crowd = shop
        .app
        .begin_crowd([path; CALLERS])
        .and(other.begin_crowd([path; CALLERS]));
    let (some, others) = crowd.answer().await;
    for answers in [&some, &others] {
        expect_answered(answers, &did, "the stale ranking is in Redis");
        expect_served(answers, &ranking, &did, "");
    }
    // The refresh begins behind the answers.
    arrivals(&shop.catalogue.door, path, 2).await;
    shop.app.settle().await;
    other.settle().await;
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(2, "the first load, and one refresh for all of them");
    gate.open();
}

/// The refresh is what the stale answers were given for. Where it never arrives, the shop
/// shows last week.
#[labkit::test]
async fn a_refresh_is_what_everybody_sees_next(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    // Twice: what was refreshed goes stale in its turn.
    for round in ["first", "second"] {
        let new = go_stale(&mut shop, &ranking, &[&other]).await;
        let did = format!("GET {path}; let it go stale; GET again and again ({round} time)");
        for app in [&shop.app, &other] {
            until_seen(&shop, app, path, &new, &did).await;
        }
        let loads = at_rest(&shop, &other, path).await;
        shop.redis.pass(SOFT / 2, &[&shop.app, &other]).await;
        for app in [&shop.app, &other] {
            expect_shown(&app.get(path).await, &new, &did);
            app.settle().await;
        }
        let more = shop.catalogue.door.count("GET", path) - loads;
        if more > 0 {
            fail(
                format!("{did}; 30 s after the refresh, GET on both instances"),
                format!("the catalogue was asked {more} more time(s)"),
                format!("never: what was refreshed is fresh, RANKING_SOFT_MS={SOFT}"),
            );
        }
    }
}

/// Stale is a promise with an end. Past it an old ranking is a wrong one, and the reader
/// had better wait.
#[labkit::test]
async fn past_its_hard_life_a_ranking_is_waited_for(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    expect_shown(&shop.app.get(path).await, &ranking.value, "");
    let new = renew(&mut shop, &ranking);
    shop.redis.pass(HARD + OVER, &[&shop.app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path}; let {} s pass; GET {path}",
        (HARD + OVER) / 1000
    );
    let mut request = shop.app.begin_get(path);
    let asked = request.until(gate.parked(1)).await;
    request.during(shop.app.settle()).await;
    if let Some(answer) = request.answered() {
        answer.point("too old to be shown");
        fail(
            did,
            format!("it answered {answer} before the catalogue did"),
            format!("it waits for a fresh one: RANKING_HARD_MS={HARD} is over"),
        );
    }
    if asked != Some(Ok(())) {
        fail(did, "nobody has asked the catalogue", "a fresh load");
    }
    gate.open();
    expect_shown(&request.answer().await, &new, &did);
}

/// Both lives belong to whoever runs the shop. And nothing that a reader does may prolong
/// the second one: a popular ranking would never end.
#[labkit::test]
async fn both_lives_are_those_of_the_environment(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let soft: i64 = shop.rng.random_range(150_000..250_000);
    let hard: i64 = shop.rng.random_range(1_000_000..2_000_000);
    let lives = [
        ("RANKING_SOFT_MS", soft.cast_unsigned()),
        ("RANKING_HARD_MS", hard.cast_unsigned()),
    ];
    let app = shop.second_app_with(&lives).await;
    let with = format!("GET {path} with RANKING_SOFT_MS={soft} and RANKING_HARD_MS={hard}");
    expect_shown(&app.get(path).await, &ranking.value, "");
    let kept = expect_lives(&shop, &with, hard).await;
    if kept < hard / 2 {
        fail(
            &with,
            format!("what Redis holds longest lives {kept} ms"),
            format!("at least {} ms: half of the hard life", hard / 2),
        );
    }
    shop.redis.pass(soft / 2, &[&app]).await;
    expect_shown(&app.get(path).await, &ranking.value, &with);
    app.settle().await;
    shop.catalogue
        .loads_of(path)
        .after(format!("{with}; let half of the soft life pass; GET again"))
        .expect(1, "it is still fresh");
    shop.redis.pass(soft / 2 + OVER, &[&app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("{with}; let the soft life pass; GET again, with the catalogue held back");
    let answers = app.begin_crowd([path]).answer().await;
    expect_served(&answers, &ranking, &did, "the stale ranking is in Redis");
    if !arrivals(&shop.catalogue.door, path, 2).await {
        fail(
            did,
            "nobody has asked the catalogue",
            "a refresh: the ranking is stale",
        );
    }
    app.settle().await;
    expect_lives(&shop, &did, hard - soft).await;
    gate.open();
}

/// A catalogue that is down is when a stale ranking is worth most.
#[labkit::test]
async fn a_failed_refresh_keeps_the_stale_ranking(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let new = go_stale(&mut shop, &ranking, &[]).await;
    shop.catalogue.door.fail("GET", path, 503);
    let did = format!("GET {path}; let it go stale; GET, with a catalogue that answers 503");
    expect_shown(&shop.app.get(path).await, &ranking.value, &did);
    if !arrivals(&shop.catalogue.door, path, 2).await {
        fail(
            did,
            "nobody has asked the catalogue",
            "a refresh: the ranking is stale",
        );
    }
    shop.app.settle().await;
    let did = did + "; GET again";
    expect_shown(&shop.app.get(path).await, &ranking.value, &did);
    shop.app.settle().await;
    shop.catalogue.door.heal();
    shop.redis.pass(LOCK + OVER, &[&shop.app]).await;
    let did = format!("{did}; the catalogue is well again, and LOCK_TTL_MS={LOCK} have passed");
    until_seen(&shop, &shop.app, path, &new, &did).await;
    shop.app.settle().await;
    shop.catalogue.door.fail("GET", path, 503);
    shop.redis.pass(HARD + OVER, &[&shop.app]).await;
    let answer = shop.app.get(path).await;
    if answer.status != 502 {
        answer.point("too old to be shown");
        fail(
            format!("GET {path} past the hard life, with a catalogue that answers 503"),
            format!("it answered {answer}"),
            "502: there is nothing left that may be shown",
        );
    }
}

/// Loads the ranking where it is not, and lets it go stale. What the catalogue says by then.
async fn go_stale(shop: &mut Shop, ranking: &Thing, others: &[&Instance]) -> Value {
    let _ = shop.app.get(&ranking.path).await.expect_ok();
    let new = renew(shop, ranking);
    let apps: Vec<&Instance> = [&shop.app]
        .into_iter()
        .chain(others.iter().copied())
        .collect();
    shop.redis.pass(SOFT + OVER, &apps).await;
    new
}

/// Gives the catalogue another ranking.
fn renew(shop: &mut Shop, ranking: &Thing) -> Value {
    let goods = shop.catalogue.goods.clone();
    let new = goods.other_than(ranking, Sort::Ranking, &mut shop.rng);
    goods.set(&ranking.path, new.clone());
    new
}

/// Reads until the new ranking shows; that it does is bound to happen.
async fn until_seen(shop: &Shop, app: &Instance, path: &str, new: &Value, did: &str) {
    let began = Instant::now();
    loop {
        let answer = app.get(path).await.expect_ok();
        let shown: Value = answer.json();
        if shown == *new {
            return;
        }
        if began.elapsed() > PATIENCE {
            answer.point("still the old one");
            fail(
                did,
                format!(
                    "{} s later it still shows {shown}; the catalogue was asked {} times in all",
                    PATIENCE.as_secs(),
                    shop.catalogue.door.count("GET", path)
                ),
                format!("the refreshed one: {new}"),
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How often the catalogue was asked, once nobody is on the way to it any more.
async fn at_rest(shop: &Shop, other: &Instance, path: &str) -> usize {
    loop {
        let loads = shop.catalogue.door.count("GET", path);
        shop.app.settle().await;
        other.settle().await;
        if shop.catalogue.door.count("GET", path) == loads {
            return loads;
        }
    }
}

/// Fails the check unless all that Redis holds ends within `most`; the longest life.
async fn expect_lives(shop: &Shop, did: &str, most: i64) -> i64 {
    let mut longest = 0;
    for entry in shop.redis.entries().await {
        if entry.pttl == -1 || entry.pttl > most {
            let lives = match entry.pttl {
                -1 => "never ends (PTTL -1)".to_owned(),
                pttl => format!("lives another {pttl} ms"),
            };
            fail(
                did,
                format!("`{}` {lives}", entry.key),
                format!("at most {most} ms, what is left of the hard life"),
            );
        }
        longest = longest.max(entry.pttl);
    }
    longest
}
