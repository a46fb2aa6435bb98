//! What the proxy asks of a protocol: where messages end, and which answer is whose.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;

use super::message::{MessageKind, ReplyKind};
use super::resp::Parsed;

/// The state of one connection, for both directions.
pub(super) trait Protocol: Send + 'static {
    /// What is still to come for a request that was forwarded.
    type Expect: Send;

    /// What to call bytes that are not of this protocol.
    const NAME: &'static str;

    /// Whether bytes that nobody understands may go to the server.
    fn passes_garbage(&self) -> bool;

    /// What is settled with the app before anything is for the server. What it said besides
    /// is left in the buffer.
    fn greet(
        &mut self,
        _app: &mut TcpStream,
        _buffer: &mut BytesMut,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Takes a request off the front of the buffer.
    fn request(&mut self, buffer: &mut BytesMut) -> Parsed<Request<Self::Expect>>;

    /// The answer to a request that the server will pass over without a word.
    fn passed_over(&mut self, _expect: &mut Self::Expect) -> Option<ReplyKind> {
        None
    }

    /// Takes an answer off the front of the buffer. `oldest` is what is expected for the
    /// oldest request without a complete answer; `ended`: nothing more will come.
    fn answer(
        &mut self,
        buffer: &mut BytesMut,
        oldest: Option<&mut Self::Expect>,
        ended: bool,
    ) -> Parsed<Answer>;
}

/// A request that an app sent.
pub(super) struct Request<E> {
    /// Nothing for what is no message, such as an empty line.
    pub(super) kind: Option<MessageKind>,
    /// What goes to the server: the bytes as they came.
    pub(super) forward: Bytes,
    /// Nothing if the server will not answer.
    pub(super) expect: Option<E>,
    /// The wire's own word, in place of the server's answer.
    pub(super) refusal: Option<Refusal>,
    /// Goes to the server ahead of it, where a fault keeps it back: makes the server say what
    /// it owes for the requests before.
    pub(super) urge: &'static [u8],
}

/// An answer that the wire gives in the server's stead.
pub(super) struct Refusal {
    pub(super) raw: Bytes,
    pub(super) reply: ReplyKind,
}

/// Something that a server sent.
pub(super) struct Answer {
    pub(super) raw: Bytes,
    pub(super) role: Role,
}

/// What it is to the requests.
pub(super) enum Role {
    /// It answers the oldest request; `last`: completely.
    Reply { reply: ReplyKind, last: bool },
    /// It is a piece of the answer to the oldest request, whose end is still to come.
    Part,
    /// It belongs to the oldest request, or to none, and says nothing yet: `100 Continue`.
    Interim,
    /// It refuses the oldest request, which was no message until then; `last`: completely.
    Failed {
        kind: MessageKind,
        reply: ReplyKind,
        last: bool,
    },
    /// Nobody asked for it: a pub/sub message, a server that says goodbye.
    Push(ReplyKind),
}
