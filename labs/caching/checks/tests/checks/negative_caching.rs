//! Exercise 3: what does not exist is asked for once.

use std::time::Duration;

use caching_checks::{InFlight, Instance, SILENCE, Shop, Steps, Voucher};
use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::upstream::Gate;
use labkit::wire::Match;
use rand::RngExt as _;
use serde_json::json;

/// A lookup that has not been answered after this is taken for one that waits for the creation.
/// Decides how the check goes on, never the verdict.
const BLOCKED: Duration = Duration::from_secs(2);

/// Crawlers try codes all night. What does not exist is never a hit in a cache that keeps
/// only what exists, so each try is paid for by the catalogue.
#[labkit::test]
async fn a_hundred_lookups_of_a_missing_code_ask_the_catalogue_once(mut shop: Shop) {
    let path = path(&code(&mut shop));
    let other = shop.second_app().await;
    for _ in 0..50 {
        shop.app.get(&path).await;
        other.get(&path).await;
    }
    shop.measured(shop.catalogue.door.count("GET", &path));
    shop.catalogue
        .loads_of(&path)
        .after(format!("GET {path} 100 times, on two instances in turn"))
        .expect(
            1,
            "that the code does not exist is known after the first lookup, to both instances",
        );
}

/// "Not found" from the cache must look like "not found" from the catalogue: neither like an empty
/// voucher, which somebody can redeem, nor like a failure, which somebody is woken up for.
#[labkit::test]
async fn a_missing_voucher_stays_404(mut shop: Shop) {
    let path = path(&code(&mut shop));
    for _ in 0..3 {
        let _ = shop
            .app
            .get(&path)
            .await
            .expect_status(404, "there is no such voucher, whoever remembers it");
    }
}

/// The voucher is printed, mailed and typed in within a minute. A customer who was once
/// told "no such code" has to be told otherwise.
#[labkit::test]
async fn a_created_voucher_is_found_at_once(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    let other = shop.second_app().await;
    shop.app.get(&path).await;
    let mut steps = other.steps();
    let put = steps.walk(other.begin_put(&path, &voucher), async |_| {});
    let _ = put.await.expect_ok();
    let did = format!("GET {path}, PUT {path} on a second instance, GET {path}");
    expect_found(&shop, &other, steps, &path, &voucher, did).await;
}

/// A lookup can come at any moment, also while the voucher is on its way to the catalogue.
/// What it leaves behind must not hide the voucher.
#[labkit::test]
async fn a_lookup_during_the_creation_does_not_hide_the_voucher(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    let other = shop.second_app().await;
    shop.app.get(&path).await;
    let mut creation = other.begin_put(&path, &voucher);
    let committed = until_committed(&shop, &other, &mut creation, &path).await;
    let mut steps = other.steps();
    committed.open();
    let _ = steps.walk(creation, async |_| {}).await.expect_ok();
    let did = format!("GET {path}; PUT {path}, held before the commit; GET; the commit; GET");
    expect_found(&shop, &other, steps, &path, &voucher, did).await;
}

/// The admin who reads "created" mails the code to a customer. Redis can fail just before that:
/// then nobody may be told that it can be used.
#[labkit::test]
async fn a_creation_that_redis_never_heard_of_is_not_called_done(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    let other = shop.second_app().await;
    shop.app.get(&path).await;
    let mut creation = other.begin_put(&path, &voucher);
    let committed = until_committed(&shop, &other, &mut creation, &path).await;
    let said = other.redis.messages().len();
    other.redis.cut(Match::any());
    committed.open();
    let created = creation.answer().await;
    let silent = silent(&other, said);
    let answer = shop.app.get(&path).await;
    if created.status < 300 && answer.status != 200 {
        created.point("nobody finds it");
        fail(
            format!(
                "GET {path}; PUT {path}, with a GET just before the commit and the connection to \
                 Redis cut right after it; GET {path}"
            ),
            format!("the PUT was answered {created}, the last GET {answer}{silent}"),
            "either the voucher on the next lookup, or an answer to the PUT that is no success",
        );
    }
}

/// A Redis that is busy answers late. "Created" means that it has heard of the voucher, after the
/// commit: not before it, and not some time later.
#[labkit::test]
async fn a_creation_that_redis_has_not_heard_of_yet_is_not_called_done(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    let other = shop.second_app_with(&[("REDIS_BUDGET_MS", 100)]).await;
    shop.app.get(&path).await;
    let mut creation = other.begin_put(&path, &voucher);
    let committed = until_committed(&shop, &other, &mut creation, &path).await;
    let said = other.redis.messages().len();
    let held = other.redis.hold_each(Match::any());
    committed.open();
    creation.until(tokio::time::sleep(SILENCE)).await;
    let silent = silent(&other, said);
    if let Some(created) = creation.answered()
        && created.status < 300
    {
        let answer = shop.app.get(&path).await;
        if answer.status != 200 {
            created.point("nobody finds it");
            fail(
                format!(
                    "GET {path}; PUT {path}, with a GET just before the commit and each message \
                     to Redis held from the commit on; GET {path} on the other instance"
                ),
                format!("the PUT was answered {created}, the last GET {answer}{silent}"),
                "no success before Redis has answered what it is told after the commit, however \
                 long that takes",
            );
        }
    }
    drop(held);
    let _ = creation.answer().await;
}

/// How a finding ends where an instance has told Redis nothing since it had `said` so much.
fn silent(app: &Instance, said: usize) -> &'static str {
    match app.redis.messages().len() == said {
        true => "; nothing was said to Redis after the commit",
        false => "",
    }
}

/// Fails the check unless both instances find the voucher that `other` has just answered to have
/// created. What that one did not wait for is held in `steps` until the first one has looked.
async fn expect_found(
    shop: &Shop,
    other: &Instance,
    steps: Steps<'_>,
    path: &str,
    voucher: &Voucher,
    did: String,
) {
    let before = shop.app.get(path).await;
    drop(steps);
    for answer in [before, other.get(path).await] {
        if answer.status != 200 {
            answer.point("it has been created");
            fail(
                did,
                format!("created and committed, and still {answer}"),
                "200 with the voucher: this lookup came after the answer to the PUT",
            );
        }
        let found: Voucher = answer.json();
        if found != *voucher {
            answer.point("another voucher");
            fail(
                did,
                json!(found).to_string(),
                format!("{}, as it was created", json!(voucher)),
            );
        }
    }
}

/// Lets a creation by `other` go until the catalogue has made it, with a lookup on each instance
/// just before: whatever was told to Redis until then, the absence is there again, and whatever
/// an instance remembers beside its own creation. A service may let them wait for the creation.
async fn until_committed(
    shop: &Shop,
    other: &Instance,
    creation: &mut InFlight<'_>,
    path: &str,
) -> Gate {
    let door = &shop.catalogue.door;
    let (comes, committed) = (door.gate("PUT", path), door.gate_reply("PUT", path));
    match creation.until(comes.parked(1)).await {
        Some(Ok(())) => {}
        _ => never_committed(path),
    }
    for app in [other, &shop.app] {
        creation.during(app.get_within(path, BLOCKED)).await;
    }
    comes.open();
    match creation.until(committed.parked(1)).await {
        Some(Ok(())) => committed,
        _ => never_committed(path),
    }
}

fn never_committed(path: &str) -> ! {
    fail(
        format!("PUT {path}"),
        "nothing has arrived at the catalogue",
        format!("PUT {path} at the catalogue: it owns the vouchers"),
    )
}

/// Whoever empties the cache for one code sends the next lookup of every other one to the
/// catalogue.
#[labkit::test]
async fn a_creation_forgets_no_other_code(mut shop: Shop) {
    let [new, exists, missing] = [code(&mut shop), code(&mut shop), code(&mut shop)];
    let (voucher, other) = (voucher(&mut shop), voucher(&mut shop));
    shop.catalogue.add_voucher(&exists, &other);
    let others = [path(&exists), path(&missing)];
    let new = path(&new);
    shop.app.get(&new).await;
    let did = format!(
        "GET {new}, GET {} twice, GET {} twice, PUT {new}",
        others[0], others[1]
    );
    let mut kept = Vec::new();
    for path in &others {
        for _ in 0..2 {
            shop.app.get(path).await;
        }
        // What is not kept at all has a check of its own.
        if shop.catalogue.door.count("GET", path) == 1 {
            kept.push(path);
        }
    }
    let _ = shop.app.put(&new, &voucher).await.expect_ok();
    for path in kept {
        shop.app.get(path).await;
        shop.catalogue
            .loads_of(path)
            .after(format!("{did}, GET {path}"))
            .expect(1, "what is known of another code is still true");
    }
}

/// Between a write and an expiry that follows it a service can die. What then has no end stays: an
/// absence that hides a voucher, or a voucher that nobody can end.
#[labkit::test]
async fn value_and_expiry_arrive_together(mut shop: Shop) {
    let [missing, exists, created] = [code(&mut shop), code(&mut shop), code(&mut shop)];
    let voucher = voucher(&mut shop);
    shop.catalogue.add_voucher(&exists, &voucher);
    let paths = [missing, exists, created].map(|code| path(&code));
    let rounds = shop.mark();
    for (path, creates) in [(&paths[0], false), (&paths[1], false), (&paths[2], true)] {
        shop.begin_round(rounds);
        let (request, words) = if creates {
            (shop.app.begin_put(path, &voucher), "PUT")
        } else {
            (shop.app.begin_get(path), "GET")
        };
        let did = format!("{words} {path}, looking into Redis after each message of your service");
        let mut steps = shop.app.steps();
        steps
            .walk(request, async |after| {
                shop.redis.expect_expiries(&did, after).await;
            })
            .await;
        drop(steps);
        shop.app.settle().await;
        shop.redis.expect_expiries_when(&did, "in the end").await;
    }
}

/// Absence is the one answer that somebody is busy changing, and every random code leaves
/// one: with a long life they fill the cache and outlive the truth.
#[labkit::test]
async fn absence_expires_soon(mut shop: Shop) {
    let codes = [code(&mut shop), code(&mut shop)];
    let voucher = voucher(&mut shop);
    expect_absence_for(&shop, &shop.app, &codes[0], 30, &voucher).await;
    let longer = shop.second_app_with(&[("NEGATIVE_TTL_S", 200)]).await;
    expect_absence_for(&shop, &longer, &codes[1], 200, &voucher).await;
}

/// Fails the check unless it is remembered for that life that a code does not exist, and no
/// longer.
async fn expect_absence_for(shop: &Shop, app: &Instance, code: &str, life: i64, voucher: &Voucher) {
    let path = path(code);
    for _ in 0..2 {
        app.get(&path).await;
    }
    let requests = format!("GET {path}, twice");
    let why = "A voucher can be created past your service, by somebody who knows nothing of your \
               cache. Until the absence ends it is refused at the checkout. How long that may be, \
               in seconds, is for the shop to say, and no other life is good for it.";
    shop.redis
        .expect_lives_because("NEGATIVE_TTL_S", life, &requests, why)
        .await;
    shop.catalogue.add_voucher(code, voucher);
    expect_the_truth_after_its_life(shop, app, &path, voucher).await;
}

/// A crawler that comes back every second would otherwise keep a voucher hidden for as
/// long as it likes.
#[labkit::test]
async fn lookups_do_not_prolong_an_absence(mut shop: Shop) {
    let looked_up = path(&code(&mut shop));
    // One for each time that is looked at: it must not be loaded twice itself.
    let mut others = [path(&code(&mut shop)), path(&code(&mut shop))].into_iter();
    shop.app.get(&looked_up).await;
    let loads = || shop.catalogue.door.count("GET", &looked_up);
    let look = async || {
        for _ in 0..3 {
            shop.app.get(&looked_up).await;
        }
        if let Some(other) = others.next() {
            shop.app.get(&other).await;
        }
    };
    let did = format!("GET {looked_up} three times, and GET of another code that does not exist");
    shop.redis.expect_no_longer_lives(&did, loads, look).await;
}

/// While the catalogue is down nobody knows what exists. A service that then says "no such
/// voucher" turns customers away who hold a good one.
#[labkit::test]
async fn an_outage_is_not_an_absence(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    shop.catalogue.add_voucher(&code, &voucher);
    shop.catalogue.door.fail("GET", &path, 503);
    let answer = shop.app.get(&path).await;
    let did = format!("GET {path}, a voucher that exists, while the catalogue was down");
    expect(&answer, 502, &did, "whether the voucher exists is unknown");
    shop.catalogue.door.heal();
    let answer = shop.app.get(&path).await;
    let did = did + ", and again when it was back";
    expect(
        &answer,
        200,
        &did,
        "the voucher exists, and the catalogue is well again",
    );
    let code = self::code(&mut shop);
    let path = self::path(&code);
    shop.catalogue.door.fail("PUT", &path, 503);
    let answer = shop.app.put(&path, &voucher).await;
    let did = format!("PUT {path} while the catalogue was down");
    expect(&answer, 502, &did, "nothing was created");
    shop.catalogue.door.heal();
    let answer = shop.app.get(&path).await;
    let did = did + ", then GET of it when the catalogue was back";
    expect(&answer, 404, &did, "nothing was created");
}

/// One bad code must not close the shop to the good ones.
#[labkit::test]
async fn a_missing_code_hides_no_other_voucher(mut shop: Shop) {
    let (missing, other) = (code(&mut shop), code(&mut shop));
    // Another one, one that begins alike, and one that differs in case.
    let goods = [
        other.clone(),
        format!("{}{}", &missing[..4], &other[4..]),
        missing.to_lowercase(),
    ];
    let vouchers = goods.map(|good| (good, voucher(&mut shop)));
    for (good, voucher) in &vouchers {
        shop.catalogue.add_voucher(good, voucher);
    }
    for _ in 0..2 {
        let answer = shop.app.get(&path(&missing)).await;
        let did = format!("GET of {missing}, which does not exist, and of others that do");
        expect(&answer, 404, &did, "it is the others that exist");
        for (good, voucher) in &vouchers {
            let answer = shop
                .app
                .get(&path(good))
                .await
                .expect_status(200, "this one exists; it is the other that does not");
            expect_voucher(&answer, voucher);
        }
    }
    // And the other way round: the one that exists is asked for first.
    let (missing, good) = (code(&mut shop), voucher(&mut shop));
    let twin = missing.to_lowercase();
    shop.catalogue.add_voucher(&twin, &good);
    let answer = shop.app.get(&path(&twin)).await.expect_ok();
    expect_voucher(&answer, &good);
    let answer = shop.app.get(&path(&missing)).await;
    let did = format!("GET of {twin}, which exists, then of {missing}, which does not");
    expect(&answer, 404, &did, "it is another code");
}

/// Vouchers that exist are looked up far more often than those that do not: a cache that
/// only knows what is missing has it the wrong way round.
#[labkit::test]
async fn an_existing_voucher_is_loaded_once(mut shop: Shop) {
    let nothing_off = Voucher {
        percent: 0,
        campaign: String::new(),
    };
    for voucher in [voucher(&mut shop), nothing_off] {
        let code = code(&mut shop);
        let path = path(&code);
        shop.catalogue.add_voucher(&code, &voucher);
        for _ in 0..2 {
            let answer = shop.app.get(&path).await.expect_ok();
            expect_voucher(&answer, &voucher);
        }
        shop.catalogue
            .loads_of(&path)
            .expect(1, "only the first lookup is a miss");
    }
}

/// Two answers, two lives: a voucher stays what it is for an hour, an absence for half a
/// minute.
#[labkit::test]
async fn an_existing_voucher_lives_its_own_life(mut shop: Shop) {
    let shorter = shop.second_app_with(&[("VOUCHER_TTL_S", 900)]).await;
    let rounds = shop.mark();
    for (by_the_app, life) in [(false, 3600), (false, 900), (true, 900)] {
        shop.begin_round(rounds);
        let (code, first) = (code(&mut shop), voucher(&mut shop));
        let path = path(&code);
        let app = match life {
            900 => &shorter,
            _ => &shop.app,
        };
        let requests = if by_the_app {
            let _ = app.put(&path, &first).await.expect_ok();
            format!("PUT {path} and GET {path}")
        } else {
            shop.catalogue.add_voucher(&code, &first);
            format!("GET {path}")
        };
        let _ = app.get(&path).await.expect_ok();
        shop.redis
            .expect_lives("VOUCHER_TTL_S", life, &requests)
            .await;
        let loads = || shop.catalogue.door.count("GET", &path);
        let read = async || {
            let _ = app.get(&path).await;
        };
        let did = format!("GET {path} of what is in Redis");
        shop.redis.expect_no_longer_lives(&did, loads, read).await;
        let changed = voucher_other_than(&first);
        shop.catalogue.add_voucher(&code, &changed);
        expect_the_truth_after_its_life(&shop, app, &path, &changed).await;
    }
}

/// Lets what Redis holds lapse and looks twice: once without Redis, when an error is as
/// right as the truth, and once with it.
async fn expect_the_truth_after_its_life(shop: &Shop, app: &Instance, path: &str, truth: &Voucher) {
    shop.redis.forget_everything().await;
    app.redis.cut(Match::any());
    for may_fail in [true, false] {
        let answer = app.get(path).await;
        let failed = may_fail && answer.status >= 500;
        if !failed && (answer.status != 200 || answer.json::<Voucher>() != *truth) {
            answer.point("Redis holds nothing any more");
            fail(
                format!("GET {path}; its entry expires, the catalogue changes; GET {path}"),
                format!("your service answered {answer}"),
                format!("200 with {}: what the catalogue says now", json!(truth)),
            );
        }
    }
    shop.redis.forget_everything().await;
}

fn expect_voucher(answer: &Answer, voucher: &Voucher) {
    let found: Voucher = answer.json();
    if found != *voucher {
        answer.point("another voucher");
        fail("", json!(found).to_string(), json!(voucher).to_string());
    }
}

fn path(code: &str) -> String {
    format!("/vouchers/{code}")
}

fn expect(answer: &Answer, status: u16, did: &str, because: &str) {
    if answer.status != status {
        answer.point(format!("not {status}"));
        fail(
            did,
            format!("it answered {answer}"),
            format!("{status}: {because}"),
        );
    }
}

/// Eight letters and digits that nobody has used.
fn code(shop: &mut Shop) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    // The first one has an upper and a lower case.
    let letter = |n| {
        let choice = if n == 0 { 24 } else { LETTERS.len() };
        char::from(LETTERS[shop.rng.random_range(0..choice)])
    };
    (0..8).map(letter).collect()
}

fn voucher_other_than(voucher: &Voucher) -> Voucher {
    Voucher {
        percent: voucher.percent + 1,
        ..voucher.clone()
    }
}

fn voucher(shop: &mut Shop) -> Voucher {
    const CAMPAIGNS: [&str; 4] = ["spring", "\"we miss you\"", "Grüße", "none"];
    Voucher {
        percent: shop.rng.random_range(5..=50),
        campaign: CAMPAIGNS[shop.rng.random_range(0..CAMPAIGNS.len())].to_owned(),
    }
}
