//! Exercise 7: survive load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::prelude::*;

/// One of those who are being served.
struct Guest(Arc<AtomicUsize>);

impl Guest {
    fn enter(inside: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let guest = Self(Arc::clone(inside));
        let before = inside.fetch_add(1, Ordering::SeqCst);
        // Who is refused leaves again: the guest is dropped here.
        (before < most).then_some(guest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The routes, and what each request passes before it gets there.
pub fn guarded(routes: Router, limits: Limits) -> Router {
    let inside = Arc::new(AtomicUsize::new(0));
    let door = Door { inside, limits };
    routes.layer(middleware::from_fn_with_state(door, pass))
}

#[derive(Clone)]
struct Door {
    inside: Arc<AtomicUsize>,
    limits: Limits,
}

async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    if request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    let limits = door.limits;
    let Some(guest) = Guest::enter(&door.inside, limits.requests) else {
        let later = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "come again").into_response();
    };
    let served = timeout(limits.time, whole(request, next, limits.body)).await;
    drop(guest);
    served.unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, "too slow").into_response())
}

/// Reads the body before anybody else does.
async fn whole(request: Request, next: Next, longest: usize) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > longest as u64) {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too long").into_response();
    }
    let (parts, body) = request.into_parts();
    match to_bytes(body, longest).await {
        Ok(bytes) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too long").into_response(),
    }
}

/// Serves until `terminate` is ready: then nobody new comes in, and whoever is here is served.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: Duration,
    terminate: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        terminate.await;
        tell.send_replace(true);
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(heard(told.clone()));
    let serving = tokio::spawn(serving.into_future());
    heard(told).await;
    match timeout(drain, serving).await {
        Ok(served) => Ok(served??),
        Err(_) => anyhow::bail!("not everybody was served in {drain:?}"),
    }
}

async fn heard(mut told: watch::Receiver<bool>) {
    let _ = told.wait_for(|over| *over).await;
}
