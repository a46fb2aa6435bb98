//! Exercise 4: four questions to a Prometheus that remembers the last hour.

use std::collections::BTreeMap;

use monitoring_checks::{Archive, Counter, Labels, Sample};
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};

const TRAFFIC: &str = "queries/04_traffic.promql";
const ERRORS: &str = "queries/04_errors.promql";
const SLOW: &str = "queries/04_slow.promql";
const BUSIEST: &str = "queries/04_busiest.promql";

const PAGES: &str = "pages_requests_total";
const SEARCHES: &str = "search_duration_seconds_bucket";

const FIVE_MINUTES: u64 = 300;
const HOUR: u64 = 3600;

const INSTANCES: [&str; 3] = ["shop-1:8080", "shop-2:8080", "shop-3:8080"];

/// The edges of a histogram, as labels and as numbers.
const EDGES: [(&str, f64); 9] = [
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.2", 0.2),
    ("0.3", 0.3),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2", 2.0),
    ("4", 4.0),
    ("+Inf", f64::INFINITY),
];

/// In the middle of the five minutes that are asked about, and of the hour.
const A_MOMENT_AGO: u64 = 130;

/// A counter of each instance is a third of the truth, and the label that tells them apart is one
/// that nobody has asked for.
#[labkit::test]
async fn traffic_is_told_by_route_over_all_instances(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 5);
    let counters = requests(&mut archive.rng, &routes, &["200", "404", "500"]);
    let server = archive.serve(&counters).await;
    let past = "three instances, five routes, no restart";
    server.expect(TRAFFIC, past, &traffic(&counters)).await;
}

/// A counter begins anew at 0 with its instance. Whoever adds the instances up first sees the sum
/// fall, and takes that for a restart of everything.
#[labkit::test]
async fn a_restart_takes_nothing_from_the_traffic(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 3);
    let counters = requests(&mut archive.rng, &routes, &["200", "500"]);
    let server = archive.serve(&restarted(counters.clone())).await;
    let past = "shop-2 began anew two minutes ago";
    server.expect(TRAFFIC, past, &traffic(&counters)).await;
}

/// Five failures are many of ten and few of ten thousand. Only 5xx is a failure of the service: a
/// 404 is somebody's typing error.
#[labkit::test]
async fn errors_are_a_share_of_what_the_route_was_asked(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 4);
    let (dead, others) = routes.split_at(1);
    let mut counters = requests(&mut archive.rng, others, &["200", "404", "500", "511"]);
    counters.extend(requests(&mut archive.rng, dead, &["503"]));
    let server = archive.serve(&counters).await;
    let past = "one route has answered 503 only, the others 200, 404, 500 and 511";
    server.expect(ERRORS, past, &errors(&counters)).await;
}

/// What is not there cannot be drawn, and no alert compares it with anything: a route that works is
/// a 0, and a gap is something else.
#[labkit::test]
async fn a_route_without_errors_has_a_share_of_0(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 4);
    let (bad, good) = routes.split_at(2);
    let mut counters = requests(&mut archive.rng, bad, &["200", "500"]);
    counters.extend(requests(&mut archive.rng, good, &["200", "404"]));
    let server = archive.serve(&counters).await;
    let past = "two of four routes have no series with a 5xx";
    server.expect(ERRORS, past, &errors(&counters)).await;
}

/// An instance that fails is restarted: that is when somebody looks at the share of failures.
#[labkit::test]
async fn a_restart_moves_no_share(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 3);
    let counters = requests(&mut archive.rng, &routes, &["200", "500"]);
    let server = archive.serve(&restarted(counters.clone())).await;
    let past = "shop-2 began anew two minutes ago";
    server.expect(ERRORS, past, &errors(&counters)).await;
}

/// A customer does not know which instance answers. The slow one of three may have answered one
/// search of a hundred, and the average of three percentiles is the percentile of nothing.
#[labkit::test]
async fn the_95th_percentile_is_that_of_all_searches(mut archive: Archive) {
    let counters = searches(&mut archive.rng);
    let server = archive.serve(&counters).await;
    let past = "one of three instances is slow, and answers few";
    server.expect(SLOW, past, &[percentile(&counters)]).await;
}

/// Buckets are counters, too.
#[labkit::test]
async fn a_restart_moves_no_percentile(mut archive: Archive) {
    let counters = searches(&mut archive.rng);
    let server = archive.serve(&restarted(counters.clone())).await;
    let past = "shop-2 began anew two minutes ago";
    server.expect(SLOW, past, &[percentile(&counters)]).await;
}

/// A counter tells all that was since its instance began. What was busy last night is not what is
/// busy now, and a route may be busy on the whole and nowhere the busiest.
#[labkit::test]
async fn the_three_busiest_are_those_of_the_last_hour(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 6);
    let mut counters = Vec::new();
    for (place, route) in routes.iter().enumerate() {
        for (number, instance) in INSTANCES.into_iter().enumerate() {
            let labels = [
                ("instance", instance),
                ("method", "GET"),
                ("route", route),
                ("status", "200"),
            ];
            // The first is everywhere and nowhere the busiest; the next three on one each.
            let grows = match place {
                0 => 70.0,
                1..=3 if place == number + 1 => 80.0 + place as f64,
                4 => 20.0,
                _ => 3.0,
            };
            let before = if place == 5 {
                4_000_000
            } else {
                archive.rng.random_range(0..9_000)
            };
            counters.push(Counter::new(PAGES, &labels, before, grows));
        }
    }
    counters.shuffle(&mut archive.rng);
    let server = archive.serve(&counters).await;
    let past = "one of six routes was the busiest of last night";
    server.expect(BUSIEST, past, &busiest(&counters)).await;
}

/// The busiest route is the one whose instances are restarted most.
#[labkit::test]
async fn a_restart_costs_no_route_its_place(mut archive: Archive) {
    let routes = routes(&mut archive.rng, 5);
    let counters = requests(&mut archive.rng, &routes, &["200", "500"]);
    let server = archive.serve(&restarted(counters.clone())).await;
    let past = "shop-2 began anew two minutes ago";
    server.expect(BUSIEST, past, &busiest(&counters)).await;
}

/// Templates that no query can know.
fn routes(rng: &mut impl Rng, number: usize) -> Vec<String> {
    let mut words = [
        "baskets",
        "customers",
        "offers",
        "orders",
        "products",
        "returns",
        "reviews",
    ];
    words.shuffle(rng);
    words[..number]
        .iter()
        .map(|word| format!("/{word}-{}/{{id}}", rng.random_range(100..1000)))
        .collect()
}

/// A counter for each route, method, status and instance. In the last minute there is more to do
/// than before: the last two scrapes are not the five minutes.
fn requests(rng: &mut impl Rng, routes: &[String], statuses: &[&str]) -> Vec<Counter> {
    let mut counters = Vec::new();
    for route in routes {
        for instance in INSTANCES {
            for method in ["GET", "POST"] {
                for status in statuses {
                    let labels = [
                        ("instance", instance),
                        ("method", method),
                        ("route", route),
                        ("status", status),
                    ];
                    let before = rng.random_range(100_000..900_000);
                    let grows = rng.random_range(1..100);
                    let counter = Counter::new(PAGES, &labels, before, f64::from(grows));
                    counters.push(counter.since(60, f64::from(grows + rng.random_range(5..50))));
                }
            }
        }
    }
    counters.shuffle(rng);
    counters
}

/// The buckets of three instances: one is slow and has little to do.
fn searches(rng: &mut impl Rng) -> Vec<Counter> {
    let mut counters = Vec::new();
    for (instance, slow) in INSTANCES.into_iter().zip([false, false, true]) {
        let (mut before, mut grows) = (0, 0.0);
        for (edge, upper) in EDGES {
            let fits = if slow { upper > 0.5 } else { upper <= 0.5 };
            before += rng.random_range(10_000..90_000);
            grows += match (fits, slow) {
                (true, true) => f64::from(rng.random_range(2..8)),
                (true, false) => f64::from(rng.random_range(20..90)),
                (false, _) => 0.0,
            };
            let labels = [("instance", instance), ("le", edge)];
            counters.push(Counter::new(SEARCHES, &labels, before, grows));
        }
    }
    counters
}

/// The same past, but for one instance, which began anew in it.
fn restarted(counters: Vec<Counter>) -> Vec<Counter> {
    let restart = |counter: Counter| match counter.label("instance") == INSTANCES[1] {
        true => counter.restarted(Some(A_MOMENT_AGO)),
        false => counter,
    };
    counters.into_iter().map(restart).collect()
}

/// What each route was asked in a window, for those statuses.
fn asked(counters: &[Counter], window: u64, of: impl Fn(&str) -> bool) -> BTreeMap<String, f64> {
    let mut routes = BTreeMap::new();
    for counter in counters {
        let route = routes.entry(counter.label("route").to_owned()).or_default();
        if of(counter.label("status")) {
            *route += counter.grown(window);
        }
    }
    routes
}

fn by_route(values: impl IntoIterator<Item = (String, f64)>) -> Vec<Sample> {
    let sample = |(route, value)| Sample {
        labels: Labels::from([("route".to_owned(), route)]),
        value,
    };
    values.into_iter().map(sample).collect()
}

fn traffic(counters: &[Counter]) -> Vec<Sample> {
    let asked = asked(counters, FIVE_MINUTES, |_| true).into_iter();
    by_route(asked.map(|(route, number)| (route, number / FIVE_MINUTES as f64)))
}

fn errors(counters: &[Counter]) -> Vec<Sample> {
    let all = asked(counters, FIVE_MINUTES, |_| true);
    let failed = asked(counters, FIVE_MINUTES, |status| status.starts_with('5'));
    by_route(failed.into_iter().map(|(route, number)| {
        let share = number / all[&route];
        (route, share)
    }))
}

fn busiest(counters: &[Counter]) -> Vec<Sample> {
    let mut asked: Vec<_> = asked(counters, HOUR, |_| true).into_iter().collect();
    asked.sort_by(|one, other| other.1.total_cmp(&one.1));
    asked.truncate(3);
    by_route(asked)
}

/// As `histogram_quantile` makes it of all instances' buckets: evenly within the bucket.
fn percentile(counters: &[Counter]) -> Sample {
    let upto = |edge: &str| -> f64 {
        let of_edge = counters
            .iter()
            .filter(|counter| counter.label("le") == edge);
        of_edge.map(|counter| counter.grown(FIVE_MINUTES)).sum()
    };
    let rank = 0.95 * upto("+Inf");
    let (mut lower, mut below) = (0.0, 0.0);
    for (edge, upper) in EDGES {
        let so_far = upto(edge);
        if so_far >= rank {
            let value = match upper.is_finite() {
                true => lower + (upper - lower) * (rank - below) / (so_far - below),
                false => lower,
            };
            let labels = Labels::new();
            return Sample { labels, value };
        }
        (lower, below) = (upper, so_far);
    }
    unreachable!("the last bucket holds all")
}
