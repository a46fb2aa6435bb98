//! How a failed check speaks: did, saw, expected, why.

use std::panic::panic_any;

use serde::{Deserialize, Serialize};

/// Why a check failed, in the words that a learner reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What the check did. Empty: told from the timeline.
    pub did: String,
    /// What it saw.
    pub saw: String,
    /// What it expected: the observable only, never the remedy.
    pub expected: String,
    /// Why that matters in production. Empty: the doc comment of the check.
    pub why: String,
}

/// How a check ends before its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The learner's service did something else than the brief asks.
    Failed(Finding),
    /// A service that the check needs cannot be had: neither passed nor failed.
    Unavailable(String),
    /// The lab itself is at fault.
    Error(String),
}

/// Ends the check: the learner's service did something else than the brief asks.
///
/// `did` may be empty: it is then told from the requests on the timeline.
#[track_caller]
pub fn fail(did: impl Into<String>, saw: impl Into<String>, expected: impl Into<String>) -> ! {
    panic_any(Stop::Failed(Finding {
        did: did.into(),
        saw: saw.into(),
        expected: expected.into(),
        why: String::new(),
    }))
}

/// The same, where the doc comment of the check does not say why this matters.
#[track_caller]
pub fn fail_because(
    did: impl Into<String>,
    saw: impl Into<String>,
    expected: impl Into<String>,
    why: impl Into<String>,
) -> ! {
    panic_any(Stop::Failed(Finding {
        did: did.into(),
        saw: saw.into(),
        expected: expected.into(),
        why: why.into(),
    }))
}

/// Ends the check: a service that it needs cannot be had.
pub fn unavailable(reason: impl Into<String>) -> ! {
    panic_any(Stop::Unavailable(reason.into()))
}

/// Ends the check: the lab itself is at fault.
pub fn error(reason: impl Into<String>) -> ! {
    panic_any(Stop::Error(reason.into()))
}
