//! Exercise 6: deals while they are loaded, and the lock that this is done under.

use labkit::answer::Answer;
use labkit::finding::{fail, fail_because};
use labkit::upstream::Gate;

use crate::Shop;
use crate::crowd::{Answers, expect_served};
use crate::goods::Thing;
use crate::instance::{InFlight, Instance};
use crate::lock::Lock;

/// What those who still wait have not noticed.
pub const FREE: &str = "the lock is free, and who looks again every three seconds has seen it";

/// So many callers on each of two instances, followed until a load is parked at the gate and the
/// others have come in.
pub async fn begin_crowds<'a, const CALLERS: usize>(
    [one, other]: [&'a Instance; 2],
    gate: &Gate,
    path: &'a str,
) -> InFlight<'a, (Answers, Answers)> {
    let mut crowds = one
        .begin_crowd([path; CALLERS])
        .and(other.begin_crowd([path; CALLERS]));
    until_loading(&mut crowds, gate, path).await;
    crowds
        .during(async { tokio::join!(one.come_in(), other.come_in()) })
        .await;
    crowds
}

/// Waits until a load is parked at the gate.
pub async fn until_loading<T>(request: &mut InFlight<'_, T>, gate: &Gate, path: &str) {
    match request.until(gate.parked(1)).await {
        Some(Ok(())) => {}
        Some(Err(_)) => never_asked(path),
        None => fail_because(
            format!("GET {path}, with no deal in Redis"),
            "your service has answered, and nothing has arrived at the catalogue",
            format!("GET {path} at the catalogue: nobody else knows the deal"),
            "Whoever is answered without the catalogue, and without a deal in Redis, is told of \
             something else: an error, a failure that is over, or a copy that the instance keeps.",
        ),
    }
}

/// What those who still wait may be waiting for.
pub async fn state_of(shop: &Shop, lock: &Lock) -> String {
    match shop.redis.is_held(lock).await {
        true => format!("the lock `{}` is still held", lock.key),
        false => FREE.to_owned(),
    }
}

/// Fails the check of a load that never comes to the catalogue.
pub fn never_asked(path: &str) -> ! {
    fail(
        format!("GET {path}, with an empty Redis"),
        "nothing has arrived at the catalogue",
        format!("GET {path} at the catalogue: nobody else knows the deal"),
    )
}

/// The answers of both crowds.
pub fn both((some, others): (Answers, Answers)) -> Vec<Option<Answer>> {
    some.into_iter().chain(others).collect()
}

/// The lock of an instance's first load, which ends before another begins.
pub async fn first_lock(shop: &Shop, app: &Instance, path: &str) -> Lock {
    let gate = shop.catalogue.door.gate("GET", path);
    let mut request = app.begin_get(path);
    until_loading(&mut request, &gate, path).await;
    let lock = shop.redis.lock(&format!("GET {path}")).await;
    gate.open();
    let _ = request.answer().await.expect_ok();
    app.settle().await;
    lock
}

/// Loads deals at the same time and gives all of their locks to other holders before the
/// `nth` message that follows the loads, which end as `fails` says. Says how many there were, or
/// fails the check. `tokens` are those of earlier loads; the first one was another instance's, and
/// is what the other holders have: a token of the form that the service gives to its own.
pub async fn take_over(
    shop: &mut Shop,
    deals: &[Thing],
    fails: Option<u16>,
    nth: usize,
    tokens: &mut Vec<String>,
) -> usize {
    let gets: Vec<String> = deals.iter().map(|it| format!("GET {}", it.path)).collect();
    let gets = gets.join(" and ");
    let did = format!("{gets}; while the catalogue was asked, looked for the lock");
    let taken = format!("{gets}; when the catalogue had answered, gave the lock to another holder");
    let app = &shop.app;
    let mut gates = Vec::new();
    let mut locks: Vec<Lock> = Vec::new();
    let mut requests = Vec::new();
    for Thing { path, .. } in deals {
        let gate = shop.catalogue.door.gate("GET", path);
        let mut request = app.begin_crowd([path.as_str()]);
        if request.until(gate.parked(1)).await != Some(Ok(())) {
            if locks.is_empty() {
                never_asked(path);
            }
            fail_because(
                &gets,
                format!("GET {path} does not reach the catalogue while the other is loaded"),
                "a lock for each deal",
                "A lock that several deals share makes the slowest of them the pace of all.",
            );
        }
        let lock = shop.redis.lock_beside(&locks, &did).await;
        if tokens.contains(&lock.token) {
            let token = &lock.token;
            fail(
                match tokens.len() {
                    0 => format!("{gets}, with an empty Redis"),
                    1 => format!("{gets}, with an empty Redis, after an earlier load (not shown)"),
                    before => format!(
                        "{gets}, with an empty Redis, after {before} earlier loads (not shown)"
                    ),
                },
                format!("two loads held a lock with the same token `{token}`"),
                "a token that no other holder has: how else is a lock known to be one's own?",
            );
        }
        tokens.push(lock.token.clone());
        locks.push(lock);
        gates.push(gate);
        requests.push(request);
    }
    let foreign = tokens[0].clone();
    let (mut step, mut before) = (0, None);
    let mut steps = app.steps();
    if let Some(says) = fails {
        for Thing { path, .. } in deals {
            shop.catalogue.door.fail("GET", path, says);
        }
    }
    for gate in gates {
        gate.open();
    }
    let answers = steps
        .walk(InFlight::all(requests), async |last| {
            if step == nth {
                for lock in &locks {
                    shop.give_away(&lock.key, &foreign).await;
                }
                before = last.map(str::to_owned);
            }
            step += 1;
        })
        .await;
    drop(steps);
    app.settle().await;
    // What is answered after a failed load, and when, has checks of its own.
    if fails.is_none() {
        for (answers, deal) in answers.iter().zip(deals) {
            expect_served(answers, deal, &taken, "the catalogue has answered");
        }
    }
    if step <= nth {
        return step;
    }
    for Lock { key, .. } in &locks {
        if shop.redis.text_of(key, &did).await.as_ref() != Some(&foreign) {
            let keys: Vec<String> = locks.iter().map(|it| format!("`{}`", it.key)).collect();
            let load = match fails {
                Some(says) => format!("the load, which the catalogue answered with {says}"),
                None => "the load".to_owned(),
            };
            let after = match before {
                Some(message) => format!("after {load}, and after your service's `{message}`"),
                None => format!("after {load}"),
            };
            fail(
                format!(
                    "{gets}; {after}, gave {} to another holder",
                    keys.join(" and ")
                ),
                "the other holder's lock is gone: your service has ended it",
                format!("`{key}` with the other holder's token: it is not yours any more"),
            );
        }
    }
    step
}
