//! Just enough of a client to make databases, to drop them and to ask a server who it is:
//! the simple query protocol, one statement at a time.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::super::connection::{PATIENCE, Stream, connect};
use super::Target;

/// Copying a database of some gigabytes is slow, not stuck.
const STATEMENT: Duration = Duration::from_secs(120);

/// One connection.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    unread: BytesMut,
}

/// The fields of a row; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

impl Client {
    /// Connects and logs in, as the target says.
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let mut client = Self {
            stream: connect(&target.address).await?,
            unread: BytesMut::new(),
        };
        timeout(PATIENCE, client.log_in(target))
            .await
            .with_context(|| format!("no greeting from {} in {PATIENCE:?}", target.address))??;
        Ok(client)
    }

    async fn log_in(&mut self, target: &Target) -> Result<()> {
        let user = target.username.as_deref().unwrap_or("postgres");
        let password = || {
            let password = target.password.as_deref();
            password.context("the server asks for a password and there is none")
        };
        let parameters = [
            ("user", user),
            ("database", target.database.as_deref().unwrap_or("postgres")),
            ("client_encoding", "UTF8"),
            ("application_name", "backend-labs"),
        ];
        self.send(|buffer| frontend::startup_message(parameters, buffer))
            .await?;
        let mut scram = None;
        loop {
            match self.next().await? {
                Message::AuthenticationCleartextPassword => {
                    let password = password()?.as_bytes();
                    self.send(|buffer| frontend::password_message(password, buffer))
                        .await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(user.as_bytes(), password()?.as_bytes(), body.salt());
                    self.send(|buffer| frontend::password_message(hash.as_bytes(), buffer))
                        .await?;
                }
                Message::AuthenticationSasl(_) => {
                    let binding = ChannelBinding::unsupported();
                    let exchange = ScramSha256::new(password()?.as_bytes(), binding);
                    let first = exchange.message();
                    self.send(|buffer| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, first, buffer)
                    })
                    .await?;
                    scram = Some(exchange);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange = scram.as_mut().context("SCRAM without a beginning")?;
                    exchange.update(body.data())?;
                    let next = exchange.message();
                    self.send(|buffer| frontend::sasl_response(next, buffer))
                        .await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange = scram.as_mut().context("SCRAM without a beginning")?;
                    exchange.finish(body.data())?;
                }
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(refused(&body)),
                _ => bail!("the server wants a login of a kind that is not spoken here"),
            }
        }
    }

    /// One statement, for what it does.
    pub(super) async fn run(&mut self, statement: &str) -> Result<()> {
        self.rows(statement).await.map(drop)
    }

    /// One statement, for the only field of its only row.
    pub(super) async fn value(&mut self, statement: &str) -> Result<String> {
        let mut rows = self.rows(statement).await?.into_iter().flatten();
        rows.next()
            .flatten()
            .with_context(|| format!("no answer to {}", verb(statement)))
    }

    /// One statement, for its rows.
    pub(super) async fn rows(&mut self, statement: &str) -> Result<Vec<Row>> {
        timeout(STATEMENT, self.exchange(statement))
            .await
            .with_context(|| format!("no answer to {} in {STATEMENT:?}", verb(statement)))?
            .with_context(|| format!("{} was refused", verb(statement)))
    }

    async fn exchange(&mut self, statement: &str) -> Result<Vec<Row>> {
        self.send(|buffer| frontend::query(statement, buffer))
            .await?;
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            match self.next().await? {
                Message::DataRow(body) => rows.push(row(&body)?),
                // An error that ends the session is the last that is heard of it.
                Message::ErrorResponse(body) => error = Some(refused(&body)),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(rows),
        }
    }

    async fn send(
        &mut self,
        message: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut buffer = BytesMut::new();
        message(&mut buffer)?;
        self.stream.write_all(&buffer).await?;
        Ok(())
    }

    async fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.unread)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                bail!("the server hung up");
            }
        }
    }
}

fn row(body: &DataRowBody) -> Result<Row> {
    let mut ranges = body.ranges();
    let mut row = Row::new();
    while let Some(range) = ranges.next()? {
        row.push(range.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned()));
    }
    Ok(row)
}

/// The server's words and its code (Postgres, appendix A).
fn refused(body: &ErrorResponseBody) -> anyhow::Error {
    let mut fields = body.fields();
    let (mut words, mut code) = (String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'M' => words = text,
            b'C' => code = text,
            _ => {}
        }
    }
    anyhow!("{words} ({code})")
}

/// A statement's first words: the rest may hold a password.
fn verb(statement: &str) -> String {
    let words: Vec<_> = statement.split_whitespace().take(2).collect();
    words.join(" ")
}
