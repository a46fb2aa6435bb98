//! The shop's database, as a check of a SQL exercise gets it.

use labkit::timeline::Timeline;
use labkit::wire::Target;
use labkit::{Check, Fixture, finding};
use rand::rngs::StdRng;

use crate::session::Session;

/// How many customers the shop has, and how many orders.
const CUSTOMERS: u32 = 5_000;

/// A copy of the shop, not yet touched by anybody.
pub struct Database {
    pub(crate) check: Check,
    pub(crate) target: Target,
    pub(crate) timeline: Timeline,
    /// Random data of this check.
    pub rng: StdRng,
}

impl Fixture for Database {
    async fn open(check: &Check) -> Self {
        Self {
            check: check.clone(),
            target: check.postgres(),
            timeline: check.timeline(),
            rng: check.rng(),
        }
    }
}

impl Database {
    /// A fresh connection of the role that owns the tables and may do nothing else.
    pub async fn owner(&self) -> Session {
        Session::open(&self.target).await.limited().await
    }

    /// A connection that may look at everything.
    pub async fn administrator(&self) -> Session {
        Session::open(&self.target.as_administrator()).await
    }

    /// Some customers, drawn anew for each seed.
    pub fn some_customers<const N: usize>(&mut self) -> [u32; N] {
        use rand::RngExt as _;
        std::array::from_fn(|_| self.rng.random_range(1..=CUSTOMERS))
    }

    /// As [`Check::measured`].
    pub fn measured(&self, number: u64) {
        self.check.measured(number);
    }

    /// An exercise file of the attempt that is judged.
    pub(crate) fn file(&self, path: &str) -> String {
        self.check.exercise_file(path)
    }

    /// The name of the role that owns the tables.
    pub(crate) fn role(&self) -> &str {
        match &self.target.username {
            Some(name) => name,
            None => finding::error("the database has no login"),
        }
    }
}
