//! The orders desk of a small shop: what it asks Postgres, the exercises make cheap.
//!
//! The shell is given: `main` here, the doors in `routes`, what the desk shows in `desk`. The
//! Rust exercises are one module each; the others are `.sql` files beside `src/`.

#![allow(
    unreachable_pub,
    reason = "in a program nothing is reachable from outside; `pub` reads better than `pub(crate)`"
)]
#![allow(
    dead_code,
    reason = "what an unfinished exercise does not use yet is not dead"
)]

mod desk;
mod keyset_pages;
mod packing_slips;
mod prelude;
mod routes;

use std::env;
use std::io::Write as _;

use anyhow::Context as _;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How many connections the desk keeps: as many as it has ever needed at once.
const CONNECTIONS: u32 = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&url)
        .await
        .context("cannot connect to Postgres at DATABASE_URL")?;
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

    axum::serve(listener, routes::of(pool))
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}
