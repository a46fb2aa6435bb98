//! A service behind the learner's: the till or the index. It answers what a check wants, and
//! says how long that took.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use labkit::upstream::Upstream;
use labkit::{Check, finding};

/// One of them.
pub struct Neighbour {
    /// Its door: counted, gated.
    pub door: Upstream,
    manner: Arc<Mutex<Manner>>,
}

/// How it answers.
#[derive(Clone, Copy, Debug)]
struct Manner {
    status: u16,
    took_ms: u64,
}

impl Neighbour {
    pub(crate) async fn open(check: &Check, name: &str) -> Self {
        let manner = Arc::new(Mutex::new(Manner {
            status: 200,
            took_ms: 0,
        }));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&manner));
        let door = Upstream::serve(check.timeline(), name, router)
            .await
            .unwrap_or_else(|error| finding::error(format!("no {name}: {error}")));
        Self { door, manner }
    }

    /// From now on answers so, and says that it took so long.
    pub fn answers(&self, status: u16, took_ms: u64) {
        let mut manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner);
        *manner = Manner { status, took_ms };
    }
}

async fn answer(State(manner): State<Arc<Mutex<Manner>>>) -> impl IntoResponse {
    let Manner { status, took_ms } = *manner.lock().unwrap_or_else(PoisonError::into_inner);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("took-ms", took_ms.to_string())], "[]")
}
