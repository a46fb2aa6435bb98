//! What the checks of the rest-api lab start from: the shop's API with everything around it.
//!
//! Knows the brief's contract (routes, tables, environment) and nothing of how an exercise is
//! solved.

mod by_hand;
mod call;
pub mod customers;
mod document;
mod images;
mod in_flight;
mod inside;
mod instance;
pub mod orders;
pub mod payments;
mod people;
mod problem;
pub mod products;
mod provider;
mod raw;
mod rush;

pub use by_hand::ByHand;
pub use call::{Call, Reply};
pub use document::{Document, Operation, Probe, expect_agreement};
pub use images::Images;
pub use in_flight::{InFlight, Interrupted};
pub use inside::{Inside, Locked, Snapshot};
pub use instance::Instance;
pub use people::Person;
pub use problem::{expect_problem, pointers};
pub use provider::{CHARGES, Charge, Provider};
pub use raw::Raw;
pub use rush::{Crowd, Rush};

use instance::Neighbours;
use labkit::timeline::Mark;
use labkit::{Check, Fixture};
use rand::rngs::StdRng;

/// How often instances are given time to go on; one that asks again and again goes on for ever.
const LONGEST_WAY: usize = 50;

/// One shop: a database, and an instance of the learner's service, every connection of which
/// is recorded.
pub struct Api {
    /// The first instance of the service.
    pub app: Instance,
    /// The database seen from the side: on no timeline.
    pub inside: Inside,
    /// Where money is moved.
    pub provider: Provider,
    images: Images,
    /// Random data of this check.
    pub rng: StdRng,
    check: Check,
}

impl Fixture for Api {
    async fn open(check: &Check) -> Self {
        let inside = Inside::of(&check.postgres());
        let provider = Provider::open(check).await;
        let images = Images::open(check).await;
        let neighbours = Neighbours::of(&provider, &images);
        let app = Instance::start(check, "app", neighbours, &[], &[]).await;
        Self {
            app,
            inside,
            provider,
            images,
            rng: check.rng(),
            check: check.clone(),
        }
    }
}

impl Api {
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
        self.another_app("app 2", &[]).await
    }

    /// Lets both instances go as far as they can: until each of their statements is answered
    /// or waits for what another session has locked, and no new one comes of the answers. What
    /// they ask on a new connection is seen when it is open. Whoever still asks after
    /// `LONGEST_WAY` rounds polls until the other one is done, which is not wrong: then the check
    /// goes on.
    pub async fn go_as_far_as_they_can(&self, other: &Instance) {
        for _ in 0..LONGEST_WAY {
            let before = (self.app.statements(), other.statements());
            tokio::join!(self.app.app.settle(20), other.app.settle(20));
            let after = (self.app.statements(), other.statements());
            let asked = after.0.unanswered + after.1.unanswered;
            // An answer that came meanwhile may be about to lead to the next statement.
            if before == after && asked <= self.inside.blocked().await {
                return;
            }
        }
    }

    /// One more instance, by its name, whose environment may differ from the first one's.
    pub async fn another_app(&self, name: &str, changed: &[(&str, u64)]) -> Instance {
        let neighbours = Neighbours::of(&self.provider, &self.images);
        Instance::start(&self.check, name, neighbours, &[], changed).await
    }
}

/// The calls of the brief's API card compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Brief;
