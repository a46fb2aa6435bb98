//! Exercise 2: cardinality.

use crate::prelude::*;

/// What the pages tell about themselves.
pub struct Metrics {
    registry: Registry,
    // BEGIN SOLUTION
    requests: IntCounterVec,
    // END SOLUTION
}

impl Metrics {
    /// `pages_requests_total`, in a registry of its own.
    pub fn new() -> prometheus::Result<Self> {
        // BEGIN PROMPT
        // todo!("one counter, three labels")
        // END PROMPT
        // BEGIN SOLUTION
        let requests = IntCounterVec::new(
            Opts::new(
                "pages_requests_total",
                "Requests to the shop's pages that were answered.",
            ),
            &["method", "route", "status"],
        )?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { registry, requests })
        // END SOLUTION
    }

    /// Where it is registered; `GET /metrics/pages` shows it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Passes a request on and hands its answer back, and counts it by `method`, `route` and
/// `status`. A request that has matched a route has a [`Template`] among its extensions.
pub async fn record(metrics: &Metrics, request: Request, next: Next) -> Response {
    // BEGIN PROMPT
    // let _ = metrics; // delete with the lines below
    // let answer = next.run(request).await;
    // let _ = &answer;
    // todo!("how many different values can each of the three labels have?")
    // END PROMPT
    // BEGIN SOLUTION
    let method = known(request.method());
    let template = request.extensions().get::<Template>();
    let route = template.map_or("other", |template| template.0);
    let answer = next.run(request).await;
    let status = answer.status();
    let labels = [method, route, status.as_str()];
    metrics.requests.with_label_values(&labels).inc();
    answer
    // END SOLUTION
}
// BEGIN SOLUTION

/// A method may be any word that a client makes up.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = KNOWN.into_iter().find(|known| method == known);
    known.unwrap_or("other")
}
// END SOLUTION
