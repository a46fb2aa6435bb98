//! A small shop between a slow, precious catalogue and many readers, with Redis beside it.
//!
//! The shell is given: `main` here, the state in `shop`, the doors in `routes`, the client
//! of the catalogue in `catalogue`. The exercises are one module each.

#![allow(
    unreachable_pub,
    reason = "in a program nothing is reachable from outside; `pub` reads better than `pub(crate)`"
)]
#![allow(
    dead_code,
    reason = "what an unfinished exercise does not call yet is not dead"
)]

mod cache_aside;
mod catalogue;
mod clock;
mod dead_cache;
mod error;
mod fenced_fill;
mod invalidate_on_write;
mod negative_caching;
mod prelude;
mod routes;
mod shop;
mod stale_while_revalidate;
mod stampede_lock;
mod ttl_jitter;
mod warm;

use std::io::Write as _;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::shop::Shop;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::from_environment().await?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen on the loopback interface")?;
    // Before the line below: whoever reads it may ask for the end at once.
    let mut terminate = signal(SignalKind::terminate())?;
    // Whoever started us learns the port from this line.
    writeln!(
        std::io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    )?;

    axum::serve(listener, routes::of(shop))
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}
