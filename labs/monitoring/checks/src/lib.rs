//! What the checks of the monitoring lab start from: the service with everything around it.
//!
//! Knows the brief's contract (routes, environment, names of metrics) and nothing of how an
//! exercise is solved.

mod archive;
mod budget;
mod by_hand;
mod crowd;
mod exposition;
mod histogram;
mod instance;
mod neighbour;
mod presence;
mod rehearsal;

pub use archive::{Archive, Counter, Labels, Sample, Server};
pub use budget::{ORDINARY, Traffic};
pub use by_hand::ByHand;
pub use crowd::Visit;
pub use exposition::{Exposition, Series};
pub use histogram::Buckets;
pub use instance::Instance;
pub use neighbour::Neighbour;
pub use presence::{Backups, State, Target, World};
pub use rehearsal::Rehearsal;

use archive::shown;
use instance::Clock;
use labkit::timeline::{Mark, Timeline};
use labkit::{Check, Fixture, finding};
use rand::rngs::StdRng;

/// One shop: an instance of the learner's service between its neighbours.
pub struct Shop {
    /// The first instance of the service.
    pub app: Instance,
    /// Who takes the money.
    pub till: Neighbour,
    /// Who knows the products.
    pub index: Neighbour,
    /// Random data of this check.
    pub rng: StdRng,
    timeline: Timeline,
    client: reqwest::Client,
    check: Check,
}

impl Fixture for Shop {
    async fn open(check: &Check) -> Self {
        let till = Neighbour::open(check, "till").await;
        let index = Neighbour::open(check, "index").await;
        let doors = [till.door.address(), index.door.address()];
        let client = reqwest::Client::builder().no_proxy().build();
        Self {
            app: Instance::start(check, "app", doors, Clock::Told).await,
            till,
            index,
            rng: check.rng(),
            timeline: check.timeline(),
            client: client
                .unwrap_or_else(|error| finding::error(format!("no HTTP client: {error}"))),
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
        self.timeline.mark()
    }

    /// Begins a round: a finding does not show the rounds that passed.
    pub fn begin_round(&self, rounds: Mark) {
        self.timeline.forget_since(rounds);
    }

    /// Tells the reader of the timeline that a client is gone: there is no message for that.
    pub fn tell_hang_up(&self) {
        self.timeline.push("check", self.app.app.name(), "hang up");
    }

    /// A second instance of the service, as production runs many.
    pub async fn second_app(&self) -> Instance {
        let doors = [self.till.door.address(), self.index.door.address()];
        Instance::start(&self.check, "app 2", doors, Clock::Told).await
    }
}

/// The calls of the brief's API card compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Brief;
