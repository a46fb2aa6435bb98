//! HTTP/1.1 on the wire: where requests and responses end.
//!
//! A message is forwarded once it is whole, so nothing that streams for ever belongs here.

use bytes::{Bytes, BytesMut};

use super::message::{MessageKind, ReplyKind};
use super::protocol::{Answer, Protocol, Request, Role};
use super::resp::Parsed;

/// Larger than any head that a client or server sends.
const LONGEST_HEAD: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;
const LONGEST_BODY: usize = 1 << 30;

/// A connection to an HTTP server.
#[derive(Default)]
pub(super) struct Http {
    requests: Framer<RequestHead>,
    responses: Framer<u16>,
}

/// What is still to come for a request: a response, which for a HEAD has no body whatever
/// its head says.
pub(super) struct Expect {
    head: bool,
}

struct RequestHead {
    method: String,
    path: String,
}

impl Protocol for Http {
    type Expect = Expect;

    const NAME: &'static str = "HTTP";

    fn passes_garbage(&self) -> bool {
        true
    }

    fn request(&mut self, buffer: &mut BytesMut) -> Parsed<Request<Expect>> {
        match self.requests.take(buffer, request_head, false) {
            Parsed::Whole(whole) => Parsed::Whole(Request {
                expect: Some(Expect {
                    head: whole.start.method == "HEAD",
                }),
                kind: Some(MessageKind::Http {
                    method: whole.start.method,
                    path: whole.start.path,
                    body: whole.body,
                }),
                forward: whole.raw,
                refusal: None,
                urge: b"",
            }),
            Parsed::Partial => Parsed::Partial,
            Parsed::Garbage => Parsed::Garbage,
        }
    }

    fn answer(
        &mut self,
        buffer: &mut BytesMut,
        oldest: Option<&mut Expect>,
        ended: bool,
    ) -> Parsed<Answer> {
        let to_head = oldest.as_ref().is_some_and(|expect| expect.head);
        let asked = oldest.is_some();
        let read = |bytes: &[u8]| response_head(bytes, to_head);
        match self.responses.take(buffer, read, ended) {
            Parsed::Whole(whole) => {
                let role = match whole.start {
                    // Switching protocols answers; the rest of 1xx announces an answer.
                    100 | 102..=199 => Role::Interim,
                    status if !asked => Role::Push(ReplyKind::Http {
                        status,
                        body: Bytes::new(),
                    }),
                    status => Role::Reply {
                        reply: ReplyKind::Http {
                            status,
                            body: whole.body,
                        },
                        last: true,
                    },
                };
                Parsed::Whole(Answer {
                    raw: whole.raw,
                    role,
                })
            }
            Parsed::Partial => Parsed::Partial,
            Parsed::Garbage => Parsed::Garbage,
        }
    }
}

/// Finds where messages end, and goes on from where it stopped.
struct Framer<S> {
    open: Option<Open<S>>,
}

impl<S> Default for Framer<S> {
    fn default() -> Self {
        Self { open: None }
    }
}

/// A message of which the head is known.
struct Open<S> {
    start: S,
    head: usize,
    body: Body,
}

enum Body {
    Length(usize),
    Chunked {
        /// Where the next chunk begins.
        at: usize,
        /// What the chunks so far hold.
        content: Vec<u8>,
        /// Whether the last chunk was seen, so that only trailers are missing.
        last: bool,
    },
    /// All that comes until the server closes.
    UntilClosed,
}

struct Whole<S> {
    start: S,
    raw: Bytes,
    body: Bytes,
}

type Head<S> = (usize, S, Body);

impl<S> Framer<S> {
    /// Takes a message off the front of the buffer; `read` reads its head.
    fn take(
        &mut self,
        buffer: &mut BytesMut,
        read: impl Fn(&[u8]) -> Parsed<Head<S>>,
        ended: bool,
    ) -> Parsed<Whole<S>> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match read(buffer) {
                Parsed::Whole((head, start, body)) => Open { start, head, body },
                Parsed::Partial if buffer.len() > LONGEST_HEAD => return Parsed::Garbage,
                Parsed::Partial => return Parsed::Partial,
                Parsed::Garbage => return Parsed::Garbage,
            },
        };
        let (length, content) = match &mut open.body {
            Body::Length(length) if buffer.len() >= open.head + *length => {
                (open.head + *length, None)
            }
            Body::UntilClosed if ended => (buffer.len(), None),
            Body::Length(_) | Body::UntilClosed => {
                self.open = Some(open);
                return Parsed::Partial;
            }
            Body::Chunked { at, content, last } => match chunks(buffer, at, content, last) {
                Parsed::Whole(()) => (*at, Some(Bytes::from(std::mem::take(content)))),
                Parsed::Partial => {
                    self.open = Some(open);
                    return Parsed::Partial;
                }
                Parsed::Garbage => return Parsed::Garbage,
            },
        };
        let raw = buffer.split_to(length).freeze();
        Parsed::Whole(Whole {
            body: content.unwrap_or_else(|| raw.slice(open.head..)),
            start: open.start,
            raw,
        })
    }
}

/// Goes through the chunks that are there.
fn chunks(buffer: &[u8], at: &mut usize, content: &mut Vec<u8>, last: &mut bool) -> Parsed<()> {
    while !*last {
        let (line, size) = match httparse::parse_chunk_size(&buffer[*at..]) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Garbage,
        };
        let from = *at + line;
        if size == 0 {
            *at = from;
            *last = true;
            break;
        }
        let Some(size) = usize::try_from(size)
            .ok()
            .filter(|size| content.len() + size <= LONGEST_BODY)
        else {
            return Parsed::Garbage;
        };
        match buffer.get(from + size..from + size + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Parsed::Garbage,
            None => return Parsed::Partial,
        }
        content.extend_from_slice(&buffer[from..from + size]);
        *at = from + size + 2;
    }
    let mut trailers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    match httparse::parse_headers(&buffer[*at..], &mut trailers) {
        Ok(httparse::Status::Complete((length, _))) => {
            *at += length;
            Parsed::Whole(())
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Garbage,
    }
}

fn request_head(bytes: &[u8]) -> Parsed<Head<RequestHead>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => {
            let start = RequestHead {
                method: request.method.unwrap_or_default().to_owned(),
                path: request.path.unwrap_or_default().to_owned(),
            };
            match body(head, request.headers, Body::Length(0)) {
                Some(body) => Parsed::Whole((head, start, body)),
                None => Parsed::Garbage,
            }
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Garbage,
    }
}

fn response_head(bytes: &[u8], to_head: bool) -> Parsed<Head<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => {
            let status = response.code.unwrap_or_default();
            let body = if to_head || matches!(status, 100..=199 | 204 | 304) {
                Some(Body::Length(0))
            } else {
                body(head, response.headers, Body::UntilClosed)
            };
            match body {
                Some(body) => Parsed::Whole((head, status, body)),
                None => Parsed::Garbage,
            }
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Garbage,
    }
}

/// How the headers say that the body ends.
fn body(head: usize, headers: &[httparse::Header<'_>], otherwise: Body) -> Option<Body> {
    let value = |name: &str| {
        headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.trim_ascii())
    };
    let chunked = value("transfer-encoding").is_some_and(|codings| {
        codings
            .rsplit(|byte| *byte == b',')
            .next()
            .is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    });
    if chunked {
        return Some(Body::Chunked {
            at: head,
            content: Vec::new(),
            last: false,
        });
    }
    match value("content-length") {
        None => Some(otherwise),
        Some(length) => str::from_utf8(length)
            .ok()
            .and_then(|length| length.parse().ok())
            .filter(|length| *length <= LONGEST_BODY)
            .map(Body::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes one by one; returns what came out, and how often.
    fn byte_by_byte<T>(bytes: &[u8], mut take: impl FnMut(&mut BytesMut) -> Parsed<T>) -> Vec<T> {
        let mut buffer = BytesMut::new();
        let mut whole = Vec::new();
        for byte in bytes {
            buffer.extend_from_slice(&[*byte]);
            match take(&mut buffer) {
                Parsed::Whole(one) => whole.push(one),
                Parsed::Partial => {}
                Parsed::Garbage => panic!("garbage in {bytes:?}"),
            }
        }
        assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
        whole
    }

    #[test]
    fn requests_end_where_their_heads_say() {
        let bytes = b"PUT /products/7 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n\
            POST /c HTTP/1.1\r\ntransfer-encoding: gzip, Chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n";
        let mut http = Http::default();
        let requests = byte_by_byte(bytes, |buffer| http.request(buffer));
        let seen: Vec<_> = requests
            .iter()
            .map(|request| match &request.kind {
                Some(MessageKind::Http { method, path, body }) => {
                    format!("{method} {path} {}", String::from_utf8_lossy(body))
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            seen,
            ["PUT /products/7 hello", "GET /a?b ", "POST /c abcde"]
        );
        let forwarded: Vec<u8> = requests.iter().flat_map(|r| r.forward.to_vec()).collect();
        assert_eq!(forwarded, bytes, "every byte is forwarded as it came");
    }

    #[test]
    fn a_response_to_head_has_no_body_and_an_interim_one_answers_nothing() {
        let mut http = Http::default();
        let answers = byte_by_byte(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            |buffer| http.answer(buffer, Some(&mut Expect { head: true }), false),
        );
        assert!(matches!(answers[0].role, Role::Interim));
        assert!(matches!(
            answers[1].role,
            Role::Reply {
                reply: ReplyKind::Http { status: 200, .. },
                last: true
            }
        ));
    }

    #[test]
    fn a_response_without_a_length_ends_with_its_connection() {
        let mut http = Http::default();
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\n\r\nall of it"[..]);
        let mut expect = Expect { head: false };
        assert!(matches!(
            http.answer(&mut buffer, Some(&mut expect), false),
            Parsed::Partial
        ));
        match http.answer(&mut buffer, Some(&mut expect), true) {
            Parsed::Whole(Answer {
                role:
                    Role::Reply {
                        reply: ReplyKind::Http { body, .. },
                        ..
                    },
                ..
            }) => assert_eq!(body, "all of it"),
            _ => panic!("the end completes it"),
        }
    }

    #[test]
    fn what_is_no_http_is_garbage_and_stays_in_the_buffer() {
        for bytes in [
            &b"*1\r\n$4\r\nPING\r\n"[..],
            b"GET / HTTP/1.1\r\nContent-Length: -4\r\n\r\n",
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            let mut buffer = BytesMut::from(bytes);
            let parsed = Http::default().request(&mut buffer);
            assert!(matches!(parsed, Parsed::Garbage), "{bytes:?}");
            assert_eq!(buffer, bytes);
        }
    }
}
