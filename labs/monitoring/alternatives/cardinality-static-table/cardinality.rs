//! Exercise 2, with a table of all series that there can be.

use std::collections::HashMap;

use crate::prelude::*;

/// What the pages tell about themselves.
pub struct Metrics {
    registry: Registry,
    requests: CounterVec,
    methods: HashMap<Method, &'static str>,
}

impl Metrics {
    /// One counter.
    pub fn new() -> prometheus::Result<Self> {
        let requests = CounterVec::new(
            Opts::new("pages_requests_total", "Answered requests."),
            &["status", "route", "method"],
        )?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        let methods = HashMap::from([
            (Method::GET, "GET"),
            (Method::HEAD, "HEAD"),
            (Method::POST, "POST"),
            (Method::PUT, "PUT"),
            (Method::PATCH, "PATCH"),
            (Method::DELETE, "DELETE"),
            (Method::OPTIONS, "OPTIONS"),
            (Method::TRACE, "TRACE"),
            (Method::CONNECT, "CONNECT"),
        ]);
        Ok(Self {
            registry,
            requests,
            methods,
        })
    }

    /// Where it is registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Passes a request on and counts it.
pub async fn record(metrics: &Metrics, request: Request, next: Next) -> Response {
    let route = match request.extensions().get() {
        Some(Template(route)) => *route,
        None => "other",
    };
    let method = metrics.methods.get(request.method()).copied();
    let answer = next.run(request).await;
    let status = answer.status();
    metrics
        .requests
        .with_label_values(&[status.as_str(), route, method.unwrap_or("other")])
        .inc();
    answer
}
