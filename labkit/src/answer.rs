//! What an app answered to one request, and the expectations that read like the brief.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::finding;
use crate::timeline::{EventId, Timeline};

/// An HTTP answer of the app.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request in one line: `GET /products/7`.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
    pub(crate) event: EventId,
    pub(crate) timeline: Timeline,
}

impl Answer {
    /// The body as `T`; what the app sent instead fails the check.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            self.point("not the JSON of the brief");
            finding::fail_because(
                "",
                format!(
                    "{} answered {self}, which does not read: {error}",
                    self.request
                ),
                "the JSON that the brief describes",
                "What its readers cannot read is no answer to them: they show an error where the \
                 value should be.",
            )
        })
    }

    /// Fails the check unless the status is a success.
    #[must_use = "the answer has a body worth looking at; `let _ =` where it has not"]
    pub fn expect_ok(self) -> Self {
        if !(200..300).contains(&self.status) {
            self.point("not a success");
            let (saw, expected) = (format!("{} answered {self}", self.request), "a 2xx answer");
            if self.status < 500 {
                finding::fail("", saw, expected);
            }
            finding::fail_because(
                "",
                saw,
                expected,
                "By such an answer your service says itself that it failed. Whoever asked has \
                 nothing, and what this check is about was not reached.",
            );
        }
        self
    }

    /// Fails the check unless the status is `status`; `because` says what the brief asks.
    pub fn expect_status(self, status: u16, because: &str) -> Self {
        if self.status != status {
            self.point(format!("not {status}"));
            finding::fail(
                "",
                format!("{} answered {self}", self.request),
                format!("{status}: {because}"),
            );
        }
        self
    }

    /// Points the reader of the timeline at this answer.
    pub fn point(&self, note: impl Into<String>) {
        self.timeline.note(self.event, note);
    }
}

/// Status and a body short enough for a finding.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.trim();
        if body.is_empty() {
            return write!(f, "{}", self.status);
        }
        let short: String = body.chars().take(200).collect();
        let dots = if short.len() < body.len() { "…" } else { "" };
        write!(f, "{} with the body {short}{dots}", self.status)
    }
}
