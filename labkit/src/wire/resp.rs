//! The Redis protocol, both versions: where a value ends, and what it says.
//!
//! `redis-protocol` decodes whole values. Where one ends is found here, because it has to
//! be found piece by piece: decoding from the start for every packet costs the square of a
//! large reply, and a deep nest of brackets would overflow the decoder's stack.

use bytes::{Bytes, BytesMut};
use redis_protocol::{resp2, resp3};

use super::message::Value;

/// Deeper than any reply that Redis gives.
const DEEPEST: usize = 64;
/// Redis' own limit for a bulk string.
const LONGEST_BULK: usize = 512 * 1024 * 1024;
/// More elements than Redis accepts or returns at once.
const MOST_ELEMENTS: usize = 1 << 30;

/// What the bytes so far amount to.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed<T> {
    /// The beginning of something.
    Partial,
    /// Something whole, taken off the front of the buffer.
    Whole(T),
    /// Nothing of this protocol. The bytes are still in the buffer.
    Garbage,
}

/// Finds where a value ends, and goes on from where it stopped when more bytes come.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Where the element begins that is being looked at.
    at: usize,
    /// Up to where its first line was searched for an end.
    searched: usize,
    /// Elements still missing, for every bracket that is open.
    missing: Vec<usize>,
}

impl Scanner {
    /// Takes a whole value off the front of the buffer.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Parsed<Bytes> {
        match self.scan(buffer) {
            Ok(Some(length)) => {
                *self = Self::default();
                Parsed::Whole(buffer.split_to(length).freeze())
            }
            Ok(None) => Parsed::Partial,
            Err(NotResp) => Parsed::Garbage,
        }
    }

    fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, NotResp> {
        loop {
            let Some(&kind) = buffer.get(self.at) else {
                return Ok(None);
            };
            if !b"+-:$*_#,(!=%~>|".contains(&kind) {
                return Err(NotResp);
            }
            let from = self.searched.max(self.at + 1);
            let Some(line_end) = find_crlf(buffer, from) else {
                // The last byte may be the first half of the line's end.
                self.searched = buffer.len().saturating_sub(1);
                return Ok(None);
            };
            let line = &buffer[self.at + 1..line_end];
            let mut next = line_end + 2;
            let elements = match kind {
                b'$' | b'!' | b'=' => {
                    if let Some(length) = length(line, LONGEST_BULK)? {
                        let end = next + length;
                        match buffer.get(end..end + 2) {
                            Some(b"\r\n") => next = end + 2,
                            Some(_) => return Err(NotResp),
                            None => {
                                self.searched = line_end;
                                return Ok(None);
                            }
                        }
                    }
                    0
                }
                b'*' | b'~' | b'>' => length(line, MOST_ELEMENTS)?.unwrap_or(0),
                b'%' => length(line, MOST_ELEMENTS)?.unwrap_or(0) * 2,
                // Attributes stand in front of the value that they belong to.
                b'|' => length(line, MOST_ELEMENTS)?.unwrap_or(0) * 2 + 1,
                _ => 0,
            };
            self.at = next;
            self.searched = 0;
            if elements > 0 {
                if self.missing.len() == DEEPEST {
                    return Err(NotResp);
                }
                self.missing.push(elements);
                continue;
            }
            while let Some(missing) = self.missing.last_mut() {
                *missing -= 1;
                if *missing > 0 {
                    break;
                }
                self.missing.pop();
            }
            if self.missing.is_empty() {
                return Ok(Some(self.at));
            }
        }
    }
}

struct NotResp;

fn find_crlf(buffer: &[u8], from: usize) -> Option<usize> {
    let rest = buffer.get(from..)?;
    rest.windows(2)
        .position(|pair| pair == b"\r\n")
        .map(|at| from + at)
}

/// A length as Redis writes it: digits, or -1 for nothing at all.
fn length(line: &[u8], most: usize) -> Result<Option<usize>, NotResp> {
    if line == b"-1" {
        return Ok(None);
    }
    if line.is_empty() || !line.iter().all(u8::is_ascii_digit) {
        return Err(NotResp);
    }
    str::from_utf8(line)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|length| *length <= most)
        .map(Some)
        .ok_or(NotResp)
}

/// What a whole value says.
pub(super) fn value(raw: &Bytes) -> Value {
    // Whatever is RESP2 means the same in RESP3, apart from its ways to write nil.
    if let Ok(Some((frame, _))) = resp2::decode::decode_bytes(raw) {
        return from_resp2(frame);
    }
    match resp3::decode::complete::decode_bytes(raw) {
        Ok(Some((frame, _))) => from_resp3(frame),
        // Such as an error message that is not UTF-8: shown as it came.
        _ => Value::Text(raw.clone()),
    }
}

fn from_resp2(frame: resp2::types::BytesFrame) -> Value {
    use resp2::types::BytesFrame as Frame;
    match frame {
        Frame::SimpleString(text) | Frame::BulkString(text) => Value::Text(text),
        Frame::Error(text) => Value::Error(text.to_string()),
        Frame::Integer(number) => Value::Integer(number),
        Frame::Array(items) => Value::List(items.into_iter().map(from_resp2).collect()),
        Frame::Null => Value::Nil,
    }
}

fn from_resp3(frame: resp3::types::BytesFrame) -> Value {
    use resp3::types::BytesFrame as Frame;
    match frame {
        Frame::BlobString { data, .. }
        | Frame::SimpleString { data, .. }
        | Frame::BigNumber { data, .. }
        | Frame::VerbatimString { data, .. }
        | Frame::ChunkedString(data) => Value::Text(data),
        Frame::SimpleError { data, .. } => Value::Error(data.to_string()),
        Frame::BlobError { data, .. } => Value::Error(String::from_utf8_lossy(&data).into_owned()),
        Frame::Boolean { data, .. } => Value::Boolean(data),
        Frame::Null => Value::Nil,
        Frame::Number { data, .. } => Value::Integer(data),
        Frame::Double { data, .. } => Value::Double(data),
        Frame::Array { data, .. } | Frame::Push { data, .. } => {
            Value::List(data.into_iter().map(from_resp3).collect())
        }
        Frame::Set { data, .. } => Value::List(data.into_iter().map(from_resp3).collect()),
        // The decoder fills its map from the end.
        Frame::Map { data, .. } => Value::Map(
            data.into_iter()
                .rev()
                .map(|(key, value)| (from_resp3(key), from_resp3(value)))
                .collect(),
        ),
        // A client's greeting; no server sends it.
        Frame::Hello { .. } => Value::Nil,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes values off a stream that comes in pieces of this size.
    fn values(stream: &[u8], piece: usize) -> Vec<String> {
        let mut scanner = Scanner::default();
        let mut buffer = BytesMut::new();
        let mut values = Vec::new();
        let mut raws = Vec::new();
        for piece in stream.chunks(piece) {
            buffer.extend_from_slice(piece);
            loop {
                match scanner.take(&mut buffer) {
                    Parsed::Whole(raw) => {
                        values.push(value(&raw).to_string());
                        raws.extend_from_slice(&raw);
                    }
                    Parsed::Partial => break,
                    Parsed::Garbage => panic!("garbage after {values:?}"),
                }
            }
        }
        assert_eq!(raws, stream, "every byte belongs to a value");
        values
    }

    #[test]
    fn values_are_the_same_however_they_are_cut() {
        let stream = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n*-1\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n*0\r\n\
            *3\r\n*2\r\n+a\r\n*0\r\n$1\r\nb\r\n$-1\r\n\
            _\r\n#t\r\n,1.5\r\n(123456789012345678901\r\n=6\r\ntxt:hi\r\n!5\r\nERR x\r\n\
            ~2\r\n+a\r\n+b\r\n%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n_\r\n\
            >2\r\n+message\r\n+hi\r\n|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n%0\r\n";
        let expected = [
            "OK",
            "ERR no",
            "-7",
            "nil",
            "nil",
            "\"\"",
            "\\r\\n\\r\\n",
            "[]",
            "[[a, []], b, nil]",
            "nil",
            "true",
            "1.5",
            "123456789012345678901",
            "hi",
            "ERR x",
            "[a, b]",
            "{a: 1, b: {c: nil}}",
            "[message, hi]",
            "v",
            "{}",
        ];
        for piece in 1..=stream.len() {
            assert_eq!(values(stream, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_value_is_garbage_at_once_and_stays_in_the_buffer() {
        for bytes in [
            &b"hello\r\n"[..],
            b"$x\r\n",
            b"$+1\r\na\r\n",
            b"$-2\r\n",
            b"$1\r\nabc\r\n",
            b"*99999999999999999999\r\n",
            b"*1\r\nx",
            &b"*1\r\n".repeat(DEEPEST + 1),
        ] {
            let mut buffer = BytesMut::from(bytes);
            assert_eq!(Scanner::default().take(&mut buffer), Parsed::Garbage);
            assert_eq!(buffer, bytes);
        }
    }

    #[test]
    fn a_long_array_in_small_pieces_takes_time_like_its_length() {
        // 200,000 elements in 140,000 pieces: from the start each time that would be
        // fourteen thousand million steps.
        let stream = [&b"*200000\r\n"[..], &b":1\r\n".repeat(200_000)].concat();
        assert_eq!(values(&stream, 6).len(), 1);
        let stream = [b"+", &b"x".repeat(200_000)[..], b"\r\n"].concat();
        assert_eq!(values(&stream, 1).len(), 1);
    }
}
