//! Exercise 3: what does not exist is asked for once.

use caching_checks::{Shop, Voucher};
use labkit::answer::Answer;
use labkit::finding::fail;
use rand::RngExt as _;

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
    shop.catalogue
        .loads_of(&path)
        .after(format!("GET {path} 100 times, on two instances in turn"))
        .expect(
            1,
            "that the code does not exist is known after the first lookup, to both instances",
        );
}

/// "Not found" from the cache must look like "not found" from the catalogue: an empty
/// voucher is one that somebody can redeem.
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
    // What the instance did not wait for is held until the other one has looked.
    let looks = [shop.app.get(&path).await, {
        drop(steps);
        other.get(&path).await
    }];
    for answer in looks {
        if answer.status != 200 {
            answer.point("it has been created");
            fail(
                format!("GET {path}, PUT {path} on a second instance, GET {path}"),
                format!("created and committed, and still {answer}"),
                "200 with the voucher, on the next lookup",
            );
        }
        let found: Voucher = answer.json();
        if found != voucher {
            answer.point("another voucher");
            fail(
                "",
                format!("{found:?}"),
                format!("{voucher:?}, as it was created"),
            );
        }
    }
}

/// A lookup can come at any moment, also while the voucher is on its way to the catalogue.
/// What it leaves behind must not hide the voucher.
#[labkit::test]
async fn a_lookup_during_the_creation_does_not_hide_the_voucher(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    shop.app.get(&path).await;
    let gate = shop.catalogue.door.gate("PUT", &path);
    let mut creation = shop.app.begin_put(&path, &voucher);
    match creation.until(gate.parked(1)).await {
        Some(Ok(())) => {}
        _ => fail(
            format!("PUT {path}"),
            "nothing has arrived at the catalogue",
            format!("PUT {path} at the catalogue: it owns the vouchers"),
        ),
    }
    creation.during(shop.app.get(&path)).await;
    gate.open();
    let _ = creation.answer().await.expect_ok();
    let answer = shop.app.get(&path).await;
    if answer.status != 200 {
        answer.point("it has been created");
        fail(
            format!("GET {path}; PUT {path}, held before the commit; GET; the commit; GET"),
            format!("created and committed, and still {answer}"),
            "200 with the voucher: the last lookup came after the answer to the PUT",
        );
    }
}

/// Absence is the one answer that somebody is busy changing, and every random code leaves
/// one: with a long life they fill the cache and outlive the truth.
#[labkit::test]
async fn absence_expires_soon(mut shop: Shop) {
    let longer = shop.second_app_with(&[("NEGATIVE_TTL_S", 200)]).await;
    let paths = [path(&code(&mut shop)), path(&code(&mut shop))];
    for (app, path, life) in [(&shop.app, &paths[0], 30), (&longer, &paths[1], 200)] {
        app.get(path).await;
        shop.redis.expect_lives("NEGATIVE_TTL_S", life, path).await;
        shop.redis.forget_everything().await;
    }
}

/// A crawler that comes back every second would otherwise keep a voucher hidden for as
/// long as it likes.
#[labkit::test]
async fn lookups_do_not_prolong_an_absence(mut shop: Shop) {
    let path = path(&code(&mut shop));
    shop.app.get(&path).await;
    // As if 20 of the 30 seconds had passed.
    if shop.redis.shorten_everything_to(10_000).await == 0 {
        fail(
            "",
            "Redis holds nothing",
            "an entry that remembers what the lookup has found out",
        );
    }
    for _ in 0..5 {
        shop.app.get(&path).await;
    }
    for entry in shop.redis.entries().await {
        if entry.pttl == -1 || entry.pttl > 10_000 {
            fail(
                format!("GET {path}; let all but 10 s of its 30 s pass; GET {path}, 5 times"),
                format!("`{}` lives another {} ms", entry.key, entry.pttl),
                "at most the 10 s that were left of the first lookup",
            );
        }
    }
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
    let (missing, good) = (code(&mut shop), code(&mut shop));
    let voucher = voucher(&mut shop);
    shop.catalogue.add_voucher(&good, &voucher);
    for _ in 0..2 {
        shop.app.get(&path(&missing)).await;
        let answer = shop
            .app
            .get(&path(&good))
            .await
            .expect_status(200, "this one exists; it is the other that does not");
        let found: Voucher = answer.json();
        if found != voucher {
            answer.point("another voucher");
            fail("", format!("{found:?}"), format!("{voucher:?}"));
        }
    }
}

/// Vouchers that exist are looked up far more often than those that do not: a cache that
/// only knows what is missing has it the wrong way round.
#[labkit::test]
async fn an_existing_voucher_is_loaded_once(mut shop: Shop) {
    let (code, voucher) = (code(&mut shop), voucher(&mut shop));
    let path = path(&code);
    shop.catalogue.add_voucher(&code, &voucher);
    for _ in 0..2 {
        let answer = shop.app.get(&path).await.expect_ok();
        let found: Voucher = answer.json();
        if found != voucher {
            answer.point("another voucher");
            fail("", format!("{found:?}"), format!("{voucher:?}"));
        }
    }
    shop.catalogue
        .loads_of(&path)
        .expect(1, "only the first lookup is a miss");
}

/// Two answers, two lives: a voucher stays what it is for an hour, an absence for half a
/// minute.
#[labkit::test]
async fn an_existing_voucher_lives_its_own_life(mut shop: Shop) {
    let shorter = shop.second_app_with(&[("VOUCHER_TTL_S", 900)]).await;
    let codes = [code(&mut shop), code(&mut shop)];
    let voucher = voucher(&mut shop);
    for (app, code, life) in [(&shop.app, &codes[0], 3600), (&shorter, &codes[1], 900)] {
        shop.catalogue.add_voucher(code, &voucher);
        let _ = app.get(&path(code)).await.expect_ok();
        shop.redis
            .expect_lives("VOUCHER_TTL_S", life, &path(code))
            .await;
        shop.redis.forget_everything().await;
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
    let letter = |_| char::from(LETTERS[shop.rng.random_range(0..LETTERS.len())]);
    (0..8).map(letter).collect()
}

fn voucher(shop: &mut Shop) -> Voucher {
    const CAMPAIGNS: [&str; 4] = ["spring", "\"we miss you\"", "Grüße", "none"];
    Voucher {
        percent: shop.rng.random_range(5..=50),
        campaign: CAMPAIGNS[shop.rng.random_range(0..CAMPAIGNS.len())].to_owned(),
    }
}
