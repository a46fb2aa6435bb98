//! Each provider gives a server that is really used, and says why when it cannot.

mod bundle;
mod docker;
mod external;
mod leftovers;
mod native;
mod postgres;
mod resolution;
mod sandbox;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use tempfile::TempDir;

use super::run::{OWNER_FILE, Owner};
use super::{Choice, Instance, Notes, Provider, RunFolder, StartError, resolve};
use crate::services::redis::{self, REDIS};
use crate::services::{Leased, Service, Target};

/// Keeps what was said.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Said {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics here").clone()
    }
}

impl Notes for Said {
    fn note(&self, text: &str) {
        let mut lines = self.0.lock().expect("nobody panics here");
        lines.push(text.to_owned());
    }

    fn progress(&self, _text: &str) {}
}

/// How a server of that service is lent.
fn lent(service: &'static Service) -> &'static Leased {
    service.leased().expect("it is lent")
}

/// A run folder as the keeper makes it.
fn run_folder() -> (TempDir, RunFolder) {
    // Not named as a keeper's is, or the next keeper would take it for one left behind.
    let folder = open_folder("test-run-", 0o711);
    let run = owned_by(folder.path(), std::process::id());
    (folder, run)
}

/// A run folder whose keeper is the process with this number.
fn owned_by(folder: &Path, pid: u32) -> RunFolder {
    let owner = Owner::of(pid).expect("it runs");
    fs::write(folder.join(OWNER_FILE), owner.to_string()).expect("ours");
    RunFolder::open(folder).expect("just made")
}

fn open_folder(prefix: &str, mode: u32) -> TempDir {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir();
    let folder = folder.expect("a temporary folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("ours");
    folder
}

fn config(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("redis.conf");
    fs::write(&path, text).expect("written");
    path
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("read")
        .map(|entry| {
            entry
                .expect("read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

async fn tell(target: &Target, command: &[&str]) -> String {
    redis::say(target, command).await.expect("answered")
}

async fn use_it(instance: &Instance) {
    assert_eq!(tell(instance.target(), &["SET", "a", "1"]).await, "OK");
    assert_eq!(tell(instance.target(), &["GET", "a"]).await, "1");
}

/// Two servers that know nothing of each other, made as new between two leases.
async fn gives_servers_that_are_used_emptied_and_ended(provider: Provider, folder: &TempDir) {
    let one = provider
        .start(None, None, &Said::default())
        .await
        .expect("one");
    let two = provider
        .start(None, None, &Said::default())
        .await
        .expect("two");
    use_it(&one).await;
    assert_eq!(tell(two.target(), &["GET", "a"]).await, "");
    use_it(&two).await;
    tell(
        one.target(),
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
    )
    .await;
    one.empty().await.expect("emptied");
    assert_eq!(tell(one.target(), &["GET", "a"]).await, "");
    let memory = tell(one.target(), &["INFO", "memory"]).await;
    assert!(memory.contains("maxmemory_policy:noeviction"), "{memory}");
    one.stop().await.expect("stopped");
    two.stop().await.expect("stopped");
    provider.close().await.expect("closed");
    let left = names_in(folder.path());
    assert!(
        !left.iter().any(|name| name.starts_with("redis")),
        "{left:?}"
    );
}

/// The learner decides how the server evicts; where it listens and writes is ours.
async fn takes_a_configuration_that_cannot_move_it(provider: Provider, folder: &TempDir) {
    let text = "maxmemory 3mb\nport 7777\nbind 127.0.0.9\ndaemonize yes\nrequirepass secret\n\
                dir /\nlogfile /x\npidfile /y\nsave 1 1\nreplicaof 127.0.0.1 7\n";
    let instance = provider
        .start(Some(&config(folder, text)), None, &Said::default())
        .await
        .expect("started");
    use_it(&instance).await;
    let memory = tell(instance.target(), &["INFO", "memory"]).await;
    assert!(memory.contains("maxmemory:3145728"), "{memory}");
    instance.stop().await.expect("stopped");
    provider.close().await.expect("closed");
}

async fn gives_the_servers_own_words_for_a_refusal(provider: Provider, folder: &TempDir) {
    let config = config(folder, "maxmemory 3mb\n\nmaxmemory-policy newest\n");
    let Err(StartError::Refused { words }) =
        provider.start(Some(&config), None, &Said::default()).await
    else {
        panic!("the server took it");
    };
    assert!(words.contains("at line 3"), "{words}");
    assert!(words.contains("'maxmemory-policy newest'"), "{words}");
    assert!(words.contains("allkeys-lru"), "{words}");
    provider.close().await.expect("closed");
}

/// Whether a part is to be left out; said loudly, for a skip is no pass.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
fn is_without(part: &str) -> bool {
    let without = std::env::var("LABS_WITHOUT").unwrap_or_default();
    let skipped = without.split(',').any(|word| word == part);
    if skipped {
        eprintln!("NOT PROVED: {part} was left out because of LABS_WITHOUT");
    }
    skipped
}

/// A server of the user's own, on a port.
struct OwnServer {
    process: tokio::process::Child,
    _folder: TempDir,
    port: u16,
}

impl OwnServer {
    async fn start() -> Self {
        // A port that is free now may be somebody else's a moment later.
        for _ in 0..5 {
            if let Some(server) = Self::try_start().await {
                return server;
            }
        }
        panic!("no own server on any of five ports");
    }

    async fn try_start() -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let folder = open_folder("own-redis-", 0o700);
        let process = tokio::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed");
        let mut server = Self {
            process,
            _folder: folder,
            port,
        };
        let target = server.target(0);
        let dying = async {
            let _ = server.process.wait().await;
        };
        let alive = tokio::select! {
            // Another server may answer at the same address: death decides.
            biased;
            () = dying => false,
            alive = super::until_alive(lent(&REDIS), &target, std::future::pending()) => alive.is_ok(),
        };
        alive.then_some(server)
    }

    fn target(&self, database: u32) -> Target {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        Target {
            database: Some(database.to_string()),
            ours: false,
            ..Target::at(labkit::wire::Address::Tcp(address))
        }
    }
}
