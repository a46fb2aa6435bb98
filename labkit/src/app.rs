//! The learner's service as a child process: started, stopped, killed, paused, spoken to.
//!
//! All that is known of it is the contract of the brief: it takes its environment, binds
//! a port of its own and says so in its first line on stdout, logs to stderr, and drains
//! on SIGTERM. It would do as well in another language.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::answer::Answer;
use crate::assignment::{Log, Todo};
use crate::check::Check;
use crate::output::Output;
use crate::patience::{PATIENCE, Pause, timeout, timeout_in_pause};
use crate::timeline::Timeline;
use crate::{confine, finding, stillness};

/// What the first line on stdout begins with.
const ANNOUNCEMENT: &str = "listening on http://";

/// An app that has not come to rest by then never does: it spins.
const LONGEST_UNREST: Duration = Duration::from_secs(1);

/// One running instance of the learner's service.
#[derive(Debug)]
pub struct App {
    name: String,
    base: String,
    client: reqwest::Client,
    timeline: Timeline,
    child: Arc<Mutex<Child>>,
    group: Pid,
    stderr: Output,
    /// Each closed when a stream of the app has been read to its end.
    readers: Vec<mpsc::Sender<()>>,
}

impl App {
    /// Starts an instance and waits for its address. An app that does not get there fails
    /// the check with what it did instead.
    pub async fn start(check: &Check, name: &str, environment: &[(&str, String)]) -> Self {
        let mut child = match spawn(check, environment) {
            Ok(child) => child,
            Err(error) => {
                finding::error(format!("{} does not start: {error}", check.app().display()))
            }
        };
        let group = Pid::from_raw(child.id().unwrap_or_default().cast_signed());
        let (stdout, stderr) = (Output::default(), Output::default());
        let (announce, announced) = oneshot::channel();
        let mut announce = Some(announce);
        let mut readers = Vec::new();
        if let Some(stream) = child.stdout.take() {
            readers.push(read(&stdout, stream, move |line| {
                // Only the first line counts: an app that logs to stdout is told so.
                if let Some(announce) = announce.take() {
                    let _ = announce.send(line.to_owned());
                }
            }));
        }
        if let Some(stream) = child.stderr.take() {
            let echo = check.echoes();
            readers.push(read(&stderr, stream, move |line| {
                if echo {
                    // Nobody has to listen.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }));
        }
        let mut app = Self {
            name: name.to_owned(),
            base: String::new(),
            client: check.client(),
            timeline: check.timeline(),
            child: Arc::new(Mutex::new(child)),
            group,
            stderr,
            readers,
        };
        check.register(&app);
        app.base = app.wait_for_address(announced).await;
        app
    }

    async fn wait_for_address(&self, announced: oneshot::Receiver<String>) -> String {
        let did = format!("started your service as `{}`", self.name);
        let expected = format!("its first line on stdout: `{ANNOUNCEMENT}127.0.0.1:PORT`");
        match timeout(PATIENCE, announced).await {
            Ok(Ok(line)) => match line.strip_prefix(ANNOUNCEMENT) {
                Some(address) if address.starts_with("127.0.0.1:") => {
                    format!("http://{}", address.trim())
                }
                _ => {
                    let line: String = line.chars().take(200).collect();
                    unstarted(did, format!("the first line `{line}`"), expected)
                }
            },
            Ok(Err(_)) => {
                let how = match timeout(PATIENCE, self.exited()).await {
                    Ok(status) => format!("it ended before it listened ({})", in_words(status)),
                    Err(_) => "it closed its stdout before it listened".to_owned(),
                };
                unstarted(did, how + &self.last_words(), expected)
            }
            Err(_) => unstarted(
                did,
                format!(
                    "no such line within {} s; it is still running{}",
                    PATIENCE.as_secs(),
                    self.last_words()
                ),
                expected,
            ),
        }
    }

    /// The name on the timeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None::<&()>).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None::<&()>).await
    }

    /// Sends a PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send("PUT", path, Some(body)).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// Lets the app come to rest, in its own measure of time: so many round trips, on no
    /// timeline, and until none of its threads wants to run. What it answers without waiting
    /// for anybody has been answered by then. Who waits for an answer meanwhile waits for the
    /// check: it costs nobody's patience.
    pub async fn settle(&self, round_trips: usize) {
        let _pause = Pause::begin();
        for _ in 0..round_trips {
            self.round_trip().await;
        }
        let at_rest = async {
            while !self.is_at_rest() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout_in_pause(LONGEST_UNREST, at_rest).await.is_ok() {
            // What was said last goes where it is to be heard.
            self.round_trip().await;
        }
    }

    async fn round_trip(&self) {
        // Whatever the answer to `/` is, also that there is none.
        let _ = timeout_in_pause(PATIENCE, self.client.get(&self.base).send()).await;
    }

    fn is_at_rest(&self) -> bool {
        self.lock().id().is_none_or(stillness::is_at_rest)
    }

    /// Sends a GET, and waits for its answer so long and no longer: for a check that says
    /// itself what an answer that does not come means.
    pub async fn get_within(&self, path: &str, limit: Duration) -> Option<Answer> {
        self.send_within("GET", path, None::<&()>, limit).await
    }

    /// As [`App::get_within`], a PUT with a JSON body.
    pub async fn put_within(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Option<Answer> {
        self.send_within("PUT", path, Some(body), limit).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Answer {
        match self.send_within(method, path, body, PATIENCE).await {
            Some(answer) => answer,
            None => finding::fail_because(
                "",
                format!(
                    "{method} {path} was not answered within {} s{}",
                    PATIENCE.as_secs(),
                    self.last_words()
                ),
                "an answer",
                "Whoever asked cannot tell a slow service from a dead one. What a request waits \
                 for has to have an end: a lock that is held, an answer that does not come.",
            ),
        }
    }

    async fn send_within(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Option<Answer> {
        let request = format!("{method} {path}");
        let event = self.timeline.push("check", &self.name, &request);
        let verb = reqwest::Method::from_bytes(method.as_bytes())
            .unwrap_or_else(|error| finding::error(format!("{method}: {error}")));
        let mut call = self.client.request(verb, format!("{}{path}", self.base));
        if let Some(body) = body {
            call = call.json(body);
        }
        let answered = async {
            let response = call.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        match timeout(limit, answered).await {
            Ok(Ok((status, bytes))) => {
                self.timeline.reply(event, status.to_string());
                Some(Answer {
                    request,
                    status,
                    body: String::from_utf8_lossy(&bytes).into_owned(),
                    event,
                    timeline: self.timeline.clone(),
                })
            }
            Ok(Err(_)) => {
                self.timeline.reply(event, "no answer");
                // Its end, or the panic that closed the connection, may still be on its way
                // to us.
                let _ = timeout(Duration::from_millis(200), self.exited()).await;
                finding::fail_because(
                    "",
                    format!("{request}: {}{}", self.how_it_broke(), self.last_words()),
                    "an HTTP answer",
                    self.why_it_matters_that_it_broke(),
                )
            }
            Err(_) => {
                self.timeline.note(event, "never answered");
                None
            }
        }
    }

    fn how_it_broke(&self) -> String {
        let status = self.lock().try_wait().ok().flatten();
        match status {
            Some(status) => format!("your service ended ({})", in_words(status)),
            None => "your service closed the connection without an answer".to_owned(),
        }
    }

    fn why_it_matters_that_it_broke(&self) -> &'static str {
        if self.stderr.panics().is_empty() {
            return "Whoever asked learns nothing, not even whether to try again.";
        }
        "Whoever asked learns nothing, not even whether to try again. An error that is returned \
         becomes an answer; a panic does not."
    }

    /// Asks the app to end (SIGTERM) and waits; one that does not end fails the check.
    pub async fn stop(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        match timeout(PATIENCE, self.exited()).await {
            Ok(status) => status,
            Err(_) => {
                self.kill().await;
                finding::fail(
                    format!("sent SIGTERM to `{}`", self.name),
                    format!("it was still running {} s later", PATIENCE.as_secs()),
                    "it finishes what it has begun, then ends",
                )
            }
        }
    }

    /// SIGKILL, as a crash would: nothing is finished, nothing is said.
    pub async fn kill(&self) {
        // The group as well: an app may have started processes of its own.
        let _ = killpg(self.group, Signal::SIGKILL);
        self.exited().await;
    }

    /// SIGKILL at the end of a check, and all that it had written read.
    pub(crate) async fn end(&self) {
        self.kill().await;
        for reader in &self.readers {
            // A process that the app left behind may hold its stderr open: not for long.
            let _ = timeout(Duration::from_millis(200), reader.closed()).await;
        }
    }

    /// SIGSTOP: the process stays, its sockets stay open, nothing moves.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT: goes on after [`App::pause`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        // Asked of tokio, not remembered: once the child is reaped its pid may be another's.
        if let Some(id) = self.lock().id() {
            let _ = kill(Pid::from_raw(id.cast_signed()), signal);
        }
    }

    async fn exited(&self) -> ExitStatus {
        loop {
            // `Child::wait` needs the child for itself, and `pause` must work meanwhile.
            match self.lock().try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) => {}
                Err(error) => finding::error(format!("cannot wait for the app: {error}")),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The first `todo!()` that this instance reached.
    pub(crate) fn todo(&self) -> Option<Todo> {
        self.stderr
            .panics()
            .iter()
            .find_map(|panic| panic.as_todo())
    }

    /// What it wrote, for the record.
    pub(crate) fn log(&self) -> Log {
        Log {
            name: self.name.clone(),
            stderr: self.stderr.tail(),
        }
    }

    /// A handle that outlives the value the check holds.
    pub(crate) fn share(&self) -> Self {
        Self {
            name: self.name.clone(),
            base: self.base.clone(),
            client: self.client.clone(),
            timeline: self.timeline.clone(),
            child: Arc::clone(&self.child),
            group: self.group,
            stderr: self.stderr.clone(),
            readers: self.readers.clone(),
        }
    }

    fn last_words(&self) -> String {
        let mut words = String::new();
        if let Some(panic) = self.stderr.panics().last() {
            let _ = write!(
                words,
                "; it panicked at {}:{}: {}",
                panic.file, panic.line, panic.message
            );
        } else if let Some(line) = self
            .stderr
            .tail()
            .lines()
            .rev()
            .find(|l| !l.trim().is_empty())
        {
            let line: String = line.chars().take(200).collect();
            let _ = write!(words, "; its last words on stderr: {line}");
        }
        words
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that never began has no reason of its own why this matters.
fn unstarted(did: String, saw: String, expected: String) -> ! {
    let why = "a service that does not come up answers nobody".to_owned();
    std::panic::panic_any(finding::Stop::Failed(finding::Finding {
        did,
        saw,
        expected,
        why,
    }))
}

/// Reads a stream of the app in the background; the sender is closed at its end.
fn read(
    output: &Output,
    stream: impl AsyncRead + Unpin + Send + 'static,
    on_line: impl FnMut(&str) + Send + 'static,
) -> mpsc::Sender<()> {
    let (done, open) = mpsc::channel(1);
    let draining = output.clone().drain(stream, on_line);
    tokio::spawn(async move {
        draining.await;
        drop(open);
    });
    done
}

fn spawn(check: &Check, environment: &[(&str, String)]) -> std::io::Result<Child> {
    let folder: &Path = check.folder();
    let mut command = Command::new(check.app());
    command
        .env_clear()
        // Nothing of the runner's environment is the app's business.
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own group: Ctrl-C in the learner's terminal is ours to handle.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(uid) = check.app_uid() {
        command.uid(uid).gid(uid);
    }
    confine::spawn(command, check.app(), folder)
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => "no exit code".to_owned(),
    }
}
