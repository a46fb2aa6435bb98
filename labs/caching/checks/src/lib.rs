//! What the checks of the caching lab start from: a shop with everything around it.
//!
//! Knows the brief's contract (routes, environment, the storefront's keys) and nothing of
//! how an exercise is solved.

mod by_hand;
mod catalogue;
pub mod changes;
mod crowd;
pub mod deals;
mod goods;
mod inside;
mod instance;
mod lock;
mod moments;
pub mod stale;
mod storefront;
mod time;

pub use by_hand::ByHand;
pub use catalogue::{Catalogue, Count, LISTINGS, Price, Product, Voucher};
pub use crowd::{
    Answers, MOMENT, SILENCE, expect_answered, expect_each_served, expect_served, expect_shown,
};
pub use goods::{Goods, Sort, Thing};
pub use inside::{Entry, Inside, NOTHING_KEPT};
pub use instance::{InFlight, Instance, Steps};
pub use lock::{Lock, arrivals};
pub use moments::Standstill;
pub use storefront::Storefront;
pub use time::lost_since;

use labkit::timeline::Mark;
use labkit::{Check, Fixture};
use rand::rngs::StdRng;

/// One shop: a catalogue, Redis, and an instance of the learner's service, every
/// connection of which is recorded.
pub struct Shop {
    /// The first instance of the service.
    pub app: Instance,
    /// The service that owns the data.
    pub catalogue: Catalogue,
    /// Redis seen from the side: on no timeline.
    pub redis: Inside,
    /// Random data of this check.
    pub rng: StdRng,
    check: Check,
}

impl Fixture for Shop {
    async fn open(check: &Check) -> Self {
        let mut rng = check.rng();
        let catalogue = Catalogue::open(check, &mut rng).await;
        let redis = Inside::of(&check.redis(), check.timeline()).await;
        let app = Instance::start(check, "app", catalogue.address(), &[]).await;
        Self {
            app,
            catalogue,
            redis,
            rng,
            check: check.clone(),
        }
    }
}

impl Shop {
    /// As [`Check::measured`].
    pub fn measured(&self, number: usize) {
        self.check.measured(number.try_into().unwrap_or(u64::MAX));
    }

    /// Where a loop of rounds begins.
    pub fn mark(&self) -> Mark {
        self.check.timeline().mark()
    }

    /// Begins a round: a finding does not show the rounds that passed.
    pub fn begin_round(&self, rounds: Mark) {
        self.check.timeline().forget_since(rounds);
    }

    /// A second instance of the service, as production runs many.
    pub async fn second_app(&self) -> Instance {
        self.second_app_with(&[]).await
    }

    /// A second instance whose environment differs from the first one's.
    pub async fn second_app_with(&self, changed: &[(&str, u64)]) -> Instance {
        Instance::start(&self.check, "app 2", self.catalogue.address(), changed).await
    }

    /// A third instance whose environment differs from the first one's.
    pub async fn third_app_with(&self, changed: &[(&str, u64)]) -> Instance {
        Instance::start(&self.check, "app 3", self.catalogue.address(), changed).await
    }

    /// The other service that reads prices through the same Redis.
    pub async fn storefront(&self) -> Storefront {
        Storefront::open(&self.check, self.catalogue.clone()).await
    }
}

/// Redis alone, started with the learner's `redis.conf`.
pub struct Cache {
    /// Its only client.
    pub redis: Inside,
    /// What the check did, in words.
    pub timeline: labkit::timeline::Timeline,
}

impl Fixture for Cache {
    async fn open(check: &Check) -> Self {
        Self {
            redis: Inside::of(&check.redis(), check.timeline()).await,
            timeline: check.timeline(),
        }
    }
}

/// The calls of the brief's API card compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Brief;
