//! Exercise 7: survive load.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::prelude::*;

/// The routes, and what each request passes before it gets there: one layer for each limit.
pub fn guarded(routes: Router, limits: Limits) -> Router {
    let slots = Arc::new(Semaphore::new(limits.requests));
    routes
        .layer(middleware::from_fn_with_state(limits, measured))
        .layer(middleware::from_fn_with_state(limits, timed))
        .layer(middleware::from_fn_with_state(slots, counted))
}

async fn counted(State(slots): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    match slots.try_acquire_owned() {
        Ok(slot) => next.run(request).await.map(|body| kept(body, slot)),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// An answer has its slot until its last byte is on its way.
fn kept(body: Body, slot: OwnedSemaphorePermit) -> Body {
    let frames = body.into_data_stream();
    Body::from_stream(frames.map(move |frame| {
        let _kept = &slot;
        frame
    }))
}

async fn timed(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    tokio::select! {
        answer = next.run(request) => answer,
        () = sleep(limits.time) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

async fn measured(State(limits): State<Limits>, mut request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    // A number that is too long to be read is too long.
    let fits = length.is_none_or(|length| {
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| length <= limits.body)
    });
    if !fits {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    DefaultBodyLimit::max(limits.body).apply(&mut request);
    next.run(request).await
}

/// Serves until `terminate` is ready: then nobody new comes in, and whoever is here is served.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: Duration,
    terminate: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let over = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&over);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        terminate.await;
        told.close();
    });
    let mut serving = pin!(serving.into_future());
    tokio::select! {
        served = &mut serving => return Ok(served?),
        _ = over.acquire() => {}
    }
    match timeout(drain, serving).await {
        Ok(served) => Ok(served?),
        Err(_) => anyhow::bail!("{drain:?} were not enough"),
    }
}
