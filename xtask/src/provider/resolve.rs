//! Which provider a run uses: each is tried in turn, and one that does not work is passed
//! over. Whether that is worth a line depends on what it means for the user.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::Mutex;

use super::bundle::Bundle;
use super::{Choice, Kind, Notes, Provider, RunFolder, Source, docker, external, native};
use crate::services::{Keeping, Service};

/// Why no server could be had: what was tried, and what to do.
#[derive(Debug)]
pub(crate) struct Unresolved {
    /// The service that was asked for.
    pub(crate) service: &'static str,
    /// Each provider that was tried, with its reason.
    pub(crate) tried: Vec<(&'static str, String)>,
    /// One thing to do about it.
    pub(crate) hint: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} could be had", self.service)?;
        for (kind, reason) in &self.tried {
            write!(f, "\n  {kind:8}  {reason}")?;
        }
        write!(f, "\n\nhint: {}", self.hint)
    }
}

impl std::error::Error for Unresolved {}

/// One that held up the run for so long before it turned out not to work is named in each
/// run: it costs.
const COSTLY: Duration = Duration::from_secs(2);

/// Finds the first provider that really gives a server.
///
/// Why others were passed over is said at once where the user named them or where they cost
/// time. Where they are here and do not work, the provider that is found carries the words
/// ([`Provider::passed_over`]). What this machine just does not have is not worth a word,
/// unless nothing else is found.
pub(crate) async fn resolve(
    service: &'static Service,
    choice: Choice,
    run: &RunFolder,
    notes: &dyn Notes,
) -> Result<Provider, Unresolved> {
    let mut tried = Vec::new();
    let mut unsaid = Vec::new();
    let request = Request {
        service,
        run,
        notes,
        forced: choice != Choice::Auto,
        fetch: true,
    };
    for kind in kinds(service, choice) {
        let began = Instant::now();
        match request.open(kind).await {
            Ok(mut provider) => {
                let here = unsaid.into_iter().filter(|(_, absent, _)| !absent);
                provider.passed_over = here.map(|(kind, _, line)| (kind, line)).collect();
                return Ok(provider);
            }
            Err(error) => {
                let reason = one_line(&format!("{error:#}"));
                let line = format!("{}: not by {}: {reason}", service.name, kind.name());
                tried.push((kind.name(), reason));
                if choice != Choice::Auto {
                    continue; // it is named as the answer
                }
                if kind == Kind::External || began.elapsed() > COSTLY {
                    notes.note(&line);
                } else {
                    unsaid.push((kind, error.is::<Absent>(), line));
                }
            }
        }
    }
    for (_, _, line) in &unsaid {
        notes.note(line);
    }
    Err(Unresolved {
        service: service.name,
        tried,
        hint: hint(service, choice),
    })
}

/// Where a choice looks. A server of the user's own is part of `auto` only once named.
fn kinds(service: &'static Service, choice: Choice) -> Vec<Kind> {
    match choice {
        Choice::Auto => Kind::ALL
            .into_iter()
            .filter(|kind| {
                *kind != Kind::External || service.leased().is_some_and(external::is_named)
            })
            .collect(),
        Choice::External => vec![Kind::External],
        Choice::Docker => vec![Kind::Docker],
        Choice::Native => vec![Kind::Native],
        Choice::Bundle => vec![Kind::Bundle],
    }
}

/// A provider that this machine does not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Absent(pub(super) String);

/// A provider that would work once an image or a package is downloaded, which was not
/// allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotFetched(pub(super) String);

/// What is asked of a provider.
pub(crate) struct Request<'a> {
    /// The service.
    pub(crate) service: &'static Service,
    /// The run that asks.
    pub(crate) run: &'a RunFolder,
    /// Where to say what takes long.
    pub(crate) notes: &'a dyn Notes,
    /// Whether the user asked for this kind of provider by name.
    pub(crate) forced: bool,
    /// Whether a missing image or package may be downloaded.
    pub(crate) fetch: bool,
}

impl Request<'_> {
    /// A provider that has just shown that it works: its first server answers and is new
    /// enough.
    pub(crate) async fn open(&self, kind: Kind) -> Result<Provider> {
        let service = self.service;
        let source = match kind {
            Kind::External => {
                let Some(leased) = service.leased() else {
                    bail!(
                        "its configuration is the learner's, which a server that is already \
                         running (external) cannot be given"
                    );
                };
                let (target, _) = external::look(service, leased, self.forced).await?;
                match &leased.speech.keeping {
                    Keeping::Servers(servers) => Source::External(
                        external::claim(service, leased, servers, target, self.run).await?,
                    ),
                    Keeping::Databases(_) => Source::Lent(target),
                }
            }
            Kind::Docker => Source::Docker(docker::obtain(service, self.fetch, self.notes).await?),
            Kind::Native => Source::Program(native::find(service)?),
            Kind::Bundle => return self.open_bundle(&Bundle::of(service)?).await,
        };
        self.prove(kind, source).await
    }

    /// As [`Request::open`], of packages unpacked there.
    pub(super) async fn open_bundle(&self, bundle: &Bundle) -> Result<Provider> {
        let kept = bundle.is_here();
        let obtain = || bundle.obtain(self.service, self.fetch, self.notes);
        let proved = match obtain().await {
            Ok(program) => self.prove(Kind::Bundle, Source::Program(program)).await,
            Err(error) => Err(error),
        };
        match proved {
            // A library of the system's that it rested on may be gone since.
            Err(error) if kept && self.fetch => {
                self.notes
                    .note(&format!("{}: unpacked anew: {error:#}", self.service.name));
                bundle.discard()?;
                let program = obtain().await?;
                self.prove(Kind::Bundle, Source::Program(program)).await
            }
            proved => proved,
        }
    }

    /// Starts the first server, which the provider keeps for whoever asks first.
    pub(super) async fn prove(&self, kind: Kind, source: Source) -> Result<Provider> {
        let mut provider = Provider {
            service: self.service,
            kind,
            source,
            run: self.run.clone(),
            version: String::new(),
            passed_over: Vec::new(),
            first: Mutex::new(None),
            home: Mutex::new(None),
        };
        match provider.start_first().await {
            Ok(version) => {
                provider.version = version;
                Ok(provider)
            }
            Err(error) => {
                // What was claimed is given back; the first error is the one to tell.
                provider.close().await.ok();
                Err(error)
            }
        }
    }
}

/// What to do when no provider works.
pub(crate) fn hint(service: &'static Service, choice: Choice) -> String {
    let (name, oldest) = (service.name, service.oldest);
    match (choice, service.leased()) {
        (Choice::External, Some(leased)) => format!(
            "let {} name {} {oldest} or newer, or leave --services at auto",
            leased.env, leased.own
        ),
        (Choice::External, None) => "leave --services at auto".to_owned(),
        (Choice::Docker, _) => format!("docker pull {}", docker::reference(service)),
        _ => install_command(service)
            .unwrap_or_else(|| format!("install {name} {oldest} or newer, or Docker")),
    }
}

fn install_command(service: &Service) -> Option<String> {
    let mut managers = service.install.iter();
    let (manager, package) = managers.find(|(name, _)| native::find_binary(name).is_some())?;
    // Homebrew refuses to be run by root, and root needs nobody's leave.
    let sudo = match *manager == "brew" || nix::unistd::geteuid().is_root() {
        true => "",
        false => "sudo ",
    };
    let verb = match *manager {
        "pacman" => "-S",
        "apk" => "add",
        _ => "install",
    };
    Some(format!("{sudo}{manager} {verb} {package}"))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" / ")
}
