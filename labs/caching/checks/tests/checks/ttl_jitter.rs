//! Exercise 4: what is cached together does not expire together.

use std::collections::BTreeMap;

use caching_checks::{Instance, LISTINGS, Shop};
use labkit::finding::fail;
use rand::RngExt as _;

/// How many listings may share a second of expiry: 5 %.
const MOST_IN_ONE_SECOND: usize = LISTINGS / 20;

/// What expires in the same second is asked for again in the same second: the import at
/// night becomes a wave that hits the catalogue at noon.
#[labkit::test]
async fn no_second_takes_more_than_a_twentieth_of_the_import(shop: Shop) {
    let lives = lives_of_an_import(&shop.app).await;
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for life in &lives {
        *seconds.entry(life / 1000).or_default() += 1;
    }
    shop.measured(seconds.values().copied().max().unwrap_or_default());
    if let Some((second, together)) = seconds.iter().max_by_key(|(_, together)| **together)
        && *together > MOST_IN_ONE_SECOND
    {
        fail(
            format!("POST /warm, and read the life of each of the {LISTINGS} entries"),
            format!(
                "{together} of {LISTINGS} expire in the same second, {second} s after they \
                 were written; from 0.8 to 1.2 times the base it looks like this: {}",
                hill(&lives)
            ),
            format!("at most {MOST_IN_ONE_SECOND} of {LISTINGS} (5 %) in any second"),
        );
    }
}

/// A life far from what was configured is a surprise to whoever configured it: too short
/// costs loads, too long shows old things.
#[labkit::test]
async fn every_life_is_near_the_configured_one(mut shop: Shop) {
    // Multiples of 5 s, so that both ends of the window are whole seconds; one on each side
    // of an hour, so that no number of seconds is right for both.
    let short = 5_000 * shop.rng.random_range(360..=600);
    let long = 5_000 * shop.rng.random_range(1_150..=1_440);
    let one = shop.second_app_with(&[("LISTING_TTL_MS", short)]).await;
    let another = shop.third_app_with(&[("LISTING_TTL_MS", long)]).await;
    expect_window(short, &lives_of_an_import(&one).await);
    expect_window(long, &lives_of_an_import(&another).await);
}

/// Somebody will configure ten milliseconds, in a test or by mistake. A life of zero is an
/// error in Redis, and the whole import fails with it.
#[labkit::test]
async fn a_tiny_base_still_gives_a_life(shop: Shop) {
    let app = shop.second_app_with(&[("LISTING_TTL_MS", 10)]).await;
    expect_window(10, &lives_of_an_import(&app).await);
}

/// Chance that can be replayed is chance that can be debugged; chance that is the same
/// under every seed is none.
#[labkit::test]
async fn the_seed_decides_and_nothing_else(mut shop: Shop) {
    let seed: u64 = shop.rng.random_range(2..1_000_000);
    let same = shop.second_app_with(&[("JITTER_SEED", 1)]).await;
    let other = shop.third_app_with(&[("JITTER_SEED", seed)]).await;
    let first = lives_of_an_import(&shop.app).await;
    if first != lives_of_an_import(&same).await {
        fail(
            "POST /warm on two instances that have the same JITTER_SEED",
            "different lives",
            "the same life for the same listing",
        );
    }
    if first == lives_of_an_import(&other).await {
        fail(
            format!("POST /warm with JITTER_SEED=1 and with JITTER_SEED={seed}"),
            "exactly the same lives",
            "other lives for another seed",
        );
    }
}

/// How the lives lie in the window of a base of one hour, as a row of bars.
fn hill(lives: &[u64]) -> String {
    const BARS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut columns = [0_usize; 24];
    for life in lives {
        // A minute for each column, from 0.8 hours on; what lies outside stands at the ends.
        let column = (life / 60_000).clamp(48, 71) - 48;
        if let Some(count) = usize::try_from(column)
            .ok()
            .and_then(|c| columns.get_mut(c))
        {
            *count += 1;
        }
    }
    let most = columns.iter().copied().max().unwrap_or(1).max(1);
    let bar = |count: &usize| BARS[(count * (BARS.len() - 1)).div_ceil(most)];
    format!("|{}|", columns.iter().map(bar).collect::<String>())
}

fn expect_window(base: u64, lives: &[u64]) {
    let (least, most) = (base * 8 / 10, base * 12 / 10);
    if let Some((number, life)) = (1..)
        .zip(lives)
        .find(|(_, life)| !(least..=most).contains(*life))
    {
        fail(
            format!("POST /warm with LISTING_TTL_MS={base}"),
            format!("entry number {number} was written with a life of {life} ms"),
            format!("between {least} and {most} ms: 0.8 to 1.2 times the base"),
        );
    }
}

/// The lives that the shell has asked Redis for, in the order of the import.
async fn lives_of_an_import(app: &Instance) -> Vec<u64> {
    let answer = app.post("/warm").await;
    let lives = app.lives_written();
    // An import that Redis refuses (a life of zero) has still said what it wanted.
    if lives.len() < LISTINGS && !(400..600).contains(&answer.status) {
        fail(
            "POST /warm",
            format!("{} entries were written", lives.len()),
            format!("{LISTINGS}: one for each listing"),
        );
    }
    if lives.is_empty() {
        let _ = answer.expect_ok();
    }
    lives
}
