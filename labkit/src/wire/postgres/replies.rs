//! What the server says, and which unit it is an answer to.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{self, ErrorFields, Header, Message as Said};

use super::{Expect, Part, Postgres, Prepared, SqlReply};
use crate::wire::message::{MessageKind, ReplyKind};
use crate::wire::protocol::{Answer, Role};
use crate::wire::resp::Parsed;

/// The longest message of a server that has to be there as a whole. Rows may be longer.
const LONGEST: usize = 0x3fff_ffff;
/// What a server may say; `f` and newer kinds are none of it.
pub(super) const TAGS: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

impl Postgres {
    /// Takes an answer off the front of the buffer; what is to be kept is kept.
    pub(super) fn next_answer(
        &mut self,
        buffer: &mut BytesMut,
        mut oldest: Option<&mut Expect>,
    ) -> Parsed<Answer> {
        if self.skipping
            && let Some(oldest) = oldest.as_deref_mut()
        {
            self.skip_to_sync(oldest);
            oldest.outcome = Some(SqlReply::Skipped);
            if oldest.parts.is_empty() {
                return Parsed::Whole(Answer {
                    raw: Bytes::new(),
                    role: oldest.role(),
                });
            }
            self.skipping = false;
        }
        if let Some(raw) = self.rows(buffer, oldest.as_deref_mut()) {
            let role = match oldest {
                Some(_) => Role::Part,
                None => Role::Interim,
            };
            return Parsed::Whole(Answer { raw, role });
        }
        let (tag, length) = match Header::parse(buffer) {
            Ok(Some(header)) => (header.tag(), header.len().cast_unsigned() as usize + 1),
            Ok(None) => return Parsed::Partial,
            Err(_) => return Parsed::Garbage,
        };
        if length > LONGEST || !TAGS.contains(&tag) {
            return Parsed::Garbage;
        }
        if buffer.len() < length {
            return Parsed::Partial;
        }
        let raw = buffer.split_to(length).freeze();
        let role = self.role(tag, &raw, oldest);
        let last_words = [backend::COMMAND_COMPLETE_TAG, backend::ERROR_RESPONSE_TAG];
        if matches!(role, Role::Part) && last_words.contains(&tag) {
            self.kept = [std::mem::take(&mut self.kept), raw].concat().into();
            return Parsed::Whole(Answer {
                raw: Bytes::new(),
                role,
            });
        }
        Parsed::Whole(Answer { raw, role })
    }

    /// Takes rows, and data of a COPY, off the front of the buffer: all that are there, and
    /// of a long one what is there.
    fn rows(&mut self, buffer: &mut BytesMut, oldest: Option<&mut Expect>) -> Option<Bytes> {
        let mut at = self.passing.min(buffer.len());
        self.passing -= at;
        let mut rows = 0;
        while self.passing == 0
            && let Ok(Some(header)) = Header::parse(&buffer[at..])
            && [backend::DATA_ROW_TAG, backend::COPY_DATA_TAG].contains(&header.tag())
        {
            rows += u64::from(header.tag() == backend::DATA_ROW_TAG);
            let length = header.len().cast_unsigned() as usize + 1;
            let there = length.min(buffer.len() - at);
            at += there;
            self.passing = length - there;
        }
        if let Some(oldest) = oldest {
            oldest.rows += rows;
        }
        (at > 0).then(|| buffer.split_to(at).freeze())
    }

    /// Takes back what parts would have done that were never done.
    fn undo(&mut self, parts: impl Iterator<Item = Part>) {
        for part in parts {
            if let Part::Parse {
                name,
                prepared,
                before,
            } = part
                && self.is_current(&name, &prepared)
            {
                match before {
                    Some(before) => self.statements.insert(name, before),
                    None => self.statements.remove(&name),
                };
            }
        }
    }

    fn is_current(&self, name: &Bytes, prepared: &Arc<Prepared>) -> bool {
        let current = self.statements.get(name);
        current.is_some_and(|current| Arc::ptr_eq(current, prepared))
    }

    /// What a message is to the oldest unit.
    fn role(&mut self, tag: u8, raw: &Bytes, oldest: Option<&mut Expect>) -> Role {
        if [
            backend::ERROR_RESPONSE_TAG,
            backend::NOTICE_RESPONSE_TAG,
            backend::NOTIFICATION_RESPONSE_TAG,
        ]
        .contains(&tag)
        {
            match said(raw) {
                Some(Said::ErrorResponse(body)) => {
                    return self.failed(&Fields::of(body.fields()), oldest);
                }
                Some(said) => return pushed(&said),
                None => {}
            }
        }
        let Some(oldest) = oldest else {
            return Role::Interim;
        };
        let done = match (oldest.parts.front(), tag) {
            (Some(Part::Query), backend::COMMAND_COMPLETE_TAG) => {
                oldest.tags.extend(command_tag(raw));
                false
            }
            (Some(Part::Execute), backend::COMMAND_COMPLETE_TAG) => {
                oldest.tags.extend(command_tag(raw));
                true
            }
            (Some(Part::Execute), backend::PORTAL_SUSPENDED_TAG) => {
                oldest.outcome = Some(SqlReply::Suspended { rows: oldest.rows });
                true
            }
            (Some(Part::Execute), backend::COPY_IN_RESPONSE_TAG) => {
                // The server passes over a Sync that comes before the data.
                if oldest.has_sync() {
                    oldest.parts.retain(|part| !matches!(part, Part::Sync));
                    self.syncs -= 1;
                }
                false
            }
            (Some(Part::DescribeStatement(of)), backend::PARAMETER_DESCRIPTION_TAG) => {
                if let (Some(of), Some(Said::ParameterDescription(body))) = (of, said(raw)) {
                    // Asked twice it says the same.
                    let _ = of
                        .described
                        .set(body.parameters().collect().unwrap_or_default());
                }
                false
            }
            (Some(Part::Close(Some((name, prepared)))), backend::CLOSE_COMPLETE_TAG) => {
                if self.is_current(name, prepared) {
                    self.statements.remove(name);
                }
                true
            }
            (Some(Part::Sync), backend::READY_FOR_QUERY_TAG) => {
                self.syncs -= 1;
                true
            }
            (Some(Part::Startup | Part::Query), backend::READY_FOR_QUERY_TAG)
            | (Some(Part::Parse { .. }), backend::PARSE_COMPLETE_TAG)
            | (Some(Part::Bind(_)), backend::BIND_COMPLETE_TAG)
            | (Some(Part::Close(None)), backend::CLOSE_COMPLETE_TAG)
            | (Some(Part::Execute), backend::EMPTY_QUERY_RESPONSE_TAG)
            | (
                Some(Part::DescribeStatement(_) | Part::DescribePortal),
                backend::ROW_DESCRIPTION_TAG | backend::NO_DATA_TAG,
            ) => true,
            _ => false,
        };
        if done {
            oldest.parts.pop_front();
        }
        oldest.role()
    }

    /// What an error is to the oldest unit.
    fn failed(&mut self, fields: &Fields, oldest: Option<&mut Expect>) -> Role {
        let reply = SqlReply::Failed {
            sqlstate: fields.sqlstate.clone(),
            message: fields.message.clone(),
        };
        let Some(oldest) = oldest else {
            return Role::Push(ReplyKind::Postgres(reply));
        };
        let sql = match oldest.parts.front() {
            None | Some(Part::Startup) => return Role::Push(ReplyKind::Postgres(reply)),
            // The server is ready again after each of these.
            Some(Part::Query | Part::Sync) => None,
            Some(part) => {
                let sql = part.sql();
                self.skip_to_sync(oldest);
                self.skipping = oldest.parts.is_empty();
                sql
            }
        };
        if ["FATAL", "PANIC"].contains(&fields.severity.as_str()) {
            // It says no more.
            oldest.parts.clear();
        }
        if oldest.executes {
            oldest.outcome = Some(reply);
            return oldest.role();
        }
        match sql {
            Some(sql) => Role::Failed {
                kind: MessageKind::Postgres {
                    sql,
                    params: Vec::new(),
                    more: false,
                },
                reply: ReplyKind::Postgres(reply),
                last: oldest.parts.is_empty(),
            },
            None => Role::Push(ReplyKind::Postgres(reply)),
        }
    }

    /// Forgets what the server passes over.
    pub(super) fn skip_to_sync(&mut self, unit: &mut Expect) {
        let is_sync = |part: &Part| matches!(part, Part::Sync);
        let sync = unit.parts.iter().position(is_sync);
        let skipped = unit.parts.drain(..sync.unwrap_or(unit.parts.len()));
        self.undo(skipped);
    }
}

/// What a server says at any time.
fn pushed(said: &Said) -> Role {
    let reply = match said {
        Said::NoticeResponse(body) => {
            let fields = Fields::of(body.fields());
            SqlReply::Notice {
                severity: fields.severity,
                message: fields.message,
            }
        }
        Said::NotificationResponse(body) => SqlReply::Notification {
            channel: body.channel().unwrap_or_default().to_owned(),
            payload: body.message().unwrap_or_default().to_owned(),
        },
        _ => return Role::Interim,
    };
    Role::Push(ReplyKind::Postgres(reply))
}

/// A message of the server, taken apart. Those that are no business of the wire may be of a
/// version of the protocol that the library does not know.
fn said(raw: &Bytes) -> Option<Said> {
    Said::parse(&mut BytesMut::from(&raw[..])).ok().flatten()
}

fn command_tag(raw: &Bytes) -> Option<String> {
    match said(raw)? {
        Said::CommandComplete(body) => body.tag().ok().map(str::to_owned),
        _ => None,
    }
}

/// What the wire reads of an error or a notice.
#[derive(Default)]
struct Fields {
    severity: String,
    sqlstate: String,
    message: String,
}

impl Fields {
    fn of(mut fields: ErrorFields<'_>) -> Self {
        let mut read = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                // Not translated, unlike `S`.
                b'V' => read.severity = text(),
                b'C' => read.sqlstate = text(),
                b'M' => read.message = text(),
                _ => {}
            }
        }
        read
    }
}
