//! What the proxy asks of a protocol: where messages end, and which answer is whose.

use bytes::{Bytes, BytesMut};

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

    /// Takes a request off the front of the buffer.
    fn request(&mut self, buffer: &mut BytesMut) -> Parsed<Request<Self::Expect>>;

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
    /// It belongs to the oldest request and says nothing yet: `100 Continue`.
    Interim,
    /// Nobody asked for it: a pub/sub message, a server that says goodbye.
    Push(ReplyKind),
}
