//! A database for each check, on one server, from each provider.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::keeper::containers;
use crate::provider::external::look_at;
use crate::provider::{Kind, Prepare, Request, Source, bundle::Bundle};
use crate::services::postgres::{POSTGRES, say};
use crate::services::{Launch, Listen, PASSWORD, password};

/// What [`as_prepare`] is told: where to say that it ran.
const RAN: &str = "LABS_TEST_RAN";

async fn ask(target: &Target, statement: &str) -> String {
    say(target, statement).await.expect("answered").join(" ")
}

async fn refused(target: &Target, statement: &str) -> String {
    let refused = say(target, statement).await;
    format!("{:#}", refused.expect_err(statement))
}

async fn native(run: &RunFolder) -> Provider {
    let provider = resolve(&POSTGRES, Choice::Native, run, &Said::default()).await;
    provider.expect("postgres is installed")
}

async fn lease(provider: &Provider, prepare: Option<&Prepare>) -> Instance {
    let started = provider.start(None, prepare, &Said::default()).await;
    started.expect("leased")
}

async fn gives_databases_that_are_kept_apart_and_dropped(provider: Provider, folder: &TempDir) {
    let (one, two) = tokio::join!(lease(&provider, None), lease(&provider, None));
    let name = one.target().database.clone().expect("it has a name");
    ask(one.target(), "CREATE TABLE mine (id int)").await;
    ask(one.target(), "INSERT INTO mine VALUES (7)").await;
    ask(one.target(), "CREATE INDEX ON mine (id)").await;
    assert_eq!(ask(one.target(), "SELECT id FROM mine").await, "7");
    let missing = refused(two.target(), "SELECT id FROM mine").await;
    assert!(missing.contains("42P01"), "{missing}");

    // An ordinary login, which gets in nowhere else; the administrator gets in everywhere.
    let superuser = "SELECT usesuper FROM pg_user WHERE usename = current_user";
    assert_eq!(ask(one.target(), superuser).await, "f");
    let elsewhere = Target {
        database: Some(name.clone()),
        ..two.target().clone()
    };
    let denied = refused(&elsewhere, "SELECT 1").await;
    assert!(denied.contains("permission denied"), "{denied}");
    let forged = Target {
        password: Some("guessed".to_owned()),
        ..one.target().as_administrator()
    };
    let denied = refused(&forged, "SELECT 1").await;
    assert!(
        denied.contains("password authentication failed"),
        "{denied}"
    );
    let administrator = one.target().as_administrator();
    assert_eq!(ask(&administrator, superuser).await, "t");
    assert_eq!(ask(&administrator, "SELECT id FROM mine").await, "7");
    let seen = "SELECT calls FROM pg_stat_statements WHERE query LIKE 'INSERT INTO mine%'";
    assert_eq!(ask(&administrator, seen).await, "1");

    // What a login sets for itself goes with it.
    ask(
        one.target(),
        "ALTER ROLE CURRENT_USER SET enable_seqscan = off",
    )
    .await;
    assert!(one.is_used_up());
    one.stop().await.expect("dropped, with somebody in it");
    let left = format!(
        "SELECT count(*) FROM pg_database JOIN pg_roles ON true \
         WHERE datname = '{name}' OR rolname = '{name}'"
    );
    assert_eq!(ask(&two.target().as_administrator(), &left).await, "0");
    assert_eq!(ask(two.target(), "SHOW enable_seqscan").await, "on");
    two.stop().await.expect("dropped");
    provider.close().await.expect("closed");
    let left = names_in(folder.path());
    let own = |name: &String| name.starts_with("postgres");
    assert!(!left.iter().any(own), "{left:?}");
}

#[test]
fn of_several_versions_beside_the_path_the_newest_is_taken() {
    let root = open_folder("root-", 0o755);
    for version in ["9.6", "15", "17", "17-without-a-server"] {
        let folder = root.path().join("usr/lib/postgresql").join(version);
        fs::create_dir_all(folder.join("bin")).expect("made");
        if !version.ends_with("server") {
            fs::write(folder.join("bin/postgres"), "").expect("made");
        }
    }
    let found = super::super::native::find_below(root.path(), &POSTGRES);
    let newest = root.path().join("usr/lib/postgresql/17/bin/postgres");
    assert_eq!(found, Some(newest));
}

#[tokio::test]
async fn native_gives_databases() {
    let (folder, run) = run_folder();
    gives_databases_that_are_kept_apart_and_dropped(native(&run).await, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_gives_databases() {
    if is_without("docker") {
        return;
    }
    let (folder, run) = run_folder();
    let provider = resolve(&POSTGRES, Choice::Docker, &run, &Said::default()).await;
    let provider = provider.expect("ci/images/build makes the image");
    gives_databases_that_are_kept_apart_and_dropped(provider, &folder).await;
    let removed = containers::remove_containers(run.id()).await;
    removed.expect("none is left to remove");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_bundle_gives_databases() {
    if is_without("bundle") {
        return;
    }
    let (folder, run) = run_folder();
    let cache = open_folder("cache-", 0o755);
    let bundle = Bundle::below(cache.path(), &POSTGRES).expect("Debian or Ubuntu");
    let said = Said::default();
    let provider = request(&run, &said).open_bundle(&bundle).await;
    let lines = said.lines();
    assert!(
        lines[0].contains("Debian's packages postgresql are"),
        "{lines:?}"
    );
    let provider = provider.expect("downloaded, and it runs");
    gives_databases_that_are_kept_apart_and_dropped(provider, &folder).await;
}

fn request<'a>(run: &'a RunFolder, said: &'a Said) -> Request<'a> {
    Request {
        service: &POSTGRES,
        run,
        notes: said,
        forced: true,
        fetch: true,
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_never_runs_as_root_and_keeps_no_password_where_others_can_read_it() {
    let (folder, run) = run_folder();
    let provider = native(&run).await;
    let instance = lease(&provider, None).await;
    let secret = instance.target().as_administrator().password;
    let secret = secret.expect("it has one");
    let data = ask(&instance.target().as_administrator(), "SHOW data_directory").await;
    assert!(Path::new(&data).starts_with(folder.path()), "{data}");
    let pid = fs::read_to_string(Path::new(&data).join("postmaster.pid")).expect("it runs");
    let pid = pid.lines().next().expect("its number");
    let read = |name: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("it runs");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let status = read("status");
    let uid = status.lines().find(|line| line.starts_with("Uid:"));
    assert!(!uid.expect("told").contains("\t0"), "{uid:?}");
    assert!(!read("environ").contains(&secret) && !read("cmdline").contains(&secret));
    instance.stop().await.expect("dropped");
    provider.close().await.expect("closed");
}

/// A program as a lab's `prepare`: this test binary, asked for [`as_prepare`].
fn prepare(folder: &TempDir, hash: &str) -> Prepare {
    let program = folder.path().join(format!("prepare-{hash}"));
    let us = std::env::current_exe().expect("this binary");
    let text = format!(
        "#!/bin/sh\n{RAN}='{}' exec '{}' --ignored --exact --nocapture \
         provider::tests::postgres::as_prepare\n",
        folder.path().join("ran").display(),
        us.display(),
    );
    fs::write(&program, text).expect("written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("ours");
    Prepare {
        program,
        hash: hash.to_owned(),
    }
}

#[tokio::test]
#[ignore = "started by the tests below"]
async fn as_prepare() {
    let Some(ran) = std::env::var_os(RAN) else {
        return;
    };
    let url = std::env::var("DATABASE_URL").expect("it is told where");
    let url = url::Url::parse(&url).expect("a URL");
    let decode = |text: &str| {
        let text = percent_encoding::percent_decode_str(text).decode_utf8();
        text.expect("UTF-8").into_owned()
    };
    let folder = PathBuf::from(decode(url.host_str().expect("a host")));
    let target = Target {
        username: Some(decode(url.username())),
        password: url.password().map(decode),
        database: Some(decode(url.path().trim_matches('/'))),
        ..Target::at(labkit::wire::Address::Unix(
            folder.join(lent(&POSTGRES).socket),
        ))
    };
    for statement in [
        "CREATE TABLE orders (id bigint PRIMARY KEY, total numeric)",
        "INSERT INTO orders SELECT id, id * 2 FROM generate_series(1, 1000) AS id",
        "CREATE SCHEMA archive CREATE TABLE old (id int)",
        "VACUUM ANALYZE orders",
    ] {
        ask(&target, statement).await;
    }
    let mut said = fs::read_to_string(&ran).unwrap_or_default();
    let seed = std::env::var("LABS_SEED").expect("it is told a seed");
    writeln!(said, "with seed {seed}").expect("written");
    fs::write(ran, said).expect("written");
}

#[tokio::test]
async fn prepare_runs_once_for_each_content_and_each_lease_owns_a_copy_of_what_it_made() {
    let (folder, run) = run_folder();
    let provider = native(&run).await;
    let first = prepare(&folder, "one");
    let (one, two, empty) = tokio::join!(
        lease(&provider, Some(&first)),
        lease(&provider, Some(&first)),
        lease(&provider, None)
    );
    let ran = || fs::read_to_string(folder.path().join("ran")).expect("it ran");
    assert_eq!(ran(), "with seed 1\n");
    for instance in [&one, &two] {
        let target = instance.target();
        let owners = "SELECT DISTINCT tableowner = current_user FROM pg_tables \
                      WHERE schemaname IN ('public', 'archive')";
        assert_eq!(ask(target, owners).await, "t");
        assert_eq!(
            ask(target, "SELECT sum(total) FROM orders").await,
            "1001000"
        );
        ask(target, "CREATE INDEX ON orders (total)").await;
        ask(target, "ALTER TABLE archive.old ADD COLUMN why text").await;
    }
    ask(one.target(), "DELETE FROM orders").await;
    assert_eq!(
        ask(two.target(), "SELECT count(*) FROM orders").await,
        "1000"
    );
    let missing = refused(empty.target(), "SELECT 1 FROM orders").await;
    assert!(missing.contains("42P01"), "{missing}");
    let another = lease(&provider, Some(&prepare(&folder, "two"))).await;
    assert_eq!(ran(), "with seed 1\nwith seed 1\n");
    for instance in [one, two, empty, another] {
        instance.stop().await.expect("dropped");
    }
    provider.close().await.expect("closed");
}

#[tokio::test]
async fn a_prepare_that_fails_is_told_in_its_own_words_and_not_run_for_each_check() {
    let (folder, run) = run_folder();
    let provider = native(&run).await;
    let failing = prepare(&folder, "failing");
    let ran = folder.path().join("ran");
    let text = format!(
        "#!/bin/sh\necho x >>'{}'\necho no such table >&2\nexit 9\n",
        ran.display()
    );
    fs::write(&failing.program, text).expect("written");
    for _ in 0..2 {
        let started = provider.start(None, Some(&failing), &Said::default()).await;
        let Err(StartError::Unprepared(words)) = started else {
            panic!("{started:?}");
        };
        assert!(
            words.contains("exit status: 9") && words.contains("no such table"),
            "{words}"
        );
    }
    let ran = || fs::read_to_string(&ran).expect("it ran");
    assert_eq!(ran(), "x\n");
    provider.refresh().await;
    let again = provider.start(None, Some(&failing), &Said::default()).await;
    assert!(again.is_err());
    assert_eq!(ran(), "x\nx\n", "another round tries again");
    provider.close().await.expect("closed");
}

#[tokio::test]
async fn a_server_that_somebody_ended_is_replaced_by_the_next_round() {
    let (_folder, run) = run_folder();
    let provider = native(&run).await;
    let before = lease(&provider, None).await;
    let administrator = before.target().as_administrator();
    let pid = ask(&administrator, "SELECT pg_read_file('postmaster.pid')").await;
    let pid = pid.lines().next().and_then(|line| line.parse().ok());
    let pid = nix::unistd::Pid::from_raw(pid.expect("its number"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).expect("ended");
    assert!(before.stop().await.is_err());
    provider.refresh().await;
    let after = lease(&provider, None).await;
    assert_eq!(ask(after.target(), "SELECT 1").await, "1");
    after.stop().await.expect("dropped");
    provider.close().await.expect("closed");
}

#[tokio::test]
async fn a_login_that_leaks_connections_leaves_some_for_others() {
    const LIMIT: usize = 64;
    let (_folder, run) = run_folder();
    let provider = native(&run).await;
    let (leaks, other) = tokio::join!(lease(&provider, None), lease(&provider, None));
    let administrator = leaks.target().as_administrator();
    let mut held = Vec::new();
    // Some at a time: to log in costs both sides some work, and is not waited for very long.
    for _ in 0..LIMIT / 8 {
        for _ in 0..8 {
            let target = leaks.target().clone();
            held.push(tokio::spawn(async move {
                say(&target, "SELECT pg_sleep(600)").await
            }));
        }
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'
                        AND datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..1000 {
            if ask(&administrator, sleeping).await == held.len().to_string() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let why = refused(leaks.target(), "SELECT 1").await;
    assert!(why.contains("too many connections for role"), "{why}");
    assert_eq!(ask(other.target(), "SELECT 1").await, "1");
    for one in held {
        assert!(!one.is_finished(), "it holds its connection");
        one.abort();
    }
    for instance in [leaks, other] {
        instance.stop().await.expect("dropped");
    }
    provider.close().await.expect("closed");
}

/// How many ports a server is tried on: beside many connections one that is free is soon taken.
const PORTS: usize = 5;

/// A server of the user's own, on a port.
struct OwnServer {
    process: tokio::process::Child,
    target: Target,
    url: String,
    _folder: TempDir,
}

impl OwnServer {
    async fn start() -> Self {
        for _ in 0..PORTS {
            if let Some(server) = Self::on_a_free_port().await {
                return server;
            }
        }
        panic!("no server on any of {PORTS} ports");
    }

    /// Nothing where the port was free when it was chosen, and somebody's when the server came
    /// to take it.
    async fn on_a_free_port() -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let folder = open_folder("own-postgres-", 0o700);
        super::super::run::give_to_service(folder.path()).expect("theirs");
        let program = super::super::native::find(&POSTGRES).expect("postgres is installed");
        let words = (lent(&POSTGRES).command)(&Launch {
            program: program.path.to_str().expect("UTF-8"),
            listen: Listen::Everywhere(address.port()),
            folder: folder.path().to_str().expect("UTF-8"),
            config: None,
        });
        let secret = password();
        let mut command = tokio::process::Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(folder.path())
            .env(PASSWORD, &secret)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if nix::unistd::geteuid().is_root() {
            command
                .uid(super::super::run::NOBODY)
                .gid(super::super::run::NOBODY);
        }
        let mut process = command.spawn().expect("started");
        let target = Target {
            username: Some("postgres".to_owned()),
            password: Some(secret.clone()),
            ..Target::at(labkit::wire::Address::Tcp(address))
        };
        let died = async { format!("{:?}", process.wait().await) };
        if let Err(how) = crate::provider::until_alive(lent(&POSTGRES), &target, died).await {
            assert!(how.starts_with("ended"), "{how}");
            return None;
        }
        Some(Self {
            process,
            url: format!("postgres://postgres:{secret}@{address}"),
            target,
            _folder: folder,
        })
    }

    /// All that is on it.
    async fn holds(&self) -> String {
        let names = "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles \
                     ORDER BY 1";
        ask(&self.target, names).await
    }

    async fn lend(&self, run: &RunFolder) -> anyhow::Result<Provider> {
        let said = Said::default();
        let (target, _) = look_at(&POSTGRES, lent(&POSTGRES), &self.url, false).await?;
        request(run, &said)
            .prove(Kind::External, Source::Lent(target))
            .await
    }

    /// As a person ends it: with its shared memory.
    async fn end(mut self) {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = nix::unistd::Pid::from_raw(pid.expect("it runs"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).expect("told");
        self.process.wait().await.expect("ended");
    }
}

#[tokio::test]
async fn an_external_server_lends_databases_and_is_left_as_it_was() {
    let server = OwnServer::start().await;
    ask(&server.target, "CREATE DATABASE theirs").await;
    let before = server.holds().await;
    let (folder, run) = run_folder();
    let provider = server.lend(&run).await.expect("lent");
    assert!(!provider.is_shared(), "checks need not take turns");
    let prepared = prepare(&folder, "never");
    fs::write(&prepared.program, "#!/bin/sh\n").expect("written");
    let left_behind = lease(&provider, Some(&prepared)).await;
    assert!(!left_behind.target().ours);
    assert_ne!(server.holds().await, before);
    drop(left_behind);
    gives_databases_that_are_kept_apart_and_dropped(provider, &folder).await;
    assert_eq!(server.holds().await, before);
    server.end().await;
}

#[tokio::test]
async fn what_a_dead_run_left_on_an_external_server_is_dropped_and_a_living_ones_is_not() {
    let server = OwnServer::start().await;
    let before = server.holds().await;
    let (dead_folder, _) = run_folder();
    let mut keeper = tokio::process::Command::new("sleep");
    let mut keeper = keeper.arg("60").kill_on_drop(true).spawn().expect("sleeps");
    let dead = owned_by(dead_folder.path(), keeper.id().expect("runs"));
    let abandoned = server.lend(&dead).await.expect("lent");
    lease(&abandoned, None).await;
    let (_folder, living) = run_folder();
    let first = server.lend(&living).await.expect("lent");
    let theirs = server.holds().await;
    let dead_name = dead.id().rsplit('-').next().expect("a name");
    assert!(theirs.contains(dead_name), "it lives: {theirs}");
    keeper.kill().await.expect("killed");
    let (_another, run) = run_folder();
    let second = server.lend(&run).await.expect("lent");
    let after = server.holds().await;
    assert!(!after.contains(dead_name), "{after}");
    let living_name = living.id().rsplit('-').next().expect("a name");
    assert!(after.contains(living_name), "{after}");
    first.close().await.expect("closed");
    second.close().await.expect("closed");
    assert_eq!(server.holds().await, before);
    server.end().await;
}

#[tokio::test]
async fn an_external_login_that_is_no_superuser_is_refused_and_nothing_is_made() {
    let mut server = OwnServer::start().await;
    ask(
        &server.target,
        "CREATE ROLE ann LOGIN CREATEDB PASSWORD 'p'",
    )
    .await;
    let before = server.holds().await;
    server.url = server.url.replace("//postgres:", "//ann:");
    let secret = server.target.password.clone().expect("it has one");
    server.url = server.url.replace(&secret, "p");
    let (_folder, run) = run_folder();
    let refused = server.lend(&run).await.expect_err("refused");
    assert!(
        format!("{refused:#}").contains("ann is no superuser"),
        "{refused:#}"
    );
    assert_eq!(server.holds().await, before);
    server.end().await;
}
