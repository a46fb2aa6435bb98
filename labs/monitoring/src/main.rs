//! The service of a shop: a checkout, pages of products, a search. It works; nobody can see
//! how well.
//!
//! The shell is given: `main` here, the state in `shop`, the time in `clock`, and the three
//! parts of the shop in `checkout`, `pages` and `search`. The exercises are one module each,
//! and measure one part each.

#![allow(
    unreachable_pub,
    reason = "in a program nothing is reachable from outside; `pub` reads better than `pub(crate)`"
)]
#![allow(
    dead_code,
    reason = "what an unfinished exercise does not call yet is not dead"
)]

mod cardinality;
mod checkout;
mod clock;
mod instrument;
mod neighbour;
mod pages;
mod prelude;
mod routes;
mod search;
mod shop;
mod slo_histogram;

use std::io::Write as _;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::shop::Shop;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::from_environment()?;
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
