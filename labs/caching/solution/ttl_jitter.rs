//! Exercise 4: TTL jitter.

use crate::prelude::*;

/// How long one entry of the nightly import lives.
///
/// Anywhere from 0.8 to 1.2 times `base`, and never zero; drawn from `rng`, so that the
/// same seed gives the same lives.
pub fn ttl(base: Duration, rng: &mut StdRng) -> Duration {
    // BEGIN PROMPT
    // let _ = (base, rng); // delete with the line below
    // todo!("what happens to the catalogue when all of these expire in the same second?")
    // END PROMPT
    // BEGIN SOLUTION
    base.mul_f64(rng.random_range(0.8..1.2))
    // END SOLUTION
}
