//! A connection to a server, before either side has spoken.

use std::time::Duration;

use anyhow::{Context, Result};
use labkit::wire::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A server that does not answer in this time is not one that checks can lean on.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Either kind of socket.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects, without a word yet.
pub(super) async fn connect(address: &Address) -> Result<Box<dyn Stream>> {
    let connecting = async {
        Ok::<Box<dyn Stream>, std::io::Error>(match address {
            Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    timeout(PATIENCE, connecting)
        .await
        .with_context(|| format!("no connection to {address} in {PATIENCE:?}"))?
        .with_context(|| format!("cannot connect to {address}"))
}
