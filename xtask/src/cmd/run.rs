//! `cargo xtask run LAB`: the learner's service with everything around it, to play with.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use labkit::assignment::{Assignment, Outcome, Record, VARIABLE};
use labkit::play::{self, Card, Said};
use owo_colors::OwoColorize as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::check::any_seed;
use super::up::servers;
use crate::build::{self, Built};
use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::lab::{self, Lab};
use crate::pool::{Lease, Pool, Refusal};
use crate::provider::{Choice, Notes as _, RunFolder};
use crate::report::finding;
use crate::report::style::Look;
use crate::report::terminal::Terminal;
use crate::report::{CheckReport, Status};
use crate::run;
use crate::sandboxes::Sandboxes;
use crate::variant::Variant;

/// Shows every message until Ctrl-C.
pub(crate) async fn run(
    checkout: &Checkout,
    name: &str,
    solution: bool,
    choice: Choice,
) -> anyhow::Result<ExitCode> {
    let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
    let folder = RunFolder::from_env()?;
    let terminal = Arc::new(Terminal::new(false, false));
    let variant = match solution {
        true => Variant::Solution,
        false => Variant::Working,
    };
    terminal.progress(&format!("building {}", lab.name));
    let building = tokio::task::spawn_blocking({
        let (checkout, lab) = (checkout.clone(), lab.clone());
        let (run, notes) = (folder.path().to_owned(), Arc::clone(&terminal));
        move || build::build(&checkout, &lab, &variant, &run, &*notes)
    });
    let (pool, built) = tokio::join!(
        Pool::open(checkout, &lab, choice, &folder, &*terminal),
        building
    );
    let built = built.context("the build panicked")??;
    for (exercise, error) in &built.broken {
        terminal.note(&format!(
            "{exercise} does not compile, its starter stands in:\n{}",
            error.trim_end()
        ));
    }
    if !run::has_playground(&built.checks)? {
        bail!(Fault::new(
            Whose::Usage,
            format!("`{}` has nothing to play with", lab.name),
            format!("`cargo xtask up {}` starts its services", lab.name),
        ));
    }
    let lease = pool
        .lease(None, built.prepare.as_ref(), &*terminal)
        .await
        .map_err(Refusal::into_fault)?;
    let servers = servers(&pool, &lease)?;
    let welcome = |card: &Card| welcome(&lab, card, &servers, terminal.look());
    let mut sandboxes = Sandboxes::of(&pool);
    let ended = play(&built, &lease, &folder, &terminal, welcome, &mut sandboxes).await;
    sandboxes.end(&*terminal).await;
    pool.give_back(lease, &*terminal).await;
    pool.close(&*terminal).await;
    ended
}

/// Starts the playground and tells what it says. Only its own failure ends it: Ctrl-C ends
/// this process as well.
async fn play(
    built: &Built,
    lease: &Lease,
    folder: &RunFolder,
    terminal: &Arc<Terminal>,
    welcome: impl Fn(&Card) -> String,
    sandboxes: &mut Sandboxes<'_>,
) -> anyhow::Result<ExitCode> {
    let own = run::check_folder(folder)?;
    let assignment = Assignment {
        echo: true,
        ..run::assignment(built, lease, &own, any_seed())
    };
    let (ours, theirs) = StdUnixStream::pair().context("making a socket pair")?;
    ours.set_nonblocking(true).context("preparing a socket")?;
    let (said, mut answers) = UnixStream::from_std(ours)?.into_split();
    let mut said = BufReader::new(said).lines();
    let mut child = Command::new(&built.checks)
        .args(["--exact", play::NAME, "--ignored", "--nocapture"])
        .env(VARIABLE, serde_json::to_string(&assignment)?)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting the playground")?;
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(pass_on(stderr, Arc::clone(terminal)));
    }
    while let Some(line) = said.next_line().await? {
        if let Some(answer) = sandboxes.answer(&line).await {
            answers.write_all(answer.as_bytes()).await?;
            continue;
        }
        match serde_json::from_str(&line).context("the playground speaks another language")? {
            Said::Card(card) => {
                terminal.clear();
                terminal.print(&welcome(&card));
            }
            Said::Event(event) => terminal.print(&finding::line(&event, terminal.look())),
            Said::Ended(record) => return Ok(conclude(record, terminal)),
        }
    }
    bail!("the playground ended without a word")
}

/// What the service writes to stderr.
async fn pass_on(stderr: impl AsyncRead + Unpin, terminal: Arc<Terminal>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        terminal.note(&format!("app: {line}"));
    }
}

fn welcome(lab: &Lab, card: &Card, servers: &str, look: &Look) -> String {
    let mut text = format!("{}\n\n", lab.manifest.title.style(look.strong));
    for (name, url) in &card.places {
        text += &format!("{name:<10} {url}\n");
    }
    text += &format!("\n{servers}\nTry, in another terminal:\n");
    for (command, shows) in &card.tries {
        text += &format!(
            "\n  {}\n  {}\n",
            shows.style(look.quiet),
            command.style(look.command)
        );
    }
    text + "\nEvery message, as it comes. It runs what you had saved when it began; Ctrl-C ends it.\n\n"
}

/// It ends by itself only where something is wrong.
fn conclude(record: Record, terminal: &Terminal) -> ExitCode {
    let status = match record.outcome {
        Outcome::Failed => Status::Failed,
        Outcome::Unavailable => Status::Unavailable,
        Outcome::Passed | Outcome::Error => Status::Error,
    };
    let mut report = CheckReport::unrun("your_service_comes_up", status);
    report.finding = record.finding;
    report.reason = record.reason;
    terminal.print(&finding::render(&report, false, terminal.look()));
    ExitCode::from(status.exit_code())
}
