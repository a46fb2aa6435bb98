//! Exercise 1, in numbers of its own that are made metrics when somebody asks; the handler runs
//! in a task, and a panic becomes an answer here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::IntoResponse as _;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::prelude::*;

/// What is known.
#[derive(Default)]
struct Ledger {
    began: u64,
    over: BTreeMap<u16, u64>,
}

/// What the checkout tells about itself.
pub struct Metrics {
    registry: Registry,
    ledger: Arc<Mutex<Ledger>>,
    duration: Histogram,
}

struct Told(Arc<Mutex<Ledger>>, Vec<Desc>);

impl Collector for Told {
    fn desc(&self) -> Vec<&Desc> {
        self.1.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Ok(total), Ok(in_flight)) = (total(), in_flight()) else {
            return Vec::new();
        };
        let mut over = 0;
        for (status, count) in &ledger.over {
            over += count;
            total
                .with_label_values(&[&status.to_string()])
                .inc_by(*count);
        }
        in_flight.set((ledger.began - over) as i64);
        let mut families = total.collect();
        families.extend(in_flight.collect());
        families
    }
}

fn total() -> prometheus::Result<IntCounterVec> {
    let opts = Opts::new("checkout_requests_total", "Requests that are over.");
    IntCounterVec::new(opts, &["status"])
}

fn in_flight() -> prometheus::Result<IntGauge> {
    IntGauge::new("checkout_requests_in_flight", "Requests that are not.")
}

impl Metrics {
    /// Two numbers from the ledger, and a histogram.
    pub fn new() -> prometheus::Result<Self> {
        let ledger = Arc::new(Mutex::new(Ledger {
            began: 0,
            over: [200, 402, 499, 500, 502].map(|status| (status, 0)).into(),
        }));
        let mut descs: Vec<Desc> = total()?.desc().into_iter().cloned().collect();
        descs.extend(in_flight()?.desc().into_iter().cloned());
        let duration = Histogram::with_opts(HistogramOpts::new(
            "checkout_request_duration_seconds",
            "How long requests took.",
        ))?;
        let registry = Registry::new();
        registry.register(Box::new(Told(Arc::clone(&ledger), descs)))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            registry,
            ledger,
            duration,
        })
    }

    /// Where they are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line of the ledger, written when it is dropped.
struct Line<'a>(&'a Metrics, &'a Clock, Duration, u16);

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let took = self.1.now() - self.2;
        self.0.duration.observe(took.as_secs_f64());
        *self.0.ledger().over.entry(self.3).or_default() += 1;
    }
}

/// Passes a request on, to a task that goes on whatever becomes of the client.
pub async fn record(metrics: &Metrics, clock: &Clock, request: Request, next: Next) -> Response {
    metrics.ledger().began += 1;
    let mut line = Line(metrics, clock, clock.now(), 499);
    let answer = match tokio::spawn(next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    line.3 = answer.status().as_u16();
    answer
}
