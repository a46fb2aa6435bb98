//! Exercise 7: a dead cache costs time, never an answer, and never the catalogue.

use std::time::Duration;

use caching_checks::{
    Answers, InFlight, Instance, MOMENT, Shop, Sort, Thing, expect_answered, expect_each_served,
    expect_served, expect_shown,
};
use labkit::finding::fail;
use labkit::patience::{PATIENCE, timeout};
use labkit::upstream::Gate;
use labkit::wire::Match;
use rand::RngExt as _;

/// How long an instance waits for a Redis that is dead anyway.
const BUDGET: (&str, u64) = ("REDIS_BUDGET_MS", 100);

/// By then who was not held back has given Redis up and is at the catalogue. Decides how
/// sure we are to see it, never the verdict on a service that keeps to its places.
const RUSH: Duration = Duration::from_millis(5 * BUDGET.1);

/// How many ask at the same time.
const CALLERS: usize = 100;

/// How long they wait who do not wait for an answer: less than a question to Redis may take.
const HASTE: Duration = Duration::from_millis(BUDGET.1 / 2);

/// How many of them come, one after the other: for longer than Redis is usually left alone.
const HASTY: usize = 25;

/// A catalogue that takes long: longer than somebody waits who then asks again. Decides how sure
/// we are to see that, never the verdict on a service that keeps to its places.
const SLOW: Duration = Duration::from_millis(1_200);

/// By then the client that `shop.redis()` hands out has tried in vain to connect again, and gives
/// the next question its last error.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Every manual at the catalogue.
const ANY: &str = "/manuals/*";

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
        .expect_lives("MANUAL_TTL_S", 600, &format!("GET {}, twice", manual.path))
        .await;
    let did = format!("GET {} of what is in Redis", manual.path);
    let loads = || shop.catalogue.door.count("GET", &manual.path);
    let read = async || {
        let _ = shop.app.get(&manual.path).await;
    };
    shop.redis.expect_no_longer_lives(&did, loads, read).await;
    shop.redis.forget_everything().await;
    let short = shop.second_app_with(&[("MANUAL_TTL_S", 90)]).await;
    expect_shown(&short.get(&other.path).await, &other.value, "");
    shop.redis
        .expect_lives("MANUAL_TTL_S", 90, &format!("GET {}", other.path))
        .await;
}

/// Between a write and an expiry that follows it Redis can die, and come back with an entry
/// that never goes.
#[labkit::test]
async fn value_and_expiry_arrive_together(shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    shop.expect_expiry_with_the_value(&manual.path).await;
}

/// The cache is there to make reads cheap. Where its end is the end of all reads, it is one
/// more thing that can take the shop down. And what it has said before may be wrong by now: the
/// catalogue is still there to be asked.
#[labkit::test]
async fn a_redis_that_refuses_costs_no_reader_their_manual(mut shop: Shop) {
    let [warm, cold] = shop.catalogue.goods.some(Sort::Manual);
    let app = shop.second_app_with(&[BUDGET]).await;
    let _ = app.get(&warm.path).await.expect_ok();
    let changed = shop.renew(&warm, Sort::Manual);
    app.redis.down();
    for (manual, read) in [
        (
            &changed,
            "; the manual was read before, and has changed since",
        ),
        (&cold, ""),
        (&cold, ""),
    ] {
        let did = format!(
            "GET {} with Redis refusing every connection{read}",
            manual.path
        );
        let answers = app.begin_crowd([manual.path.as_str()]).answer().await;
        expect_served(&answers, manual, &did, "Redis refuses at once");
    }
}

/// A Redis that is being killed answers one question and not the next. What cannot be kept can
/// still be shown.
#[labkit::test]
async fn a_redis_that_hangs_up_costs_no_reader_their_manual(shop: Shop) {
    let manuals: [Thing; 3] = shop.catalogue.goods.some(Sort::Manual);
    for (nth, manual) in (1..).zip(&manuals) {
        let path = manual.path.as_str();
        shop.app.redis.cut(Match::any().nth(nth));
        let did = format!("GET {path}, with the connection cut at message {nth} to Redis");
        let answers = shop.app.begin_crowd([path]).answer().await;
        expect_served(&answers, manual, &did, "Redis is well again");
    }
}

/// A machine that has gone says nothing: no error, no closed connection. Whoever waits for
/// its word waits for a minute, and so do the thousand requests behind them. What it has said
/// before may be wrong by now.
#[labkit::test]
async fn a_redis_that_never_answers_costs_no_reader_their_manual(mut shop: Shop) {
    let [first, second] = shop.catalogue.goods.some(Sort::Manual);
    let (one, another) = tokio::join!(
        shop.second_app_with(&[BUDGET]),
        shop.third_app_with(&[BUDGET])
    );
    let _ = one.get(&first.path).await.expect_ok();
    let first = shop.renew(&first, Sort::Manual);
    // Silent from now on; silent from the second message on.
    let _silent = one.redis.hold_each(Match::any());
    let _later = another.redis.hold_each(Match::any().nth(2));
    let (unread, unkept) = tokio::join!(
        one.begin_crowd([first.path.as_str()]).answer(),
        another.begin_crowd([second.path.as_str()]).answer()
    );
    for (answers, manual, when) in [
        (
            unread,
            &first,
            "answers nothing at all; the manual was read before, and has changed since",
        ),
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

/// Who waits for a place has heard from Redis that it is well, and when the place is there that is
/// long ago. Whoever asks once more, because another may have brought it meanwhile, asks a Redis of
/// which nothing is known.
#[labkit::test]
async fn a_redis_that_falls_silent_while_readers_queue_costs_none_their_manual(shop: Shop) {
    let manuals: [Thing; 3] = shop.catalogue.goods.some(Sort::Manual);
    let paths = manuals.each_ref().map(|manual| manual.path.as_str());
    let app = shop.second_app_with(&[BUDGET, ("ORIGIN_LIMIT", 1)]).await;
    let gate = shop.catalogue.door.gate("GET", ANY);
    let did = format!(
        "GET {} with ORIGIN_LIMIT=1, and the catalogue held back; GET {} and GET {}, which wait for \
         their turn; then Redis fell silent, and the catalogue was let go",
        paths[0], paths[1], paths[2]
    );
    let mut readers = app.begin_crowd(paths);
    until_loading(&mut readers, &gate, &did).await;
    readers.during(app.come_in()).await;
    let _silent = app.redis.hold_each(Match::any());
    gate.open();
    let answers = readers.answer().await;
    let still = format!("{}={}: one question may take so long", BUDGET.0, BUDGET.1);
    expect_each_served(&answers, &manuals, &did, &still);
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
    expect_turns(&shop, &app, &manuals, limit, "with Redis down").await;
}

/// An empty cache misses as often as a dead one: after a restart, after somebody has emptied it,
/// when what came at the same time expires at the same time.
#[labkit::test]
async fn an_empty_cache_does_not_become_a_dead_catalogue(mut shop: Shop) {
    let manuals: [Thing; 20] = shop.catalogue.goods.some(Sort::Manual);
    let limit: usize = shop.rng.random_range(3..=7);
    let app = shop
        .second_app_with(&[("ORIGIN_LIMIT", limit as u64)])
        .await;
    expect_turns(&shop, &app, &manuals, limit, "with Redis well and empty").await;
}

/// Fails the check unless a crowd is served, and no more than `limit` of it are at the catalogue
/// at the same time.
async fn expect_turns(shop: &Shop, app: &Instance, manuals: &[Thing], limit: usize, with: &str) {
    let gate = shop.catalogue.door.gate("GET", ANY);
    let callers = manuals.iter().cycle().take(CALLERS);
    let mut crowd = app.begin_crowd(callers.map(|manual| manual.path.as_str()));
    let did = format!(
        "{CALLERS} callers at once, of {} manuals, {with}, and the catalogue held back",
        manuals.len()
    );
    until_loading(&mut crowd, &gate, &did).await;
    // That they do not all come is how this ends for those who are right.
    let _ = crowd.during(gate.parked_within(CALLERS, SLOW)).await;
    gate.open();
    let answers = crowd.answer().await;
    expect_limit(shop, limit, &did);
    expect_each_served(
        &answers,
        manuals,
        &did,
        "the catalogue answers all who ask it",
    );
}

/// A catalogue fails when it has too much to do. Whoever asks again at once, beside those who
/// wait for their turn, gives it more.
#[labkit::test]
async fn a_failing_catalogue_is_asked_by_no_more(shop: Shop) {
    let manuals: [Thing; 6] = shop.catalogue.goods.some(Sort::Manual);
    let limit: usize = 2;
    let app = shop
        .second_app_with(&[BUDGET, ("ORIGIN_LIMIT", limit as u64)])
        .await;
    app.redis.down();
    shop.catalogue.door.fail("GET", ANY, 503);
    let first = shop.catalogue.door.gate("GET", ANY);
    let mut crowd = app.begin_crowd(manuals.iter().map(|manual| manual.path.as_str()));
    let did = format!(
        "{} callers at once, of as many manuals, with Redis down; the catalogue answered 503 to \
         those who came first, and held the next ones back",
        manuals.len()
    );
    until_loading(&mut crowd, &first, &did).await;
    let _ = crowd.during(first.parked_within(limit, RUSH)).await;
    // Who is parked already does not stop here.
    let next = shop.catalogue.door.gate("GET", ANY);
    first.open();
    // That they do not come is how this ends for those who are right.
    let _ = crowd.during(next.parked_within(limit + 1, RUSH)).await;
    expect_limit(&shop, limit, &did);
}

/// A load that fails is answered like any other, and gives its place back like any other. Places
/// that failed loads keep are gone for good: one bad minute of the catalogue, and nobody can ask it
/// any more.
#[labkit::test]
async fn a_failed_load_gives_its_place_back(shop: Shop) {
    let manuals: [Thing; 2] = shop.catalogue.goods.some(Sort::Manual);
    // A catalogue that is down, and one that knows no such manual.
    for (manual, (says, expected)) in manuals.iter().zip([(503, [502, 502]), (404, [404, 502])]) {
        let path = manual.path.as_str();
        let app = shop.second_app_with(&[BUDGET, ("ORIGIN_LIMIT", 2)]).await;
        app.redis.down();
        shop.catalogue.door.fail("GET", path, says);
        let did =
            format!("GET {path}, 4 times, with Redis down and the catalogue answering {says}");
        let answers = app.begin_crowd([path; 4]).answer().await;
        expect_answered(&answers, &did, "the catalogue answers at once");
        for answer in answers.iter().flatten() {
            if !expected.contains(&answer.status) {
                answer.point(format!("the catalogue said {says}"));
                fail(
                    &did,
                    format!("your service answered {answer}"),
                    format!("{}: nobody has the manual", expected[0]),
                );
            }
        }
        shop.catalogue.door.heal();
        let did = format!(
            "GET {path} with ORIGIN_LIMIT=2 and Redis down: 4 times while the catalogue answered \
             {says}, once when it was well again"
        );
        let answers = app.begin_crowd([path]).answer().await;
        expect_served(&answers, manual, &did, "the catalogue is well again");
    }
}

/// People close tabs, most of all while they wait. A request that ends there never comes to
/// the line that gives its place back.
#[labkit::test]
async fn a_reader_who_hangs_up_gives_their_place_back(shop: Shop) {
    let [one, two, three, four] = shop.catalogue.goods.some(Sort::Manual);
    let app = shop.second_app_with(&[BUDGET, ("ORIGIN_LIMIT", 2)]).await;
    app.redis.down();
    let gate = shop.catalogue.door.gate("GET", ANY);
    let did = format!(
        "GET {} and GET {} with ORIGIN_LIMIT=2 and Redis down, GET {} and GET {} waiting for \
         their turn, all four clients hanging up",
        one.path, two.path, three.path, four.path
    );
    let mut first = app.begin_get(&one.path);
    until_loading(&mut first, &gate, &did).await;
    let mut second = app.begin_get(&two.path);
    let _ = second.until(gate.parked_within(2, RUSH)).await;
    // Nobody can see them wait: by then they do.
    for waits in [&three, &four] {
        let mut turn = app.begin_get(&waits.path);
        let _ = turn.until(gate.parked_within(3, RUSH)).await;
        app.hang_up(turn, &waits.path).await;
    }
    app.hang_up(first, &one.path).await;
    app.hang_up(second, &two.path).await;
    gate.open();
    for manual in [&one, &three] {
        let did = format!("{did}; then GET {}", manual.path);
        let answers = app.begin_crowd([manual.path.as_str()]).answer().await;
        expect_served(&answers, manual, &did, "nobody else is at the catalogue");
    }
}

/// A load may well go on without the one who asked for it. It is under way all the same.
#[labkit::test]
async fn a_load_without_its_reader_counts_as_well(shop: Shop) {
    let [one, two, three, four] = shop.catalogue.goods.some(Sort::Manual);
    let limit: usize = 2;
    let app = shop
        .second_app_with(&[BUDGET, ("ORIGIN_LIMIT", limit as u64)])
        .await;
    app.redis.down();
    let gate = shop.catalogue.door.gate("GET", ANY);
    let did = format!(
        "GET {} and GET {} with ORIGIN_LIMIT={limit} and Redis down, both clients hanging up \
         during the load; GET {} and GET {}",
        one.path, two.path, three.path, four.path
    );
    let mut first = app.begin_get(&one.path);
    until_loading(&mut first, &gate, &did).await;
    let mut second = app.begin_get(&two.path);
    let _ = second.until(gate.parked_within(limit, RUSH)).await;
    app.hang_up(first, &one.path).await;
    app.hang_up(second, &two.path).await;
    app.abandoned_loads_leave(&gate).await;
    let mut others = app.begin_crowd([three.path.as_str(), four.path.as_str()]);
    let expected = format!("never more than {limit}, whether or not somebody still waits for them");
    expect_places(&mut others, &gate, (limit, 2), &did, expected).await;
    gate.open();
    expect_each_served(
        &others.answer().await,
        &[three, four],
        &did,
        "the catalogue answers all who ask it",
    );
}

/// Readers of one manual may well wait for one load. Then it is not the first one's alone: the
/// others are still there when that one has closed the tab, and still more than the catalogue can
/// take.
#[labkit::test]
async fn a_reader_who_hangs_up_strands_nobody(shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    let limit: usize = 2;
    let app = shop
        .second_app_with(&[("ORIGIN_LIMIT", limit as u64)])
        .await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!(
        "GET {path} with ORIGIN_LIMIT={limit} by one reader, who hangs up during the load, and by \
         eight others"
    );
    let mut first = app.begin_get(path);
    until_loading(&mut first, &gate, &did).await;
    let mut others = app.begin_crowd([path; 8]);
    others.during(app.come_in()).await;
    others.during(app.hang_up(first, path)).await;
    let expected =
        format!("never more than {limit}: who loads in another one's place needs a place");
    expect_places(&mut others, &gate, (limit, 1), &did, expected).await;
    gate.open();
    let answers = others.answer().await;
    expect_served(&answers, &manual, &did, "the catalogue answers at once");
}

/// The last one who waits may close the tab as well. What is loaded for nobody is in Redis, or
/// nowhere: whatever an instance keeps of it is shown to the next one, a day later, or has them wait
/// for nobody.
#[labkit::test]
async fn a_load_that_nobody_waits_for_leaves_no_copy(mut shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path} by one reader, who hangs up during the load");
    let mut reader = shop.app.begin_get(path);
    until_loading(&mut reader, &gate, &did).await;
    shop.app.hang_up(reader, path).await;
    shop.app.finish_abandoned_load(&gate).await;
    shop.redis.forget_everything().await;
    let changed = shop.renew(&manual, Sort::Manual);
    let did = format!(
        "{did}; when that was over, Redis was emptied, and the manual changed in the catalogue; \
         GET"
    );
    let answers = shop.app.begin_crowd([path]).answer().await;
    expect_served(&answers, &changed, &did, "Redis is empty");
}

/// A reader in the queue may close the tab as well. If others wait for the same load by its hand, they
/// must not go with it.
#[labkit::test]
async fn a_reader_who_hangs_up_in_the_queue_strands_nobody(shop: Shop) {
    let manuals: [Thing; 3] = shop.catalogue.goods.some(Sort::Manual);
    let [one, two, wanted] = manuals.each_ref().map(|manual| manual.path.as_str());
    let app = shop.second_app_with(&[("ORIGIN_LIMIT", 2)]).await;
    let gate = shop.catalogue.door.gate("GET", ANY);
    let did = format!(
        "GET {one} and GET {two} with ORIGIN_LIMIT=2, and the catalogue held back; GET {wanted} by \
         one reader, who hangs up while it waits for its turn, and by four others"
    );
    let mut busy = app.begin_crowd([one, two]);
    until_loading(&mut busy, &gate, &did).await;
    let _ = busy.during(gate.parked_within(2, RUSH)).await;
    let mut first = app.begin_get(wanted);
    first.during(app.come_in()).await;
    let mut others = app.begin_crowd([wanted; 4]);
    others.during(first.during(app.come_in())).await;
    others.during(app.hang_up(first, wanted)).await;
    gate.open();
    let busy = others.during(busy.answer()).await;
    expect_each_served(
        &busy,
        &manuals,
        &did,
        "the catalogue answers all who ask it",
    );
    let answers = others.answer().await;
    expect_served(&answers, &manuals[2], &did, "the catalogue answers at once");
}

/// Readers who come together may well share a load. Who comes when it is done has come too late for
/// it: the manual may have changed since, and while Redis takes its time nobody can tell.
#[labkit::test]
async fn who_comes_after_a_load_is_not_told_of_it(mut shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    let app = shop.second_app().await;
    let gate = shop.catalogue.door.gate("GET", path);
    let did = format!("GET {path} by one reader");
    let mut first = app.begin_crowd([path]);
    until_loading(&mut first, &gate, &did).await;
    let held = app.redis.hold_each(Match::any());
    first.during(app.finish_load(&gate)).await;
    first.during(app.fall_silent()).await;
    let changed = shop.renew(&manual, Sort::Manual);
    let mut second = app.begin_crowd([path]);
    second.during(first.during(app.fall_silent())).await;
    app.redis.down();
    drop(held);
    let did = format!(
        "{did}, whose words to Redis are held once it was loaded; then the manual changed in the \
         catalogue; GET by another; then Redis refused"
    );
    let answers = first.during(second.answer()).await;
    expect_served(&answers, &changed, &did, "Redis refuses at once");
    expect_answered(&first.answer().await, &did, "Redis refuses at once");
}

/// Each question to Redis has a budget of its own. One budget for the whole read is spent when the
/// catalogue was slow, and what it took so long to bring is never kept.
#[labkit::test]
async fn what_a_slow_catalogue_brings_is_kept_as_well(shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    let app = shop.second_app_with(&[BUDGET]).await;
    let did = format!(
        "GET {path} with {}={}, Redis well and empty, and the catalogue held back for {} ms",
        BUDGET.0,
        BUDGET.1,
        RUSH.as_millis()
    );
    let kept = async {
        // Again and again: on a busy machine even Redis may take longer than its budget.
        loop {
            let gate = shop.catalogue.door.gate("GET", path);
            let mut reader = app.begin_get(path);
            until_loading(&mut reader, &gate, &did).await;
            reader.during(tokio::time::sleep(RUSH)).await;
            gate.open();
            expect_shown(&reader.answer().await, &manual.value, &did);
            if !shop.redis.entries().await.is_empty() {
                return;
            }
        }
    };
    if timeout(PATIENCE, kept).await.is_err() {
        fail(
            did + ", again and again",
            "Redis still holds no key",
            "an entry: the write has a budget of its own",
        );
    }
}

/// What an instance remembers for a bad day is what it showed on the last good one. Nobody can
/// drop it, and nobody can tell it from the truth.
#[labkit::test]
async fn a_catalogue_that_fails_is_told_as_a_failure(shop: Shop) {
    let [manual] = shop.catalogue.goods.some(Sort::Manual);
    let path = manual.path.as_str();
    expect_shown(&shop.app.get(path).await, &manual.value, "");
    shop.redis.forget_everything().await;
    shop.catalogue.door.fail("GET", path, 503);
    let did = format!("GET {path}; Redis was emptied, and the catalogue answers 503; GET {path}");
    let answer = shop.app.get(path).await;
    if answer.status != 502 {
        answer.point("neither Redis nor the catalogue has told it");
        fail(
            did,
            format!("your service answered {answer}"),
            "502: nobody knows the manual",
        );
    }
    shop.catalogue.door.heal();
    let did = did + "; GET when the catalogue was back";
    expect_shown(&shop.app.get(path).await, &manual.value, &did);
}

/// Somebody restarts Redis at four in the morning. Nobody wants to restart the shop as
/// well. (The first question after a pause may still be told of the client's last vain try to
/// connect: a pause that begins anew for it is two pauses.)
#[labkit::test]
async fn a_redis_that_is_back_is_used_again(shop: Shop) {
    let manuals: [Thing; 20] = shop.catalogue.goods.some(Sort::Manual);
    let (few, others) = manuals.split_at(2);
    let (refused, unheard) = tokio::join!(
        shop.second_app_with(&[BUDGET]),
        shop.third_app_with(&[BUDGET])
    );
    let after_a_refusal = async {
        // Whatever is connected by then has to notice that it is no longer.
        let _ = refused.get(&few[0].path).await.expect_ok();
        shop.redis.forget_everything().await;
        // What has helped once has to be ready for the next night.
        for (manual, which) in few.iter().zip(["", ", for the second time"]) {
            refused.redis.down();
            let _ = refused.get(&manual.path).await.expect_ok();
            tokio::time::sleep(GIVEN_UP).await;
            refused.redis.up();
            let did = format!(
                "GET {} while Redis refused, for {} s{which}",
                manual.path,
                GIVEN_UP.as_secs()
            );
            expect_used_again(&shop, &refused, &manual.path, &did).await;
        }
    };
    let after_a_silence = async {
        let silence = unheard.redis.hold_each(Match::any());
        let callers = others.iter().cycle().take(CALLERS);
        let crowd = unheard.begin_crowd(callers.map(|manual| manual.path.as_str()));
        let did = format!(
            "{CALLERS} callers at once, of {} manuals, while Redis answered nothing",
            others.len()
        );
        let still = format!(
            "the catalogue answers at once, and a question to Redis may take {} ms",
            BUDGET.1
        );
        expect_answered(&crowd.answer().await, &did, &still);
        let hasty = hang_up_on_questions(&unheard, &others[0].path).await;
        drop(silence);
        let did = match hasty {
            0 => did,
            _ => format!("{did}, then {hasty} who hung up while Redis was asked"),
        };
        expect_used_again(&shop, &unheard, &others[0].path, &did).await;
    };
    tokio::join!(after_a_refusal, after_a_silence);
}

/// Readers who wait for no answer, one after the other: whoever has sent one of them ahead to see
/// whether Redis is back never hears of them again. Says how many were gone before their answer.
async fn hang_up_on_questions(app: &Instance, path: &str) -> usize {
    let mut gone = 0;
    for _ in 0..HASTY {
        let mut reader = app.begin_get(path);
        reader.during(tokio::time::sleep(HASTE)).await;
        if reader.answered().is_none() {
            app.hang_up(reader, path).await;
            gone += 1;
        }
    }
    gone
}

/// Fails the check unless a manual is a hit before long.
async fn expect_used_again(shop: &Shop, app: &Instance, path: &str, did: &str) {
    let mut reads = 0;
    let hit = async {
        loop {
            let before = shop.catalogue.door.count("GET", path);
            let _ = app.get(path).await.expect_ok();
            if shop.catalogue.door.count("GET", path) == before {
                return;
            }
            reads += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, hit).await.is_err() {
        fail(
            format!("{did}; when it was well again, GET {path} again and again"),
            format!(
                "{} s later every read still asks the catalogue: {reads} of {reads}",
                PATIENCE.as_secs()
            ),
            "a hit: Redis is well again",
        );
    }
}

/// Waits until a load is parked at the gate.
async fn until_loading<T>(request: &mut InFlight<'_, T>, gate: &Gate, did: &str) {
    if request.until(gate.parked(1)).await != Some(Ok(())) {
        fail(
            did,
            "nobody has asked the catalogue",
            "it is asked for what Redis does not tell",
        );
    }
}

/// Fails the check where more than `limit` of a crowd are at a catalogue that is held back, and
/// stay there. Loads that ended with their readers, `leaving` of them at most, may still be on
/// their way out; whoever comes beside those is one too many at once.
async fn expect_places(
    crowd: &mut InFlight<'_, Answers>,
    gate: &Gate,
    (limit, leaving): (usize, usize),
    did: &str,
    expected: String,
) {
    let too_many = gate.parked_within(limit + leaving + 1, RUSH);
    if crowd.during(too_many).await.is_ok() {
        fail_for_too_many(gate, did.to_owned(), expected);
    }
    let leave = async {
        while gate.parked_now() > limit {
            tokio::time::sleep(MOMENT).await;
        }
    };
    if crowd.during(timeout(PATIENCE, leave)).await.is_err() {
        fail_for_too_many(gate, did.to_owned(), expected);
    }
}

/// Fails the check for those who are at the catalogue now.
fn fail_for_too_many(gate: &Gate, did: String, expected: String) -> ! {
    let saw = format!(
        "{} requests are at the catalogue at the same time",
        gate.parked_now()
    );
    fail(did, saw, expected)
}

/// Fails the check where more than `limit` were at the catalogue at the same time.
fn expect_limit(shop: &Shop, limit: usize, did: &str) {
    let peak = shop.catalogue.door.peak_in_flight();
    if peak > limit {
        fail(
            did,
            format!("{peak} requests were at the catalogue at the same time"),
            format!("never more than {limit}: this instance has ORIGIN_LIMIT={limit}"),
        );
    }
}
