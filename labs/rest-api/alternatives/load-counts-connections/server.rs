//! Exercise 7: survive load.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::DefaultBodyLimit;
use axum::serve::Listener;
use tokio::io::{AsyncRead, Join, ReadBuf, join};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::prelude::*;

/// The routes, and what each request passes before it gets there.
pub fn guarded(routes: Router, limits: Limits) -> Router {
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
}

/// Each connection has a sender: who waits for the receiver hears when the last one is closed.
struct Counted {
    door: TcpListener,
    open: mpsc::Sender<()>,
}

struct Reader {
    half: OwnedReadHalf,
    _open: mpsc::Sender<()>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.half).poll_read(context, buffer)
    }
}

impl Listener for Counted {
    type Io = Join<Reader, OwnedWriteHalf>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.door).await;
        let (half, writer) = stream.into_split();
        let reader = Reader {
            half,
            _open: self.open.clone(),
        };
        (join(reader, writer), address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.door.local_addr()
    }
}

/// Serves until `terminate` is ready: then nobody new comes in, and whoever is here is served.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    drain: Duration,
    terminate: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (open, mut closed) = mpsc::channel(1);
    let door = listener;
    tokio::select! {
        served = axum::serve(Counted { door, open }, router).into_future() => served?,
        // Drops the server: its door is closed, and each connection ends behind what it is at.
        () = terminate => {}
    }
    match timeout(drain, closed.recv()).await {
        Ok(_) => Ok(()),
        Err(_) => anyhow::bail!("somebody was still there after {drain:?}"),
    }
}
