//! Postgres on the wire: which statement is executed, and which answer is whose.
//!
//! The login is the app's own: what it and the server say to each other about that passes
//! untouched, so the app needs the role, the password and the database in its URL. The wire
//! declines encryption in the server's stead, since it could not read what is encrypted;
//! without it a client and a server agree on SCRAM without channel binding. A server that is
//! reached over its Unix socket must ask for a password there as well: to it the wire is the
//! user that runs the check.
//!
//! Nothing is refused, not even by a server that is not ours: what reaches beyond the lab's
//! own database there (ALTER SYSTEM, DROP DATABASE, COPY … PROGRAM, another role's sessions)
//! is refused to an ordinary role by the server itself.

mod param;
mod replies;
mod reply;
mod requests;
mod unit;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::message::{MessageKind, ReplyKind};
use super::protocol::{Answer, Protocol, Request, Role};
use super::resp::Parsed;
pub use param::Param;
pub(super) use param::list;
pub use reply::SqlReply;
use unit::{Opening, Unit, Units};

/// A connection to Postgres.
#[derive(Default)]
pub(super) struct Postgres {
    started: bool,
    units: Units,
    statements: HashMap<Bytes, Arc<Prepared>>,
    portals: HashMap<Bytes, Portal>,
    /// Whether the server may hold answers back: what it was sent last asked for none.
    silent: bool,
    /// After an error the server passes over everything up to the next Sync.
    skipping: bool,
    /// How many units with a Sync wait for an answer.
    syncs: usize,
    /// How much of a row is still to come that is passed on piece by piece.
    passing: usize,
    /// What the app hears together with what comes next: the server's word on a statement is
    /// its last only when it is ready again, and the app must not act on a reply that is not
    /// written down yet.
    kept: Bytes,
}

/// A statement that was prepared, under a name or none.
struct Prepared {
    sql: Arc<str>,
    /// The types of its parameters as far as the app gave them; 0 where it did not.
    declared: Vec<u32>,
    /// The types as the server knows them, once it was asked.
    described: OnceLock<Vec<u32>>,
}

/// A statement with its parameters.
struct Portal {
    prepared: Arc<Prepared>,
    params: Vec<Param>,
    /// Whether it was executed, so that another Execute fetches more of the same.
    begun: bool,
}

/// What is still to come for a unit.
#[derive(Default)]
pub(super) struct Expect {
    parts: VecDeque<Part>,
    /// Whether it executes a statement, which is then a message.
    executes: bool,
    /// The tags of the statements that are done.
    tags: Vec<String>,
    rows: u64,
    /// What counts for more than the tags.
    outcome: Option<SqlReply>,
}

/// What the server answers to one message.
enum Part {
    Startup,
    /// Also the call of a function, which ends in the same way.
    Query,
    Parse {
        name: Bytes,
        prepared: Arc<Prepared>,
        /// What was prepared under that name before.
        before: Option<Arc<Prepared>>,
    },
    Bind(Arc<Prepared>),
    DescribeStatement(Option<Arc<Prepared>>),
    DescribePortal,
    Execute,
    Close(Option<(Bytes, Arc<Prepared>)>),
    Sync,
}

impl Part {
    /// The text that an error is about.
    fn sql(&self) -> Option<Arc<str>> {
        match self {
            Self::Parse { prepared, .. }
            | Self::Bind(prepared)
            | Self::DescribeStatement(Some(prepared)) => Some(Arc::clone(&prepared.sql)),
            _ => None,
        }
    }
}

impl Expect {
    fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
            ..Self::default()
        }
    }

    fn has_sync(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Sync))
    }

    /// The answer, once all parts are in.
    fn reply(&mut self) -> SqlReply {
        self.outcome.take().unwrap_or_else(|| SqlReply::Done {
            tag: self.tags.join("; "),
            rows: self.rows,
        })
    }

    fn role(&mut self) -> Role {
        if self.parts.is_empty() {
            Role::Reply {
                reply: ReplyKind::Postgres(self.reply()),
                last: true,
            }
        } else {
            Role::Part
        }
    }
}

impl Protocol for Postgres {
    type Expect = Expect;

    const NAME: &'static str = "the Postgres protocol";

    fn passes_garbage(&self) -> bool {
        // The server says goodbye to it; the role's rights bound what else it could do.
        true
    }

    async fn greet(&mut self, app: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
        loop {
            match unit::opening(buffer) {
                Parsed::Whole((Opening::Encryption, length)) => {
                    let _ = buffer.split_to(length);
                    app.write_all(b"N").await?;
                }
                Parsed::Partial if app.read_buf(buffer).await? > 0 => {}
                _ => return Ok(()),
            }
        }
    }

    fn request(&mut self, buffer: &mut BytesMut) -> Parsed<Request<Expect>> {
        if self.started {
            return match self.units.take(buffer) {
                Parsed::Whole(Unit::Messages(unit)) => Parsed::Whole(self.request_of(unit)),
                Parsed::Whole(Unit::Data(data)) => Parsed::Whole(Request {
                    kind: None,
                    forward: data,
                    expect: None,
                    refusal: None,
                    urge: b"",
                }),
                Parsed::Partial => Parsed::Partial,
                Parsed::Garbage => Parsed::Garbage,
            };
        }
        match unit::opening(buffer) {
            Parsed::Whole((opening, length)) => {
                let (kind, expect) = match opening {
                    Opening::Startup => {
                        self.started = true;
                        (None, Some(Expect::of([Part::Startup])))
                    }
                    Opening::Cancel(process) => {
                        (Some(MessageKind::PostgresCancel { process }), None)
                    }
                    // Was answered; a server that is asked again has its own word.
                    Opening::Encryption => return Parsed::Garbage,
                };
                Parsed::Whole(Request {
                    kind,
                    forward: buffer.split_to(length).freeze(),
                    expect,
                    refusal: None,
                    urge: b"",
                })
            }
            Parsed::Partial => Parsed::Partial,
            Parsed::Garbage => Parsed::Garbage,
        }
    }

    fn passed_over(&mut self, expect: &mut Expect) -> Option<ReplyKind> {
        // Behind a Sync that is under way the server listens again.
        if !self.skipping || self.syncs > 0 {
            return None;
        }
        self.skip_to_sync(expect);
        Some(ReplyKind::Postgres(SqlReply::Skipped))
    }

    fn answer(
        &mut self,
        buffer: &mut BytesMut,
        oldest: Option<&mut Expect>,
        ended: bool,
    ) -> Parsed<Answer> {
        match self.next_answer(buffer, oldest) {
            // What comes at any time is no part of the reply, and may not take it along.
            Parsed::Whole(answer)
                if !self.kept.is_empty()
                    && !answer.raw.is_empty()
                    && !matches!(answer.role, Role::Push(_)) =>
            {
                let kept = std::mem::take(&mut self.kept);
                Parsed::Whole(Answer {
                    raw: [kept, answer.raw].concat().into(),
                    role: answer.role,
                })
            }
            Parsed::Partial if !ended => Parsed::Partial,
            Parsed::Partial | Parsed::Garbage if !self.kept.is_empty() => Parsed::Whole(Answer {
                raw: std::mem::take(&mut self.kept),
                role: Role::Part,
            }),
            parsed => parsed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::replies::TAGS;
    use super::*;

    /// Numbers without any order, the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            // Knuth's constants for a linear congruential generator.
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }

        /// A message that is whole, and makes sense only by chance.
        fn message(&mut self, kinds: &[u8]) -> Vec<u8> {
            let mut body: Vec<u8> = (0..self.below(24)).map(|_| self.below(4) as u8).collect();
            if self.below(4) == 0 {
                body.extend((0..self.below(8)).map(|_| self.below(256) as u8));
            }
            let length = (body.len() as u32 + 4).to_be_bytes();
            [&[kinds[self.below(kinds.len())]], &length[..], &body].concat()
        }
    }

    #[test]
    fn messages_in_any_order_pass_as_they_came() {
        let mut numbers = Numbers(7);
        for _ in 0..300 {
            let mut postgres = Postgres {
                started: true,
                ..Postgres::default()
            };
            let mut waiting: VecDeque<Expect> = VecDeque::new();
            let (mut said, mut heard) = (Vec::new(), Vec::new());
            let (mut forwarded, mut answered) = (Vec::new(), Vec::new());
            let (mut requests, mut answers) = (BytesMut::new(), BytesMut::new());
            for _ in 0..60 {
                let message = numbers.message(b"QFPBDECSHdcf");
                requests.extend_from_slice(&message);
                said.extend(message);
                while let Parsed::Whole(request) = postgres.request(&mut requests) {
                    forwarded.extend_from_slice(&request.forward);
                    if let Some(mut expect) = request.expect
                        && postgres.passed_over(&mut expect).is_none()
                    {
                        waiting.push_back(expect);
                    }
                }
                let message = numbers.message(TAGS);
                answers.extend_from_slice(&message);
                heard.extend(message);
                while let Parsed::Whole(answer) =
                    postgres.answer(&mut answers, waiting.front_mut(), false)
                {
                    answered.extend_from_slice(&answer.raw);
                    if let Role::Reply { last: true, .. } | Role::Failed { last: true, .. } =
                        answer.role
                    {
                        waiting.pop_front();
                    }
                }
            }
            forwarded.extend_from_slice(&requests);
            assert_eq!(forwarded, said);
            // A push overtakes what is kept for the end of a reply, so the order may differ.
            answered.extend_from_slice(&postgres.kept);
            answered.extend_from_slice(&answers);
            assert_eq!(answered.len(), heard.len());
        }
    }
}
