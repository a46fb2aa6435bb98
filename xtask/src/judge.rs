//! Runs one check as a process of its own and says what its exit status and its record
//! together mean. Either alone is worth nothing.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use labkit::assignment::{Assignment, Outcome, Record, VARIABLE};
use labkit::patience::timeout;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::keeper::descendants::kill_tree;
use crate::report::{CheckReport, Status};
use crate::sandboxes::Sandboxes;

/// Longer than any check with all its ten-second patience; then it is stuck.
const LIMIT: Duration = Duration::from_secs(120);

/// A record with a long timeline is some hundred kilobytes; more is no record.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

/// Runs the check `name` (`cache_aside::a_cached_product_expires`) of `checks`. With
/// `todo_overrides`, an app that reached a `todo!()` has not started, whatever was seen. While it
/// runs it may ask for `sandboxes`.
pub(crate) async fn run(
    checks: &Path,
    name: &str,
    assignment: &Assignment,
    todo_overrides: bool,
    sandboxes: &mut Sandboxes<'_>,
) -> anyhow::Result<CheckReport> {
    let began = Instant::now();
    let (ours, theirs) = StdUnixStream::pair().context("making a socket pair")?;
    ours.set_nonblocking(true).context("preparing a socket")?;
    let records = UnixStream::from_std(ours).context("preparing a socket")?;
    let assignment = serde_json::to_string(assignment).context("writing the assignment")?;
    let mut child = Command::new(checks)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, assignment)
        // Not what a person set for their own tests.
        .env_remove("RUST_TEST_THREADS")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Not the terminal's job: after Ctrl-C its death would pass for a verdict.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("starting a check")?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let stdout = child.stdout.take().context("the check has no stdout")?;
    let stderr = child.stderr.take().context("the check has no stderr")?;
    let everything = async {
        tokio::join!(
            child.wait(),
            read_record(records, sandboxes),
            read_end(stdout),
            read_end(stderr)
        )
    };
    let ended = timeout(LIMIT, everything).await;
    let mut report = match ended {
        Err(_) => {
            // Its apps as well: in a watch they would go on, and work, until its end.
            if let Some(pid) = pid {
                kill_tree(pid);
            }
            let mut report = CheckReport::unrun("", Status::TimedOut);
            report.reason = Some(format!("still running after {} s", LIMIT.as_secs()));
            report
        }
        Ok((status, record, _, stderr)) => {
            verdict(status.context("waiting")?, record, &stderr, todo_overrides)
        }
    };
    short_name(name).clone_into(&mut report.name);
    report.duration_ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(report)
}

/// The check's name without its module.
pub(crate) fn short_name(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

fn verdict(
    status: ExitStatus,
    record: Option<Record>,
    stderr: &str,
    todo_overrides: bool,
) -> CheckReport {
    let mut report = CheckReport::unrun("", Status::Error);
    let Some(record) = record else {
        report.reason = Some(format!(
            "the check ended without a record ({status}){}",
            last_line(stderr)
        ));
        return report;
    };
    let passed = record.outcome == Outcome::Passed;
    report.status = match record.outcome {
        _ if passed != status.success() => {
            report.reason = Some(format!(
                "the check's record ({:?}) and its exit status ({status}) do not agree",
                record.outcome
            ));
            Status::Error
        }
        // Overrides a pass: what a check did not need may still be unwritten.
        _ if todo_overrides && record.todo.is_some() => Status::NotStarted,
        Outcome::Passed => Status::Passed,
        Outcome::Failed => Status::Failed,
        Outcome::Unavailable => Status::Unavailable,
        Outcome::Error => Status::Error,
    };
    report.runs_passed = u32::from(report.status == Status::Passed);
    report.finding = record.finding;
    report.reason = report.reason.or(record.reason);
    report.todo = record.todo;
    report.measured = record.measured;
    report.timeline = record.timeline;
    if !passed {
        report.logs = record.logs;
    }
    report
}

fn last_line(stderr: &str) -> String {
    stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map_or_else(String::new, |line| format!(": {line}"))
}

/// Answers what the check asks until it sends its record, which is the last that it says.
async fn read_record(records: UnixStream, sandboxes: &mut Sandboxes<'_>) -> Option<Record> {
    let (said, mut answers) = records.into_split();
    let mut said = BufReader::new(said.take(LARGEST_RECORD)).lines();
    let mut last = None;
    while let Some(line) = said.next_line().await.ok()? {
        match sandboxes.answer(&line).await {
            Some(answer) => answers.write_all(answer.as_bytes()).await.ok()?,
            None => last = Some(line),
        }
    }
    serde_json::from_str(&last?).ok()
}

/// Reads to the end and keeps the last part.
async fn read_end(mut stream: impl AsyncRead + Unpin) -> String {
    const KEPT: usize = 16 * 1024;
    let mut end = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        end.extend_from_slice(&chunk[..read]);
        if end.len() > 2 * KEPT {
            end.drain(..end.len() - KEPT);
        }
    }
    String::from_utf8_lossy(&end).into_owned()
}
