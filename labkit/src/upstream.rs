//! A counted, gated HTTP stub: the catalogue or payment service that an app calls.
//!
//! It stands behind a `Wire::http`, which writes what was said on the timeline; here
//! arrivals are counted, and held at gates so that a race happens every time. Only a gate
//! adds lines: what stood still, and when it went on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::patience::{PATIENCE, timeout};
use crate::timeline::Timeline;
use crate::wire::{StillWaiting, path_meets};

/// A request that reached the upstream, whatever became of it then.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// `GET`, `PUT` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Milliseconds since the check began.
    pub at_ms: f64,
}

/// An HTTP stub. Dropping it opens its gates and closes its listener.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    name: String,
    timeline: Timeline,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    arrivals: Vec<Arrival>,
    in_flight: usize,
    peak_in_flight: usize,
    gates: Vec<Barrier>,
    failures: Vec<(Route, StatusCode)>,
}

impl Upstream {
    /// Serves a router on a port of its own. Arrivals are timed on the timeline's clock.
    pub async fn serve(timeline: Timeline, name: &str, router: Router) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            timeline,
            records: Mutex::default(),
        });
        // As a fallback, so that what the router does not know is counted as well.
        let counted = Router::new()
            .fallback_service(router)
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), pass));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(axum::serve(listener, counted).into_future());
        Ok(Self {
            shared,
            address,
            serving: serving.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which they came, counted before any gate.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.records().arrivals.clone()
    }

    /// How many requests came for a path, which may leave the query out or end in `*`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let route = Route::new(method, path);
        let records = self.shared.records();
        records
            .arrivals
            .iter()
            .filter(|arrival| route.meets(&arrival.method, &arrival.path))
            .count()
    }

    /// The most requests that were here at the same time, those at a gate included.
    pub fn peak_in_flight(&self) -> usize {
        self.shared.records().peak_in_flight
    }

    /// From now on parks every request for a path, before the router sees it: a parked PUT
    /// has not been applied.
    pub fn gate(&self, method: &str, path: &str) -> Gate {
        self.shared.gate(Route::new(method, path), Side::Request)
    }

    /// From now on parks every answer for a path: a parked PUT has been applied.
    pub fn gate_reply(&self, method: &str, path: &str) -> Gate {
        self.shared.gate(Route::new(method, path), Side::Reply)
    }

    /// From now on answers this status instead, until [`Upstream::heal`]. A parked request
    /// gets it when its gate opens.
    ///
    /// # Panics
    ///
    /// If the number is no HTTP status.
    pub fn fail(&self, method: &str, path: &str, status: u16) {
        let Ok(status) = StatusCode::from_u16(status) else {
            crate::finding::error(format!("{status} is no HTTP status"));
        };
        let failure = (Route::new(method, path), status);
        self.shared.records().failures.push(failure);
    }

    /// Ends every [`Upstream::fail`].
    pub fn heal(&self) {
        self.shared.records().failures.clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
        for gate in self.shared.records().gates.drain(..) {
            gate.open.send_replace(true);
        }
    }
}

/// Where requests, or their answers, are parked. Dropping it opens it.
#[derive(Debug)]
#[must_use = "dropping a gate opens it"]
pub struct Gate {
    shared: Arc<Shared>,
    barrier: Barrier,
}

impl Gate {
    /// Waits, for ten seconds at most, until so many are parked at the same time.
    pub async fn parked(&self, n: usize) -> Result<(), StillWaiting> {
        self.parked_within(n, PATIENCE).await
    }

    /// As [`Gate::parked`], with a deadline of one's own.
    pub async fn parked_within(&self, n: usize, limit: Duration) -> Result<(), StillWaiting> {
        let mut parked = self.barrier.parked.subscribe();
        let reached = timeout(limit, parked.wait_for(|parked| *parked >= n)).await;
        // The sender cannot be gone: it is ours.
        if reached.is_ok() {
            return Ok(());
        }
        let what = match self.barrier.side {
            Side::Request => "requests for",
            Side::Reply => "answers to",
        };
        let Route { method, path } = &self.barrier.route;
        Err(StillWaiting::new(format!(
            "{} of {n} {what} {method} {path} were at {} within {} s",
            self.parked_now(),
            self.shared.name,
            limit.as_secs_f64()
        )))
    }

    /// How many are parked at this moment.
    pub fn parked_now(&self) -> usize {
        *self.barrier.parked.borrow()
    }

    /// Lets all through, those that are parked and those that will come.
    pub fn open(&self) {
        let mut records = self.shared.records();
        records
            .gates
            .retain(|gate| !gate.open.same_channel(&self.barrier.open));
        drop(records);
        let opened = !self.barrier.open.send_replace(true);
        if opened && self.barrier.told.load(Ordering::Relaxed) {
            let Route { method, path } = &self.barrier.route;
            let (name, timeline) = (&self.shared.name, &self.shared.timeline);
            timeline.push(
                name,
                "check",
                format!("{method} {path} let go by the check"),
            );
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

#[derive(Clone, Debug)]
struct Barrier {
    route: Route,
    side: Side,
    parked: watch::Sender<usize>,
    open: watch::Sender<bool>,
    /// Whether the timeline has been told that something is parked here.
    told: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Reply,
}

#[derive(Clone, Debug)]
struct Route {
    method: String,
    path: String,
}

impl Route {
    fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
        }
    }

    fn meets(&self, method: &str, path: &str) -> bool {
        self.method == method && path_meets(&self.path, path)
    }
}

impl Barrier {
    async fn park(&self, shared: &Shared, request: &str) {
        let (_parked, first) = Parked::at(self);
        // One line for a crowd: a gate may park a hundred.
        if first {
            let held = match self.side {
                Side::Request => format!("{request} held back by the check, not done yet"),
                Side::Reply => format!("{request} done, its answer held back by the check"),
            };
            shared.timeline.push(&shared.name, "check", held);
        }
        let mut open = self.open.subscribe();
        // The sender cannot be gone: it is ours.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// Counts as parked; also when the caller hangs up and the request is dropped here.
struct Parked<'a>(&'a Barrier);

impl<'a> Parked<'a> {
    /// Also says whether it is the first that the gate ever parked.
    fn at(barrier: &'a Barrier) -> (Self, bool) {
        barrier.parked.send_modify(|parked| *parked += 1);
        let first = !barrier.told.swap(true, Ordering::Relaxed);
        (Self(barrier), first)
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.send_modify(|parked| *parked -= 1);
    }
}

/// Counts as in flight, also when the caller hangs up.
struct InFlight(Arc<Shared>);

impl InFlight {
    /// Enters an arrival.
    fn enter(shared: &Arc<Shared>, method: &str, path: &str) -> Self {
        let mut records = shared.records();
        // Under the lock, so that the order agrees with the times.
        let at_ms = shared.timeline.now_ms();
        records.arrivals.push(Arrival {
            method: method.to_owned(),
            path: path.to_owned(),
            at_ms,
        });
        records.in_flight += 1;
        records.peak_in_flight = records.peak_in_flight.max(records.in_flight);
        Self(Arc::clone(shared))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.records().in_flight -= 1;
    }
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(self: &Arc<Self>, route: Route, side: Side) -> Gate {
        let barrier = Barrier {
            route,
            side,
            parked: watch::Sender::new(0),
            open: watch::Sender::new(false),
            told: Arc::default(),
        };
        self.records().gates.push(barrier.clone());
        Gate {
            shared: Arc::clone(self),
            barrier,
        }
    }

    fn gates(&self, side: Side, method: &str, path: &str) -> Vec<Barrier> {
        let records = self.records();
        records
            .gates
            .iter()
            .filter(|gate| gate.side == side && gate.route.meets(method, path))
            .cloned()
            .collect()
    }

    fn failure(&self, method: &str, path: &str) -> Option<StatusCode> {
        let records = self.records();
        let failures = records.failures.iter().rev();
        failures
            .filter(|(route, _)| route.meets(method, path))
            .map(|(_, status)| *status)
            .next()
    }
}

/// Count, gate, answer, gate.
async fn pass(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request
        .uri()
        .path_and_query()
        .map_or_else(|| request.uri().to_string(), ToString::to_string);
    let words = format!("{method} {path}");
    let _in_flight = InFlight::enter(&shared, &method, &path);
    for gate in shared.gates(Side::Request, &method, &path) {
        gate.park(&shared, &words).await;
    }
    let answer = match shared.failure(&method, &path) {
        Some(status) => (status, format!("{} fails for now", shared.name)).into_response(),
        None => next.run(request).await,
    };
    for gate in shared.gates(Side::Reply, &method, &path) {
        gate.park(&shared, &words).await;
    }
    answer
}
