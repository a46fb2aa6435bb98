//! Exercise 1: instrument a service.

use crate::prelude::*;

// BEGIN SOLUTION
/// What is known beforehand of how a request can end.
const STATUSES: [&str; 5] = ["200", "402", "499", "500", "502"];

// END SOLUTION
/// What the checkout tells about itself.
pub struct Metrics {
    registry: Registry,
    // BEGIN SOLUTION
    requests: IntCounterVec,
    in_flight: IntGauge,
    duration: Histogram,
    // END SOLUTION
}

impl Metrics {
    /// `checkout_requests_total`, `checkout_requests_in_flight` and
    /// `checkout_request_duration_seconds`, in a registry of their own.
    pub fn new() -> prometheus::Result<Self> {
        // BEGIN PROMPT
        // todo!("three metrics: how many requests, how many at this moment, how long")
        // END PROMPT
        // BEGIN SOLUTION
        let requests = IntCounterVec::new(
            Opts::new(
                "checkout_requests_total",
                "Requests to the checkout that are over, by the status that they ended with.",
            ),
            &["status"],
        )?;
        // A series that begins with its first failure has no rise that anybody could see.
        for status in STATUSES {
            requests.with_label_values(&[status]);
        }
        let in_flight = IntGauge::new(
            "checkout_requests_in_flight",
            "Requests that the checkout is at.",
        )?;
        let duration = Histogram::with_opts(HistogramOpts::new(
            "checkout_request_duration_seconds",
            "How long requests to the checkout took, however they ended.",
        ))?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            registry,
            requests,
            in_flight,
            duration,
        })
        // END SOLUTION
    }

    /// Where they are registered; `GET /metrics/checkout` shows it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Passes a request on and hands its answer back, and keeps `metrics` up to date. The time is
/// `clock.now()`.
pub async fn record(metrics: &Metrics, clock: &Clock, request: Request, next: Next) -> Response {
    // BEGIN PROMPT
    // let _ = (metrics, clock); // delete with the lines below
    // let answer = next.run(request).await;
    // let _ = &answer;
    // todo!("what is counted when, also if the line above never comes back?")
    // END PROMPT
    // BEGIN SOLUTION
    let mut running = Running::begin(metrics, clock);
    let answer = next.run(request).await;
    running.status = Some(answer.status());
    answer
    // END SOLUTION
}
// BEGIN SOLUTION

/// A request that is under way. It is over when this is dropped, whatever the reason.
struct Running<'a> {
    metrics: &'a Metrics,
    clock: &'a Clock,
    began: Duration,
    status: Option<StatusCode>,
}

impl<'a> Running<'a> {
    fn begin(metrics: &'a Metrics, clock: &'a Clock) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            clock,
            began: clock.now(),
            status: None,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let status = match self.status {
            Some(status) => status.as_str().to_owned(),
            None if std::thread::panicking() => "500".to_owned(),
            // Nobody waits for the answer any more: nginx's number for that.
            None => "499".to_owned(),
        };
        self.metrics.requests.with_label_values(&[&status]).inc();
        let took = self.clock.now() - self.began;
        self.metrics.duration.observe(took.as_secs_f64());
        self.metrics.in_flight.dec();
    }
}
// END SOLUTION
