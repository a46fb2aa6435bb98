//! Exercise 1: instrument a service.

use std::collections::BTreeMap;

use labkit::finding::{fail, fail_because};
use labkit::upstream::Gate;
use labkit::wire::StillWaiting;
use monitoring_checks::{Exposition, Shop};

const REQUESTS: &str = "checkout_requests_total";
const IN_FLIGHT: &str = "checkout_requests_in_flight";
const DURATION: &str = "checkout_request_duration_seconds";

/// What the brief lists: what is known beforehand of how a request can end.
const STATUSES: [&str; 5] = ["200", "402", "499", "500", "502"];

/// Error ratio and traffic are made of these counts. What is missing here is missing in each
/// graph and each alert that anybody will ever make.
#[labkit::test]
async fn seven_calls_of_which_two_fail_are_counted_as_that(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    for cart in 1..=5 {
        pay(&shop, cart, 200, 200).await;
    }
    pay(&shop, 6, 402, 402).await;
    pay(&shop, 7, 503, 502).await;
    let after = shop.app.metrics("checkout").await;
    expect_counted(&before, &after, &[("200", 5), ("402", 1), ("502", 1)]);
}

/// The requests that fail worst are those that never come back to the line behind the call. A
/// service that counts on that line is at its healthiest when each of its handlers panics.
#[labkit::test]
async fn a_handler_that_panics_is_counted_as_a_500(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    panics(&shop).await;
    pay(&shop, 3, 200, 200).await;
    let after = shop.app.metrics("checkout").await;
    expect_counted(&before, &after, &[("200", 1), ("500", 1)]);
}

/// In the worst minutes clients give up before they are answered. Where those are not counted,
/// traffic and errors seem to fall while nobody is served any more.
#[labkit::test]
async fn a_client_that_hangs_up_is_counted_as_a_499(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    let gate = hang_up(&shop, 8).await;
    let counted = |page: &Exposition| !page.moved_since(&before, REQUESTS).is_empty();
    let after = shop.app.metrics_after_hang_up(&gate, counted).await;
    expect_counted(&before, &after, &[("499", 1)]);
    // A service that goes on with the work has an answer now, for nobody.
    gate.open();
    shop.app.has_heard_from_the_till().await;
    let later = shop.app.metrics("checkout").await;
    expect_counted(&before, &later, &[("499", 1)]);
}

/// What is refused before the handler is reached has come all the same: somebody waits for it, and
/// perhaps everybody gets it since this morning.
#[labkit::test]
async fn what_axum_refuses_is_counted_too(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    let answer = shop.app.app.get("/checkout/seven/receipt").await;
    let _ = answer.expect_status(400, "that is what axum itself answers");
    let after = shop.app.metrics("checkout").await;
    expect_counted(&before, &after, &[("400", 1)]);
}

/// How many are being served is what tells a service that is slow from one that nobody asks:
/// a gauge that drifts tells neither.
#[labkit::test]
async fn a_request_is_in_flight_until_it_ends_and_counted_when_it_does(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    expect_in_flight(&before, 0, "nobody is being served");
    let gate = shop.till.door.gate("POST", "/charges/*");
    let both = async { tokio::join!(shop.app.pay(11), shop.app.pay(12)) };
    tokio::pin!(both);
    tokio::select! {
        _ = &mut both => answered_too_early(),
        parked = gate.parked(2) => expect_parked(parked),
    }
    let meanwhile = shop.app.metrics("checkout").await;
    expect_in_flight(&meanwhile, 2, "the till has both of them");
    expect_counted(&before, &meanwhile, &[]);
    gate.open();
    let (first, second) = both.await;
    for answer in [first, second] {
        let _ = answer.expect_status(200, "that is what the checkout itself answers");
    }
    let after = shop.app.metrics("checkout").await;
    expect_in_flight(&after, 0, "both have their answer");
    expect_counted(&before, &after, &[("200", 2)]);
}

/// A gauge that is not brought down after a panic goes up for ever: after a week it says that
/// a thousand requests are being served, and somebody is woken by it.
#[labkit::test]
async fn what_ended_badly_is_not_in_flight_any_more(shop: Shop) {
    panics(&shop).await;
    let page = shop.app.metrics("checkout").await;
    expect_in_flight(&page, 0, "the one request there was has panicked");
    let gate = hang_up(&shop, 8).await;
    let over = |page: &Exposition| page.plain(IN_FLIGHT) == Some(0.0);
    let page = shop.app.metrics_after_hang_up(&gate, over).await;
    expect_in_flight(
        &page,
        0,
        "the client of the one request there was has hung up",
    );
    drop(gate);
}

/// Prometheus' unit of time is the second, in each dashboard and each library; and the time that
/// a service measures has to be the time that its caller waited.
#[labkit::test]
async fn a_quarter_of_a_second_adds_a_quarter_to_the_sum(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    shop.till.answers(200, 250);
    let _ = shop
        .app
        .pay(4)
        .await
        .expect_status(200, "that is what the checkout itself answers");
    let after = shop.app.metrics("checkout").await;
    let sum = format!("{DURATION}_sum");
    let Some(rise) = rise(&before, &after, &sum) else {
        fail(
            "",
            format!("no series `{sum}` without labels"),
            "0.25: the till took 250 ms by the service's clock",
        )
    };
    if (rise - 0.25).abs() > 1e-9 {
        let saw = format!("`{sum}` rose by {rise}");
        let expected =
            "0.25: by the service's clock the till took 250 ms, and nothing else any time";
        match rise > 0.0 && rise.fract() != 0.0 {
            true => fail_because(
                "",
                format!("{saw}, which is the time of another clock"),
                expected,
                "The service has one clock, which a check can put forward. What is measured by \
                 another one can be proved by nobody.",
            ),
            false => fail("", saw, expected),
        }
    }
}

/// Slow requests are those that fail and those that nobody waits for any more. A histogram
/// without them shows the times of the lucky ones.
#[labkit::test]
async fn each_request_leaves_its_duration_however_it_ended(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    pay(&shop, 1, 200, 200).await;
    pay(&shop, 2, 402, 402).await;
    pay(&shop, 3, 500, 502).await;
    panics(&shop).await;
    shop.till.answers(200, 0);
    let gate = hang_up(&shop, 8).await;
    let count = format!("{DURATION}_count");
    let all = |page: &Exposition| rise(&before, page, &count) >= Some(5.0);
    let after = shop.app.metrics_after_hang_up(&gate, all).await;
    drop(gate);
    let rise = rise(&before, &after, &count);
    if rise != Some(5.0) {
        let saw = match rise {
            Some(rise) => format!("`{count}` rose by {rise}"),
            None => format!("no series `{count}` without labels"),
        };
        fail(
            "five requests: answered with 200, 402 and 502, one that panicked, and one whose \
             client hung up",
            saw,
            "5: each of them took some time",
        );
    }
}

/// Those who give up have waited the longest. Their time is the one that you want to know, and a
/// histogram that takes them for a moment says that all is quick while nobody waits any more.
#[labkit::test]
async fn a_hang_up_leaves_the_time_that_it_waited(shop: Shop) {
    let before = shop.app.metrics("checkout").await;
    let gate = shop.till.door.gate("POST", "/charges/8");
    let meanwhile = async {
        expect_parked(gate.parked(1).await);
        // The till takes its time with somebody else, and the clock is everybody's.
        shop.till.answers(200, 250);
        shop.app.pay(9).await
    };
    tokio::select! {
        _ = shop.app.pay(8) => answered_too_early(),
        answer = meanwhile => {
            let _ = answer.expect_status(200, "that is what the checkout itself answers");
        }
    }
    shop.tell_hang_up();
    let count = format!("{DURATION}_count");
    let both = |page: &Exposition| rise(&before, page, &count) >= Some(2.0);
    let after = shop.app.metrics_after_hang_up(&gate, both).await;
    let sum = format!("{DURATION}_sum");
    let rise = rise(&before, &after, &sum);
    if rise.is_none_or(|rise| (rise - 0.5).abs() > 1e-9) {
        let saw = match rise {
            Some(rise) => format!("`{sum}` rose by {rise}"),
            None => format!("no series `{sum}` without labels"),
        };
        fail(
            "POST /checkout/8, which the till held; POST /checkout/9, with which it took 250 ms; \
             then the first client hung up",
            saw,
            "0.5: by the service's clock both of them have waited for 0.25 s",
        );
    }
}

/// A rate needs two values. Where a series begins with its first failure, that failure is no
/// rise, and an alert on it stays silent.
#[labkit::test]
async fn each_counter_is_there_before_the_first_request(shop: Shop) {
    let page = shop.app.metrics("checkout").await;
    let there: BTreeMap<&str, f64> = page
        .all(REQUESTS)
        .map(|(series, value)| (series.label("status"), value))
        .collect();
    let missing: Vec<String> = STATUSES
        .into_iter()
        .filter(|status| there.get(status) != Some(&0.0))
        .map(|status| format!("{REQUESTS}{{status=\"{status}\"}}"))
        .collect();
    if !missing.is_empty() {
        fail(
            "",
            format!(
                "nothing was asked yet, and not there as 0: {}",
                missing.join(", ")
            ),
            "each status that is known beforehand, as 0",
        );
    }
}

/// What a number may do decides what may be done with it: `rate()` takes every fall of a counter
/// for a restart, and says nothing sensible about a gauge. And what is measured says the HELP text.
#[labkit::test]
async fn each_metric_says_what_it_is(shop: Shop) {
    pay(&shop, 5, 200, 200).await;
    let page = shop.app.metrics("checkout").await;
    for (metric, kind) in [
        (REQUESTS, "counter"),
        (IN_FLIGHT, "gauge"),
        (DURATION, "histogram"),
    ] {
        let said = page.kind(metric);
        if said != Some(kind) {
            let saw = match said {
                Some(said) => format!("`{metric}` is a {said}"),
                None => format!("there is no `{metric}`"),
            };
            fail("", saw, format!("a {kind}"));
        }
        if page.help(metric).is_none_or(str::is_empty) {
            fail_because(
                "",
                format!("`{metric}` has no HELP"),
                "a sentence that says what is measured",
                "Whoever meets the metric at three in the morning has not read your code.",
            );
        }
    }
}

/// Has the till answer `till` and pays for a cart, which has to lead to `status`.
async fn pay(shop: &Shop, cart: u64, till: u16, status: u16) {
    shop.till.answers(till, 0);
    let answer = shop.app.pay(cart).await;
    let _ = answer.expect_status(status, "that is what the checkout itself answers");
}

/// Asks for the receipt whose handler panics.
async fn panics(shop: &Shop) {
    let answer = shop.app.app.get("/checkout/0/receipt").await;
    let _ = answer.expect_status(500, "its handler panics, and the shell makes that of it");
}

/// Hangs up while the till has the request, which stays there until the gate is dropped.
async fn hang_up(shop: &Shop, cart: u64) -> Gate {
    let gate = shop.till.door.gate("POST", "/charges/*");
    tokio::select! {
        _ = shop.app.pay(cart) => answered_too_early(),
        parked = gate.parked(1) => expect_parked(parked),
    }
    shop.tell_hang_up();
    gate
}

fn answered_too_early() -> ! {
    fail(
        "",
        "an answer before the till had given one",
        "the answer of the handler, which asks the till",
    )
}

fn expect_parked(parked: Result<(), StillWaiting>) {
    if let Err(waiting) = parked {
        fail(
            "",
            waiting.to_string(),
            "the request goes on to its handler",
        );
    }
}

/// By how much a series without labels rose; nothing, if there is none.
fn rise(before: &Exposition, after: &Exposition, name: &str) -> Option<f64> {
    Some(after.plain(name)? - before.plain(name).unwrap_or(0.0))
}

/// Fails the check unless exactly these counters rose, each by so much.
fn expect_counted(before: &Exposition, after: &Exposition, expected: &[(&str, u32)]) {
    let moved = after.moved_since(before, REQUESTS);
    if let Some(series) = moved.keys().find(|series| series.labels.len() != 1) {
        fail_because(
            "",
            format!("a series `{series}`"),
            "one label, `status`",
            "Each further label multiplies the series, and `sum by` has to get rid of it again \
             in each question.",
        );
    }
    let rises: BTreeMap<&str, f64> = moved
        .iter()
        .map(|(series, by)| (series.label("status"), *by))
        .collect();
    let wanted: BTreeMap<&str, f64> = expected
        .iter()
        .map(|(status, by)| (*status, f64::from(*by)))
        .collect();
    if rises != wanted {
        fail(
            "",
            format!("`{REQUESTS}` rose by: {}", in_words(&rises)),
            in_words(&wanted),
        );
    }
}

fn in_words(rises: &BTreeMap<&str, f64>) -> String {
    let words: Vec<String> = rises
        .iter()
        .map(|(status, by)| format!("{by} for {status}"))
        .collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", "),
    }
}

fn expect_in_flight(page: &Exposition, expected: u32, because: &str) {
    let value = page.plain(IN_FLIGHT);
    if value != Some(f64::from(expected)) {
        let saw = match value {
            Some(value) => format!("`{IN_FLIGHT}` is {value}"),
            None => format!("no series `{IN_FLIGHT}` without labels"),
        };
        fail("", saw, format!("{expected}: {because}"));
    }
}
