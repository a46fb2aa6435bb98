//! Exercise 8: what is stale is shown at once, and one reader has it refreshed.

use std::time::{Duration, Instant};

use caching_checks::stale::{
    HARD, LOCK, OVER, SOFT, as_it_is, at_rest, expect_at_once, expect_ends_within, expect_refresh,
    go_stale, let_go_stale, next_word, until_seen,
};
use caching_checks::{
    Instance, Shop, Sort, Thing, arrivals, expect_answered, expect_served, expect_shown, lost_since,
};
use labkit::finding::{fail, fail_because};
use labkit::patience::{PATIENCE, timeout};
use labkit::upstream::Gate;
use labkit::wire::{Hold, Match, Step};
use rand::RngExt as _;
use serde_json::Value;

/// What is left of a life that is not over: more than a check takes.
const LAST: i64 = 30_000;
/// A lock that ends while a load is held.
const SHORT_LOCK_MS: u64 = 1_000;

/// A load that takes long: longer than somebody waits who waits for a moment only. Decides how
/// sure we are to see that, never the verdict on a service that waits.
const LONG_LOAD: Duration = Duration::from_millis(1_200);

/// A first load that takes longer still: whoever finds nothing has nothing to be content with.
const FIRST_LOAD: Duration = Duration::from_millis(3_500);

/// What is left of the hard life of a ranking that is refreshed at the last moment: less than
/// `LOCK_TTL_MS`, more than a check takes.
const ALMOST_GONE: i64 = 20_000;

/// How many ask each instance at the same time.
const CALLERS: usize = 10;

/// How many messages a reader, or a refresh, may need.
const MOST_STEPS: usize = 20;

/// What is fresh needs no refresh: a cache that asks all the same costs more than none.
#[labkit::test]
async fn a_fresh_ranking_is_loaded_once(shop: Shop) {
    // Two everyday ones, an empty one, and one with the largest numbers.
    let rankings: [Thing; 4] = shop.catalogue.goods.some(Sort::Ranking);
    let other = shop.second_app().await;
    let apps = [&shop.app, &other];
    for seconds in [0, 20, 40] {
        for (app, ranking) in apps
            .iter()
            .flat_map(|app| rankings.iter().map(move |it| (app, it)))
        {
            let did = match seconds {
                0 => format!("GET {} on two instances", ranking.path),
                _ => format!(
                    "GET {} on two instances, again after {seconds} s",
                    ranking.path
                ),
            };
            expect_shown(&app.get(&ranking.path).await, &ranking.value, &did);
        }
        shop.redis.pass(SOFT / 3, &apps).await;
    }
    for app in apps {
        app.fall_silent().await;
    }
    for ranking in &rankings {
        shop.catalogue
            .loads_of(&ranking.path)
            .after(format!(
                "GET {} on two instances; again after 20 s and after 40 s, with RANKING_SOFT_MS={SOFT}",
                ranking.path
            ))
            .expect(1, "it is fresh for a minute");
    }
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
    shop.app.fall_silent().await;
    other.fall_silent().await;
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
            app.fall_silent().await;
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
    let new = shop.renew(&ranking, Sort::Ranking).value;
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

/// Where there is nothing to show, everybody waits. Somebody else's load is no reason to be sent
/// away.
#[labkit::test]
async fn who_finds_nothing_waits_for_a_load(shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} by two callers on each of two instances, with an empty Redis and the catalogue \
         held back for {} s or more",
        FIRST_LOAD.as_secs_f64()
    );
    let mut crowd = shop
        .app
        .begin_crowd([path; 2])
        .and(other.begin_crowd([path; 2]));
    let _ = crowd.until(gate.parked(1)).await;
    crowd.during(tokio::time::sleep(FIRST_LOAD)).await;
    gate.open();
    let (some, others) = crowd.answer().await;
    for answers in [&some, &others] {
        expect_served(answers, &ranking, &did, "the catalogue has answered");
    }
}

/// Both lives belong to whoever runs the shop. And nothing that a reader does may prolong
/// the second one: a popular ranking would never end.
#[labkit::test]
async fn both_lives_are_those_of_the_environment(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let soft: i64 = shop.rng.random_range(1_500_000..2_500_000);
    let hard: i64 = shop.rng.random_range(10_000_000..20_000_000);
    let lives = [
        ("RANKING_SOFT_MS", soft.cast_unsigned()),
        ("RANKING_HARD_MS", hard.cast_unsigned()),
    ];
    let app = shop.second_app_with(&lives).await;
    let with = format!("GET {path} with RANKING_SOFT_MS={soft} and RANKING_HARD_MS={hard}");
    let began = Instant::now();
    expect_shown(&app.get(path).await, &ranking.value, "");
    let kept = expect_ends_within(&shop, &with, hard).await;
    if kept + lost_since(began) < hard / 2 {
        fail(
            &with,
            format!("what Redis holds longest lives {kept} ms"),
            format!("at least {} ms: half of the hard life", hard / 2),
        );
    }
    shop.redis.pass(soft - LAST, &[&app]).await;
    expect_shown(&app.get(path).await, &ranking.value, &with);
    app.fall_silent().await;
    let did = format!("{with}; let all but 30 s of the soft life pass; GET again");
    shop.catalogue
        .loads_of(path)
        .after(did)
        .expect(1, "it is still fresh");
    shop.redis.pass(LAST + OVER, &[&app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("{with}; let the soft life pass; GET again, with the catalogue held back");
    expect_at_once(&app, &ranking, &did).await;
    expect_refresh(&shop, path, 1, &did).await;
    app.fall_silent().await;
    expect_ends_within(&shop, &did, hard - soft).await;
    gate.open();
}

/// A catalogue that is down is when a stale ranking is worth most, until its hard life is over: from
/// then on nobody shows it, wherever it was kept.
#[labkit::test]
async fn a_failed_refresh_keeps_the_stale_ranking(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let new = go_stale(&mut shop, &ranking, &[]).await;
    shop.catalogue.door.fail("GET", path, 503);
    let mut did = format!("GET {path}; let it go stale; GET, with a catalogue that answers 503");
    // The second failure keeps nobody waiting longer than the first.
    for _ in 0..2 {
        let before = shop.catalogue.door.count("GET", path);
        expect_shown(&shop.app.get(path).await, &ranking.value, &did);
        expect_refresh(&shop, path, before, &did).await;
        shop.app.fall_silent().await;
        did += "; GET again";
        expect_shown(&shop.app.get(path).await, &ranking.value, &did);
        shop.app.fall_silent().await;
        shop.redis.pass(LOCK + OVER, &[&shop.app]).await;
        did += &format!("; LOCK_TTL_MS={LOCK} later GET");
    }
    shop.catalogue.door.heal();
    let did = format!("{did}, and the catalogue is well again");
    until_seen(&shop, &shop.app, path, &new, &did).await;
    shop.app.fall_silent().await;
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

/// A failure brings nothing new. Who keeps the old ranking a while longer then, to spare a catalogue
/// in trouble, does so at the next failure as well: and shows for a day what was to be shown for an
/// hour.
#[labkit::test]
async fn a_failed_refresh_prolongs_nothing(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let _ = go_stale(&mut shop, &ranking, &[]).await;
    shop.catalogue.door.fail("GET", path, 503);
    let mut did = format!("GET {path}; let it go stale; GET, with a catalogue that answers 503");
    let before = shop.catalogue.door.count("GET", path);
    expect_at_once(&shop.app, &ranking, &did).await;
    expect_refresh(&shop, path, before, &did).await;
    shop.app.fall_silent().await;
    // Since the load SOFT and a moment have passed.
    shop.redis.pass(HARD - SOFT, &[&shop.app]).await;
    did += &format!("; GET when RANKING_HARD_MS={HARD} have passed since the load");
    let answer = shop.app.get(path).await;
    if answer.status != 502 {
        answer.point("too old to be shown");
        fail(
            did,
            format!("it answered {answer}"),
            "502: both lives count from the load, and since then every load has failed",
        );
    }
}

/// Instances are killed: by a deployment, by the machine, by their own memory. What they
/// leave says that somebody is at it when nobody is, and whoever finds that must not prolong it.
#[labkit::test]
async fn when_the_one_who_refreshes_dies_another_refreshes(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let new = go_stale(&mut shop, &ranking, &[&other]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}; let it go stale; GET on another instance");
    expect_at_once(&other, &ranking, &did).await;
    expect_refresh(&shop, path, 1, &did).await;
    other.kill().await;
    gate.open();
    // Who comes meanwhile does not make it longer.
    shop.redis.pass(LOCK / 2, &[&shop.app]).await;
    expect_at_once(&shop.app, &ranking, &did).await;
    shop.app.come_in().await;
    shop.redis.pass(LOCK / 2 + OVER, &[&shop.app]).await;
    let did = format!(
        "{did}, killed while it refreshed; GET half of LOCK_TTL_MS={LOCK} later, and again when \
         it is over"
    );
    until_seen(&shop, &shop.app, path, &new, &did).await;
}

/// A reader that finds a ranking stale says more than one thing to Redis. Where the first of them
/// is a key without an end, and the instance dies before the second, nobody ever refreshes again.
#[labkit::test]
async fn a_refresh_leaves_no_key_without_an_end_at_any_moment(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let _ = go_stale(&mut shop, &ranking, &[]).await;
    let mut words = shop.app.redis.hold_each(Match::any());
    let mut reader = shop.app.begin_crowd([path]);
    let mut after = String::new();
    for _ in 0..MOST_STEPS {
        let Some(word) = reader.during(shop.app.next_said(&mut words)).await else {
            break;
        };
        let held = || 1 + words.waiting();
        reader.during(shop.app.replies(held)).await;
        let did = format!("GET {path}; let it go stale; GET{after}");
        expect_ends_within(&shop, &did, HARD).await;
        after = format!(
            ", and after its `{}` a look into Redis",
            word.message().kind
        );
        drop(word);
    }
    drop(words);
    let did = format!("GET {path}; let it go stale; GET");
    let answers = reader.answer().await;
    expect_answered(&answers, &did, "the stale ranking is in Redis");
    shop.app.fall_silent().await;
    expect_ends_within(&shop, &did, HARD).await;
}

/// The last words of a refresh are several where the ranking and its age are apart. Between
/// them an instance can die as well.
#[labkit::test]
async fn a_refresh_that_dies_at_any_moment_is_tried_again(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let rounds = shop.mark();
    for (said, round) in (0..MOST_STEPS).zip(0..) {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let other = shop.second_app().await;
        // Its clock has missed the rounds before.
        let missed = round * (SOFT + LOCK + 2 * OVER);
        shop.redis.pass(missed, &[&other]).await;
        let stale = as_it_is(&shop, path);
        let new = go_stale(&mut shop, &stale, &[&other]).await;
        let before = shop.catalogue.door.count("GET", path);
        let gate = shop.catalogue.door.gate("GET", path);
        let did = format!("GET {path}; let it go stale; GET on another instance");
        expect_at_once(&other, &stale, &did).await;
        expect_refresh(&shop, path, before, &did).await;
        let mut words = other.redis.hold_each(Match::any());
        gate.open();
        other.has_loaded().await;
        let mut held = None;
        for _ in 0..=said {
            // The one before goes on.
            drop(held.take());
            held = tokio::select! {
                word = words.next() => word,
                () = other.come_in() => None,
            };
        }
        let Some(held) = held else { return };
        let did = format!(
            "{did}, killed before its `{}`; LOCK_TTL_MS={LOCK} later GET",
            held.message().kind
        );
        other.kill().await;
        // What was held is never said.
        other.redis.down();
        drop((held, words));
        expect_ends_within(&shop, &did, HARD).await;
        shop.redis.pass(LOCK + OVER, &[&shop.app]).await;
        until_seen(&shop, &shop.app, path, &new, &did).await;
    }
}

/// A first load can die between two messages as well. What it leaves behind must not pass for
/// fresh until it is gone.
#[labkit::test]
async fn what_a_first_load_left_behind_grows_stale(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let rounds = shop.mark();
    let lapse = SOFT + LOCK + OVER;
    for (said, round) in (0..MOST_STEPS).zip(0..) {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let other = shop.second_app().await;
        // Its clock has missed the rounds before.
        shop.redis.pass(round * lapse, &[&other]).await;
        let mut words = other.redis.hold_each(Match::any());
        let mut request = other.begin_get(path);
        let mut held = None;
        for _ in 0..=said {
            // The one before goes on.
            drop(held.take());
            held = request.until(words.next()).await.flatten();
        }
        let Some(held) = held else { return };
        request.during(other.replies(|| 1 + words.waiting())).await;
        let did = format!(
            "GET {path} with an empty Redis, killed before its `{}`; RANKING_SOFT_MS={SOFT} and \
             LOCK_TTL_MS={LOCK} later GET on another instance",
            held.message().kind
        );
        drop(request);
        other.kill().await;
        // What was held is never said.
        other.redis.down();
        drop((held, words));
        expect_ends_within(&shop, &did, HARD).await;
        let new = shop.renew(&ranking, Sort::Ranking).value;
        shop.redis.pass(lapse, &[&shop.app]).await;
        until_seen(&shop, &shop.app, path, &new, &did).await;
    }
}

/// Between a look and what follows from it there is time for a whole refresh of somebody
/// else. Who then loads again, loads what is fresh. And who was late is not at it for ever: when it
/// goes stale the next time, its instance has it refreshed like any other.
#[labkit::test]
async fn what_another_has_refreshed_meanwhile_is_not_loaded_again(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // A reader who is held for a moment, and one who is held for as long as a lock lives, also
    // where the refresh has brought the same; before each thing that it says once.
    for (asleep, changes) in [(0, true), (LOCK + OVER, true), (LOCK + OVER, false)] {
        for said in 1..MOST_STEPS {
            shop.redis.forget_everything().await;
            shop.begin_round(rounds);
            let stale = as_it_is(&shop, path);
            let new = if changes {
                go_stale(&mut shop, &stale, &[&other]).await
            } else {
                let_go_stale(&shop, &stale, &[&other]).await;
                stale.value.clone()
            };
            let untouched = shop.redis.contents().await;
            let before = shop.catalogue.door.count("GET", path);
            let mut words = shop.app.redis.hold_each(Match::any());
            let mut reader = shop.app.begin_get(path);
            let mut held: Option<Step> = None;
            for _ in 0..=said {
                // The one before goes on.
                drop(held.take());
                held = reader
                    .during(next_word(&mut words, &shop, path, before))
                    .await;
                if held.is_none() {
                    break;
                }
            }
            let Some(held) = held else { break };
            reader.during(shop.app.settle()).await;
            if shop.redis.contents().await != untouched {
                // It has been chosen: from here on nobody else may refresh.
                break;
            }
            let _ = other.get(path).await.expect_ok();
            if !other.asks(path).await {
                break;
            }
            other.has_loaded().await;
            let did = format!(
                "GET {path}; let it go stale; GET, held before its `{}`; GETs on another \
                 instance until it was refreshed{}",
                held.message().kind,
                if changes { "" } else { " (with the same)" }
            );
            until_seen(&shop, &other, path, &new, &did).await;
            let loads = at_rest(&shop, &other, path).await;
            shop.redis.pass(asleep, &[&shop.app, &other]).await;
            drop((held, words));
            let _ = reader.answer().await.expect_ok();
            shop.app.come_in().await;
            let more = at_rest(&shop, &other, path).await - loads;
            let did = format!("{did}; {} s later let the first one go", asleep / 1000);
            if more > 0 {
                fail(
                    did,
                    format!("the catalogue was asked {more} more time(s)"),
                    "never: by then the ranking was fresh",
                );
            }
            for app in [&other, &shop.app] {
                let answer = app.get(path).await.expect_ok();
                let shown: Value = answer.json();
                if shown != new {
                    answer.point("not the refreshed one");
                    fail_because(
                        format!("{did}; GET on both"),
                        format!("GET {path} shows {shown}, though nobody has loaded it since"),
                        format!("the refreshed one: {new}"),
                        "Who is to be chosen says to Redis that it refreshes. Where it writes what \
                         it has seen along with that, it writes over what another has brought \
                         meanwhile.",
                    );
                }
            }
            // Whoever was late, and found it fresh, is not at it for ever.
            let_go_stale(&shop, &stale, &[&other]).await;
            let before = shop.catalogue.door.count("GET", path);
            let did = format!("{did}; let it go stale again; GET on the late one's instance");
            let _ = shop.app.get(path).await.expect_ok();
            expect_refresh(&shop, path, before, &did).await;
            at_rest(&shop, &other, path).await;
        }
    }
}

/// Shortly before its end a ranking has less to live than a refresh may take. It ends all the same:
/// who gives it time for the refresh shows it for as long as each refresh fails.
#[labkit::test]
async fn a_refresh_at_the_last_moment_prolongs_nothing(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let _ = go_stale(&mut shop, &ranking, &[]).await;
    let lives = shop.redis.entries().await;
    let longest = lives.iter().map(|entry| entry.pttl).max().unwrap_or(0);
    let passes = (longest - ALMOST_GONE).max(0);
    shop.redis.pass(passes, &[&shop.app]).await;
    let kept = shop.redis.contents().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path}; let all of its life pass but {} s; GET, with the catalogue held back",
        ALMOST_GONE / 1000
    );
    expect_at_once(&shop.app, &ranking, &did).await;
    expect_refresh(&shop, path, 1, &did).await;
    shop.app.fall_silent().await;
    for (key, _, ends) in shop.redis.contents().await {
        let earlier = kept.iter().find(|(it, ..)| *it == key);
        if let Some((_, _, was)) = earlier
            && ends > *was
        {
            fail(
                did,
                format!("`{key}` was given {} ms more to live", ends - was),
                "what is there ends when it was to end: nothing has been loaded yet",
            );
        }
    }
    gate.open();
}

/// A refresh that is slow, and another one that has begun after its lock had ended.
struct Overtaken {
    /// The first load, before it comes to the door.
    slow: Hold,
    /// Where the second one stands still.
    gate: Gate,
    /// What the second one brings.
    new: Value,
    did: String,
}

/// Lets `other` begin a refresh while the first instance has not ended its own.
async fn overtake(shop: &mut Shop, other: &Instance, ranking: &Thing) -> Overtaken {
    let path = ranking.path.as_str();
    let new = go_stale(shop, ranking, &[other]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let slow = shop.app.catalogue.hold(Match::request("GET", path));
    let did = format!("GET {path}; let it go stale; GET, with a catalogue that is slow");
    expect_at_once(&shop.app, ranking, &did).await;
    if slow.reached().await.is_err() {
        fail(
            did,
            "nobody has asked the catalogue",
            "a refresh: the ranking is stale",
        );
    }
    shop.redis.pass(LOCK + OVER, &[&shop.app, other]).await;
    let did = format!("{did}; LOCK_TTL_MS={LOCK} have passed; GET on another instance");
    expect_at_once(other, ranking, &did).await;
    expect_refresh(shop, path, 1, &did).await;
    Overtaken {
        slow,
        gate,
        new,
        did,
    }
}

/// The slow refresh fails, and so does whatever its instance asks from here on: whether a failed
/// refresh is tried again at once is not asked here.
async fn fail_late(app: &Instance, slow: Hold) {
    app.catalogue.down();
    drop(slow);
    app.come_in().await;
}

/// Who fails late knows the ranking of before. To put it back is to undo what another one has
/// done meanwhile.
#[labkit::test]
async fn a_late_failure_brings_nothing_back(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let Overtaken {
        slow,
        gate,
        new,
        did,
    } = overtake(&mut shop, &other, &ranking).await;
    gate.open();
    until_seen(&shop, &other, path, &new, &did).await;
    fail_late(&shop.app, slow).await;
    let did = format!("{did}, which refreshes; then the first refresh fails; GET on both");
    for app in [&other, &shop.app] {
        expect_shown(&app.get(path).await, &new, &did);
        app.fall_silent().await;
    }
    for app in [&other, &shop.app] {
        expect_shown(&app.get(path).await, &new, &(did.clone() + ", twice"));
    }
}

/// A catalogue that is slow is slower than a lock lives. Who then fails, fails alone.
#[labkit::test]
async fn a_late_failure_does_not_end_the_refresh_of_another(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let Overtaken {
        slow,
        gate,
        new,
        did,
    } = overtake(&mut shop, &other, &ranking).await;
    fail_late(&shop.app, slow).await;
    let did = format!("{did}, which refreshes; the first refresh fails; GET on the other again");
    expect_at_once(&other, &ranking, &did).await;
    other.come_in().await;
    shop.catalogue
        .loads_of(path)
        .after(&did)
        .expect(2, "the first load, and the refresh that goes on");
    gate.open();
    until_seen(&shop, &other, path, &new, &did).await;
}

/// Between a look at a lock and its end there is time for it to become another's. Who fails tidies
/// up behind itself, and must not tidy away what is not its own any more.
#[labkit::test]
async fn a_failure_that_is_slow_to_tidy_up_does_not_end_the_refresh_of_another(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    // Before each thing that it says after the failure once.
    for said in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let stale = as_it_is(&shop, path);
        let new = go_stale(&mut shop, &stale, &[&other]).await;
        let before = shop.catalogue.door.count("GET", path);
        let slow = shop.app.catalogue.hold(Match::request("GET", path));
        let did = format!("GET {path}; let it go stale; GET, with a catalogue that fails");
        expect_at_once(&shop.app, &stale, &did).await;
        if slow.reached().await.is_err() {
            fail(
                did,
                "nobody has asked the catalogue",
                "a refresh: the ranking is stale",
            );
        }
        let mut words = shop.app.redis.hold_each(Match::any());
        // So does all that its instance asks from here on: whether a failed refresh is tried again
        // at once is not asked here.
        shop.app.catalogue.down();
        drop(slow);
        let Some(held) = shop.app.said_after(said, &mut words).await else {
            return;
        };
        let did = format!(
            "{did}; its `{}` held until LOCK_TTL_MS={LOCK} had passed and GET on another instance \
             had begun a refresh; let it go; GET on the other again",
            held.message().kind
        );
        shop.redis.pass(LOCK + OVER, &[&shop.app, &other]).await;
        let gate = shop.catalogue.door.gate("GET", path);
        expect_at_once(&other, &stale, &did).await;
        expect_refresh(&shop, path, before, &did).await;
        drop((held, words));
        shop.app.fall_silent().await;
        expect_at_once(&other, &stale, &did).await;
        other.fall_silent().await;
        let more = shop.catalogue.door.count("GET", path) - before - 1;
        if more > 0 {
            fail(
                did,
                format!("the catalogue was asked {more} more time(s), beside that refresh"),
                "never: the refresh of the other instance goes on",
            );
        }
        gate.open();
        until_seen(&shop, &other, path, &new, &did).await;
        shop.app.catalogue.up();
    }
}

/// A lock of one's own instance need not be one's own: an instance may have begun another refresh
/// since.
#[labkit::test]
async fn a_late_failure_does_not_end_a_later_refresh_of_its_instance(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let new = go_stale(&mut shop, &ranking, &[]).await;
    shop.catalogue.door.fail("GET", path, 503);
    let late = shop.app.catalogue.hold_reply(Match::request("GET", path));
    let did = format!("GET {path}; let it go stale; GET, with a catalogue that fails, and slowly");
    expect_at_once(&shop.app, &ranking, &did).await;
    if late.reached().await.is_err() {
        fail(
            did,
            "nobody has asked the catalogue",
            "a refresh: the ranking is stale",
        );
    }
    shop.catalogue.door.heal();
    shop.redis.pass(LOCK + OVER, &[&shop.app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("{did}; LOCK_TTL_MS={LOCK} have passed; GET, which refreshes");
    expect_at_once(&shop.app, &ranking, &did).await;
    if gate.parked_within(1, LONG_LOAD).await.is_err() {
        // It knows that the first one is still on its way.
        return;
    }
    shop.app.come_in().await;
    let guarded = shop.redis.contents().await;
    drop(late);
    shop.app.come_in().await;
    let untouched = shop.redis.contents().await == guarded;
    let before = shop.catalogue.door.count("GET", path);
    let did = format!("{did}; the first refresh fails; GET");
    expect_at_once(&shop.app, &ranking, &did).await;
    shop.app.come_in().await;
    let more = shop.catalogue.door.count("GET", path) - before;
    // Who has ended nothing in Redis may have tried the first one again.
    if more > 0 && !untouched {
        fail(
            did,
            format!("the catalogue was asked {more} more time(s), beside the second refresh"),
            "never: the second refresh goes on",
        );
    }
    gate.open();
    until_seen(&shop, &shop.app, path, &new, &did).await;
}

/// Between the load and the last word of a refresh Redis still has the stale ranking. Whoever comes
/// then is shown that one, and has no reason to load: somebody is at it.
#[labkit::test]
async fn nobody_refreshes_beside_the_last_words_of_a_refresh(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    let rounds = shop.mark();
    for nth in 0..MOST_STEPS {
        shop.redis.forget_everything().await;
        shop.begin_round(rounds);
        let ranking = as_it_is(&shop, path);
        let _ = go_stale(&mut shop, &ranking, &[&other]).await;
        let before = shop.catalogue.door.count("GET", path);
        let gate = shop.catalogue.door.gate("GET", path);
        let did = format!("GET {path}; let it go stale; GET");
        expect_at_once(&shop.app, &ranking, &did).await;
        expect_refresh(&shop, path, before, &did).await;
        let mut words = shop.app.redis.hold_each(Match::any());
        shop.app.finish_load(&gate).await;
        let Some(held) = shop.app.said_after(nth, &mut words).await else {
            return;
        };
        let _ = other.get(path).await.expect_ok();
        other.fall_silent().await;
        let more = shop.catalogue.door.count("GET", path) - before - 1;
        if more > 0 {
            fail(
                format!(
                    "{did}; when it was loaded, held its `{}`; GET on another instance",
                    held.message().kind
                ),
                format!("the catalogue was asked {more} more time(s)"),
                "never: the refresh is not over",
            );
        }
        drop((held, words));
        shop.app.fall_silent().await;
    }
}

/// What was sold last night is no other than the night before. That is a result, too: who throws it
/// away has it counted again, by each reader.
#[labkit::test]
async fn a_refresh_that_brings_the_same_begins_both_lives_anew(shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    expect_shown(&shop.app.get(path).await, &ranking.value, "");
    shop.redis.pass(SOFT + OVER, &[&shop.app]).await;
    let mut did = format!("GET {path}; let it go stale; GET, and nothing has changed");
    expect_shown(&shop.app.get(path).await, &ranking.value, &did);
    expect_refresh(&shop, path, 1, &did).await;
    let loads = at_rest(&shop, &shop.app, path).await;
    shop.redis.pass(LOCK + OVER, &[&shop.app]).await;
    did += &format!("; {} s later GET", (LOCK + OVER) / 1000);
    expect_shown(&shop.app.get(path).await, &ranking.value, &did);
    let more = at_rest(&shop, &shop.app, path).await - loads;
    if more > 0 {
        fail(
            did,
            format!("the catalogue was asked {more} more time(s)"),
            format!("never: what was refreshed is fresh, RANKING_SOFT_MS={SOFT}"),
        );
    }
    shop.redis.pass(HARD - SOFT, &[&shop.app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    did += &format!(
        "; {} s later GET, with the catalogue held back",
        (HARD - SOFT) / 1000
    );
    expect_at_once(&shop.app, &ranking, &did).await;
    gate.open();
}

/// A lock says that somebody is at it, not how long that may take. Who gives up with it does the
/// same work again, and never gets to its end.
#[labkit::test]
async fn a_refresh_that_outlasts_its_lock_is_kept(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let app = shop
        .second_app_with(&[("LOCK_TTL_MS", SHORT_LOCK_MS)])
        .await;
    let new = go_stale(&mut shop, &ranking, &[&app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path}; let it go stale; GET with LOCK_TTL_MS={SHORT_LOCK_MS}, with the catalogue held \
         back for {} s",
        LONG_LOAD.as_secs_f64()
    );
    expect_at_once(&app, &ranking, &did).await;
    expect_refresh(&shop, path, 1, &did).await;
    tokio::time::sleep(LONG_LOAD).await;
    gate.open();
    at_rest(&shop, &app, path).await;
    expect_shown(
        &app.get(path).await,
        &new,
        &(did + "; GET when that was over"),
    );
}

/// What took so long to count is not thrown away because the old one has ended meanwhile.
#[labkit::test]
async fn a_refresh_that_outlasts_the_stale_ranking_is_kept(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let value = go_stale(&mut shop, &ranking, &[]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path}; let it go stale; GET, with the catalogue held back");
    expect_at_once(&shop.app, &ranking, &did).await;
    expect_refresh(&shop, path, 1, &did).await;
    // The old one has ended then; the new one was asked for less than a hard life ago.
    shop.redis.pass(HARD - SOFT, &[&shop.app]).await;
    gate.open();
    // Nothing is there before the new one is: whoever throws it away is waited for in vain.
    let written = async {
        while shop.redis.entries().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(PATIENCE, written).await;
    at_rest(&shop, &shop.app, path).await;
    let _gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "{did} for {} s, in which the stale one ends; let it go; GET, with the catalogue held \
         back again",
        (HARD - SOFT) / 1000
    );
    let refreshed = Thing {
        value,
        ..ranking.clone()
    };
    let before = shop.catalogue.door.count("GET", path);
    let mut reader = shop.app.begin_crowd([path]);
    let again = reader.until(arrivals(&shop.catalogue.door, path, before + 1));
    if again.await == Some(true) {
        fail(
            did,
            "the reader asks the catalogue again: what was refreshed is not in Redis",
            "the refreshed ranking, from Redis",
        );
    }
    expect_served(
        &reader.answer().await,
        &refreshed,
        &did,
        "the refresh has ended",
    );
}

/// What an instance keeps to itself nobody else can refresh.
#[labkit::test]
async fn what_redis_has_forgotten_is_loaded_again(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    let other = shop.second_app().await;
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &ranking.value, "");
        app.fall_silent().await;
    }
    shop.redis.forget_everything().await;
    let new = shop.renew(&ranking, Sort::Ranking).value;
    let did = format!("GET {path} on two instances; empty Redis; GET on both");
    for app in [&shop.app, &other] {
        expect_shown(&app.get(path).await, &new, &did);
    }
}

/// Where there is nothing to show there is nothing to spare either: a failure that is remembered
/// is an error page for those who come when the catalogue is well again.
#[labkit::test]
async fn after_a_failed_first_load_the_next_reader_is_served(shop: Shop) {
    let rankings: [Thing; 2] = shop.catalogue.goods.some(Sort::Ranking);
    let other = shop.second_app().await;
    for (ranking, app) in rankings.iter().zip([&shop.app, &other]) {
        let path = ranking.path.as_str();
        shop.catalogue.door.fail("GET", path, 503);
        let answers = shop.app.begin_crowd([path]).answer().await;
        let did = format!("GET {path} with an empty Redis and a catalogue that answers 503");
        expect_answered(&answers, &did, "the catalogue has answered");
        shop.catalogue.door.heal();
        let did = format!("{did}; then it is well again, and GET");
        let answers = app.begin_crowd([path]).answer().await;
        expect_served(&answers, ranking, &did, "nobody loads");
    }
}

/// A refresh is a load like any other: what it brings has both lives before it, not what was
/// left of the old ones.
#[labkit::test]
async fn a_late_refresh_begins_both_lives_anew(mut shop: Shop) {
    let [ranking] = shop.catalogue.goods.some(Sort::Ranking);
    let path = ranking.path.as_str();
    expect_shown(&shop.app.get(path).await, &ranking.value, "");
    let value = shop.renew(&ranking, Sort::Ranking).value;
    let lives = shop.redis.entries().await;
    let lives = lives.iter().map(|entry| entry.pttl);
    let life = lives.filter(|pttl| *pttl > 0).max().unwrap_or(HARD);
    shop.redis.pass(life / 5 * 4, &[&shop.app]).await;
    let did = format!("GET {path}; let four fifths of its life pass; GET until it is refreshed");
    until_seen(&shop, &shop.app, path, &value, &did).await;
    at_rest(&shop, &shop.app, path).await;
    // Less than the half of the hard life that it has at least.
    let late = HARD / 5 * 2;
    shop.redis.pass(late, &[&shop.app]).await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "{did}; {} s later GET, with the catalogue held back",
        late / 1000
    );
    let refreshed = Thing {
        value,
        ..ranking.clone()
    };
    expect_at_once(&shop.app, &refreshed, &did).await;
    gate.open();
}

/// Rankings have nothing to do with each other. One that takes long to count must not leave
/// all others to grow old.
#[labkit::test]
async fn a_ranking_does_not_wait_for_another_ranking(shop: Shop) {
    let rankings: [Thing; 12] = shop.catalogue.goods.some(Sort::Ranking);
    for ranking in &rankings {
        expect_shown(&shop.app.get(&ranking.path).await, &ranking.value, "");
    }
    shop.redis.pass(SOFT + OVER, &[&shop.app]).await;
    let gates = rankings
        .each_ref()
        .map(|ranking| shop.catalogue.door.gate("GET", &ranking.path));
    for (nth, ranking) in rankings.iter().enumerate() {
        let path = &ranking.path;
        let did = format!(
            "GET of {} rankings; let them go stale; GET of one after the other, with the \
             catalogue held back: {path} after {nth} others",
            rankings.len()
        );
        expect_at_once(&shop.app, ranking, &did).await;
        expect_refresh(&shop, path, 1, &did).await;
    }
    drop(gates);
}
