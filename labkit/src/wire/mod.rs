//! The recording proxy between an app and the real service behind it.
//!
//! There is one wire for each app process and service, so that the timeline knows who
//! spoke to whom. The wire forwards the bytes that it was given, records every message
//! with its answer, and is the place where a check makes faults happen: at the k-th
//! message that matches, never after some time.

mod address;
mod command;
mod fault;
mod http;
mod matching;
mod message;
mod outbox;
mod postgres;
mod protocol;
mod proxy;
mod redis;
mod refuse;
mod resp;
mod session;
mod shared;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::AbortHandle;

pub use address::{Address, Login, Target};
pub use fault::{HELD, Hold, Step, Steps, StillWaiting};
pub use matching::Match;
pub(crate) use matching::path_meets;
pub use message::{Message, MessageKind, Reply, ReplyKind, Value};
pub use postgres::{Param, SqlReply};

use crate::timeline::Timeline;
use fault::Action;
use protocol::Protocol;
use shared::Shared;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A recording proxy. Dropping it closes its listener and all connections through it.
pub struct Wire {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound but never listening: while the wire is down nobody else gets its port, and who
    /// connects is refused.
    _port: TcpSocket,
    accepting: AbortHandle,
}

impl Wire {
    /// A wire from one app process to a Redis server.
    pub async fn redis(
        timeline: Timeline,
        client: &str,
        service: &str,
        target: Target,
    ) -> io::Result<Self> {
        let target = Arc::new(target);
        Self::start(timeline, client, service, move || {
            let target = Arc::clone(&target);
            async move {
                let (mut reader, mut writer) = proxy::connect(&target.address).await?;
                redis::log_in(&target, &mut reader, &mut writer).await?;
                Ok((redis::Redis::new(&target), reader, writer))
            }
        })
    }

    /// A wire from one app process to a Postgres server.
    ///
    /// The app logs in itself, through the wire: it needs role, password and database in its
    /// URL. Of the target only the address is used, and a Unix socket there must ask for a
    /// password too. Nothing is encrypted: a client that insists on TLS cannot connect.
    ///
    /// A message is a statement that is executed, however it was sent. A held, cut or delayed
    /// one has not reached the server in any part that locks or reads (it may be prepared);
    /// a reply is held or lost as a whole, and where the app asked for the end of the
    /// statement's own transaction in the same breath, that is over by then.
    pub async fn postgres(
        timeline: Timeline,
        client: &str,
        service: &str,
        target: Target,
    ) -> io::Result<Self> {
        Self::start(timeline, client, service, move || {
            let address = target.address.clone();
            async move {
                let (reader, writer) = proxy::connect(&address).await?;
                Ok((postgres::Postgres::default(), reader, writer))
            }
        })
    }

    /// A wire from one app process to an HTTP server.
    pub async fn http(
        timeline: Timeline,
        client: &str,
        service: &str,
        upstream: SocketAddr,
    ) -> io::Result<Self> {
        let upstream = Address::Tcp(upstream);
        Self::start(timeline, client, service, move || {
            let upstream = upstream.clone();
            async move {
                let (reader, writer) = proxy::connect(&upstream).await?;
                Ok((http::Http::default(), reader, writer))
            }
        })
    }

    /// A wire whose connections to the service are opened so.
    fn start<P, F>(
        timeline: Timeline,
        client: &str,
        service: &str,
        open: impl Fn() -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        P: Protocol,
        F: Future<Output = io::Result<(P, proxy::Reader, proxy::Writer)>> + Send + 'static,
    {
        let (port, address, listener) = bind()?;
        let shared = Shared::new(timeline, client, service, listener);
        let accepting = tokio::spawn(proxy::accept(Arc::clone(&shared), open));
        Ok(Self {
            shared,
            address,
            _port: port,
            accepting: accepting.abort_handle(),
        })
    }

    /// What the app is given as the address of the service.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which they came.
    pub fn messages(&self) -> Vec<Message> {
        let state = self.shared.state();
        state
            .messages
            .iter()
            .map(|(message, _)| message.clone())
            .collect()
    }

    /// Holds a request: it does not reach the service before it is released.
    pub fn hold(&self, matching: Match) -> Hold {
        self.shared.state().faults.hold(matching)
    }

    /// Holds the reply to a request: the service has done what it was asked.
    pub fn hold_reply(&self, matching: Match) -> Hold {
        self.shared.state().faults.hold_reply(matching)
    }

    /// Holds every request that matches, from the k-th on, each until it is released.
    pub fn hold_each(&self, matching: Match) -> Steps {
        self.shared.state().faults.hold_each(matching)
    }

    /// Cuts the connection instead of forwarding the request.
    pub fn cut(&self, matching: Match) {
        self.shared.state().faults.set(matching, Action::Cut);
    }

    /// Forwards the request, swallows the reply and cuts the connection: the app cannot
    /// know whether it was done. (A lone lost reply would shift every later one.)
    pub fn drop_reply(&self, matching: Match) {
        self.shared.state().faults.set(matching, Action::DropReply);
    }

    /// Forwards the request, and all behind it, after some time.
    pub fn delay(&self, matching: Match, time: Duration) {
        self.shared
            .state()
            .faults
            .set(matching, Action::Delay(time));
    }

    /// Takes the service away: cuts all connections and refuses new ones. From here on no
    /// request is forwarded.
    pub fn down(&self) {
        if let Some(listener) = self.shared.state().listener.take() {
            // A process that is just being started elsewhere holds a copy of it until its
            // exec; closing ours alone would let it listen on. macOS knows no such way.
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        }
        self.shared.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Brings the service back, at the same address.
    pub fn up(&self) {
        let mut state = self.shared.state();
        if state.listener.is_some() {
            return;
        }
        match listen(self.address) {
            Ok(listener) => state.listener = Some(listener),
            Err(error) => {
                drop(state);
                crate::finding::error(format!(
                    "the wire to {} cannot listen on {} again: {error}",
                    self.shared.service, self.address
                ))
            }
        }
        drop(state);
        // Wakes up who accepts.
        self.shared.epoch.send_modify(|epoch| *epoch += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.down();
        self.accepting.abort();
    }
}

/// A port of our own, and a listener on it.
fn bind() -> io::Result<(TcpSocket, SocketAddr, TcpListener)> {
    let port = socket((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = port.local_addr()?;
    let listener = listen(address)?;
    Ok((port, address, listener))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket(address)?.listen(BACKLOG)
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Two sockets share the port: the one that keeps it and the one that listens. Linux
    // asks for the first option, macOS for the second as well.
    socket.set_reuseaddr(true)?;
    #[cfg(target_os = "macos")]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}
