//! Exercise 3, with each edge twice the one before, and the objective among them.

use crate::prelude::*;

/// What the search tells about itself.
pub struct Metrics {
    registry: Registry,
    duration: HistogramVec,
}

impl Metrics {
    /// One histogram.
    pub fn new() -> prometheus::Result<Self> {
        let edges = prometheus::exponential_buckets(0.075, 2.0, 6)?;
        let duration = HistogramVec::new(
            HistogramOpts::new("search_duration_seconds", "How long a search took.").buckets(edges),
            &[],
        )?;
        // Of a vector of histograms each is there when it is first asked for.
        duration.with_label_values::<&str>(&[]);
        let registry = Registry::new();
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { registry, duration })
    }

    /// Where it is registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A search was answered after so long.
    pub fn answered(&self, took: Duration) {
        let seconds = took.as_micros() as f64 / 1e6;
        self.duration
            .with_label_values::<&str>(&[])
            .observe(seconds);
    }
}
