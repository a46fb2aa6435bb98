//! Exercise 7: a dead cache costs time, never an answer, and never the catalogue.

use std::time::{Duration, Instant};

use caching_checks::{Answers, Shop, Sort, Thing, expect_answered, expect_served, expect_shown};
use labkit::finding::fail;
use labkit::wire::Match;
use rand::RngExt as _;

/// How long an instance waits for a Redis that is dead anyway.
const BUDGET: (&str, u64) = ("REDIS_BUDGET_MS", 100);

/// By then who was not held back has given Redis up and is at the catalogue. Decides how
/// sure we are to see it, never the verdict on a service that keeps to its places.
const RUSH: Duration = Duration::from_millis(5 * BUDGET.1);

/// How many ask at the same time.
const CALLERS: usize = 100;

/// How long a cache that is back may stay unused.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service that is ready for the worst must still do what it is for on every other day.
#[labkit::test]
async fn while_redis_is_well_a_manual_is_loaded_once(shop: Shop) {
    let [manual, other] = shop.catalogue.goods.some(Sort::Manual);
    for _ in 0..2 {
        let answer = shop.app.get(&manual.path).await;
        expect_shown(&answer, &manual.value, "");
    }
    shop.catalogue
        .loads_of(&manual.path)
        .expect(1, "only the first read is a miss");
    shop.redis
        .expect_lives("MANUAL_TTL_S", 600, &manual.path)
        .await;
    shop.redis.forget_everything().await;
    let short = shop.second_app_with(&[("MANUAL_TTL_S", 90)]).await;
    expect_shown(&short.get(&other.path).await, &other.value, "");
    shop.redis
        .expect_lives("MANUAL_TTL_S", 90, &other.path)
        .await;
}

/// The cache is there to make reads cheap. Where its end is the end of all reads, it is one
/// more thing that can take the shop down.
#[labkit::test]
async fn a_redis_that_refuses_costs_no_reader_their_manual(shop: Shop) {
    let [warm, cold] = shop.catalogue.goods.some(Sort::Manual);
    let app = shop.second_app_with(&[BUDGET]).await;
    let _ = app.get(&warm.path).await.expect_ok();
    app.redis.down();
    for manual in [&warm, &cold, &cold] {
        let did = format!("GET {} with Redis refusing every connection", manual.path);
        let answers = app.begin_crowd([manual.path.as_str()]).answer().await;
        expect_served(&answers, manual, &did, "Redis refuses at once");
    }
}

/// A machine that has gone says nothing: no error, no closed connection. Whoever waits for
/// its word waits for a minute, and so do the thousand requests behind them.
#[labkit::test]
async fn a_redis_that_never_answers_costs_no_reader_their_manual(shop: Shop) {
    let [first, second] = shop.catalogue.goods.some(Sort::Manual);
    let (one, another) = tokio::join!(
        shop.second_app_with(&[BUDGET]),
        shop.third_app_with(&[BUDGET])
    );
    // Silent from the start; silent from the second message on.
    let _silent = one.redis.hold_each(Match::any());
    let _later = another.redis.hold_each(Match::any().nth(2));
    let (unread, unkept) = tokio::join!(
        one.begin_crowd([first.path.as_str()]).answer(),
        another.begin_crowd([second.path.as_str()]).answer()
    );
    for (answers, manual, when) in [
        (unread, &first, "answers nothing at all"),
        (
            unkept,
            &second,
            "answers the first message and nothing after it",
        ),
    ] {
        let did = format!("GET {} with a Redis that {when}", manual.path);
        let still = format!("{}={}: one question may take so long", BUDGET.0, BUDGET.1);
        expect_served(&answers, manual, &did, &still);
    }
}

/// The catalogue was built for the few reads that miss. Without the cache all of them
/// come, at once: the outage of the cache becomes one of the catalogue.
#[labkit::test]
async fn a_dead_cache_does_not_become_a_dead_catalogue(mut shop: Shop) {
    let manuals: [Thing; 20] = shop.catalogue.goods.some(Sort::Manual);
    let limit: usize = shop.rng.random_range(3..=7);
    let app = shop
        .second_app_with(&[BUDGET, ("ORIGIN_LIMIT", limit as u64)])
        .await;
    app.redis.down();
    let gate = shop.catalogue.door.gate("GET", "/manuals/*");
    let callers = manuals.iter().cycle().take(CALLERS);
    let mut crowd = app.begin_crowd(callers.map(|manual| manual.path.as_str()));
    let did = format!(
        "{CALLERS} callers at once, of {} manuals, with Redis down and the catalogue held back",
        manuals.len()
    );
    if crowd.until(gate.parked(1)).await != Some(Ok(())) {
        fail(
            &did,
            "nobody has asked the catalogue",
            "it is asked instead of Redis",
        );
    }
    // That they do not all come is how this ends for those who are right.
    let _ = crowd.during(gate.parked_within(CALLERS, RUSH)).await;
    gate.open();
    let answers = crowd.answer().await;
    let peak = shop.catalogue.door.peak_in_flight();
    if peak > limit {
        fail(
            &did,
            format!("{peak} requests were at the catalogue at the same time"),
            format!("never more than {limit}: this instance has ORIGIN_LIMIT={limit}"),
        );
    }
    for (answer, manual) in answers.into_iter().zip(manuals.iter().cycle()) {
        let answers: Answers = vec![answer];
        expect_served(
            &answers,
            manual,
            &did,
            "the catalogue answers all who ask it",
        );
    }
}

/// Places that failed loads keep are gone for good: one bad minute of the catalogue, and
/// nobody can ask it any more.
#[labkit::test]
async fn a_failed_load_gives_its_place_back(shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    let app = shop.second_app_with(&[BUDGET, ("ORIGIN_LIMIT", 2)]).await;
    app.redis.down();
    shop.catalogue.door.fail("GET", path, 503);
    let did = format!("GET {path}, 4 times, with Redis down and the catalogue answering 503");
    let answers = app.begin_crowd([path; 4]).answer().await;
    expect_answered(&answers, &did, "the catalogue answers at once");
    for answer in answers.iter().flatten() {
        if answer.status != 502 {
            answer.point("the catalogue failed");
            fail(
                &did,
                format!("your service answered {answer}"),
                "502: nobody knows the manual",
            );
        }
    }
    shop.catalogue.door.heal();
    let did = format!(
        "GET {path} with ORIGIN_LIMIT=2 and Redis down: 4 times while the catalogue failed, \
         once when it was back"
    );
    let answers = app.begin_crowd([path]).answer().await;
    expect_served(&answers, &manual, &did, "the catalogue is well again");
}

/// Somebody restarts Redis at four in the morning. Nobody wants to restart the shop as
/// well.
#[labkit::test]
async fn a_redis_that_is_back_is_used_again(shop: Shop) {
    let [during, after] = shop.catalogue.goods.some(Sort::Manual);
    let app = shop.second_app_with(&[BUDGET]).await;
    app.redis.down();
    let _ = app.get(&during.path).await.expect_ok();
    app.redis.up();
    let back = Instant::now();
    loop {
        let before = shop.catalogue.door.count("GET", &after.path);
        let _ = app.get(&after.path).await.expect_ok();
        if shop.catalogue.door.count("GET", &after.path) == before {
            return;
        }
        if back.elapsed() > PATIENCE {
            fail(
                format!(
                    "took Redis away, brought it back, and asked for {} again and again",
                    after.path
                ),
                format!(
                    "{} s later every read still asks the catalogue: {before} of {before}",
                    PATIENCE.as_secs()
                ),
                "a hit: Redis is well again",
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
