//! What front and keeper say to each other: JSON lines over a socket pair of which each
//! holds the only open end, so that the death of one is an end of file at the other.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;

use nix::unistd::dup2_stdin;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// What the runner finds on its stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stdin {
    /// `/dev/null`.
    Empty,
    /// A pipe on which nothing comes; it ends when the user's stdin does.
    UntilOurs,
}

/// From the front.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToKeeper {
    /// Always the first message.
    Start {
        /// The process group that the terminal takes for this job; the runner joins it.
        group: i32,
        stdin: Stdin,
        /// The run folder, which the keeper makes.
        folder: PathBuf,
    },
    StdinEnded,
    /// The user wants the run to end.
    Signal(i32),
}

/// From the keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToFront {
    /// Everything is over and cleaned up, but for what is named in `left`.
    Ended { end: End, left: Vec<String> },
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// The runner came to its own end.
    Exited(u8),
    /// The front asked for it, because of this signal.
    Interrupted(i32),
    /// The front died. Nobody hears this; the keeper decides by it.
    FrontGone,
    /// The runner did not come to an end of its own: how, as in "our runner panicked".
    Died(String),
    /// The runner was never started: why.
    Failed(String),
}

impl End {
    /// Whether the runner itself had the time to put away what it started.
    pub(crate) fn is_orderly(&self) -> bool {
        matches!(self, Self::Exited(_))
    }
}

/// One side of the socket pair.
pub(crate) struct Link {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Link {
    /// Needs a tokio runtime around it.
    pub(crate) fn new(stream: StdUnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        Ok(Self {
            lines: BufReader::new(reader).lines(),
            writer,
        })
    }

    /// The keeper's side, which it was given as its stdin. Stdin itself becomes
    /// `/dev/null`: a second open end would hide this process's death from the front.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        let stream = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.peer_addr()?;
        dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Self::new(stream)
    }

    /// The next message; `None` when the other side is gone (or, which is the same to us,
    /// is none of ours).
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    pub(crate) async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }
}
