//! A folder in which a check runs the programs of a service: here, or in a container that
//! has the folder and this machine's loopback.
//!
//! A container shares the host's network, so that a learner's configuration is the same
//! everywhere: `127.0.0.1` in it is this machine. Whether that is so is tried before
//! anybody relies on it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use labkit::sandbox::{Looked, Ran};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::timeout;

use super::native::{self, find_binary};
use super::run::give_to_service;
use super::{Provider, Source, docker};
use crate::services::{Sandboxed, Service};

/// Becomes a program: `$1` is what its files begin with. A learner's configuration may let
/// it write for ever: no file grows beyond 1 GiB (`ulimit -f` counts 512 bytes). Prometheus
/// sets half of that aside for a block.
const BECOME: &str = r#"ulimit -f 2097152; files=$1; shift; echo $$ >"$files.pid"
exec "$@" <"$files.in" >"$files.out" 2>"$files.err""#;

/// Where those files are.
const FILES: &str = ".run";

/// How long a program may run that is waited for: a hundred times what the slowest takes.
const LONGEST: Duration = Duration::from_secs(30);

/// How much of what a program wrote is looked at.
const MOST: u64 = 4 * 1024 * 1024;

/// A folder, and where the programs are.
#[derive(Debug)]
pub(crate) struct Sandbox {
    service: &'static Service,
    sandboxed: &'static Sandboxed,
    folder: PathBuf,
    place: Place,
    processes: Vec<Process>,
}

#[derive(Debug)]
enum Place {
    Here(native::Program),
    Container(docker::Shell),
}

/// One that was started; its number names its files.
#[derive(Debug)]
enum Process {
    Child(Child),
    Exec(String),
}

impl Provider {
    /// A new folder, with nothing in it.
    pub(crate) async fn sandbox(&self) -> Result<Sandbox> {
        let crate::services::Manner::Sandboxed(sandboxed) = &self.service.manner else {
            bail!("{} is lent, it is run in no sandbox", self.service.name);
        };
        let folder = self.run.service_folder(self.service.name)?;
        let files = folder.join(FILES);
        DirBuilder::new().mode(0o700).create(&files)?;
        give_to_service(&files)?;
        let place = match &self.source {
            Source::Docker(image) => {
                Place::Container(docker::shell(self.service, image, &self.run, &folder).await?)
            }
            Source::Program(program) => Place::Here(program.clone()),
            Source::External(_) | Source::Lent(_) => bail!("a server elsewhere is no sandbox"),
        };
        Ok(Sandbox {
            service: self.service,
            sandboxed,
            folder,
            place,
            processes: Vec::new(),
        })
    }

    /// Tries one, and tells the version of the programs in it.
    pub(super) async fn first_sandbox(&self, sandboxed: &Sandboxed) -> Result<String> {
        let mut sandbox = self.sandbox().await?;
        let tried = sandbox.prove(sandboxed).await;
        sandbox.end().await?;
        tried
    }
}

impl Sandbox {
    async fn prove(&mut self, sandboxed: &Sandboxed) -> Result<String> {
        let program = self.service.program;
        let ran = self.run(program, &owned(sandboxed.version), "").await?;
        let said = ran.said();
        let version = (sandboxed.stated)(&said)
            .with_context(|| format!("{program} does not tell its version: {said}"))?
            .to_owned();
        if matches!(self.place, Place::Container(_)) {
            self.reaches_us(sandboxed).await?;
        }
        Ok(version)
    }

    /// A word that nobody can guess has to come back from inside.
    async fn reaches_us(&mut self, sandboxed: &Sandboxed) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let nonce = crate::services::password();
        let url = format!("http://{}/{nonce}", listener.local_addr()?);
        let words = (sandboxed.fetch)(&url);
        let (program, arguments) = words.split_first().context("a command has a program")?;
        let heard = async {
            let (mut stream, _) = listener.accept().await?;
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await?;
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
            anyhow::Ok(String::from_utf8_lossy(&head[..read]).contains(&nonce))
        };
        let heard = tokio::select! {
            biased;
            heard = heard => heard?,
            ran = self.run(program, arguments, "") => { ran?; false }
        };
        ensure!(
            heard,
            "a container of {} does not reach 127.0.0.1 of this machine (Docker Desktop: \
             \"Enable host networking\")",
            self.service.name
        );
        Ok(())
    }

    /// Its path, here as for the programs in it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file, in the place of whatever was there.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        put(&self.file(name)?, text).with_context(|| format!("cannot write {name}"))
    }

    /// What a file holds, up to a limit.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        get(&self.file(name)?).with_context(|| format!("cannot read {name}"))
    }

    /// Runs a program to its end.
    pub(crate) async fn run(
        &mut self,
        program: &str,
        arguments: &[String],
        input: &str,
    ) -> Result<Ran> {
        let number = self.spawn(program, arguments, input).await?;
        let ended = timeout(LONGEST, self.until_ended(number)).await;
        let late = ended.is_err();
        let code = match ended {
            Ok(code) => code?,
            Err(_) => {
                self.signal(number, Signal::SIGKILL).await?;
                None
            }
        };
        let mut ran = Ran {
            code,
            stdout: self.said(number, "out"),
            stderr: self.said(number, "err"),
        };
        if late {
            ran.stderr += &format!("{program} had not ended after {LONGEST:?}\n");
        }
        Ok(ran)
    }

    /// Starts a program that goes on, and gives it a number.
    pub(crate) async fn start(&mut self, program: &str, arguments: &[String]) -> Result<usize> {
        self.spawn(program, arguments, "").await
    }

    /// How a program is, and what it wrote.
    pub(crate) async fn look(&mut self, number: usize) -> Result<Looked> {
        let process = self.processes.get_mut(number).context("no such process")?;
        let ended = match (process, &self.place) {
            (Process::Child(child), _) => child.try_wait()?.map(|status| status.to_string()),
            (Process::Exec(id), Place::Container(shell)) => shell
                .ended(id)
                .await?
                .map(|code| format!("exit status: {code}")),
            (Process::Exec(_), Place::Here(_)) => bail!("it runs in no container"),
        };
        let log = self.said(number, "out") + &self.said(number, "err");
        Ok(Looked { ended, log })
    }

    /// Sends a program a signal, if it has not ended.
    pub(crate) async fn signal(&mut self, number: usize, signal: Signal) -> Result<()> {
        let process = self.processes.get_mut(number).context("no such process")?;
        match (process, &self.place) {
            (Process::Child(child), _) => {
                // Gone from the child once it was waited for, when its number may be another's.
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    kill(Pid::from_raw(pid), signal).context("sending a signal")?;
                }
            }
            (Process::Exec(id), Place::Container(shell)) => {
                if shell.ended(id).await?.is_none() {
                    let pid = get(&self.files(number, "pid"))?;
                    let name = signal.as_str().trim_start_matches("SIG");
                    // The shell's own: not every image has a program for it.
                    let words = ["sh", "-c", r#"kill -s "$1" "$2""#, "sh", name, pid.trim()];
                    let words = words.map(str::to_owned);
                    let id = shell.exec(&words).await?;
                    shell.until_ended(&id).await?;
                }
            }
            (Process::Exec(_), Place::Here(_)) => bail!("it runs in no container"),
        }
        Ok(())
    }

    /// Ends all that runs in it, and removes it.
    pub(crate) async fn end(self) -> Result<()> {
        for process in self.processes {
            if let Process::Child(mut child) = process {
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    // Workers outlive their master.
                    killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
                }
                child.wait().await?;
            }
        }
        if let Place::Container(shell) = self.place {
            shell.stop().await?;
        }
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    async fn spawn(&mut self, program: &str, arguments: &[String], input: &str) -> Result<usize> {
        let known = program == self.service.program || self.sandboxed.tools.contains(&program);
        ensure!(known, "{} has no program {program}", self.service.name);
        let number = self.processes.len();
        for kind in ["in", "out", "err", "pid"] {
            put(
                &self.files(number, kind),
                if kind == "in" { input } else { "" },
            )?;
        }
        let files = format!("{FILES}/{number}");
        let mut words = ["sh", "-c", BECOME, "sh", &files]
            .map(str::to_owned)
            .to_vec();
        let process = match &self.place {
            Place::Here(server) => {
                words.push(beside(server, self.service, program)?);
                words.extend_from_slice(arguments);
                Process::Child(self.child(server, &words)?)
            }
            Place::Container(shell) => {
                words.push(program.to_owned());
                words.extend_from_slice(arguments);
                Process::Exec(shell.exec(&words).await?)
            }
        };
        self.processes.push(process);
        Ok(number)
    }

    fn child(&self, server: &native::Program, words: &[String]) -> Result<Child> {
        native::command(&words[0], &server.libraries, &self.folder)?
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", words[4]))
    }

    async fn until_ended(&mut self, number: usize) -> Result<Option<i32>> {
        match (&mut self.processes[number], &self.place) {
            (Process::Child(child), _) => Ok(child.wait().await?.code()),
            (Process::Exec(id), Place::Container(shell)) => {
                let code = shell.until_ended(id).await?;
                Ok(i32::try_from(code).ok())
            }
            (Process::Exec(_), Place::Here(_)) => bail!("it runs in no container"),
        }
    }

    fn said(&self, number: usize, kind: &str) -> String {
        get(&self.files(number, kind)).unwrap_or_default()
    }

    fn files(&self, number: usize, kind: &str) -> PathBuf {
        self.folder.join(format!("{FILES}/{number}.{kind}"))
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        ensure!(
            !name.is_empty() && !name.contains('/') && !name.starts_with('.'),
            "'{name}' is no name of a file"
        );
        Ok(self.folder.join(name))
    }
}

/// Where a program is: beside the server, or where it is found.
fn beside(server: &native::Program, service: &Service, program: &str) -> Result<String> {
    let path = match program == service.program {
        true => Some(server.path.clone()),
        false => Some(server.path.with_file_name(program))
            .filter(|path| path.is_file())
            .or_else(|| find_binary(program)),
    };
    let path = path.with_context(|| format!("no {program} beside {}", server.path.display()))?;
    let path = path.to_str().context("a program's path is not UTF-8")?;
    Ok(path.to_owned())
}

/// Writes a file anew: what a program put at its place is not followed.
fn put(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    give_to_service(file.path())?;
    file.persist(path)?;
    Ok(())
}

/// Reads a plain file; what a program put at its place is not followed, nor waited for.
fn get(path: &Path) -> Result<String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}
