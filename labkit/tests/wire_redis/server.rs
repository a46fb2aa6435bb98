//! A real Redis for one test, and clients for it.

use std::process::Stdio;
use std::time::Duration;

use labkit::timeline::Timeline;
use labkit::wire::{Address, Match, Message, Target, Wire};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// After this a test hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) target: Target,
    _process: Child,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let socket = folder.path().join("redis.sock");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("these tests need redis-server on the PATH (Debian: apt install redis-server)");
        let mut log = BufReader::new(process.stdout.take().expect("piped")).lines();
        let ready = async {
            while let Some(line) = log.next_line().await.expect("its log") {
                if line.contains("ready to accept connections") {
                    return;
                }
            }
            panic!("redis-server ended before it was ready");
        };
        timeout(LIMIT, ready).await.expect("redis-server is ready");
        // Read on, or a chatty server would stand still at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            target: Target::at(Address::Unix(socket)),
            _process: process,
            _folder: folder,
        }
    }

    pub(crate) async fn wire(&self) -> (Wire, Timeline) {
        let timeline = Timeline::new();
        let wire = Wire::redis(timeline.clone(), "app", "redis", self.target.clone())
            .await
            .expect("a wire");
        (wire, timeline)
    }
}

pub(crate) async fn client(wire: &Wire) -> MultiplexedConnection {
    client_with(wire, "").await
}

pub(crate) async fn client_with(wire: &Wire, query: &str) -> MultiplexedConnection {
    redis::Client::open(format!("redis://{}/{query}", wire.address()))
        .expect("an address")
        .get_multiplexed_async_connection()
        .await
        .expect("a connection")
}

/// What was said, without the greeting of the client library.
pub(crate) fn said(wire: &Wire) -> Vec<Message> {
    let mut messages = wire.messages();
    messages.retain(|message| !["CLIENT", "HELLO"].contains(&message.verb().as_str()));
    messages
}

/// `["GET a -> nil", …]`, without the greeting of the client library.
pub(crate) fn lines(timeline: &Timeline) -> Vec<String> {
    let events = timeline.events().into_iter();
    events
        .filter(|event| {
            !event.what.starts_with("CLIENT SETINFO") && !event.what.starts_with("HELLO")
        })
        .map(|event| match event.reply {
            Some(reply) => format!("{} → {}: {} = {reply}", event.from, event.to, event.what),
            None => format!("{} → {}: {}", event.from, event.to, event.what),
        })
        .collect()
}

pub(crate) fn get(key: &str) -> redis::Cmd {
    redis::cmd("GET").arg(key).take()
}

pub(crate) fn set(key: &str, value: &str) -> redis::Cmd {
    redis::cmd("SET").arg(key).arg(value).take()
}

/// A command sent in a task of its own.
pub(crate) fn spawn(
    connection: &MultiplexedConnection,
    command: redis::Cmd,
) -> tokio::task::JoinHandle<redis::RedisResult<Option<String>>> {
    let mut connection = connection.clone();
    tokio::spawn(async move { command.query_async(&mut connection).await })
}

pub(crate) async fn done<T>(task: tokio::task::JoinHandle<T>) -> T {
    timeout(LIMIT, task)
        .await
        .expect("an answer in time")
        .expect("no panic")
}

/// A client that says and hears bytes.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(wire: &Wire) -> Self {
        Self(
            TcpStream::connect(wire.address())
                .await
                .expect("a connection"),
        )
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it is heard");
    }

    pub(crate) async fn hears(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let heard = self.hears_some(expected.len()).await;
        assert_eq!(
            String::from_utf8_lossy(&heard),
            String::from_utf8_lossy(expected)
        );
    }

    pub(crate) async fn hears_some(&mut self, length: usize) -> Vec<u8> {
        let mut heard = vec![0; length];
        timeout(LIMIT, self.0.read_exact(&mut heard))
            .await
            .expect("an answer in time")
            .expect("the connection is open");
        heard
    }

    pub(crate) async fn hears_line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.hears_some(1).await);
        }
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) async fn hears_the_end(&mut self) -> String {
        let mut heard = Vec::new();
        // A reset is an end as well; what came before it was read.
        let _ = timeout(LIMIT, self.0.read_to_end(&mut heard))
            .await
            .expect("the connection ends");
        String::from_utf8_lossy(&heard).into_owned()
    }
}

pub(crate) fn del(key: &str) -> Match {
    Match::command("DEL").key(key)
}
