//! Exercise 8: rankings that have gone stale, and what is seen of their refresh.

use std::time::Duration;

use labkit::finding::fail;
use labkit::patience::{PATIENCE, timeout};
use labkit::wire::{Step, Steps};
use serde_json::Value;

use crate::Shop;
use crate::crowd::expect_served;
use crate::goods::{Sort, Thing};
use crate::instance::Instance;
use crate::lock::arrivals;

/// `RANKING_SOFT_MS`, where a check does not say otherwise.
pub const SOFT: i64 = 60_000;
/// `RANKING_HARD_MS`, where a check does not say otherwise.
pub const HARD: i64 = 600_000;
/// `LOCK_TTL_MS`, where a check does not say otherwise.
pub const LOCK: i64 = 30_000;
/// What is added to a life so that it is over.
pub const OVER: i64 = 1_000;

/// Fails the check unless a reader is shown this ranking while nobody can load it.
pub async fn expect_at_once(app: &Instance, ranking: &Thing, did: &str) {
    let mut reader = app.begin_crowd([ranking.path.as_str()]);
    let waits = reader.during(app.waits_for_no_answer()).await;
    if waits && reader.answered().is_none() {
        fail(
            did,
            format!(
                "GET {} is not answered, though Redis has told all that it was asked",
                ranking.path
            ),
            "the ranking that is there, at once: nobody waits while there is something to show",
        );
    }
    let answers = reader.answer().await;
    expect_served(&answers, ranking, did, "they wait for the catalogue");
}

/// The next thing that an instance says to Redis, held; nothing, where it has asked the
/// catalogue for a refresh before that.
pub async fn next_word(words: &mut Steps, shop: &Shop, path: &str, before: usize) -> Option<Step> {
    let door = &shop.catalogue.door;
    tokio::select! {
        word = words.next() => word.filter(|_| door.count("GET", path) == before),
        _ = arrivals(door, path, before + 1) => None,
    }
}

/// Fails the check unless the catalogue is asked once more than before.
pub async fn expect_refresh(shop: &Shop, path: &str, before: usize, did: &str) {
    if !arrivals(&shop.catalogue.door, path, before + 1).await {
        fail(
            did,
            format!("nobody has asked the catalogue for {path}"),
            "a refresh: the ranking is stale",
        );
    }
}

/// The ranking that the catalogue has now.
pub fn as_it_is(shop: &Shop, path: &str) -> Thing {
    Thing {
        path: path.to_owned(),
        value: shop.catalogue.goods.truth(path),
    }
}

/// Loads the ranking where it is not, and lets it go stale while the catalogue gets another one:
/// what that one is.
pub async fn go_stale(shop: &mut Shop, ranking: &Thing, others: &[&Instance]) -> Value {
    let _ = shop.app.get(&ranking.path).await.expect_ok();
    let new = shop.renew(ranking, Sort::Ranking).value;
    grow_stale(shop, others).await;
    new
}

/// Loads the ranking where it is not, and lets it go stale while nothing changes at the catalogue.
pub async fn let_go_stale(shop: &Shop, ranking: &Thing, others: &[&Instance]) {
    let _ = shop.app.get(&ranking.path).await.expect_ok();
    grow_stale(shop, others).await;
}

async fn grow_stale(shop: &Shop, others: &[&Instance]) {
    let mut apps = vec![&shop.app];
    apps.extend(others);
    shop.redis.pass(SOFT + OVER, &apps).await;
}

/// Reads until the new ranking shows; that it does is bound to happen.
pub async fn until_seen(shop: &Shop, app: &Instance, path: &str, new: &Value, did: &str) {
    let mut last = None;
    let seen = async {
        loop {
            let answer = app.get(path).await.expect_ok();
            let shown: Value = answer.json();
            if shown == *new {
                return;
            }
            last = Some((answer, shown));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Err(_) = timeout(PATIENCE, seen).await else {
        return;
    };
    let still = last.map_or_else(String::new, |(answer, shown)| {
        answer.point("still the old one");
        format!("it still shows {shown}; ")
    });
    fail(
        did,
        format!(
            "{} s later {still}requests at the catalogue so far: {}",
            PATIENCE.as_secs(),
            shop.catalogue.door.count("GET", path)
        ),
        format!("the refreshed one: {new}"),
    );
}

/// How often the catalogue was asked, once nobody is on the way to it any more.
pub async fn at_rest(shop: &Shop, other: &Instance, path: &str) -> usize {
    loop {
        let loads = shop.catalogue.door.count("GET", path);
        shop.app.fall_silent().await;
        other.fall_silent().await;
        if shop.catalogue.door.count("GET", path) == loads {
            return loads;
        }
    }
}

/// Fails the check unless all that Redis holds ends within `most`; the longest life.
pub async fn expect_ends_within(shop: &Shop, did: &str, most: i64) -> i64 {
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
                format!("at most {most} ms, what may be left of the hard life"),
            );
        }
        longest = longest.max(entry.pttl);
    }
    longest
}
