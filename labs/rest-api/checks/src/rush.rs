//! Rush hour: a service that has limits, and a crowd before its door.

use labkit::patience::{PATIENCE, timeout};
use labkit::upstream::Gate;
use labkit::{Check, Fixture, finding};
use rand::rngs::StdRng;

use crate::call::Reply;
use crate::images::Images;
use crate::in_flight::MOMENT;
use crate::instance::{Instance, Neighbours};
use crate::provider::Provider;
use crate::raw::Raw;

/// What the service is started with, where a check does not say otherwise; the brief lists
/// the same numbers.
const LIMITS: [(&str, u64); 4] = [
    ("CONCURRENCY_LIMIT", 64),
    ("BODY_LIMIT", 65_536),
    ("REQUEST_TIMEOUT_MS", 600_000),
    ("DRAIN_MS", 600_000),
];

/// The image store, and whoever wants to see pictures of it.
pub struct Rush {
    /// Where pictures are held back.
    pub images: Images,
    /// Random data of this check.
    pub rng: StdRng,
    provider: Provider,
    check: Check,
}

impl Fixture for Rush {
    async fn open(check: &Check) -> Self {
        Self {
            images: Images::open(check).await,
            rng: check.rng(),
            provider: Provider::open(check).await,
            check: check.clone(),
        }
    }
}

impl Rush {
    /// Starts the service, with some of its limits changed.
    pub async fn start(&self, changed: &[(&str, u64)]) -> Instance {
        let neighbours = Neighbours::of(&self.provider, &self.images);
        Instance::start(&self.check, "app", neighbours, &LIMITS, changed).await
    }

    /// From now on whoever asks for a picture whose name begins so is kept waiting by the
    /// store.
    pub fn hold(&self, name: &str) -> Gate {
        let path = format!("/images/{name}*");
        self.images.door.gate("GET", &path)
    }

    /// Sends `n` requests for a picture at once, and waits until each is at the store, which
    /// holds it, or answered.
    pub async fn crowd(&self, app: &Instance, n: usize, name: &str, gate: &Gate) -> Crowd {
        let before = gate.parked_now();
        let mut outside = Vec::new();
        for _ in 0..n {
            outside.push(app.connect().await);
        }
        for raw in &mut outside {
            raw.get(&format!("/images/{name}")).await;
        }
        let mut crowd = Crowd {
            held: outside,
            answered: Vec::new(),
            cut: 0,
        };
        let all_seen = async {
            while {
                crowd.look().await;
                crowd.held.len() > gate.parked_now().saturating_sub(before)
            } {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let seen = timeout(PATIENCE, all_seen).await;
        if seen.is_err() {
            finding::fail(
                format!("GET /images/{name}, {n} at once"),
                format!(
                    "{} are at the image store, {} are answered, and the rest has waited for {} s",
                    gate.parked_now().saturating_sub(before),
                    crowd.answered.len(),
                    PATIENCE.as_secs()
                ),
                "each of them served or refused at once: nobody queues",
            );
        }
        crowd
    }

    /// Fills `slots` slots with requests that the store holds. Who is refused meanwhile comes
    /// again: what was there before may just be going.
    pub async fn fill(&self, app: &Instance, slots: usize, name: &str, gate: &Gate) -> Vec<Raw> {
        let mut held = Vec::new();
        let round = self.check.timeline().mark();
        let filling = async {
            while held.len() < slots {
                let crowd = self.crowd(app, 1, name, gate).await;
                for reply in crowd.answered {
                    // What came of this one is told again by the next.
                    let _ = reply.expect(503, "no other reason is known to refuse a GET");
                    self.check.timeline().forget_since(round);
                    tokio::time::sleep(MOMENT).await;
                }
                held.extend(crowd.held);
            }
        };
        let filled = timeout(PATIENCE, filling).await;
        if filled.is_err() {
            finding::fail(
                "",
                format!(
                    "{} of {slots} slots can be had; whoever else came in {} s was refused or \
                     kept waiting",
                    held.len(),
                    PATIENCE.as_secs()
                ),
                format!("{slots}: the requests that had them are over"),
            );
        }
        held
    }
}

/// What became of requests that came at once.
pub struct Crowd {
    /// Those that the image store holds.
    pub held: Vec<Raw>,
    /// The answers to the others.
    pub answered: Vec<Reply>,
    /// How many got no answer and have no connection any more.
    pub cut: usize,
}

impl Crowd {
    /// Takes in the answers that have come.
    async fn look(&mut self) {
        let mut held = Vec::new();
        for mut raw in self.held.drain(..) {
            match raw.answered_by_now().await {
                None => held.push(raw),
                Some(Some(reply)) => self.answered.push(reply),
                Some(None) => self.cut += 1,
            }
        }
        self.held = held;
    }
}
