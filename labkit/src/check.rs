//! One check: what it is given, how its body is run, and the record it leaves.
//!
//! `#[labkit::test]` turns a function into a libtest test that calls [`run`]. Under the
//! runner the record goes to it; in an editor or under plain `cargo test` the services
//! and the app come from `cargo xtask up`, and a finding is printed.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, panic_any};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use futures_util::FutureExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::MappedMutexGuard;

use crate::app::App;
use crate::assignment::{Assignment, Outcome, Record, VARIABLE};
use crate::finding::{self, Finding, Stop};
use crate::sandbox::{self, Line, Sandbox};
use crate::timeline::{Event, Timeline};
use crate::wire::Target;

mod standalone;

pub use standalone::{Lent, Up};

/// What one check is given. Clones are the same check.
#[derive(Clone, Debug)]
pub struct Check(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    assignment: Assignment,
    timeline: Timeline,
    client: reqwest::Client,
    apps: Mutex<Vec<App>>,
    measured: Mutex<Option<u64>>,
    /// To whoever gave this check its services, and what was made of it at the first word.
    socket: Option<UnixStream>,
    line: tokio::sync::Mutex<Option<Line>>,
}

/// What a lab's checks start from: opened anew for every check.
pub trait Fixture: Sized {
    /// Starts all that a check of this lab needs.
    fn open(check: &Check) -> impl Future<Output = Self>;
}

impl Check {
    /// Random data of this check: the same for the same seed and check.
    pub fn rng(&self) -> StdRng {
        // FNV-1a: checks of one run must not share their numbers, and a check must keep
        // its own when others come and go.
        let name = self
            .0
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        StdRng::seed_from_u64(self.0.assignment.seed ^ name)
    }

    /// What has happened so far.
    pub fn timeline(&self) -> Timeline {
        self.0.timeline.clone()
    }

    /// The Redis server of this check; without one the check is unavailable.
    pub fn redis(&self) -> Target {
        self.service("redis")
    }

    /// The Postgres database of this check, with the app's login and the administrator's;
    /// without one the check is unavailable.
    pub fn postgres(&self) -> Target {
        self.service("postgres")
    }

    /// What this check was given of a service, by the name in `lab.toml`; without it the
    /// check is unavailable.
    pub fn service(&self, name: &str) -> Target {
        match self.0.assignment.services.get(name) {
            Some(target) => target.clone(),
            None => finding::unavailable(format!("this check needs {name} and was given none")),
        }
    }

    /// A folder of this check in which it runs the programs of a service, by the name in
    /// `lab.toml`; where they cannot be had the check is unavailable.
    pub async fn sandbox(&self, service: &str) -> Sandbox {
        Sandbox::open(self, service).await
    }

    /// A port of 127.0.0.1 for a program in a sandbox to listen at.
    pub async fn free_port(&self) -> u16 {
        sandbox::free_port(self).await
    }

    /// A folder that only this check and its apps use; removed after the run.
    pub fn folder(&self) -> &Path {
        &self.0.assignment.folder
    }

    /// What an exercise file of the attempt that is judged holds, by its path below the lab's
    /// folder: `migrations/01.sql`. For files that are no part of the app.
    pub fn exercise_file(&self, path: &str) -> String {
        let file = self.0.assignment.exercise_files.join(path);
        std::fs::read_to_string(&file).unwrap_or_else(|error| {
            finding::error(format!("`{path}` is no exercise file of this lab: {error}"))
        })
    }

    /// Tells the number that a learner may have been asked to guess, also where the check
    /// goes on to fail because of it.
    pub fn measured(&self, number: u64) {
        *self.lock_measured() = Some(number);
    }

    pub(crate) fn app(&self) -> &PathBuf {
        &self.0.assignment.app
    }

    pub(crate) fn app_uid(&self) -> Option<u32> {
        self.0.assignment.app_uid
    }

    /// Whether what an app writes to stderr is passed on at once.
    pub(crate) fn echoes(&self) -> bool {
        self.0.assignment.echo
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        self.0.client.clone()
    }

    pub(crate) fn register(&self, app: &App) {
        self.lock_apps().push(app.share());
    }

    /// To whoever gave this check its services. Whoever has it keeps others waiting.
    pub(crate) async fn line(&self) -> io::Result<MappedMutexGuard<'_, Line>> {
        let mut line = self.0.line.lock().await;
        if line.is_none() {
            let socket = self.0.socket.as_ref();
            let socket = socket.ok_or_else(|| io::Error::other("nobody is at the other end"))?;
            *line = Some(Line::over(socket.try_clone()?)?);
        }
        tokio::sync::MutexGuard::try_map(line, Option::as_mut)
            .map_err(|_| io::Error::other("just made"))
    }

    fn lock_measured(&self) -> MutexGuard<'_, Option<u64>> {
        let measured = self.0.measured.lock();
        measured.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_apps(&self) -> MutexGuard<'_, Vec<App>> {
        self.0.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the body of a check and leaves its record. Called by `#[labkit::test]`.
///
/// `package` is the one that holds the check, `path` its full path, `why` its doc comment.
pub fn run<F, Body, Done>(package: &str, path: &str, why: &str, body: Body)
where
    F: Fixture,
    Body: FnOnce(F) -> Done,
    Done: Future<Output = ()>,
{
    // libtest's own name for it: the path without the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let (assignment, socket, _lease) = match std::env::var(VARIABLE) {
        Ok(text) => match (serde_json::from_str::<Assignment>(&text), own_end()) {
            (Ok(assignment), Ok(socket)) => (assignment, socket, None),
            (Err(error), _) => panic!("{VARIABLE} is not an assignment: {error}"),
            (_, Err(error)) => panic!("there is no line to the runner: {error}"),
        },
        Err(_) => {
            let (assignment, socket, lease) = standalone::assignment(package, name);
            (assignment, socket, Some(lease))
        }
    };
    let records = assignment.record;
    let record = record_of(name, why, assignment, Some(socket), |check| async move {
        body(F::open(&check).await).await;
    });
    if records {
        if let Err(error) = send(&record) {
            panic!("the runner does not take the record: {error}");
        }
        if record.outcome != Outcome::Passed {
            // The runner has the finding; the exit status has to agree with it.
            panic_any(Stop::Error(String::new()));
        }
    } else {
        standalone::conclude(&record);
    }
}

/// Runs a body to its end, and whatever it started.
pub(crate) fn record_of<Body, Done>(
    name: &str,
    why: &str,
    assignment: Assignment,
    socket: Option<UnixStream>,
    body: Body,
) -> Record
where
    Body: FnOnce(Check) -> Done,
    Done: Future<Output = ()>,
{
    // An app that runs as the same user must not read this process or its descriptors.
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        panic!("cannot close this process to others: {error}");
    }
    quiet_stops();
    // One thread: a message goes from task to task, and to wake another thread for each hop
    // costs more than all that is done with it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let client = reqwest::Client::builder().no_proxy().build();
    let (runtime, client) = match (runtime, client) {
        (Ok(runtime), Ok(client)) => (runtime, client),
        (Err(error), _) => panic!("cannot start a runtime: {error}"),
        (_, Err(error)) => panic!("cannot make an HTTP client: {error}"),
    };
    let timeline = match assignment.long_values {
        true => Timeline::with_long_values(),
        false => Timeline::new(),
    };
    let check = Check(Arc::new(Inner {
        name: name.to_owned(),
        assignment,
        timeline,
        client,
        apps: Mutex::default(),
        measured: Mutex::default(),
        socket,
        line: tokio::sync::Mutex::default(),
    }));
    let (stop, apps) = runtime.block_on(async {
        let ended = AssertUnwindSafe(body(check.clone())).catch_unwind().await;
        let apps = std::mem::take(&mut *check.lock_apps());
        for app in &apps {
            app.end().await;
        }
        (ended.err().map(stop_of), apps)
    });
    let timeline = check.timeline().events();
    let (outcome, finding, reason) = match stop {
        None => (Outcome::Passed, None, None),
        Some(Stop::Failed(finding)) => {
            let finding = complete(finding, why, &timeline);
            (Outcome::Failed, Some(finding), None)
        }
        Some(Stop::Unavailable(reason)) => (Outcome::Unavailable, None, Some(reason)),
        Some(Stop::Error(reason)) => (Outcome::Error, None, Some(reason)),
    };
    runtime.shutdown_background();
    Record {
        check: name.to_owned(),
        outcome,
        finding,
        reason,
        todo: apps.iter().find_map(App::todo),
        measured: *check.lock_measured(),
        timeline,
        logs: apps.iter().map(App::log).collect(),
    }
}

fn stop_of(payload: Box<dyn std::any::Any + Send>) -> Stop {
    match payload.downcast::<Stop>() {
        Ok(stop) => *stop,
        Err(other) => {
            let said = other
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| other.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            let place = PLACE.with_borrow(Clone::clone);
            Stop::Error(format!("the check panicked{place}: {said}"))
        }
    }
}

fn complete(mut finding: Finding, why: &str, timeline: &[Event]) -> Finding {
    if finding.did.is_empty() {
        finding.did = told_from(timeline);
    }
    if finding.why.is_empty() {
        why.clone_into(&mut finding.why);
    }
    finding
}

/// The requests of the check in words: `GET /products/7, twice; PUT /prices/7`.
fn told_from(timeline: &[Event]) -> String {
    let mut told: Vec<(&str, usize)> = Vec::new();
    for event in timeline.iter().filter(|event| event.from == "check") {
        match told.last_mut() {
            Some((last, times)) if *last == event.what => *times += 1,
            _ => told.push((&event.what, 1)),
        }
    }
    let shown = told.iter().take(6).map(|(what, times)| match times {
        1 => (*what).to_owned(),
        2 => format!("{what}, twice"),
        n => format!("{what}, {n} times"),
    });
    let mut shown: Vec<String> = shown.collect();
    if told.len() > 6 {
        shown.push(format!("and {} more", told.len() - 6));
    }
    shown.join("; ")
}

thread_local! {
    /// Where the last panic of this thread was, for a panic that is no [`Stop`].
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A [`Stop`] is how a check speaks, not a crash: it prints nothing by itself.
fn quiet_stops() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().is::<Stop>() {
                return;
            }
            let place = info.location().map(|at| format!(" at {at}"));
            PLACE.set(place.unwrap_or_default());
            usual(info);
        }));
    });
}

/// Our end of the socket pair that the runner made.
pub(crate) fn own_end() -> io::Result<UnixStream> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(stdin))
}

fn send(record: &Record) -> io::Result<()> {
    let mut runner = own_end()?;
    // What was asked over it was not waited for by blocking.
    runner.set_nonblocking(false)?;
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    runner.write_all(&line)
}
