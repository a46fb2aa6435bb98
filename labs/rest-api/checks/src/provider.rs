//! The payment provider: it moves money, once for each key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use labkit::upstream::Upstream;
use labkit::{Check, finding};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where charges are made.
pub const CHARGES: &str = "/charges";

/// The provider of one check.
pub struct Provider {
    /// Its door: counted, gated, made to fail.
    pub door: Upstream,
    ledger: Arc<Mutex<Ledger>>,
}

/// What somebody was charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What for.
    pub order: String,
    /// How much.
    pub cents: i64,
}

#[derive(Default)]
struct Ledger {
    charges: Vec<Charge>,
    by_key: BTreeMap<String, usize>,
}

impl Provider {
    pub(crate) async fn open(check: &Check) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let router = Router::new()
            .route(CHARGES, post(charge))
            .with_state(Arc::clone(&ledger));
        let door = Upstream::serve(check.timeline(), "provider", router)
            .await
            .unwrap_or_else(|error| finding::error(format!("no provider: {error}")));
        Self { door, ledger }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// How often somebody was charged for an order.
    pub fn charges_for(&self, order: &str) -> usize {
        let ledger = lock(&self.ledger);
        let charges = ledger.charges.iter();
        charges.filter(|charge| charge.order == order).count()
    }

    /// The charge of a number, as it was told to the service.
    pub fn charge(&self, number: &str) -> Option<Charge> {
        let place: usize = number.strip_prefix("ch_")?.parse().ok()?;
        lock(&self.ledger).charges.get(place).cloned()
    }
}

async fn charge(
    State(ledger): State<Arc<Mutex<Ledger>>>,
    headers: HeaderMap,
    Json(charge): Json<Charge>,
) -> (StatusCode, Json<Value>) {
    let key = headers.get("idempotency-key");
    let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    let mut ledger = lock(&ledger);
    let known = key.as_ref().and_then(|key| ledger.by_key.get(key).copied());
    let place = match known {
        Some(place) if ledger.charges[place] != charge => {
            let why = json!({ "error": "this key was used for another charge" });
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(why));
        }
        Some(place) => place,
        None => {
            ledger.charges.push(charge);
            ledger.charges.len() - 1
        }
    };
    if let Some(key) = key {
        ledger.by_key.insert(key, place);
    }
    (
        StatusCode::CREATED,
        Json(json!({ "charge": format!("ch_{place}") })),
    )
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
