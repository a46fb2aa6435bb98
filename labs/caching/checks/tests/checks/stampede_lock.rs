//! Exercise 6: a hundred callers miss, one loads.

use caching_checks::{
    Answers, InFlight, Shop, Sort, arrivals, expect_answered, expect_served, expect_shown,
};
use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::upstream::Gate;
use rand::RngExt as _;

/// How many ask each instance at the same time.
const CALLERS: usize = 50;

/// How many messages a holder may need to write the deal and to end its lock.
const MOST_STEPS: usize = 20;

/// The moment in which the deal of the day expires is the moment in which everybody wants
/// it. Without a lock each of them is a load; with a lock in the process, each instance.
#[labkit::test]
async fn a_hundred_callers_on_two_instances_load_once(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} by {CALLERS} callers on each of two instances, with the catalogue held back"
    );
    let mut crowd = shop
        .app
        .begin_crowd([path; CALLERS])
        .and(other.begin_crowd([path; CALLERS]));
    until_loading(&mut crowd, &gate, path).await;
    crowd
        .during(async { tokio::join!(shop.app.come_in(), other.come_in()) })
        .await;
    gate.open();
    let answers = both(crowd.answer().await);
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
    let lives = [("LOCK_TTL_MS", life.cast_unsigned()), ("DEAL_TTL_S", 120)];
    let app = shop.second_app_with(&lives).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}, looking into Redis after each message of your service");
    let mut steps = app.steps();
    let mut request = app.begin_get(path);
    let loading = steps
        .walk_until(&mut request, gate.parked(1), async |after| {
            for entry in shop.redis.entries().await {
                if entry.pttl == -1 {
                    fail(
                        &did,
                        format!(
                            "after `{}` the key `{}` was there and had no expiry (PTTL -1)",
                            after.unwrap_or("the start"),
                            entry.key
                        ),
                        "at no moment a lock that would stay if its holder died right there",
                    );
                }
            }
        })
        .await;
    if loading != Some(Ok(())) {
        never_asked(path);
    }
    let lock = shop.redis.lock(&did).await;
    if lock.pttl > life || lock.pttl < life / 2 {
        fail(
            format!("GET {path} with LOCK_TTL_MS={life}, and PTTL while it is loaded"),
            format!("the lock `{}` lives {} ms", lock.key, lock.pttl),
            format!("a life of {} to {life} ms", life / 2),
        );
    }
    gate.open();
    drop(steps);
    expect_shown(&request.answer().await, &deal.value, "");
    if shop.redis.text_of(&lock.key, &did).await == Some(lock.token)
        && !shop.redis.goes(&lock.key).await
    {
        fail(
            format!("GET {path}"),
            format!("the deal is there, and so is the lock `{}`", lock.key),
            "no lock when the load is over",
        );
    }
    shop.redis.expect_lives("DEAL_TTL_S", 120, path).await;
}

/// A load that takes longer than the lock's life finds another holder in its place. Whoever
/// then ends "the lock" ends the other's, and lets in a third.
#[labkit::test]
async fn the_lock_of_another_holder_survives(mut shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let mut tokens: Vec<String> = Vec::new();
    // Once before each message that follows the load.
    for nth in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        let gate = shop.catalogue.door.gate("GET", path);
        let did = format!("GET {path}; while it was loaded, gave the lock to another holder");
        let mut request = shop.app.begin_get(path);
        until_loading(&mut request, &gate, path).await;
        let lock = shop.redis.lock(&did).await;
        if tokens.contains(&lock.token) {
            fail(
                format!(
                    "GET {path}, {} times, each time after Redis was emptied",
                    nth + 1
                ),
                format!(
                    "two loads held the lock with the same token `{}`",
                    lock.token
                ),
                "a token that no other holder has: how else is a lock known to be one's own?",
            );
        }
        tokens.push(lock.token.clone());
        let foreign = format!("{:032x}", shop.rng.random::<u128>());
        let (mut step, mut before) = (0, None);
        let mut steps = shop.app.steps();
        gate.open();
        let answer = steps
            .walk(request, async |last| {
                if step == nth {
                    shop.redis.write(&lock.key, &foreign).await;
                    before = last.map(str::to_owned);
                }
                step += 1;
            })
            .await;
        drop(steps);
        shop.app.settle().await;
        expect_shown(&answer, &deal.value, &did);
        if step <= nth {
            return;
        }
        if shop.redis.text_of(&lock.key, &did).await.as_ref() != Some(&foreign) {
            fail(
                match before {
                    Some(message) => format!(
                        "GET {path}; after the load and its `{message}`, gave `{}` to another \
                         holder",
                        lock.key
                    ),
                    None => format!(
                        "GET {path}; after the load, gave `{}` to another holder",
                        lock.key
                    ),
                },
                "the other holder's lock is gone, and its load is still under way",
                format!(
                    "`{}` with the other holder's token: it is not yours any more",
                    lock.key
                ),
            );
        }
    }
}

/// Instances are killed: by a deployment, by the machine, by their own memory. What they
/// held must not be held for ever.
#[labkit::test]
async fn a_dead_holder_is_replaced(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}; killed the instance that loads, and let its lock expire");
    let mut holder = shop.app.begin_get(path);
    until_loading(&mut holder, &gate, path).await;
    let mut crowd = other.begin_crowd([path; CALLERS]);
    crowd.during(other.come_in()).await;
    let lock = shop.redis.lock(&did).await;
    shop.app.kill().await;
    drop(holder);
    shop.redis.end(&lock.key).await;
    if crowd.until(arrivals(&shop.catalogue.door, path, 2)).await == Some(false) {
        fail(
            &did,
            format!("nobody takes over: {CALLERS} callers of the other instance wait"),
            "one of them asks the catalogue",
        );
    }
    gate.open();
    let answers = crowd.answer().await;
    expect_served(&answers, &deal, &did, "the catalogue has answered");
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(2, "the dead holder's load, and one in its place");
}

/// People close tabs. A load that ends with the request that began it leaves its lock to
/// those who are still waiting.
#[labkit::test]
async fn a_client_that_hangs_up_strands_nobody(shop: Shop) {
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
    let still = match shop.redis.text_of(&lock.key, &did).await {
        Some(token) if token == lock.token => format!("the lock `{}` is still held", lock.key),
        _ => "the lock is free".to_owned(),
    };
    expect_served(&answers, &deal, &did, &still);
}

/// Between "nothing there" and "the lock is mine" there is time for another to load, to
/// write and to go.
#[labkit::test]
async fn who_gets_the_lock_late_looks_again(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let (mut step, mut overtaken) = (0, None);
    let mut steps = shop.app.steps();
    let answer = steps
        .walk(shop.app.begin_get(path), async |last| {
            // It has looked, found nothing, and does not hold the lock yet.
            if step > 0 && overtaken.is_none() && shop.redis.entries().await.is_empty() {
                expect_shown(&other.get(path).await, &deal.value, "");
                overtaken = last.map(str::to_owned);
            }
            step += 1;
        })
        .await;
    drop(steps);
    expect_shown(&answer, &deal.value, "");
    let did = format!(
        "GET {path}; after its `{}`, another instance did all of its work",
        overtaken.unwrap_or_default()
    );
    shop.catalogue.loads_of(path).after(did).expect(
        1,
        "when the late one has the lock, the deal is in Redis already",
    );
}

/// A load fails more easily than it succeeds while everybody wants it. An error that keeps
/// the lock turns one failed request into half a minute without the page.
#[labkit::test]
async fn a_failed_load_leaves_no_lock(shop: Shop) {
    let [deal] = shop.catalogue.goods.some(Sort::Deal);
    let path = deal.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path} by six callers on two instances; the catalogue answers 503");
    let mut crowd = shop
        .app
        .begin_crowd([path; 3])
        .and(other.begin_crowd([path; 3]));
    until_loading(&mut crowd, &gate, path).await;
    crowd
        .during(async { tokio::join!(shop.app.come_in(), other.come_in()) })
        .await;
    let lock = shop.redis.lock(&did).await;
    shop.catalogue.door.fail("GET", path, 503);
    gate.open();
    let answers = both(crowd.answer().await);
    let still = match shop.redis.text_of(&lock.key, &did).await {
        Some(token) if token == lock.token => format!("the lock `{}` is still held", lock.key),
        _ => "the lock is free".to_owned(),
    };
    expect_answered(&answers, &did, &still);
    for answer in answers.iter().flatten() {
        if answer.status != 502 {
            answer.point("the catalogue failed");
            fail(
                &did,
                format!("{path} answered {answer}"),
                "502: nobody knows the deal",
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
    let answers = other.begin_crowd([path]).answer().await;
    expect_served(
        &answers,
        &deal,
        &(did + ", then well again"),
        "the catalogue is well again",
    );
}

/// One lock for everything makes the slowest page the pace of all.
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
}

/// Waits until a load is parked at the gate.
async fn until_loading<T>(request: &mut InFlight<'_, T>, gate: &Gate, path: &str) {
    if request.until(gate.parked(1)).await != Some(Ok(())) {
        never_asked(path);
    }
}

fn never_asked(path: &str) -> ! {
    fail(
        format!("GET {path}, with an empty Redis"),
        "nothing has arrived at the catalogue",
        format!("GET {path} at the catalogue: nobody else knows the deal"),
    )
}

fn both((some, others): (Answers, Answers)) -> Vec<Option<Answer>> {
    some.into_iter().chain(others).collect()
}
