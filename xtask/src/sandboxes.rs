//! The sandboxes of one check: it asks for them while it runs, and they end with it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use labkit::sandbox::{Answer, Ask, Asked, Signal};
use nix::sys::signal;
use rand::RngExt as _;

use crate::pool::Pool;
use crate::provider::{Notes, Sandbox};

/// Where ports are taken from: below those that a system gives out by itself (Linux from
/// 32768, macOS from 49152), so that no connection takes one in between.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Those of them that a check of this run has.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// All that one check asked for.
pub(crate) struct Sandboxes<'a> {
    pool: &'a Pool,
    open: Vec<Sandbox>,
    ports: Vec<u16>,
}

impl<'a> Sandboxes<'a> {
    /// None yet.
    pub(crate) fn of(pool: &'a Pool) -> Self {
        Self {
            pool,
            open: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// The answer to a line, if it asks for something: another line.
    pub(crate) async fn answer(&mut self, line: &str) -> Option<String> {
        let asked: Asked = serde_json::from_str(line).ok()?;
        let answer = match self.fulfil(asked.ask).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(format!("{error:#}")),
        };
        let line = serde_json::to_string(&answer).ok()?;
        Some(line + "\n")
    }

    async fn fulfil(&mut self, ask: Ask) -> Result<Answer> {
        Ok(match ask {
            Ask::Open { service } => match self.pool.sandbox(&service).await {
                Ok(sandbox) => {
                    let folder = sandbox.folder().to_str();
                    let folder = folder.context("its path is not UTF-8")?.to_owned();
                    self.open.push(sandbox);
                    let sandbox = self.open.len() - 1;
                    Answer::Opened { sandbox, folder }
                }
                Err(error) => Answer::Unavailable(format!("{error:#}")),
            },
            Ask::Write {
                sandbox,
                name,
                text,
            } => {
                self.sandbox(sandbox)?.write(&name, &text)?;
                Answer::Done
            }
            Ask::Read { sandbox, name } => Answer::Text(self.sandbox(sandbox)?.read(&name)?),
            Ask::Port => Answer::Port(self.port()?),
            Ask::Run {
                sandbox,
                program,
                arguments,
                input,
            } => Answer::Ran(
                self.sandbox(sandbox)?
                    .run(&program, &arguments, &input)
                    .await?,
            ),
            Ask::Start {
                sandbox,
                program,
                arguments,
            } => Answer::Started(self.sandbox(sandbox)?.start(&program, &arguments).await?),
            Ask::Look { sandbox, process } => {
                Answer::Looked(self.sandbox(sandbox)?.look(process).await?)
            }
            Ask::Signal {
                sandbox,
                process,
                signal,
            } => {
                let signal = match signal {
                    Signal::Hup => signal::SIGHUP,
                    Signal::Usr2 => signal::SIGUSR2,
                    Signal::Quit => signal::SIGQUIT,
                    Signal::Term => signal::SIGTERM,
                    Signal::Kill => signal::SIGKILL,
                };
                self.sandbox(sandbox)?.signal(process, signal).await?;
                Answer::Done
            }
        })
    }

    /// Ends them all.
    pub(crate) async fn end(self, notes: &dyn Notes) {
        for sandbox in self.open {
            if let Err(error) = sandbox.end().await {
                notes.note(&format!("a sandbox did not end: {error:#}"));
            }
        }
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for port in self.ports {
            taken.remove(&port);
        }
    }

    fn sandbox(&mut self, number: usize) -> Result<&mut Sandbox> {
        self.open.get_mut(number).context("no such sandbox")
    }

    fn port(&mut self) -> Result<u16> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..PORTS.len() {
            let port = rand::rng().random_range(PORTS);
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if !taken.contains(&port) && free() {
                taken.insert(port);
                self.ports.push(port);
                return Ok(port);
            }
        }
        anyhow::bail!(
            "no port of 127.0.0.1 is free between {} and {}",
            PORTS.start,
            PORTS.end
        )
    }
}
