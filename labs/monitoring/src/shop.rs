//! What every request shares: the time, the neighbours, and what each exercise measures.

use std::env;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use prometheus::{Registry, TextEncoder};

use crate::clock::Clock;
use crate::neighbour::Neighbour;
use crate::{cardinality, instrument, slo_histogram};

/// The state of the service. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    /// What time it is.
    pub clock: Clock,
    /// Who takes the money: `TILL_URL`.
    pub till: Neighbour,
    /// Who knows which products there are: `INDEX_URL`.
    pub index: Neighbour,
    measured: Arc<Measured>,
}

/// Each is made when it is first asked for: one that cannot be made costs only itself.
#[derive(Default)]
struct Measured {
    checkout: OnceLock<instrument::Metrics>,
    pages: OnceLock<cardinality::Metrics>,
    search: OnceLock<slo_histogram::Metrics>,
}

impl Shop {
    /// Reads where the neighbours are.
    pub fn from_environment() -> anyhow::Result<Self> {
        let clock = Clock::from_environment();
        Ok(Self {
            till: Neighbour::at(required("TILL_URL")?, clock.clone())?,
            index: Neighbour::at(required("INDEX_URL")?, clock.clone())?,
            clock,
            measured: Arc::default(),
        })
    }

    /// What exercise 1 measures.
    pub fn checkout_metrics(&self) -> &instrument::Metrics {
        let make = || or_panic(instrument::Metrics::new());
        self.measured.checkout.get_or_init(make)
    }

    /// What exercise 2 measures.
    pub fn page_metrics(&self) -> &cardinality::Metrics {
        let make = || or_panic(cardinality::Metrics::new());
        self.measured.pages.get_or_init(make)
    }

    /// What exercise 3 measures.
    pub fn search_metrics(&self) -> &slo_histogram::Metrics {
        let make = || or_panic(slo_histogram::Metrics::new());
        self.measured.search.get_or_init(make)
    }
}

/// The text that a Prometheus reads.
pub fn exposition(registry: &Registry) -> String {
    or_panic(TextEncoder::new().encode_to_string(&registry.gather()))
}

/// A name or a bucket that the library refuses is a mistake in the code, not in a request.
fn or_panic<T>(made: prometheus::Result<T>) -> T {
    made.unwrap_or_else(|error| panic!("these metrics cannot be made or shown: {error}"))
}

fn required(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
