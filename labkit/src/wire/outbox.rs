//! What is on its way through the wire, to one side.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Messages on their way to one side. Those that arrived together go on together: a
/// pipeline of a hundred commands is one packet behind the wire as well.
pub(super) struct Outbox<W> {
    /// Where they go.
    pub(super) writer: W,
    waiting: BytesMut,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    /// Nothing is on its way yet.
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            waiting: BytesMut::new(),
        }
    }

    /// Goes on with the next flush.
    pub(super) fn put(&mut self, message: &[u8]) {
        self.waiting.extend_from_slice(message);
    }

    /// Sends all that waits.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.writer.write_all(&self.waiting).await;
        self.waiting.clear();
        written
    }
}
