//! Exercise 5: who is woken, when, and for what.

use monitoring_checks::{ORDINARY, Rehearsal, Traffic};
use rand::{Rng, RngExt as _};

/// Where something begins: it is not the same minute in every run.
fn a_moment(rng: &mut impl Rng) -> usize {
    ORDINARY + rng.random_range(5..25)
}

/// An even number of requests in a minute.
fn ordinary(rng: &mut impl Rng) -> u64 {
    2_000 * rng.random_range(2..8)
}

/// Two percent of a month's budget in an hour, and nobody is asleep any more. Who is woken an hour
/// later has lost the hour; who is woken at once is woken by every hiccup.
#[labkit::test]
async fn a_failure_that_lasts_pages_at_the_minute(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = Traffic::failing(each, 20, "500", |minute| minute >= begins);
    let story = format!("5 % of the requests fail from minute {begins} on");
    rehearsal.expect_page(&story, &traffic).await;
}

/// When everything fails, an hour's budget is gone in two minutes.
#[labkit::test]
async fn an_outage_pages_within_minutes(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = Traffic::failing(each, 1, "503", |minute| minute >= begins);
    let story = format!("every request fails from minute {begins} on");
    rehearsal.expect_page(&story, &traffic).await;
}

/// Half of a minute's requests are three days of the budget in a bad minute, and it is over before
/// anybody has found their glasses.
#[labkit::test]
async fn a_spike_pages_nobody(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = Traffic::failing(each, 2, "500", |minute| minute == begins);
    let story = format!("half of the requests fail in minute {begins}, and none after it");
    rehearsal.expect_page(&story, &traffic).await;
}

/// Whoever has mended it wants to see that. A page that goes on for an hour is one that is not
/// believed the next time.
#[labkit::test]
async fn recovery_ends_it_within_minutes(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let ends = begins + 50;
    let traffic = Traffic::failing(each, 10, "502", |minute| (begins..ends).contains(&minute));
    let story = format!(
        "10 % of the requests fail from minute {begins} to {}",
        ends - 1
    );
    rehearsal.expect_page(&story, &traffic).await;
}

/// Nothing of nothing is not a share. That nobody comes is another alert's to say.
#[labkit::test]
async fn no_traffic_pages_nobody(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = [
        Traffic::new(
            "shop-1:8080",
            "200",
            |minute| if minute < begins { each } else { 0 },
        ),
        Traffic::new("shop-1:8080", "500", |_| 0),
    ];
    let story = format!("nobody asks for anything from minute {begins} on");
    rehearsal.expect_page(&story, &traffic).await;
}

/// At three in the morning two requests are all there are, and both of them fail: 100 %.
#[labkit::test]
async fn two_requests_at_night_page_nobody(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let traffic = [
        Traffic::new("shop-1:8080", "200", |_| 0),
        Traffic::new(
            "shop-1:8080",
            "500",
            |minute| if minute == begins { 2 } else { 0 },
        ),
    ];
    let story = format!("nobody asks for anything but two in minute {begins}, and these fail");
    rehearsal.expect_page(&story, &traffic).await;
}

/// A share has no size: a service with little to do is somebody's, too.
#[labkit::test]
async fn a_quiet_service_that_fails_pages_as_well(mut rehearsal: Rehearsal) {
    let begins = a_moment(&mut rehearsal.rng);
    let each = |before: bool| {
        move |minute: usize| {
            if (minute < begins) == before { 2 } else { 0 }
        }
    };
    let traffic = [
        Traffic::new("shop-1:8080", "200", each(true)),
        Traffic::new("shop-2:8080", "200", each(true)),
        Traffic::new("shop-3:8080", "200", each(true)),
        Traffic::new("shop-1:8080", "500", each(false)),
        Traffic::new("shop-2:8080", "500", each(false)),
        Traffic::new("shop-3:8080", "503", each(false)),
    ];
    let story = format!(
        "three instances have two requests each in a minute, and all fail from minute {begins} on"
    );
    rehearsal.expect_page(&story, &traffic).await;
}

/// Somebody has misspelt a link in a newsletter. That is no failure of the service.
#[labkit::test]
async fn pages_that_do_not_exist_page_nobody(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = [
        Traffic::new("shop-1:8080", "200", |_| each),
        Traffic::new(
            "shop-1:8080",
            "404",
            |minute| if minute < begins { 0 } else { each },
        ),
        Traffic::new("shop-1:8080", "500", |_| 0),
    ];
    let story = format!("half of the requests are answered 404 from minute {begins} on");
    rehearsal.expect_page(&story, &traffic).await;
}

/// What one instance loses is a share of what all were asked, and it is one night for one person:
/// not an alert for each instance, and not for each status.
#[labkit::test]
async fn one_instance_of_three_is_one_page(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let good = |minute: usize| if minute < begins { each } else { each / 2 };
    let bad = |minute: usize| if minute < begins { 0 } else { each / 4 };
    let traffic = [
        Traffic::new("shop-1:8080", "200", |_| each),
        Traffic::new("shop-2:8080", "200", |_| each),
        Traffic::new("shop-3:8080", "200", good),
        Traffic::new("shop-3:8080", "500", bad),
        Traffic::new("shop-3:8080", "503", bad),
    ];
    let story = format!(
        "one of three instances answers half of its requests with 500 or 503 from minute {begins} on"
    );
    rehearsal.expect_page(&story, &traffic).await;
}

/// One instance in a hundred loses everything: that is one request of a hundred, and below what
/// wakes somebody.
#[labkit::test]
async fn a_small_part_that_fails_pages_nobody(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let traffic = [
        Traffic::new("shop-1:8080", "200", |_| each / 100 * 99),
        Traffic::new("shop-2:8080", "200", |minute| {
            if minute < begins { each / 100 } else { 0 }
        }),
        Traffic::new("shop-2:8080", "500", |minute| {
            if minute < begins { 0 } else { each / 100 }
        }),
    ];
    let story =
        format!("1 % of the requests, all of one small instance, fail from minute {begins} on");
    rehearsal.expect_page(&story, &traffic).await;
}

/// A deployment restarts each instance, and each of its counters begins at 0.
#[labkit::test]
async fn a_restart_changes_nothing(mut rehearsal: Rehearsal) {
    let (begins, each) = (a_moment(&mut rehearsal.rng), ordinary(&mut rehearsal.rng));
    let restart = begins + 40;
    let traffic = Traffic::failing(each, 20, "500", |minute| minute >= begins);
    let traffic = traffic.map(|it| it.restarted(restart));
    let story = format!(
        "5 % of the requests fail from minute {begins} on; in minute {restart} the instance begins anew"
    );
    rehearsal.expect_page(&story, &traffic).await;
}
