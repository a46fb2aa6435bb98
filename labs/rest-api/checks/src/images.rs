//! The image store: pictures by their name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use labkit::upstream::Upstream;
use labkit::{Check, finding};

/// The store of one check.
pub struct Images {
    /// Its door: counted and gated.
    pub door: Upstream,
    shelf: Arc<Mutex<Shelf>>,
}

type Shelf = BTreeMap<String, Picture>;

struct Picture {
    typed: bool,
    bytes: Bytes,
}

impl Images {
    pub(crate) async fn open(check: &Check) -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::new()));
        let router = Router::new()
            .route("/images/{name}", get(show).put(keep))
            // What is too long is for the service to say.
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shelf));
        let door = Upstream::serve(check.timeline(), "images", router)
            .await
            .unwrap_or_else(|error| finding::error(format!("no image store: {error}")));
        Self { door, shelf }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Puts a picture there, past the service.
    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        self.place(name, true, bytes.into());
    }

    /// The same, and the store will not say what kind of picture it is.
    pub fn put_untyped(&self, name: &str, bytes: impl Into<Bytes>) {
        self.place(name, false, bytes.into());
    }

    /// The picture of this name.
    pub fn picture(&self, name: &str) -> Option<Bytes> {
        let shelf = lock(&self.shelf);
        shelf.get(name).map(|picture| picture.bytes.clone())
    }

    fn place(&self, name: &str, typed: bool, bytes: Bytes) {
        lock(&self.shelf).insert(name.to_owned(), Picture { typed, bytes });
    }
}

async fn show(State(shelf): State<Arc<Mutex<Shelf>>>, Path(name): Path<String>) -> Response {
    let shelf = lock(&shelf);
    let Some(picture) = shelf.get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut answer = Response::new(Body::from(picture.bytes.clone()));
    if picture.typed {
        let kind = HeaderValue::from_static("image/svg+xml");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}

async fn keep(
    State(shelf): State<Arc<Mutex<Shelf>>>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> StatusCode {
    lock(&shelf).insert(name, Picture { typed: true, bytes });
    StatusCode::NO_CONTENT
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}
