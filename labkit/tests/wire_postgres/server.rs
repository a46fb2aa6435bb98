//! A real Postgres for this test binary, a database of its own for each test, and clients.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use labkit::timeline::Timeline;
use labkit::wire::{Address, Target, Wire};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// After this a test hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Who a server runs as that refuses root.
const NOBODY: u32 = 65534;
const PASSWORD: &str = "wire pass";
/// Ends the server and removes its folder when this process has ended, however it did: a
/// static is never dropped.
const SUPERVISE: &str = r#"
    "$1/initdb" -D "$2/data" -U admin --auth=scram-sha-256 --pwfile="$2/password" \
        --no-sync --locale=C -E UTF8 >"$2/log" 2>&1 || { echo "initdb failed"; cat "$2/log"; exit 1; }
    "$1/postgres" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" \
        -c fsync=off -c max_connections=200 -c log_min_messages=fatal >"$2/log" 2>&1 </dev/null &
    echo started
    read -r _
    kill -INT $!
    wait $!
    rm -rf "$2"
"#;

struct Shared {
    folder: PathBuf,
    _supervisor: Child,
}

static SHARED: OnceLock<Shared> = OnceLock::new();
static DATABASES: AtomicUsize = AtomicUsize::new(1);

/// A database of its own on the server.
pub(crate) struct Server {
    pub(crate) target: Target,
    database: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = &SHARED.get_or_init(start).folder;
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let server = Self {
            target: Target::at(Address::Unix(folder.join(".s.PGSQL.5432"))),
            database: format!("test_{number}"),
        };
        let mut admin =
            connected(PgConnectOptions::new().socket(folder).database("postgres")).await;
        let make = format!(
            "CREATE ROLE learner_{number} LOGIN PASSWORD '{PASSWORD}';
             CREATE DATABASE test_{number} OWNER learner_{number} TEMPLATE template0"
        );
        for statement in make.split(';') {
            admin
                .execute(sqlx::AssertSqlSafe(statement))
                .await
                .expect("a database of its own");
        }
        server
    }

    pub(crate) async fn wire(&self) -> (Wire, Timeline) {
        let timeline = Timeline::new();
        let wire = Wire::postgres(timeline.clone(), "app", "postgres", self.target.clone())
            .await
            .expect("a wire");
        (wire, timeline)
    }

    /// How an app connects to this database through a wire.
    pub(crate) fn through(&self, wire: &Wire) -> PgConnectOptions {
        let address = wire.address();
        PgConnectOptions::new()
            .host(&address.ip().to_string())
            .port(address.port())
            .username(&self.role())
            .password(PASSWORD)
            .database(&self.database)
    }

    pub(crate) async fn client(&self, wire: &Wire) -> PgConnection {
        timeout(LIMIT, PgConnection::connect_with(&self.through(wire)))
            .await
            .expect("a login in time")
            .expect("a login")
    }

    /// A client that speaks to the server itself, as its administrator.
    pub(crate) async fn direct(&self) -> PgConnection {
        let Address::Unix(socket) = &self.target.address else {
            unreachable!("it listens on a socket");
        };
        let folder = socket.parent().expect("a folder");
        connected(
            PgConnectOptions::new()
                .socket(folder)
                .database(&self.database),
        )
        .await
    }

    pub(crate) fn role(&self) -> String {
        self.database.replace("test", "learner")
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }
}

async fn connected(options: PgConnectOptions) -> PgConnection {
    let options = options.username("admin").password(PASSWORD);
    let tries = async {
        loop {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => return connection,
                // It has only just been started.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(LIMIT, tries).await.expect("Postgres is ready")
}

fn start() -> Shared {
    let folder = tempfile::tempdir().expect("a temp folder").keep();
    std::fs::write(folder.join("password"), PASSWORD).expect("the password");
    let mut supervisor = Command::new("sh");
    supervisor
        .args(["-c", SUPERVISE, "sh"])
        .arg(binaries())
        .arg(&folder);
    if nix::unistd::geteuid().is_root() {
        for path in [folder.clone(), folder.join("password")] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("a folder of the server's own");
        }
        supervisor.uid(NOBODY).gid(NOBODY);
    }
    let mut supervisor = supervisor
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if first != "started" {
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        panic!("{first}: {rest:#?}");
    }
    Shared {
        folder,
        _supervisor: supervisor,
    }
}

/// The folder with `postgres` and `initdb`: Debian keeps them off the PATH.
fn binaries() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut found: Vec<PathBuf> = debian
        .chain(path)
        .filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .collect();
    found.sort();
    found
        .pop()
        .expect("these tests need the Postgres server (Debian: apt install postgresql)")
}

/// `["app → postgres: SELECT 1 = SELECT 1", …]`
pub(crate) fn lines(timeline: &Timeline) -> Vec<String> {
    let events = timeline.events().into_iter();
    events
        .map(|event| match event.reply {
            Some(reply) => format!("{} → {}: {} = {reply}", event.from, event.to, event.what),
            None => format!("{} → {}: {}", event.from, event.to, event.what),
        })
        .collect()
}

/// A statement sent in a task of its own; its connection comes back with it.
pub(crate) fn spawn(
    mut connection: PgConnection,
    sql: &'static str,
) -> tokio::task::JoinHandle<(PgConnection, sqlx::Result<u64>)> {
    tokio::spawn(async move {
        let done = connection.execute(sql).await;
        (connection, done.map(|done| done.rows_affected()))
    })
}

pub(crate) async fn done<T>(task: tokio::task::JoinHandle<T>) -> T {
    timeout(LIMIT, task)
        .await
        .expect("an answer in time")
        .expect("no panic")
}

pub(crate) async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(connection)
        .await
        .expect("a count")
}

/// The message of an error of the client, with its SQLSTATE.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()?
        .code()
        .map(|code| code.into_owned())
}

/// A client that says messages and hears of what kind the answers are.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(wire: &Wire) -> Self {
        Self(
            TcpStream::connect(wire.address())
                .await
                .expect("a connection"),
        )
    }

    /// Logged in, and ready for a query.
    pub(crate) async fn log_in(server: &Server, wire: &Wire) -> Self {
        let mut raw = Self::connect(wire).await;
        raw.start(server).await;
        raw
    }

    /// Logs in as a client does that has no TLS: with SCRAM, without channel binding. Returns
    /// what a demand to cancel has to name.
    pub(crate) async fn start(&mut self, server: &Server) -> Vec<u8> {
        let mut out = BytesMut::new();
        let role = server.role();
        let options = [("user", role.as_str()), ("database", server.database())];
        frontend::startup_message(options, &mut out).expect("a startup");
        self.say(out.split()).await;
        let (kind, mechanisms) = self.hears_one().await;
        assert_eq!((kind, &mechanisms[4..]), ('R', &b"SCRAM-SHA-256\0\0"[..]));
        let mut scram = ScramSha256::new(PASSWORD.as_bytes(), ChannelBinding::unsupported());
        frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), &mut out).expect("short");
        self.say(out.split()).await;
        scram.update(&self.hears_one().await.1[4..]).expect("SCRAM");
        frontend::sasl_response(scram.message(), &mut out).expect("short");
        self.say(out.split()).await;
        scram
            .finish(&self.hears_one().await.1[4..])
            .expect("the server knows it too");
        let mut key = Vec::new();
        loop {
            match self.hears_one().await {
                ('K', body) => key = body,
                ('Z', _) => return key,
                _ => {}
            }
        }
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it is heard");
    }

    pub(crate) async fn hears_some(&mut self, length: usize) -> Vec<u8> {
        let mut heard = vec![0; length];
        timeout(LIMIT, self.0.read_exact(&mut heard))
            .await
            .expect("an answer in time")
            .expect("the connection is open");
        heard
    }

    /// A message of the server: its kind, and what it holds.
    pub(crate) async fn hears_one(&mut self) -> (char, Vec<u8>) {
        let head = self.hears_some(5).await;
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes"));
        let body = self.hears_some(length as usize - 4).await;
        (char::from(head[0]), body)
    }

    /// The kinds of the next messages, in their order: `12TDCZ`.
    pub(crate) async fn hears(&mut self, kinds: &str) {
        let mut heard = String::new();
        while heard.len() < kinds.len() {
            heard.push(self.hears_one().await.0);
        }
        assert_eq!(heard, kinds);
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) async fn hears_the_end(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        // A reset is an end as well; what came before it was read.
        let _ = timeout(LIMIT, self.0.read_to_end(&mut heard))
            .await
            .expect("the connection ends");
        heard
    }
}

/// A message to the server.
pub(crate) fn message(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = u32::try_from(body.len() + 4).expect("not so long");
    [&[kind], &length.to_be_bytes()[..], &body].concat()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"])
}

pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"])
}

/// Binds text values to the unnamed portal.
pub(crate) fn bind(statement: &str, values: &[&str]) -> Vec<u8> {
    bind_to("", statement, values)
}

pub(crate) fn bind_to(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend(u16::try_from(values.len()).expect("few").to_be_bytes());
    for value in values {
        body.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0, 0]);
    message(b'B', &[&body])
}

pub(crate) fn execute(portal: &str, most: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &most.to_be_bytes()])
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub(crate) fn flush() -> Vec<u8> {
    message(b'H', &[])
}
