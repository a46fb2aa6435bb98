//! Exercise 1, with the panic caught where it is counted, and counters of floats.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt as _;

use crate::prelude::*;

/// What the checkout tells about itself.
pub struct Metrics {
    registry: Registry,
    requests: CounterVec,
    in_flight: Gauge,
    duration: HistogramVec,
}

impl Metrics {
    /// Three metrics.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = CounterVec::new(
            Opts::new("checkout_requests_total", "Requests that are over."),
            &["status"],
        )?;
        for status in [200, 402, 499, 500, 502] {
            requests
                .get_metric_with_label_values(&[&status.to_string()])?
                .inc_by(0.0);
        }
        let in_flight = Gauge::new("checkout_requests_in_flight", "Requests that are not.")?;
        let duration = HistogramVec::new(
            HistogramOpts::new("checkout_request_duration_seconds", "How long they took.")
                .buckets(vec![0.1, 1.0]),
            &[],
        )?;
        for metric in [
            Box::new(requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(in_flight.clone()),
            Box::new(duration.clone()),
        ] {
            registry.register(metric)?;
        }
        Ok(Self {
            registry,
            requests,
            in_flight,
            duration,
        })
    }

    /// Where they are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn over(&self, status: StatusCode, took: Duration) {
        self.requests
            .with_label_values(&[status.as_str()])
            .inc_by(1.0);
        self.duration
            .with_label_values::<&str>(&[])
            .observe(took.as_secs_f64());
        self.in_flight.sub(1.0);
    }
}

/// Still armed when the client is gone.
struct Gone<'a>(Option<&'a Metrics>, &'a Clock, Duration);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let (Some(metrics), Ok(status)) = (self.0, StatusCode::from_u16(499)) {
            metrics.over(status, self.1.now() - self.2);
        }
    }
}

/// Passes a request on.
pub async fn record(metrics: &Metrics, clock: &Clock, request: Request, next: Next) -> Response {
    let began = clock.now();
    metrics.in_flight.add(1.0);
    let mut gone = Gone(Some(metrics), clock, began);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    gone.0 = None;
    let took = clock.now() - began;
    match answered {
        Ok(answer) => {
            metrics.over(answer.status(), took);
            answer
        }
        Err(panic) => {
            metrics.over(StatusCode::INTERNAL_SERVER_ERROR, took);
            resume_unwind(panic)
        }
    }
}
