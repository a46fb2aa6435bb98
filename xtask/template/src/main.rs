//! The app of the lab: binds a port of its own, says where, serves until SIGTERM.
#![allow(clippy::print_stdout, reason = "the first line on stdout is the app's contract")]

mod greeting;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let routes = Router::new().route("/greetings/{name}", get(greet));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // Before the line below: whoever reads it may ask for the end at once.
    let mut term = signal(SignalKind::terminate())?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            term.recv().await;
        })
        .await?;
    Ok(())
}

async fn greet(Path(name): Path<String>) -> String {
    greeting::greeting(&name)
}
