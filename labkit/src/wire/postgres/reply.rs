//! What Postgres says, as a check reads it and as a line of the timeline shows it.

use std::fmt;

use crate::wire::message::{SHOWN_SQL, room, shown};

/// What Postgres says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlReply {
    /// The statement is done.
    Done {
        /// The command tag: `SELECT 20`, `INSERT 0 1`, `COMMIT`. Several, with `; ` between
        /// them, for several statements that were sent as one; empty for none.
        tag: String,
        /// How many rows were sent to the app.
        rows: u64,
    },
    /// The app asked for so many rows and no more, and there may be more.
    Suspended {
        /// How many were sent.
        rows: u64,
    },
    /// It failed.
    Failed {
        /// The code of the error: `23505`.
        sqlstate: String,
        /// What the server says about it.
        message: String,
    },
    /// It was never executed: a statement before it failed that was sent without waiting for
    /// the answer.
    Skipped,
    /// Nobody's answer: a notice or a warning. On the timeline only.
    Notice {
        /// `NOTICE`, `WARNING` …
        severity: String,
        /// What it says.
        message: String,
    },
    /// Nobody's answer: what NOTIFY sends to those who LISTEN. On the timeline only.
    Notification {
        /// The channel.
        channel: String,
        /// What was sent.
        payload: String,
    },
}

impl fmt::Display for SqlReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = SHOWN_SQL * room(f);
        let shown = |text: &str| shown(text.as_bytes(), long);
        match self {
            Self::Done { tag, .. } if tag.is_empty() => f.write_str("nothing to do"),
            Self::Done { tag, .. } => f.write_str(&shown(tag)),
            Self::Suspended { rows: 1 } => f.write_str("1 row, as many as asked for"),
            Self::Suspended { rows } => write!(f, "{rows} rows, as many as asked for"),
            Self::Failed { sqlstate, message } => write!(f, "{sqlstate}: {}", shown(message)),
            Self::Skipped => f.write_str("skipped, a statement before it failed"),
            Self::Notice { severity, message } => write!(f, "{severity}: {}", shown(message)),
            Self::Notification { channel, payload } => {
                write!(f, "NOTIFY {} {}", shown(channel), shown(payload))
            }
        }
    }
}
