//! Just enough of Redis' protocol to ask a server who it is and to tidy up after a check.

use anyhow::{Context, Result, bail};
use labkit::wire::Address;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Target;
use super::connection::{PATIENCE, Stream, connect};

/// One connection.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

impl Client {
    /// Connects, without a word yet.
    pub(super) async fn connect(address: &Address) -> Result<Self> {
        Ok(Self {
            stream: connect(address).await?,
            unread: Vec::new(),
        })
    }

    /// Connects, says who we are and chooses the database.
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let mut client = Self::connect(&target.address).await?;
        if let Some(password) = &target.password {
            match &target.username {
                Some(user) => client.call(&["AUTH", user, password]).await?,
                None => client.call(&["AUTH", password]).await?,
            };
        }
        if let Some(database) = &target.database {
            client.call(&["SELECT", database]).await?;
        }
        Ok(client)
    }

    /// One command and its reply; an error reply is an error.
    pub(super) async fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<OwnedFrame> {
        match self.ask(args).await? {
            OwnedFrame::Error(words) => bail!("{} was answered: {words}", name(args)),
            frame => Ok(frame),
        }
    }

    /// One command and whatever the reply is.
    pub(super) async fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<OwnedFrame> {
        timeout(PATIENCE, self.exchange(args))
            .await
            .with_context(|| format!("no answer to {} in {PATIENCE:?}", name(args)))?
    }

    async fn exchange<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<OwnedFrame> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args.iter().map(AsRef::as_ref) {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).await?;
        loop {
            let reply = decode(&self.unread)
                .ok()
                .context("the answer is not Redis' protocol")?;
            if let Some((frame, length)) = reply {
                self.unread.drain(..length);
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                bail!("the server hung up on {}", name(args));
            }
        }
    }
}

/// The text of a reply; empty where it has none.
pub(super) fn text(frame: OwnedFrame) -> String {
    match frame {
        OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
            String::from_utf8_lossy(&bytes).into_owned()
        }
        OwnedFrame::Error(words) => words,
        OwnedFrame::Integer(number) => number.to_string(),
        OwnedFrame::Array(_) | OwnedFrame::Null => String::new(),
    }
}

/// The members of an array; empty for anything else.
pub(super) fn members(frame: OwnedFrame) -> Vec<Vec<u8>> {
    let OwnedFrame::Array(frames) = frame else {
        return Vec::new();
    };
    frames
        .into_iter()
        .filter_map(|frame| match frame {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => Some(bytes),
            _ => None,
        })
        .collect()
}

/// The command's name alone: its arguments may hold a password.
fn name<A: AsRef<[u8]>>(args: &[A]) -> String {
    let first = args.first().map(AsRef::as_ref).unwrap_or_default();
    String::from_utf8_lossy(first).into_owned()
}
