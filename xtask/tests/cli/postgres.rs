//! A lab on a service that gives each check a database of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use labkit::check::{Lent, Up};
use labkit::wire::Target;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{Lab, Run, wait_for};

/// Where a `prepare` of these tests says that it ran, and what it says when it is to fail.
const PREPARE: &str = r#"
fn main() {
    let place = std::env::var("LABS_TEST_RAN").expect("a place");
    let url = std::env::var("DATABASE_URL").expect("a database");
    let mut ran = std::fs::File::options().create(true).append(true).open(place).expect("open");
    std::io::Write::write_all(&mut ran, format!("{url}\n").as_bytes()).expect("written");
    if std::env::var_os("LABS_TEST_FAIL").is_some() {
        eprintln!("relation \"orders\" is not what it was");
        std::process::exit(7);
    }
}
"#;

fn lab(name: &str) -> Lab {
    let lab = Lab::new(name);
    lab.change("lab.toml", "services = []", "services = [\"postgres\"]");
    lab.solve();
    lab
}

fn prepared(name: &str) -> Lab {
    let lab = lab(name);
    lab.write(&format!("checks/src/bin/{name}-prepare.rs"), PREPARE);
    lab
}

#[test]
fn the_data_of_a_lab_is_made_once_for_all_checks() {
    let lab = prepared("of-data");
    let folder = TempDir::new().expect("a folder");
    let ran = folder.path().join("ran");
    let run = lab.check(&["--repeat", "3"]).native();
    let ended = run.env("LABS_TEST_RAN", &ran).end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("postgres 15");
    let ran = fs::read_to_string(ran).expect("it ran");
    assert_eq!(ran.lines().count(), 1, "{ran}");
    assert!(ran.starts_with("postgres://postgres:"), "{ran}");
}

#[test]
fn data_that_cannot_be_made_is_the_labs_fault() {
    let lab = prepared("of-no-data");
    let folder = TempDir::new().expect("a folder");
    let run = lab.check(&[]).native().env("LABS_TEST_FAIL", "1");
    let ended = run.env("LABS_TEST_RAN", folder.path().join("ran")).end();
    assert_eq!(ended.code, 3, "{ended:?}");
    ended.says("its `prepare` failed: exit status: 7");
    ended.says("relation \"orders\" is not what it was");
    assert_eq!(ended.err.matches("relation").count(), 1, "{ended:?}");
}

#[test]
fn up_says_how_to_look_into_a_database_and_what_the_app_needs() {
    let lab = lab("of-postgres");
    // Its stdin is at its end: it says all this and goes.
    let ended = Run::new(&["up", &lab.name]).native().end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    let [first, look, app] = lines[..] else {
        panic!("{ended:?}");
    };
    let socket = Path::new(first.split_once("unix:").expect("a socket").1);
    let folder = socket.parent().expect("a folder").display().to_string();
    let folder = folder.replace('/', "%2F");
    assert!(
        look.starts_with("look  psql postgres://postgres:"),
        "{look}"
    );
    assert!(look.contains(&format!("@{folder}/backend_labs_")), "{look}");
    assert!(
        app.starts_with("app   DATABASE_URL=postgres://backend_labs_"),
        "{app}"
    );
}

/// As a check under plain `cargo test` does it.
#[test]
fn checks_without_the_runner_borrow_a_database_each() {
    let lab = prepared("of-loans");
    let mut run = Run::new(&["up", &lab.name, "--json"]).native();
    let folder = TempDir::new().expect("a folder");
    let ran = folder.path().join("ran");
    run.command.env("LABS_TEST_RAN", &ran);
    run.command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut running = run.command.spawn().expect("it starts");
    let mut line = String::new();
    let stdout = running.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("said");
    let up: Up = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let borrow = || {
        let mut connection = UnixStream::connect(&up.leases).expect("it lends");
        writeln!(connection, "greeting").expect("asked");
        let mut line = String::new();
        BufReader::new(&connection)
            .read_line(&mut line)
            .expect("answered");
        match serde_json::from_str(&line).expect("labkit's words") {
            Lent::Services(mut services) => (connection, services.remove("postgres").expect("it")),
            Lent::Refused(why) => panic!("{why}"),
        }
    };
    let (first, one) = borrow();
    let (second, two) = borrow();
    let name = |target: &Target| target.database.clone().expect("a name");
    assert_ne!(name(&one), name(&two));
    assert!(one.administrator.is_some());
    drop(first);
    let (third, three) = borrow();
    assert_ne!(name(&two), name(&three));
    let ran = fs::read_to_string(ran).expect("it ran");
    assert_eq!(ran.lines().count(), 1, "{ran}");
    // One that is still held does not hold up the end.
    drop(running.stdin.take());
    assert!(running.wait().expect("ended").success());
    assert_eq!(fs::read_dir(run.place.path()).expect("ours").count(), 0);
    drop((second, third));
}

#[test]
fn a_postgres_that_is_killed_while_checks_run_is_told_and_the_next_run_is_clean() {
    let lab = lab("of-a-killed-postgres");
    let running = lab.check(&["--repeat", "10000"]).native().start();
    let place = running.place.path().to_owned();
    let postmaster = wait_for("checks with databases", Duration::from_secs(120), || {
        let (server, data) = servers(&place).into_iter().find_map(|(pid, data)| {
            let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
            let server: i32 = file.lines().next()?.parse().ok()?;
            (server == pid).then_some((server, data))
        })?;
        // Three are there from the beginning, the fourth is the template of all others.
        let databases = fs::read_dir(data.join("base")).ok()?.count();
        (databases > 4).then_some(server)
    });
    kill(Pid::from_raw(postmaster), Signal::SIGKILL).expect("killed");
    let ended = running.end();
    assert_eq!(ended.code, 2, "it is the machine's: {ended:?}");
    ended.says("unavailable");
    let next = lab.check(&[]).native().end();
    assert_eq!(next.code, 0, "{next:?}");
}

/// The processes of a Postgres below a folder, and where their data is: they name no folder, but
/// all of them work in it.
fn servers(place: &Path) -> Vec<(i32, PathBuf)> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let found = processes.filter_map(|process| {
        let folder = fs::read_link(process.path().join("cwd")).ok()?;
        let number = process.file_name().into_string().ok()?.parse().ok()?;
        (folder.starts_with(place) && folder.ends_with("data")).then_some((number, folder))
    });
    found.collect()
}

#[test]
fn a_killed_run_leaves_no_postgres_behind() {
    let lab = lab("of-a-killed-run");
    let mut run = Run::new(&["up", &lab.name]).native();
    run.command.stdin(Stdio::piped());
    let running = run.start();
    running.reached("postgres -D");
    let place = running.place.path().to_owned();
    let servers = || servers(&place);
    let several = || Some(servers()).filter(|servers| servers.len() > 3);
    let before = wait_for("the server's processes", Duration::from_secs(60), several);
    // The maker is the fifth field.
    let segments = || {
        let table = fs::read_to_string("/proc/sysvipc/shm").expect("a table");
        let makers = table
            .lines()
            .filter_map(|line| line.split_whitespace().nth(4));
        makers
            .filter(|maker| before.iter().any(|(pid, _)| pid.to_string() == *maker))
            .count()
    };
    assert_eq!(segments(), 1, "it has shared memory");
    running.send(Signal::SIGKILL);
    assert_eq!(running.end().code, 137);
    assert_eq!((servers().len(), segments()), (0, 0));
}
