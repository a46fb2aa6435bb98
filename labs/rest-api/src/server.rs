//! Exercise 7: survive load.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::prelude::*;

/// The routes, and what each request passes before it gets there.
///
/// No more than `limits.requests` are served at the same time, none has a body longer than
/// `limits.body`, none takes longer than `limits.time`. Whatever else, `HEALTH` is answered.
pub fn guarded(routes: Router, limits: Limits) -> Router {
    let _ = limits;
    routes
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
    let _ = drain;
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served?,
        () = terminate => {}
    }
    Ok(())
}
