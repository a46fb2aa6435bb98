//! What an app sends, cut into units: all that belongs to one statement, up to where the
//! server has to answer.
//!
//! A statement of the extended protocol comes in pieces (Parse, Bind, Describe, Execute,
//! Close, Sync). They are passed on together: a Bind on its own would take locks and, for a
//! query, the snapshot that the query sees, while its Execute is held by a check. No app
//! can notice, since the server owes no answer before a Sync or a Flush.
//!
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats".

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::backend::Header;

use crate::wire::resp::Parsed;

/// The longest message that a server takes.
const LONGEST: usize = 0x3fff_ffff;
/// The longest message that opens a connection.
const LONGEST_STARTUP: usize = 10_000;
/// More than this is passed on though its statement is not complete.
const LONGEST_UNIT: usize = 64 * 1024 * 1024;

/// The codes that stand in place of a version in a message that opens a connection.
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// Asks the server to send the answers that it has so far.
pub(super) const FLUSH: &[u8] = b"H\0\0\0\x04";

/// What opens a connection.
pub(super) enum Opening {
    /// Asks for an encryption, which the wire declines.
    Encryption,
    /// Asks to stop what another connection does.
    Cancel(u32),
    Startup,
}

/// The message that opens a connection, and its length.
pub(super) fn opening(buffer: &[u8]) -> Parsed<(Opening, usize)> {
    let mut body = Body(buffer);
    let (Some(length), Some(code)) = (body.u32(), body.u32()) else {
        return Parsed::Partial;
    };
    let length = length as usize;
    let opening = match (code, length) {
        (SSL_REQUEST | GSSENC_REQUEST, 8) => Opening::Encryption,
        (CANCEL_REQUEST, 16) => match body.u32() {
            Some(process) => Opening::Cancel(process),
            None => return Parsed::Partial,
        },
        (version, 9..=LONGEST_STARTUP) if version >> 16 == 3 => Opening::Startup,
        _ => return Parsed::Garbage,
    };
    if buffer.len() < length {
        Parsed::Partial
    } else {
        Parsed::Whole((opening, length))
    }
}

/// Finds where units end, and goes on from where it stopped.
#[derive(Default)]
pub(super) struct Units {
    /// The length of the whole messages that are there of the next unit.
    at: usize,
    /// Whether one of them is an Execute.
    executes: bool,
    /// The statement that the first of them prepares.
    parses: Option<Bytes>,
    /// How much of a message is still to come that is passed on piece by piece.
    passing: usize,
}

/// What is passed on as one.
pub(super) enum Unit {
    /// Whole messages.
    Messages(Bytes),
    /// Nothing to be looked at: data of a COPY.
    Data(Bytes),
}

impl Units {
    /// Takes a unit off the front of the buffer.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Parsed<Unit> {
        if self.passing > 0 {
            if buffer.is_empty() {
                return Parsed::Partial;
            }
            let piece = self.passing.min(buffer.len());
            self.passing -= piece;
            return Parsed::Whole(Unit::Data(buffer.split_to(piece).freeze()));
        }
        loop {
            if self.at > LONGEST_UNIT {
                return self.end(buffer);
            }
            let rest = &buffer[self.at..];
            let (tag, length) = match Header::parse(rest) {
                Ok(Some(header)) => (header.tag(), header.len().cast_unsigned() as usize + 1),
                Ok(None) => return Parsed::Partial,
                Err(_) => return Parsed::Garbage,
            };
            if length > LONGEST || !b"QFPBDECSHdcfpX".contains(&tag) {
                return Parsed::Garbage;
            }
            if tag == b'd' && self.at == 0 {
                let piece = length.min(rest.len());
                self.passing = length - piece;
                return Parsed::Whole(Unit::Data(buffer.split_to(piece).freeze()));
            }
            let whole = rest.get(5..length);
            let begins_another = match tag {
                b'P' | b'D' | b'E' => self.executes || (tag == b'P' && self.at > 0),
                b'B' => {
                    let Some(body) = whole else {
                        return Parsed::Partial;
                    };
                    self.executes || !self.binds_what_it_parses(body)
                }
                b'C' | b'S' | b'H' => false,
                _ => self.at > 0,
            };
            if begins_another {
                return self.end(buffer);
            }
            let Some(body) = whole else {
                return Parsed::Partial;
            };
            if tag == b'P' {
                self.parses = Body(body).cstr().map(Bytes::copy_from_slice);
            }
            self.executes |= tag == b'E';
            self.at += length;
            if !b"PBDEC".contains(&tag) {
                return self.end(buffer);
            }
        }
    }

    /// Whether a Bind is about the statement that stands before it.
    fn binds_what_it_parses(&self, bind: &[u8]) -> bool {
        let mut bind = Body(bind);
        let statement = bind.cstr().and_then(|_portal| bind.cstr());
        match &self.parses {
            Some(parsed) => statement == Some(parsed),
            None => true,
        }
    }

    fn end(&mut self, buffer: &mut BytesMut) -> Parsed<Unit> {
        let unit = buffer.split_to(self.at).freeze();
        *self = Self::default();
        Parsed::Whole(Unit::Messages(unit))
    }
}

/// The messages of a unit: what kind each is of, and what it holds.
pub(super) fn messages(unit: &Bytes) -> impl Iterator<Item = (u8, Body<'_>)> {
    let mut rest = &unit[..];
    std::iter::from_fn(move || {
        let header = Header::parse(rest).ok().flatten()?;
        let (message, others) = rest.split_at_checked(header.len().cast_unsigned() as usize + 1)?;
        rest = others;
        Some((header.tag(), Body(&message[5..])))
    })
}

/// What a message holds, read field by field; nothing where it is too short.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn cstr(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(length);
        self.take(1);
        text
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let text = self.cstr()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A value with its length before it, which is -1 for NULL.
    pub(super) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match self.u32()?.cast_signed() {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// The kinds of the messages in each unit of a stream that comes in pieces of this size.
    fn units(stream: &[u8], piece: usize) -> Vec<String> {
        let mut units = Units::default();
        let mut buffer = BytesMut::new();
        let mut seen: Vec<String> = Vec::new();
        for piece in stream.chunks(piece) {
            buffer.extend_from_slice(piece);
            loop {
                match units.take(&mut buffer) {
                    Parsed::Whole(Unit::Messages(unit)) => {
                        seen.push(messages(&unit).map(|(kind, _)| char::from(kind)).collect());
                    }
                    Parsed::Whole(Unit::Data(_)) => {
                        if seen.last().is_none_or(|last| last != "data") {
                            seen.push("data".to_owned());
                        }
                    }
                    Parsed::Partial => break,
                    Parsed::Garbage => panic!("garbage after {seen:?}"),
                }
            }
        }
        assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
        seen
    }

    #[test]
    fn units_are_the_same_however_they_are_cut() {
        let stream = [
            message(b'p', b"password\0"),
            message(b'Q', b"BEGIN\0"),
            // Prepared only.
            message(b'P', b"s\0SELECT 1\0\0\0"),
            message(b'D', b"Ss\0"),
            message(b'S', b""),
            // Executed, and its portal closed in the same breath.
            message(b'B', b"\0s\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'C', b"P\0"),
            message(b'S', b""),
            // Two in a pipeline, the second of another statement than is prepared before it.
            message(b'P', b"\0SELECT 2\0\0\0"),
            message(b'B', b"\0\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'P', b"t\0SELECT 3\0\0\0"),
            message(b'B', b"\0s\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'H', b""),
            message(b'd', &[7; 1000]),
            message(b'c', b""),
            message(b'S', b""),
            message(b'X', b""),
        ]
        .concat();
        let expected = [
            "p", "Q", "PDS", "BECS", "PBE", "P", "BEH", "data", "c", "S", "X",
        ];
        for piece in 1..=stream.len() {
            assert_eq!(units(&stream, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_message_is_garbage_at_once_and_stays_in_the_buffer() {
        for bytes in [
            &b"*1\r\n$4\r\n"[..],
            b"Q\0\0\0\x03",
            b"Q\x40\0\0\0",
            b"Q\xff\xff\xff\xff",
            b"d\x7f\xff\xff\xff",
        ] {
            let mut buffer = BytesMut::from(bytes);
            assert!(matches!(
                Units::default().take(&mut buffer),
                Parsed::Garbage
            ));
            assert_eq!(buffer, bytes);
        }
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            &[0; 8],
            b"\0\0\0\x08\0\x03\0\0",
            b"\0\0\0\x10\0\x02\0\0",
        ] {
            assert!(matches!(opening(bytes), Parsed::Garbage), "{bytes:?}");
        }
    }

    #[test]
    fn a_statement_that_never_ends_is_passed_on() {
        let parse = message(
            b'P',
            &[&b"\0"[..], &vec![b'x'; LONGEST_UNIT], b"\0\0\0"].concat(),
        );
        assert_eq!(units(&parse, 1 << 20), ["P"]);
    }
}
