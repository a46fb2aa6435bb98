//! What was said on the wire, as a check reads it and as a line of the timeline shows it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;

use super::postgres::{self, Param, SqlReply};
use crate::sql;

/// How much of one value a line shows.
const SHOWN: usize = 60;
/// The same in the alternate form (`{:#}`), for who wants to see more.
const SHOWN_LONG: usize = 200;
/// How many arguments or elements a line shows.
pub(super) const SHOWN_ITEMS: usize = 8;
/// How many times as much of a statement: one line of a check is about one.
pub(super) const SHOWN_SQL: usize = 3;

/// A request that an app sent through the wire.
#[derive(Clone, Debug)]
pub struct Message {
    /// Milliseconds since the check began.
    pub at_ms: f64,
    /// Who sent it: `app`, `app 2` …
    pub client: String,
    /// The connection it came on, numbered from 1 within its wire.
    pub connection: u64,
    /// What it asks.
    pub kind: MessageKind,
    /// The service's answer, once the wire has seen it: also one that a fault then kept
    /// from the app. Nothing for a command that has no reply of its own.
    pub reply: Option<Reply>,
}

/// A request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A Redis command and its arguments; the command stands first, as it was spelled.
    Redis {
        /// `["SET", "product:7", "…", "EX", "60"]`
        args: Vec<Bytes>,
    },
    /// An HTTP request.
    Http {
        /// `GET`, `PUT` …
        method: String,
        /// The request target: path and query.
        path: String,
        /// The body, with the chunked coding taken off.
        body: Bytes,
    },
    /// A statement that is executed; or one that could not even be prepared, which then has
    /// an error for an answer. A text of several statements that were sent as one is one.
    Postgres {
        /// The text as the app wrote it.
        sql: Arc<str>,
        /// What stands for `$1`, `$2` … in it.
        params: Vec<Param>,
        /// Whether it only fetches more rows of what was begun by a message before.
        more: bool,
    },
    /// The demand to stop what another connection to Postgres does.
    PostgresCancel {
        /// The server process of the other connection: its `pg_backend_pid()`.
        process: u32,
    },
}

/// The answer to a message.
#[derive(Clone, Debug)]
pub struct Reply {
    /// When the wire saw it, on the clock of the timeline.
    pub at_ms: f64,
    /// What it says.
    pub kind: ReplyKind,
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyKind {
    /// What Redis answered.
    Redis(Value),
    /// An HTTP response.
    Http {
        /// The status code.
        status: u16,
        /// The body, with the chunked coding taken off.
        body: Bytes,
    },
    /// What Postgres answered.
    Postgres(SqlReply),
}

/// A Redis value, the same for both versions of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value: a miss.
    Nil,
    /// A RESP3 boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A RESP3 double.
    Double(f64),
    /// A string of any kind, status replies such as `OK` included.
    Text(Bytes),
    /// An error reply, with its prefix: `WRONGTYPE …`.
    Error(String),
    /// An array, set or push.
    List(Vec<Value>),
    /// A RESP3 map.
    Map(Vec<(Value, Value)>),
}

impl Message {
    /// The Redis command or the first word of the statement in capitals, or the HTTP method.
    pub fn verb(&self) -> String {
        match &self.kind {
            MessageKind::Redis { args } => args
                .first()
                .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
                .unwrap_or_default(),
            MessageKind::Http { method, .. } => method.clone(),
            MessageKind::Postgres { sql, .. } => sql::verb(sql),
            MessageKind::PostgresCancel { .. } => "CANCEL".to_owned(),
        }
    }

    /// An argument of a Redis command as text; 0 is the command itself.
    pub fn arg(&self, index: usize) -> Option<String> {
        match &self.kind {
            MessageKind::Redis { args } => args
                .get(index)
                .map(|arg| String::from_utf8_lossy(arg).into_owned()),
            _ => None,
        }
    }

    /// The text of a statement, as the app wrote it.
    pub fn sql(&self) -> Option<&str> {
        match &self.kind {
            MessageKind::Postgres { sql, .. } => Some(sql),
            _ => None,
        }
    }

    /// A parameter of a statement; 0 is `$1`.
    pub fn param(&self, index: usize) -> Option<&Param> {
        match &self.kind {
            MessageKind::Postgres { params, .. } => params.get(index),
            _ => None,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis { args } => {
                for (i, arg) in args.iter().take(SHOWN_ITEMS).enumerate() {
                    let gap = if i == 0 { "" } else { " " };
                    f.write_str(gap)?;
                    f.write_str(&shown(arg, room(f)))?;
                }
                more(f, args.len())
            }
            Self::Http { method, path, body } => {
                write!(f, "{method} {path}")?;
                short_body(f, body)
            }
            Self::Postgres { sql, params, more } => {
                let room = SHOWN_SQL * room(f);
                f.write_str(if *more { "more of " } else { "" })?;
                // A character is at most 4 bytes.
                f.write_str(&shown(sql::folded(sql, 4 * room).as_bytes(), room))?;
                if !params.is_empty() {
                    f.write_char(' ')?;
                    postgres::list(f, params)?;
                }
                Ok(())
            }
            Self::PostgresCancel { process } => {
                write!(f, "cancel what server process {process} does")
            }
        }
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(value) => value.fmt(f),
            Self::Http { status, body } => {
                status.fmt(f)?;
                short_body(f, body)
            }
            Self::Postgres(reply) => reply.fmt(f),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            // A value, and not what stands for one that is missing.
            Self::Text(text) if matches!(&text[..], b"nil" | b"null") => {
                write!(f, "\"{}\"", shown(text, room(f)))
            }
            Self::Text(text) => f.write_str(&shown(text, room(f))),
            Self::Error(text) => f.write_str(&shown(text.as_bytes(), room(f))),
            Self::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().take(SHOWN_ITEMS).enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    item.fmt(f)?;
                }
                more(f, items.len())?;
                f.write_char(']')
            }
            Self::Map(pairs) => {
                f.write_char('{')?;
                for (i, (key, value)) in pairs.iter().take(SHOWN_ITEMS).enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    key.fmt(f)?;
                    f.write_str(": ")?;
                    value.fmt(f)?;
                }
                more(f, pairs.len())?;
                f.write_char('}')
            }
        }
    }
}

/// A body that fits the line is worth more than its length; a part of a long one is not.
fn short_body(f: &mut fmt::Formatter<'_>, body: &[u8]) -> fmt::Result {
    let room = room(f);
    match body.len() {
        0 => Ok(()),
        length if length > room => Ok(()),
        _ => write!(f, " {}", shown(body, room)),
    }
}

pub(super) fn room(f: &fmt::Formatter<'_>) -> usize {
    if f.alternate() { SHOWN_LONG } else { SHOWN }
}

pub(super) fn more(f: &mut fmt::Formatter<'_>, items: usize) -> fmt::Result {
    match items.saturating_sub(SHOWN_ITEMS) {
        0 => Ok(()),
        hidden => write!(f, " … {hidden} more"),
    }
}

/// One value in one line: cut to so many characters, and nothing in it that a terminal
/// would act upon.
pub(super) fn shown(bytes: &[u8], mut room: usize) -> String {
    if bytes.is_empty() {
        return "\"\"".to_owned();
    }
    let mut line = String::new();
    // Characters are at most 4 bytes, so that no more of a huge value is ever looked at;
    // one that is cut in half at that end is past what is shown.
    let head = &bytes[..bytes.len().min((room + 1) * 4)];
    for chunk in head.utf8_chunks() {
        for c in chunk.valid().chars() {
            if room == 0 {
                return line + "…";
            }
            room -= 1;
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
        for byte in chunk.invalid() {
            if room == 0 {
                return line + "…";
            }
            room -= 1;
            line.push_str(&format!("\\x{byte:02x}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_binary_values_are_shown_in_one_readable_line() {
        let long = "ä".repeat(70);
        assert_eq!(
            shown(long.as_bytes(), SHOWN),
            format!("{}…", "ä".repeat(60)),
            "a long value is cut between characters"
        );
        assert_eq!(shown("a".repeat(60).as_bytes(), SHOWN), "a".repeat(60));
        assert_eq!(
            shown(b"\x00\xff\n\x1b[2Jx", SHOWN),
            "\\u{0}\\xff\\n\\u{1b}[2Jx"
        );
        assert_eq!(shown(b"", SHOWN), "\"\"");
        let args = (0..10).map(|i| Bytes::from(i.to_string())).collect();
        assert_eq!(
            MessageKind::Redis { args }.to_string(),
            "0 1 2 3 4 5 6 7 … 2 more"
        );
        let reply = Value::List(vec![Value::Nil, Value::Integer(3)]);
        assert_eq!(reply.to_string(), "[nil, 3]");
    }

    #[test]
    fn the_alternate_form_shows_more_of_long_values_and_is_bounded() {
        let text = |length| Value::Text(Bytes::from("a".repeat(length)));
        let reply = ReplyKind::Redis(Value::List(vec![text(200), text(201)]));
        let cut = format!("{}…", "a".repeat(60));
        assert_eq!(reply.to_string(), format!("[{cut}, {cut}]"));
        let whole = "a".repeat(200);
        assert_eq!(format!("{reply:#}"), format!("[{whole}, {whole}…]"));
        let body = |length| ReplyKind::Http {
            status: 200,
            body: Bytes::from("b".repeat(length)),
        };
        assert_eq!(body(61).to_string(), "200");
        assert_eq!(
            format!("{:#}", body(200)),
            format!("200 {}", "b".repeat(200))
        );
        assert_eq!(format!("{:#}", body(201)), "200");
    }
}
