//! Exercise 7: survive load.

// BEGIN SOLUTION
use std::sync::Arc;
// END SOLUTION
use std::time::Duration;

// BEGIN SOLUTION
use axum::body::HttpBody as _;
use axum::extract::DefaultBodyLimit;
// END SOLUTION
use tokio::net::TcpListener;
// BEGIN SOLUTION
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
// END SOLUTION

use crate::prelude::*;

/// The routes, and what each request passes before it gets there.
///
/// No more than `limits.requests` are served at the same time, none has a body longer than
/// `limits.body`, none takes longer than `limits.time`. Whatever else, `HEALTH` is answered.
pub fn guarded(routes: Router, limits: Limits) -> Router {
    // BEGIN PROMPT
    // let _ = limits;
    // routes
    // END PROMPT
    // BEGIN SOLUTION
    let slots = Arc::new(Semaphore::new(limits.requests));
    let guard = middleware::from_fn(move |request: Request, next: Next| {
        let slots = Arc::clone(&slots);
        async move {
            if request.uri().path() == HEALTH {
                return next.run(request).await;
            }
            // Given back when this future ends, is dropped, or panics.
            let Ok(_slot) = slots.try_acquire() else {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            };
            // What the head announces. A body without a length is measured as it comes.
            if request.body().size_hint().lower() > limits.body as u64 {
                return StatusCode::PAYLOAD_TOO_LARGE.into_response();
            }
            match timeout(limits.time, next.run(request)).await {
                Ok(answer) => answer,
                Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
            }
        }
    });
    routes
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(guard)
    // END SOLUTION
}

/// Serves until `terminate` is ready: then nobody new comes in, and whoever is here is served.
///
/// That takes no longer than `drain`. If somebody was still here by then, it is an error.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: Duration,
    terminate: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // BEGIN PROMPT
    // let _ = drain;
    // tokio::select! {
    //     served = axum::serve(listener, router).into_future() => served?,
    //     () = terminate => {}
    // }
    // Ok(())
    // END PROMPT
    // BEGIN SOLUTION
    let (tell, told) = oneshot::channel();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        terminate.await;
        let _ = tell.send(());
    });
    let deadline = async {
        // An error as well: the server is gone then, and the other branch is ready.
        let _ = told.await;
        sleep(drain).await;
    };
    tokio::select! {
        served = serving.into_future() => Ok(served?),
        () = deadline => anyhow::bail!("somebody was still being served after {drain:?}"),
    }
    // END SOLUTION
}
