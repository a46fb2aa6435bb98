//! A client that stops wherever a check wants it to: in the middle of a body, before it reads,
//! or for good.

use std::time::Duration;

use labkit::finding;
use labkit::patience::{PATIENCE, timeout};
use labkit::timeline::{EventId, Timeline};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::call::Reply;
use crate::in_flight::MOMENT;
use crate::instance::Instance;

/// So that a long answer does not fit in what the kernel keeps for us.
const RECEIVE_BUFFER: u32 = 64 * 1024;
const MOST_HEADERS: usize = 64;
/// Between two bytes of a client that sends as slowly as it can.
const DRIP: Duration = Duration::from_millis(10);

/// One connection. Dropping it is hanging up.
pub struct Raw {
    stream: TcpStream,
    /// What has come and is no whole answer yet.
    buffer: Vec<u8>,
    app: String,
    request: String,
    event: Option<EventId>,
    timeline: Timeline,
}

impl Instance {
    /// A connection of its own; one that is not accepted fails the check.
    pub async fn connect(&self) -> Raw {
        match self.try_connect().await {
            Ok(raw) => raw,
            Err(error) => finding::fail(
                format!("connected to `{}`", self.app.name()),
                format!("{error}"),
                "a connection",
            ),
        }
    }

    /// Waits until nobody can connect any more; a service that goes on accepting fails the check.
    pub async fn closes_its_door(&self) {
        let event = self.timeline.push("check", self.app.name(), "connect");
        let refused = async {
            while self.try_connect().await.is_ok() {
                tokio::time::sleep(MOMENT).await;
            }
        };
        match timeout(PATIENCE, refused).await {
            Ok(()) => self.timeline.reply(event, "refused"),
            Err(_) => finding::fail(
                "",
                format!(
                    "new connections were still accepted {} s after SIGTERM",
                    PATIENCE.as_secs()
                ),
                "connection refused: whoever spreads the load sends new clients elsewhere then",
            ),
        }
    }

    async fn try_connect(&self) -> std::io::Result<Raw> {
        let address = self.app.url().trim_start_matches("http://").parse();
        let address =
            address.unwrap_or_else(|error| finding::error(format!("{}: {error}", self.app.url())));
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(Raw {
            stream: socket.connect(address).await?,
            buffer: Vec::new(),
            app: self.app.name().to_owned(),
            request: String::new(),
            event: None,
            timeline: self.timeline.clone(),
        })
    }
}

impl Raw {
    /// Sends a whole GET.
    pub async fn get(&mut self, path: &str) {
        self.head("GET", path, &[]).await;
    }

    /// Sends the head of a request and nothing of its body.
    pub async fn head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        self.request = format!("{method} {path}");
        let mut words = self.request.clone();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: shop\r\n");
        for (name, value) in headers {
            words += &format!(" {name}: {value}");
            head += &format!("{name}: {value}\r\n");
        }
        self.event = Some(self.timeline.push("check", &self.app, words));
        self.body((head + "\r\n").as_bytes()).await;
    }

    /// Sends bytes of a body.
    pub async fn body(&mut self, bytes: &[u8]) {
        // Who does not want to read them may have closed; its answer tells.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a byte of a body now and then, until there is an answer or the connection ends.
    pub async fn drip(&mut self) -> Option<Reply> {
        loop {
            if let Some(answer) = self.answered_by_now().await {
                return answer;
            }
            self.body(b"d").await;
            tokio::time::sleep(DRIP).await;
        }
    }

    /// Sends bytes as one chunk.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let size = format!("{:x}\r\n", bytes.len());
        self.body(&[size.as_bytes(), bytes, b"\r\n"].concat()).await;
    }

    /// The next answer, an interim one as well; nothing where the connection ends before it
    /// is whole.
    pub async fn answer(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.take() {
                self.tell(&reply.status.to_string());
                return Some(reply);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                self.tell("no answer");
                return None;
            }
        }
    }

    /// The next answer, if it has come or the connection has ended by now.
    pub(crate) async fn answered_by_now(&mut self) -> Option<Option<Reply>> {
        tokio::select! {
            biased;
            answer = self.answer() => Some(answer),
            () = std::future::ready(()) => None,
        }
    }

    /// The next answer; none in time fails the check, and so does one that breaks off.
    pub async fn expect_answer(&mut self, expected: &str) -> Reply {
        let request = self.request.clone();
        match timeout(PATIENCE, self.answer()).await {
            Ok(Some(reply)) => reply,
            Ok(None) => self.refuse(format!("{request} got a reset: no whole answer"), expected),
            Err(_) => self.refuse(
                format!("{request} was not answered within {} s", PATIENCE.as_secs()),
                expected,
            ),
        }
    }

    /// Waits until something of an answer has come, and leaves the rest where it is.
    pub async fn begins_to_be_answered(&mut self) {
        // Whatever keeps it from coming is seen by who reads on.
        let _ = timeout(PATIENCE, self.stream.readable()).await;
    }

    /// Fails the check, and points the reader of the timeline at this request.
    pub fn refuse(&self, saw: impl Into<String>, expected: &str) -> ! {
        if let Some(event) = self.event {
            self.timeline.note(event, "this one");
        }
        finding::fail("", saw, expected)
    }

    fn tell(&self, answer: &str) {
        if let Some(event) = self.event {
            self.timeline.reply(event, answer);
        }
    }

    /// Takes a whole answer off the buffer.
    fn take(&mut self) -> Option<Reply> {
        let mut space = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut space);
        let start = match response.parse(&self.buffer) {
            Ok(httparse::Status::Complete(start)) => start,
            Ok(httparse::Status::Partial) => return None,
            Err(error) => finding::error(format!("what was answered is no HTTP: {error}")),
        };
        let status = response.code.unwrap_or_default();
        let mut headers = HeaderMap::new();
        for header in response.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) {
                headers.append(name, value);
            }
        }
        let (body, end) = match headers.get("transfer-encoding") {
            Some(_) => dechunk(&self.buffer, start)?,
            None => {
                let length = headers.get("content-length");
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                let end = start + length.unwrap_or(0);
                (self.buffer.get(start..end)?.to_vec(), end)
            }
        };
        self.buffer.drain(..end);
        Some(Reply {
            request: self.request.clone(),
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            headers,
            event: self.event?,
            timeline: self.timeline.clone(),
        })
    }
}

/// The content of a chunked body that begins at `at`, and where it ends; nothing where its
/// last chunk has not come.
fn dechunk(buffer: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut content = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((head, size))) =
            httparse::parse_chunk_size(&buffer[at..])
        else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        at += head;
        content.extend(buffer.get(at..at + size)?);
        // Behind each chunk, and behind the empty one, an empty line.
        at += size + 2;
        if at > buffer.len() {
            return None;
        }
        if size == 0 {
            return Some((content, at));
        }
    }
}
