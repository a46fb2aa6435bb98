//! Redis commands on their way to the server: arrays, or lines of plain words.

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes;
use redis_protocol::resp2::types::BytesFrame;

use super::resp::{Parsed, Scanner};

/// Redis' own limit for an inline command.
const LONGEST_INLINE: usize = 64 * 1024;

/// A command on its way to the server.
#[derive(Debug, PartialEq)]
pub(super) struct Command {
    pub(super) raw: Bytes,
    /// Empty where Redis would skip it without a reply.
    pub(super) args: Vec<Bytes>,
    /// Whether it was one line of plain words.
    pub(super) inline: bool,
}

/// Takes commands off a stream.
#[derive(Debug, Default)]
pub(super) struct Commands {
    scanner: Scanner,
    /// Up to where a line of words was searched for its end.
    searched: usize,
}

impl Commands {
    /// Takes a command off the front of the buffer.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Parsed<Command> {
        match buffer.first() {
            None => Parsed::Partial,
            Some(b'*') => self.array(buffer),
            Some(_) => self.inline(buffer),
        }
    }

    fn array(&mut self, buffer: &mut BytesMut) -> Parsed<Command> {
        let raw = match self.scanner.take(buffer) {
            Parsed::Whole(raw) => raw,
            Parsed::Partial => return Parsed::Partial,
            Parsed::Garbage => return Parsed::Garbage,
        };
        let args = match decode_bytes(&raw) {
            Ok(Some((BytesFrame::Array(items), _))) => items
                .into_iter()
                .map(|item| match item {
                    BytesFrame::BulkString(arg) => Some(arg),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>(),
            // `*-1`
            Ok(Some((BytesFrame::Null, _))) => Some(Vec::new()),
            _ => None,
        };
        match args {
            Some(args) => Parsed::Whole(Command {
                raw,
                args,
                inline: false,
            }),
            None => {
                // Back to where it was: garbage is passed through from its first byte on.
                let rest = buffer.split();
                buffer.extend_from_slice(&raw);
                buffer.unsplit(rest);
                Parsed::Garbage
            }
        }
    }

    fn inline(&mut self, buffer: &mut BytesMut) -> Parsed<Command> {
        let from = self.searched.min(buffer.len());
        let Some(end) = buffer[from..].iter().position(|byte| *byte == b'\n') else {
            self.searched = buffer.len();
            return if buffer.len() > LONGEST_INLINE {
                Parsed::Garbage
            } else {
                Parsed::Partial
            };
        };
        let end = from + end;
        let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
        let Some(args) = words(line) else {
            return Parsed::Garbage;
        };
        self.searched = 0;
        Parsed::Whole(Command {
            raw: buffer.split_to(end + 1).freeze(),
            args: args.into_iter().map(Bytes::from).collect(),
            inline: true,
        })
    }
}

/// Splits a line as Redis does (`sdssplitargs`), so that what was checked is what runs.
/// Nothing, where its quotes do not close.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let mut words = Vec::new();
    // To Redis it is a C string.
    let mut rest = line.split(|byte| *byte == 0).next()?;
    loop {
        while let [first, tail @ ..] = rest
            && space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [b'"', tail @ ..] => rest = double_quoted(tail, &mut word)?,
                [b'\'', tail @ ..] => rest = single_quoted(tail, &mut word)?,
                [byte, tail @ ..] => {
                    rest = tail;
                    if space(*byte) {
                        break;
                    }
                    word.push(*byte);
                    continue;
                }
            }
            // Behind a closing quote there must be a gap.
            match rest {
                [] => break,
                [byte, ..] if space(*byte) => break,
                _ => return None,
            }
        }
        words.push(word);
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).ok()?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
        };
    }
}

/// A command as a client library would send it.
pub(super) fn encode<A: AsRef<[u8]>>(args: &[A]) -> Bytes {
    let mut raw = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        raw.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        raw.extend_from_slice(arg);
        raw.extend_from_slice(b"\r\n");
    }
    raw.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(stream: &[u8]) -> Vec<Vec<String>> {
        let mut parser = Commands::default();
        let mut buffer = BytesMut::new();
        let mut commands = Vec::new();
        for byte in stream {
            buffer.extend_from_slice(&[*byte]);
            if let Parsed::Whole(found) = parser.take(&mut buffer) {
                let text = |arg: &Bytes| String::from_utf8_lossy(arg).into_owned();
                commands.push(found.args.iter().map(text).collect());
            }
        }
        assert!(buffer.is_empty(), "{buffer:?} is left");
        commands
    }

    #[test]
    fn commands_come_as_arrays_or_as_lines_of_words() {
        let stream = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET k \"a \\x41\\n\\\"\" 'b\\'c' FLUSH\"ALL\"\n\r\n*0\r\n*-1\r\nPING\r\n";
        let found = commands(stream);
        assert_eq!(found[0], ["GET", "k"]);
        assert_eq!(found[1], ["SET", "k", "a A\n\"", "b'c", "FLUSHALL"]);
        assert_eq!(found[2..5], [vec![], vec![], vec![] as Vec<String>]);
        assert_eq!(found[5], ["PING"]);
    }

    #[test]
    fn what_redis_would_not_take_for_a_command_is_garbage() {
        for bytes in [
            &b"SET \"a\r\n"[..],
            b"SET \"a\"b\r\n",
            b"*1\r\n+PING\r\n",
            b"*1\r\n*1\r\n$4\r\nPING\r\n",
            &b"x".repeat(LONGEST_INLINE + 1),
        ] {
            let mut buffer = BytesMut::from(bytes);
            let parsed = Commands::default().take(&mut buffer);
            assert_eq!(
                parsed,
                Parsed::Garbage,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
            assert_eq!(buffer, bytes);
        }
    }
}
