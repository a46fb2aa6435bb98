//! Redis on the wire: which reply is whose, and what a server that is not ours is spared.

use std::collections::HashSet;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Target;
use super::command::{self, Commands};
use super::message::{MessageKind, ReplyKind, Value};
use super::protocol::{Answer, Protocol, Refusal, Request, Role};
use super::refuse;
use super::resp::{self, Parsed, Scanner};

/// A connection to Redis.
pub(super) struct Redis {
    requests: Commands,
    replies: Scanner,
    ours: bool,
    database: u32,
    /// CLIENT REPLY OFF, and SKIP for the next command.
    silent: bool,
    skip_next: bool,
    /// What is subscribed to, for the confirmations of an UNSUBSCRIBE without arguments.
    subscriptions: [HashSet<Bytes>; 3],
    /// In RESP2 a published message looks like an ordinary array.
    subscribed_in_resp2: bool,
    monitoring: bool,
}

/// What is still to come for a command.
pub(super) enum Expect {
    Reply,
    /// Redis confirms channel by channel. How many that is for an UNSUBSCRIBE of
    /// everything is known once all replies before it are in.
    Confirmations {
        verb: Bytes,
        left: Option<usize>,
    },
    Monitor,
    Reset,
}

impl Redis {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            requests: Commands::default(),
            replies: Scanner::default(),
            ours: target.ours,
            database: target.redis_database(),
            silent: false,
            skip_next: false,
            subscriptions: Default::default(),
            subscribed_in_resp2: false,
            monitoring: false,
        }
    }

    /// What the server will answer, seen from the command.
    fn expect(&mut self, args: &[Bytes]) -> Option<Expect> {
        let is = |index: usize, word: &str| {
            args.get(index)
                .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
        };
        if is(0, "RESET") {
            self.silent = false;
        }
        if is(0, "CLIENT") && is(1, "REPLY") && args.len() == 3 {
            if is(2, "ON") {
                self.silent = false;
            } else if is(2, "OFF") {
                self.silent = true;
            } else if is(2, "SKIP") && !self.silent {
                self.skip_next = true;
                return None;
            }
        } else if std::mem::take(&mut self.skip_next) {
            return None;
        }
        if self.silent {
            return None;
        }
        let verb = args[0].to_ascii_lowercase();
        Some(match verb.as_slice() {
            b"subscribe" | b"psubscribe" | b"ssubscribe" | b"unsubscribe" | b"punsubscribe"
            | b"sunsubscribe" => Expect::Confirmations {
                verb: verb.into(),
                left: (args.len() > 1).then(|| args.len() - 1),
            },
            b"monitor" => Expect::Monitor,
            b"reset" => Expect::Reset,
            _ => Expect::Reply,
        })
    }

    fn role(&mut self, raw: &Bytes, oldest: Option<&mut Expect>) -> Role {
        let value = resp::value(raw);
        let pushed = raw.first() == Some(&b'>');
        if let Some(Expect::Confirmations { verb, left }) = oldest {
            if let Some(channel) = confirmed(&value, verb) {
                self.subscribed_in_resp2 = !pushed;
                let total = self.confirm(verb, channel);
                let left = left.get_or_insert(total);
                *left = left.saturating_sub(1);
                let last = *left == 0;
                return Role::Reply {
                    reply: ReplyKind::Redis(value),
                    last,
                };
            }
            if pushed || self.published(&value) {
                return Role::Push(ReplyKind::Redis(value));
            }
        } else if pushed || self.published(&value) || self.observed(&value) {
            return Role::Push(ReplyKind::Redis(value));
        } else {
            match oldest {
                None => return Role::Push(ReplyKind::Redis(value)),
                Some(_) if matches!(value, Value::Error(_)) => {}
                Some(Expect::Monitor) => self.monitoring = true,
                Some(Expect::Reset) => {
                    self.monitoring = false;
                    self.subscribed_in_resp2 = false;
                    self.subscriptions = Default::default();
                }
                Some(_) => {}
            }
        }
        // Whatever else answers a SUBSCRIBE (an error, QUEUED) answers all of it.
        Role::Reply {
            reply: ReplyKind::Redis(value),
            last: true,
        }
    }

    /// Enters a confirmation; returns how many an UNSUBSCRIBE of everything has, this one
    /// included.
    fn confirm(&mut self, verb: &[u8], channel: &Value) -> usize {
        let of = match verb {
            b"psubscribe" | b"punsubscribe" => 1,
            b"ssubscribe" | b"sunsubscribe" => 2,
            _ => 0,
        };
        let channels = &mut self.subscriptions[of];
        let total = channels.len().max(1);
        if let Value::Text(channel) = channel {
            if verb.ends_with(b"unsubscribe") {
                channels.remove(channel);
            } else {
                channels.insert(channel.clone());
            }
        }
        total
    }

    fn published(&self, value: &Value) -> bool {
        self.subscribed_in_resp2
            && matches!(value, Value::List(items) if matches!(items.first(),
                Some(Value::Text(kind)) if [&b"message"[..], b"pmessage", b"smessage"].contains(&&kind[..])))
    }

    /// A line of MONITOR begins with the time.
    fn observed(&self, value: &Value) -> bool {
        self.monitoring
            && matches!(value, Value::Text(line) if line.first().is_some_and(u8::is_ascii_digit))
    }
}

/// The channel that a confirmation of this command names.
fn confirmed<'v>(value: &'v Value, verb: &[u8]) -> Option<&'v Value> {
    match value {
        Value::List(items) => match &items[..] {
            [Value::Text(kind), channel, _] if kind == verb => Some(channel),
            _ => None,
        },
        _ => None,
    }
}

impl Protocol for Redis {
    type Expect = Expect;

    const NAME: &'static str = "RESP";

    fn passes_garbage(&self) -> bool {
        // Who knows what a server would make of it.
        self.ours
    }

    fn request(&mut self, buffer: &mut BytesMut) -> Parsed<Request<Expect>> {
        let command = match self.requests.take(buffer) {
            Parsed::Whole(command) => command,
            Parsed::Partial => return Parsed::Partial,
            Parsed::Garbage => return Parsed::Garbage,
        };
        if command.args.is_empty() {
            return Parsed::Whole(Request {
                kind: None,
                forward: command.raw,
                expect: None,
                refusal: None,
                urge: b"",
            });
        }
        let reason = (!self.ours)
            .then(|| refuse::reason(&command.args, self.database))
            .flatten();
        let (forward, refusal) = match reason {
            // The server gets a command that it does not know in place of the refused one,
            // and so gives its error at the right moment, and fails a MULTI around it.
            Some(reason) => (
                command::encode(&["LABS.REFUSED"]),
                Some(Refusal {
                    raw: format!("-{reason}\r\n").into(),
                    reply: ReplyKind::Redis(Value::Error(reason)),
                }),
            ),
            // Words are read twice, here and there; what was checked is what is sent.
            None if command.inline && !self.ours => (command::encode(&command.args), None),
            None => (command.raw, None),
        };
        let expect = match refusal {
            Some(_) => self.expect(&[Bytes::from_static(b"LABS.REFUSED")]),
            None => self.expect(&command.args),
        };
        Parsed::Whole(Request {
            kind: Some(MessageKind::Redis { args: command.args }),
            forward,
            expect,
            refusal,
            urge: b"",
        })
    }

    fn answer(
        &mut self,
        buffer: &mut BytesMut,
        oldest: Option<&mut Expect>,
        _ended: bool,
    ) -> Parsed<Answer> {
        match self.replies.take(buffer) {
            Parsed::Whole(raw) => {
                let role = self.role(&raw, oldest);
                Parsed::Whole(Answer { raw, role })
            }
            Parsed::Partial => Parsed::Partial,
            Parsed::Garbage => Parsed::Garbage,
        }
    }
}

/// Logs in and selects the database, as the target says, before the app is heard.
pub(super) async fn log_in(
    target: &Target,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    if let Some(password) = &target.password {
        let user = target.username.iter().cloned();
        let words = ["AUTH".to_owned()].into_iter().chain(user);
        commands.push(words.chain([password.clone()]).collect());
    }
    if let Some(database) = &target.database {
        commands.push(vec!["SELECT".to_owned(), database.clone()]);
    }
    let mut scanner = Scanner::default();
    let mut buffer = BytesMut::new();
    for command in commands {
        writer.write_all(&command::encode(&command)).await?;
        let raw = loop {
            match scanner.take(&mut buffer) {
                Parsed::Whole(raw) => break raw,
                Parsed::Garbage => return Err(io::Error::other("not a Redis server")),
                Parsed::Partial if reader.read_buf(&mut buffer).await? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Parsed::Partial => {}
            }
        };
        if let Value::Error(words) = resp::value(&raw) {
            return Err(io::Error::other(words));
        }
    }
    Ok(())
}
