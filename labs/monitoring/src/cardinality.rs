//! Exercise 2: cardinality.

use crate::prelude::*;

/// What the pages tell about themselves.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// `pages_requests_total`, in a registry of its own.
    pub fn new() -> prometheus::Result<Self> {
        todo!("one counter, three labels")
    }

    /// Where it is registered; `GET /metrics/pages` shows it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Passes a request on and hands its answer back, and counts it by `method`, `route` and
/// `status`. A request that has matched a route has a [`Template`] among its extensions.
pub async fn record(metrics: &Metrics, request: Request, next: Next) -> Response {
    let _ = metrics; // delete with the lines below
    let answer = next.run(request).await;
    let _ = &answer;
    todo!("how many different values can each of the three labels have?")
}
