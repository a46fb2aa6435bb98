//! Exercise 4 in whole milliseconds, up and down.

use crate::prelude::*;

/// How long one entry of the nightly import lives.
pub fn ttl(base: Duration, rng: &mut StdRng) -> Duration {
    let base = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
    let fifth = base / 5;
    Duration::from_millis((base - fifth + rng.random_range(0..=2 * fifth)).max(1))
}
