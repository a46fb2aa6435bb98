//! A folder in which a check runs the programs of a real service, on files of the learner's.
//!
//! Whoever gave the check its services (the runner, or `cargo xtask up`) makes the folder,
//! starts the programs there or in a container, and ends them with the check. Each request
//! is a line of JSON, and so is each answer.

use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::sleep;

use crate::check::Check;
use crate::finding;
use crate::patience::{PATIENCE, timeout};
use crate::timeline::Timeline;

/// What a check asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A sandbox for the programs of a service, by its name in `lab.toml`.
    Open {
        /// The service.
        service: String,
    },
    /// A file in it, new or anew.
    Write {
        /// The sandbox.
        sandbox: usize,
        /// The file's name, without a folder.
        name: String,
        /// What it is to hold.
        text: String,
    },
    /// What a file in it holds.
    Read {
        /// The sandbox.
        sandbox: usize,
        /// The file's name, without a folder.
        name: String,
    },
    /// A port of 127.0.0.1 that nobody listens at.
    Port,
    /// A program from its start to its end.
    Run {
        /// The sandbox.
        sandbox: usize,
        /// The program's name.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// What it reads from stdin.
        input: String,
    },
    /// A program that goes on.
    Start {
        /// The sandbox.
        sandbox: usize,
        /// The program's name.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Whether it still goes on, and what it wrote.
    Look {
        /// The sandbox.
        sandbox: usize,
        /// Its number there.
        process: usize,
    },
    /// A signal to it.
    Signal {
        /// The sandbox.
        sandbox: usize,
        /// Its number there.
        process: usize,
        /// Which.
        signal: Signal,
    },
}

/// What is asked, as it goes over the line: by its one word it is told from a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    pub ask: Ask,
}

/// What a check is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// A sandbox.
    Opened {
        /// Its number.
        sandbox: usize,
        /// Its path, as the programs in it see it.
        folder: String,
    },
    /// A file's text.
    Text(String),
    /// A port.
    Port(u16),
    /// How a program ended.
    Ran(Ran),
    /// The number of a program that goes on.
    Started(usize),
    /// How it is.
    Looked(Looked),
    /// The service cannot be had, and why.
    Unavailable(String),
    /// It went wrong for a reason that is nobody's configuration.
    Failed(String),
}

/// A program that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its exit code; none where a signal ended it, or where it had to be ended.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ran {
    /// Whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.code == Some(0)
    }

    /// All that it wrote.
    pub fn said(&self) -> String {
        [self.stdout.trim_end(), self.stderr.trim_end()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// A program that was started, at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// How it ended, if it did: `exit status: 1`.
    pub ended: Option<String>,
    /// What it has written so far, to stdout and then to stderr.
    pub log: String,
}

/// A signal by its name in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGHUP: most servers read their configuration anew.
    Hup,
    /// SIGUSR2: HAProxy's master reads its configuration anew.
    Usr2,
    /// SIGQUIT: nginx ends when its requests have.
    Quit,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// The line to whoever answers.
#[derive(Debug)]
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    /// Of a connected socket; called within a runtime.
    pub(crate) fn over(socket: StdUnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(BufReader::new(UnixStream::from_std(socket)?)))
    }

    /// Says something.
    pub(crate) async fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }

    /// The next line that comes; none when the other end is closed.
    pub(crate) async fn hear(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await?;
        Ok((read > 0).then_some(line))
    }

    async fn ask(&mut self, what: &impl Serialize) -> io::Result<Answer> {
        self.say(what).await?;
        let line = self.hear().await?;
        let line = line.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// A folder with programs of a service. They are ended with the check.
#[derive(Clone, Debug)]
pub struct Sandbox {
    check: Check,
    number: usize,
    folder: String,
}

impl Sandbox {
    pub(crate) async fn open(check: &Check, service: &str) -> Self {
        let service = service.to_owned();
        match ask(check, Ask::Open { service }).await {
            Answer::Opened { sandbox, folder } => Self {
                check: check.clone(),
                number: sandbox,
                folder,
            },
            other => surprise(&other),
        }
    }

    /// Where a file of the sandbox is, for the programs in it.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Writes a file; a name is no path.
    pub async fn write(&self, name: &str, text: impl Into<String>) {
        let ask = Ask::Write {
            sandbox: self.number,
            name: name.to_owned(),
            text: text.into(),
        };
        self.done(ask).await;
    }

    /// What a file holds.
    pub async fn read(&self, name: &str) -> String {
        let name = name.to_owned();
        let sandbox = self.number;
        match self.ask(Ask::Read { sandbox, name }).await {
            Answer::Text(text) => text,
            other => surprise(&other),
        }
    }

    /// Runs a program to its end.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        self.run_with(program, arguments, "").await
    }

    /// The same, with something to read on stdin.
    pub async fn run_with(&self, program: &str, arguments: &[&str], input: &str) -> Ran {
        let timeline = self.timeline();
        let event = timeline.push("check", program, self.shown(arguments));
        let ask = Ask::Run {
            sandbox: self.number,
            program: program.to_owned(),
            arguments: owned(arguments),
            input: input.to_owned(),
        };
        match self.ask(ask).await {
            Answer::Ran(ran) => {
                let how = ran
                    .code
                    .map_or("ended".to_owned(), |code| format!("exit {code}"));
                timeline.reply(event, how);
                ran
            }
            other => surprise(&other),
        }
    }

    /// Starts a program that goes on: a server, called `name` on the timeline.
    pub async fn start(&self, name: &str, program: &str, arguments: &[&str]) -> Process {
        let timeline = self.timeline();
        timeline.push("check", name, format!("start {}", self.shown(arguments)));
        let ask = Ask::Start {
            sandbox: self.number,
            program: program.to_owned(),
            arguments: owned(arguments),
        };
        match self.ask(ask).await {
            Answer::Started(process) => Process {
                sandbox: self.clone(),
                name: name.to_owned(),
                number: process,
            },
            other => surprise(&other),
        }
    }

    /// A command line without the folder that all its files are in.
    fn shown(&self, arguments: &[&str]) -> String {
        arguments
            .join(" ")
            .replace(&format!("{}/", self.folder), "")
    }

    fn timeline(&self) -> Timeline {
        self.check.timeline()
    }

    async fn ask(&self, what: Ask) -> Answer {
        ask(&self.check, what).await
    }

    async fn done(&self, what: Ask) {
        match self.ask(what).await {
            Answer::Done => {}
            other => surprise(&other),
        }
    }
}

/// A program that goes on in a sandbox.
#[derive(Clone, Debug)]
pub struct Process {
    sandbox: Sandbox,
    name: String,
    number: usize,
}

impl Process {
    /// Waits until it listens at `address`; otherwise says how it ended and what it wrote.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub async fn listens(&self, address: SocketAddr) -> Result<(), Looked> {
        let mut pause = Duration::from_millis(2);
        let listening = async {
            loop {
                if tokio::net::TcpStream::connect(address).await.is_ok() {
                    return Ok(());
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
                let looked = self.look().await;
                if looked.ended.is_some() {
                    return Err(looked);
                }
            }
        };
        // Fifty times what the slowest of them takes.
        match timeout(PATIENCE * 3, listening).await {
            Ok(ended) => ended,
            Err(_) => {
                let looked = self.look().await;
                let name = &self.name;
                finding::unavailable(format!("{name} does not listen: {}", looked.log))
            }
        }
    }

    /// How it is.
    pub async fn look(&self) -> Looked {
        let ask = Ask::Look {
            sandbox: self.sandbox.number,
            process: self.number,
        };
        match self.sandbox.ask(ask).await {
            Answer::Looked(looked) => looked,
            other => surprise(&other),
        }
    }

    /// Sends it a signal; one that has ended takes none.
    pub async fn signal(&self, signal: Signal) {
        let timeline = self.sandbox.timeline();
        timeline.push("check", &self.name, format!("SIG{signal:?}").to_uppercase());
        let ask = Ask::Signal {
            sandbox: self.sandbox.number,
            process: self.number,
            signal,
        };
        self.sandbox.done(ask).await;
    }
}

/// A port of 127.0.0.1 for a program in a sandbox of this check to listen at.
pub(crate) async fn free_port(check: &Check) -> u16 {
    match ask(check, Ask::Port).await {
        Answer::Port(port) => port,
        other => surprise(&other),
    }
}

async fn ask(check: &Check, what: Ask) -> Answer {
    let answer = async { check.line().await?.ask(&Asked { ask: what }).await };
    match answer.await {
        Ok(Answer::Unavailable(reason)) => finding::unavailable(reason),
        Ok(Answer::Failed(reason)) => finding::error(reason),
        Ok(answer) => answer,
        Err(error) => finding::error(format!("a sandbox does not answer: {error}")),
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().copied().map(str::to_owned).collect()
}

fn surprise(answer: &Answer) -> ! {
    finding::error(format!("this is no answer to what was asked: {answer:?}"))
}
