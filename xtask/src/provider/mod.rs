//! Where a real server comes from: one of the user's own, a container, a binary of this
//! machine, or one unpacked from the system's packages. The first that works is taken.
//!
//! Generic over [`Service`]; knows nothing of labs, of checks, or of how things look.

mod bundle;
mod docker;
mod external;
pub(crate) mod leftovers;
mod native;
mod resolve;
pub(crate) mod run;
#[cfg(test)]
mod tests;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::Mutex;

pub(crate) use docker::engine;
pub(crate) use resolve::{NotFetched, Request, hint, resolve};
pub(crate) use run::RunFolder;

use external::External;

use crate::services::{Service, Settings, Target, Version};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(10);

/// What the user asked for with `--services`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// The first that works.
    #[default]
    Auto,
    /// A server of the user's own.
    External,
    /// A container.
    Docker,
    /// The binary installed on this machine.
    Native,
    /// Unpacked from the system's packages, not installed.
    Bundle,
}

/// Where servers come from, in the order in which `auto` tries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    External,
    Docker,
    Native,
    Bundle,
}

impl Kind {
    /// All, in order.
    pub(crate) const ALL: [Self; 4] = [Self::External, Self::Docker, Self::Native, Self::Bundle];

    /// As `--services` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Docker => "docker",
            Self::Native => "native",
            Self::Bundle => "bundle",
        }
    }
}

/// Where a provider says what the user should know while it is at work.
pub(crate) trait Notes: Send + Sync {
    /// A line that stays.
    fn note(&self, text: &str);
    /// What is being waited for right now; each replaces the one before.
    fn progress(&self, text: &str);
}

/// Why a server did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The server refused the learner's configuration, or we did.
    Refused {
        /// The server's own words, or ours.
        words: String,
    },
    /// Not the learner's fault.
    Unavailable(String),
}

impl From<anyhow::Error> for StartError {
    fn from(error: anyhow::Error) -> Self {
        Self::Unavailable(format!("{error:#}"))
    }
}

/// Gives out servers of one service.
#[derive(Debug)]
pub(crate) struct Provider {
    service: &'static Service,
    kind: Kind,
    source: Source,
    run: RunFolder,
    version: String,
    passed_over: Vec<(Kind, String)>,
    /// The server that proved the provider, until somebody wants it.
    first: Mutex<Option<Instance>>,
}

#[derive(Debug)]
enum Source {
    External(External),
    Docker(docker::Image),
    Program(native::Program),
}

impl Provider {
    /// As `--services` calls it: `native`.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The version that the server states.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Which providers are here, come first and do not work, each with a line that says why.
    pub(crate) fn passed_over(&self) -> &[(Kind, String)] {
        &self.passed_over
    }

    /// A server, with the learner's own configuration if there is one.
    pub(crate) async fn start(&self, config: Option<&Path>) -> Result<Instance, StartError> {
        if config.is_none()
            && let Some(first) = self.first.lock().await.take()
        {
            return Ok(first);
        }
        self.launch(config).await
    }

    /// Ends what nobody asked for, and gives up what was claimed. Instances end first.
    pub(crate) async fn close(self) -> Result<()> {
        if let Some(first) = self.first.into_inner() {
            first.stop().await?;
        }
        match self.source {
            Source::External(external) => external.release().await,
            Source::Docker(_) | Source::Program(_) => Ok(()),
        }
    }

    /// Starts the first server and tells its version, which must be new enough.
    async fn start_first(&self) -> Result<String> {
        let first = self.launch(None).await.map_err(|error| match error {
            StartError::Refused { words } => anyhow!(words),
            StartError::Unavailable(reason) => anyhow!(reason),
        })?;
        let target = first.target.clone();
        *self.first.lock().await = Some(first);
        let version = (self.service.speech.version)(&target).await?;
        check_version(self.service, &version)?;
        Ok(version)
    }

    async fn launch(&self, config: Option<&Path>) -> Result<Instance, StartError> {
        let (service, run) = (self.service, &self.run);
        if let Some(path) = config {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            if let Some(words) = (service.objection)(&String::from_utf8_lossy(&text)) {
                return Err(StartError::Refused { words });
            }
        }
        let (target, life) = match &self.source {
            Source::External(external) => {
                let (target, lease) = external.lease(config.is_some()).await?;
                (target, Life::Lease(lease))
            }
            Source::Docker(image) => {
                let (target, container) = docker::start(service, image, run, config).await?;
                (target, Life::Container(container))
            }
            Source::Program(program) => {
                let (target, process) = native::start(service, program, run, config).await?;
                (target, Life::Process(process))
            }
        };
        // A server with a learner's configuration is used once, and one that is not ours is
        // never asked to change: there is nothing to come back to.
        let settings = match config.is_some() || !target.ours {
            true => Settings::new(),
            false => (service.speech.settings)(&target).await?,
        };
        Ok(Instance {
            service: self.service,
            target,
            settings,
            life,
        })
    }
}

/// A running server that is the caller's alone.
#[derive(Debug)]
pub(crate) struct Instance {
    service: &'static Service,
    target: Target,
    settings: Settings,
    life: Life,
}

#[derive(Debug)]
enum Life {
    Lease(external::Lease),
    Container(docker::Container),
    Process(native::Process),
}

impl Instance {
    /// Where it is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Makes it as new. An error means that it cannot be used again: stop it.
    pub(crate) async fn empty(&self) -> Result<()> {
        match &self.life {
            Life::Lease(lease) => lease.clear(self.service, &self.target).await,
            Life::Container(_) | Life::Process(_) => {
                (self.service.speech.reset)(&self.target, &self.settings).await
            }
        }
    }

    /// Ends it, with all it wrote.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.life {
            Life::Lease(lease) => lease.clear(self.service, &self.target).await,
            Life::Container(container) => container.stop().await,
            Life::Process(process) => process.stop().await,
        }
    }
}

/// Waits until a server answers; says why if it does not.
async fn until_alive(
    service: &Service,
    target: &Target,
    died: impl Future<Output = String>,
) -> Result<(), String> {
    let alive = async {
        let mut pause = Duration::from_millis(1);
        while (service.speech.alive)(target).await.is_err() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    };
    tokio::select! {
        // Another server may answer at the same address: death decides.
        biased;
        how = died => Err(format!("ended before it answered ({how})")),
        () = alive => Ok(()),
        () = tokio::time::sleep(START) => Err(format!("did not answer in {START:?}")),
    }
}

fn check_version(service: &Service, stated: &str) -> Result<()> {
    let version = Version::parse(stated).with_context(|| format!("'{stated}' is no version"))?;
    ensure!(
        version >= service.oldest,
        "{} {stated} is too old: {} or newer is needed",
        service.name,
        service.oldest
    );
    Ok(())
}

/// The end of a log, short enough to be shown.
fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
