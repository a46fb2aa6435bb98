//! A Redis of the user's own: precious, and not always what is needed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Lab, wait_for};

/// A real server on a port of its own.
struct Redis {
    child: Child,
    port: u16,
    _folder: TempDir,
}

/// How many ports a server is tried on: one that is free is somebody's connection soon, where
/// many are made.
const PORTS: usize = 5;

impl Redis {
    fn start() -> Self {
        let started = (0..PORTS).find_map(|_| Self::on_a_free_port());
        started.expect("Redis on a port of its own")
    }

    /// Nothing where the port was free when it was chosen, and taken when the server came to take
    /// it: then it ends.
    fn on_a_free_port() -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .current_dir(folder.path())
            .stdout(log(folder.path()))
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let mut redis = Self {
            child,
            port,
            _folder: folder,
        };
        wait_for("Redis", Duration::from_secs(10), || {
            if redis.child.try_wait().expect("ours").is_some() {
                return Some(false);
            }
            let answer = redis.try_ask("PING")?;
            (answer == "+PONG\r\n").then_some(true)
        })
        .then_some(redis)
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "{command}\r\n").ok()?;
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("an answer")
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn log(folder: &Path) -> File {
    File::create(folder.join("log")).expect("a log")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn case_22_an_external_redis_that_is_not_empty_is_left_alone() {
    let lab = Lab::solved_with_redis();
    let redis = Redis::start();
    assert_eq!(redis.ask("SET order:1 paid"), "+OK\r\n");

    let ended = lab
        .check(&[])
        .native()
        .env("LABS_REDIS_URL", redis.url())
        .end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("redis: not by external: the server that LABS_REDIS_URL names is not empty");
    ended.says("(native)");

    let forced = lab
        .check(&["--services", "external"])
        .env("LABS_REDIS_URL", redis.url())
        .end();
    assert_eq!(forced.code, 2, "{forced:?}");
    forced.says("is not empty");
    forced.says("hint: let LABS_REDIS_URL name an empty redis 7.0 or newer");

    assert_eq!(redis.ask("GET order:1"), "$4\r\npaid\r\n");
    assert_eq!(redis.ask("DBSIZE"), ":1\r\n");

    // Once it is empty it will do, and is empty again afterwards.
    redis.ask("FLUSHALL");
    let ended = lab
        .check(&["--services", "external"])
        .env("LABS_REDIS_URL", redis.url())
        .end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("(external)");
    assert_eq!(redis.ask("DBSIZE"), ":0\r\n");
}

#[test]
fn case_22_an_external_redis_that_is_too_old() {
    let lab = Lab::solved_with_redis();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    // Says of itself what an old server says; nothing is checked against it.
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 4096];
            while let Ok(read @ 1..) = client.read(&mut request) {
                let request = String::from_utf8_lossy(&request[..read]).to_uppercase();
                let info = "# Server\r\nredis_version:6.0.16\r\n";
                let answer = match request.contains("INFO") {
                    true => format!("${}\r\n{info}\r\n", info.len()),
                    false => "+OK\r\n".to_owned(),
                };
                let _ = client.write_all(answer.as_bytes());
            }
        }
    });
    let url = format!("redis://127.0.0.1:{port}");
    let ended = lab.check(&[]).native().env("LABS_REDIS_URL", &url).end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("redis: not by external: redis 6.0.16 is too old: 7.0 or newer is needed");
    let forced = lab
        .check(&["--services", "external"])
        .env("LABS_REDIS_URL", &url)
        .end();
    assert_eq!(forced.code, 2, "{forced:?}");
    forced.says("redis 6.0.16 is too old");
}

#[test]
fn case_22_an_external_redis_that_is_not_on_loopback_is_never_spoken_to() {
    let lab = Lab::solved_with_redis();
    // An address for documentation; were it spoken to, the run would wait for it.
    let run = lab
        .check(&[])
        .native()
        .env("LABS_REDIS_URL", "redis://192.0.2.1:6379");
    let ended = run.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says(
        "redis: not by external: LABS_REDIS_URL names 192.0.2.1:6379, which is not on this \
         machine; --services external takes it all the same",
    );
}

#[test]
fn case_22_an_external_redis_that_is_not_there() {
    let lab = Lab::solved_with_redis();
    for (url, says) in [
        (
            "redis://127.0.0.1:1",
            "LABS_REDIS_URL names 127.0.0.1:1, where nothing answers",
        ),
        ("not a url", "LABS_REDIS_URL cannot be used"),
    ] {
        let run = lab
            .check(&["--services", "external"])
            .env("LABS_REDIS_URL", url);
        let ended = run.end();
        assert_eq!(ended.code, 2, "{ended:?}");
        ended.says(says);
    }
}
