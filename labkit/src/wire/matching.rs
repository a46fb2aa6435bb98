//! Which message a fault meets.

use std::fmt;
use std::sync::Arc;

use super::message::{Message, MessageKind};
use crate::sql::Pattern;

type Condition = Arc<dyn Fn(&Message) -> bool + Send + Sync>;

/// Which message a fault meets. It counts from the moment the fault is set.
#[derive(Clone)]
pub struct Match {
    what: What,
    key: Option<String>,
    pub(super) nth: usize,
    condition: Option<Condition>,
}

#[derive(Clone)]
enum What {
    Any,
    Command(String),
    Request { method: String, path: String },
    Statement(Pattern),
}

impl Match {
    /// Any message at all.
    pub fn any() -> Self {
        Self {
            what: What::Any,
            key: None,
            nth: 1,
            condition: None,
        }
    }

    /// A Redis command by its name, however it is spelled.
    pub fn command(name: &str) -> Self {
        Self {
            what: What::Command(name.to_ascii_uppercase()),
            ..Self::any()
        }
    }

    /// An HTTP request. The path may leave the query out, or end in `*`: whatever begins so.
    pub fn request(method: &str, path: &str) -> Self {
        Self {
            what: What::Request {
                method: method.to_owned(),
                path: path.to_owned(),
            },
            ..Self::any()
        }
    }

    /// A statement that begins so, word for word: `COMMIT`, `UPDATE stock`. A gap is written
    /// `…` or `...`: `SELECT … FOR UPDATE`, and `… INSERT INTO audit` wherever it stands.
    ///
    /// Case, white space and comments mean nothing outside quotes; `END` is `COMMIT`, `ABORT`
    /// is `ROLLBACK`, `START TRANSACTION` is `BEGIN`. Where several statements were sent as
    /// one, each of them counts as a beginning, and all of them are met as one. A message
    /// that only fetches more rows is not met: its statement was counted before.
    pub fn statement(pattern: &str) -> Self {
        Self {
            what: What::Statement(Pattern::new(pattern)),
            ..Self::any()
        }
    }

    /// Only Redis commands that have this key among their arguments.
    pub fn key(self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self
        }
    }

    /// The k-th message that matches, from now on; 1, the next one, when not given.
    pub fn nth(self, k: usize) -> Self {
        Self {
            nth: k.max(1),
            ..self
        }
    }

    /// Only messages that meet a condition. The wire is locked meanwhile: the condition
    /// must not ask it anything.
    pub fn where_(self, condition: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        Self {
            condition: Some(Arc::new(condition)),
            ..self
        }
    }

    /// Whether a message is one of those counted.
    pub fn meets(&self, message: &Message) -> bool {
        let what = match (&self.what, &message.kind) {
            (What::Any, _) => true,
            (What::Command(name), MessageKind::Redis { args }) => args
                .first()
                .is_some_and(|arg| arg.eq_ignore_ascii_case(name.as_bytes())),
            (
                What::Request { method, path },
                MessageKind::Http {
                    method: m, path: p, ..
                },
            ) => method == m && path_meets(path, p),
            (What::Statement(pattern), MessageKind::Postgres { sql, more, .. }) => {
                !more && pattern.meets(sql)
            }
            _ => false,
        };
        let key = self.key.as_ref().is_none_or(|key| match &message.kind {
            MessageKind::Redis { args } => args.iter().skip(1).any(|arg| arg == key.as_bytes()),
            _ => false,
        });
        what && key && self.condition.as_ref().is_none_or(|meets| meets(message))
    }
}

/// Whether a request target is the path (with or without its query), or begins with it
/// where the pattern ends in `*`.
pub(crate) fn path_meets(pattern: &str, target: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => target.starts_with(prefix),
        None => target == pattern || target.split('?').next() == Some(pattern),
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Any => f.write_str("message")?,
            What::Command(name) => f.write_str(name)?,
            What::Request { method, path } => write!(f, "{method} {path}")?,
            What::Statement(pattern) => pattern.fmt(f)?,
        }
        if let Some(key) = &self.key {
            write!(f, " of {key}")?;
        }
        if self.nth > 1 {
            write!(f, " number {}", self.nth)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Match({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_met_whole_without_its_query_or_by_its_beginning() {
        assert!(path_meets("/products/7", "/products/7"));
        assert!(path_meets("/products/7", "/products/7?fresh=1"));
        assert!(!path_meets("/products/7", "/products/71"));
        assert!(path_meets("/products/*", "/products/71"));
        assert!(!path_meets("/products/*", "/stock/7"));
    }
}
