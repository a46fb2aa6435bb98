//! The catalogue of the benchmark: as slow and as narrow as `lab.toml` says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What one load takes.
const LOAD: Duration = Duration::from_millis(5);

/// How many loads are worked on at the same time; the others wait in line.
const AT_ONCE: usize = 8;

/// A catalogue that counts.
pub(crate) struct Catalogue {
    address: SocketAddr,
    counter: Arc<Counter>,
}

struct Counter {
    loads: AtomicUsize,
    places: Semaphore,
}

impl Catalogue {
    /// Serves on a port of its own, for as long as the runtime lives.
    pub(crate) async fn serve() -> Self {
        let counter = Arc::new(Counter {
            loads: AtomicUsize::new(0),
            places: Semaphore::new(AT_ONCE),
        });
        let router = Router::new()
            .route("/products/{id}", get(product))
            .route("/deals/{id}", get(deal))
            .with_state(Arc::clone(&counter));
        let bound = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        };
        let (address, listener) = bound
            .await
            .unwrap_or_else(|error| panic!("no catalogue: {error}"));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, counter }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came since it was told to forget.
    pub(crate) fn loads(&self) -> usize {
        self.counter.loads.load(Ordering::Relaxed)
    }

    /// Counts from 0 again.
    pub(crate) fn forget(&self) {
        self.counter.loads.store(0, Ordering::Relaxed);
    }
}

impl Counter {
    async fn load(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
        // It is never closed.
        let _place = self.places.acquire().await;
        tokio::time::sleep(LOAD).await;
    }
}

async fn product(State(counter): State<Arc<Counter>>) -> Json<Value> {
    counter.load().await;
    let description = "It boils water, and it whistles when it is done. ".repeat(8);
    Json(json!({ "id": 7, "name": "kettle", "description": description, "stock": 12 }))
}

async fn deal(State(counter): State<Arc<Counter>>) -> Json<Value> {
    counter.load().await;
    Json(json!({ "id": 7, "title": "half price until midnight", "cents": 1999 }))
}
