//! Small pieces of text that several outputs share.

use super::Status;

/// `a_second_read_never_reaches_the_catalogue` as a sentence.
pub(crate) fn sentence(check: &str) -> String {
    check.replace('_', " ")
}

/// The status in two words at most.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::NotStarted => "not started",
        Status::Failed => "failed",
        Status::DoesNotCompile => "does not compile",
        Status::TimedOut => "timed out",
        Status::Unavailable => "unavailable",
        Status::Error => "error in the lab",
    }
}

/// The sign before a line; it reads without colour as well.
pub(crate) fn sign(status: Status) -> &'static str {
    match status {
        Status::Passed => "✓",
        Status::NotStarted => "○",
        Status::Failed | Status::DoesNotCompile | Status::TimedOut => "✗",
        Status::Unavailable => "?",
        Status::Error => "!",
    }
}

/// How far a run of checks is, and what it waits for.
pub(crate) fn checking(done: usize, of: usize, current: Option<&str>) -> String {
    let waiting = current.map_or_else(String::new, |check| format!(": {check}"));
    format!("checking, {done} of {of} done{waiting}")
}

/// `1 check waits`, `5 checks wait`.
pub(crate) fn waiting(checks: usize) -> String {
    let verb = if checks == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(checks, "check"))
}

/// `1 check`, `5 checks`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
