//! The HTTP API of a shop: items, customers, pages, payments and orders over one Postgres.
//!
//! The shell is given: `main` here, the state in `shop`, who is calling in `caller`, the
//! clients of other services in `provider` and `images`. Six exercises are one module each,
//! with its own routes; `routes` puts them together. The seventh, `server`, is what every
//! request passes before it gets there, and how the service ends.

#![allow(
    unreachable_pub,
    reason = "in a program nothing is reachable from outside; `pub` reads better than `pub(crate)`"
)]
#![allow(
    dead_code,
    reason = "what an unfinished exercise does not call yet is not dead"
)]

mod caller;
mod customers;
mod fault;
mod images;
mod items;
mod limits;
mod listing;
mod model;
mod net;
mod orders;
mod pages;
mod payments;
mod prelude;
mod provider;
mod routes;
mod server;
mod shop;

use std::io::Write as _;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::limits::Limits;
use crate::shop::Shop;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    net::remember_panics();
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
    let terminate = async move {
        terminate.recv().await;
    };
    let routes = routes::of(shop);
    match Limits::from_environment()? {
        Some(limits) => {
            let router = net::below(server::guarded(routes, limits));
            server::serve(listener, router, limits.drain, terminate).await
        }
        // Whoever works at another exercise is served, whatever `server` can do by now.
        None => {
            let serving = axum::serve(listener, net::below(routes));
            Ok(serving.with_graceful_shutdown(terminate).await?)
        }
    }
}
