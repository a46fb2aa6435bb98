//! Where a real server comes from: one of the user's own, a container, a binary of this
//! machine, or one unpacked from the system's packages. The first that works is taken.
//!
//! Generic over [`Service`]; knows nothing of labs, of checks, or of how things look.

mod bundle;
mod databases;
mod docker;
mod external;
pub(crate) mod leftovers;
mod native;
mod resolve;
pub(crate) mod run;
mod sandbox;
#[cfg(test)]
mod tests;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use labkit::wire::Address;
use tokio::sync::Mutex;

pub(crate) use databases::Prepare;
pub(crate) use docker::engine;
pub(crate) use resolve::{NotFetched, Request, hint, resolve};
pub(crate) use run::RunFolder;
pub(crate) use sandbox::Sandbox;

use databases::{Database, Home};
use external::External;

use crate::services::{
    Databases, Keeping, Leased, Manner, Servers, Service, Settings, Target, Version, password,
};

/// How long a server may take until it answers. One that makes itself a data directory takes
/// 0.8 s on an idle machine; this is fifty times as long.
const START: Duration = Duration::from_secs(40);

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
    /// The lab's own `prepare` failed, and what it said.
    Unprepared(String),
}

impl StartError {
    /// What is to be told of it.
    fn into_words(self) -> String {
        match self {
            Self::Refused { words } | Self::Unavailable(words) | Self::Unprepared(words) => words,
        }
    }
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
    /// The server that all have their databases on, where the service keeps those apart.
    home: Mutex<Option<Arc<Home>>>,
}

#[derive(Debug)]
enum Source {
    /// A server of the user's own, of which one check at a time has the whole.
    External(External),
    /// A server of the user's own, on which checks have databases.
    Lent(Target),
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

    /// Whether its servers can be started with a configuration of the learner's.
    pub(crate) fn takes_a_configuration(&self) -> bool {
        let leased = self.service.leased();
        leased.is_some_and(|leased| leased.config.is_some())
    }

    /// Whether checks must take turns: there is one server, and it is one check's.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.source, Source::External(_))
    }

    /// What one check is given. A server of its own, with the learner's configuration if
    /// there is one; or a database of its own, as `prepare` leaves it.
    pub(crate) async fn start(
        &self,
        config: Option<&Path>,
        prepare: Option<&Prepare>,
        notes: &dyn Notes,
    ) -> Result<Instance, StartError> {
        let Some(leased) = self.service.leased() else {
            let words = format!("{} is not lent, it is run in a sandbox", self.service.name);
            return Err(StartError::Unavailable(words));
        };
        match &leased.speech.keeping {
            Keeping::Servers(servers) => {
                let first = match config {
                    None => self.first.lock().await.take(),
                    Some(_) => None,
                };
                match first {
                    Some(first) => Ok(first),
                    None => self.server(leased, servers, config).await,
                }
            }
            Keeping::Databases(databases) => {
                let home = self.home(leased, databases).await?;
                let database = home.lease(prepare, notes).await?;
                Ok(Instance {
                    target: database.target.clone(),
                    life: Life::Database(database),
                    servers: None,
                })
            }
        }
    }

    /// Before another round: lets go of a server that does not answer any more, in whose
    /// place the next lease starts one, and of failures.
    pub(crate) async fn refresh(&self) {
        let mut home = self.home.lock().await;
        let gone = match &*home {
            Some(known) => !known.refresh().await,
            None => false,
        };
        if gone && let Some(gone) = home.take() {
            // What is left of it, the keeper finds.
            let _ = gone.close().await;
        }
    }

    /// Ends what nobody asked for, and gives up what was claimed. Instances end first.
    pub(crate) async fn close(self) -> Result<()> {
        if let Some(first) = self.first.into_inner() {
            first.stop().await?;
        }
        if let Some(home) = self.home.into_inner() {
            home.close().await?;
        }
        match self.source {
            Source::External(external) => external.release().await,
            Source::Lent(_) | Source::Docker(_) | Source::Program(_) => Ok(()),
        }
    }

    /// Starts the first server and tells its version, which must be new enough.
    async fn start_first(&self) -> Result<String> {
        let leased = match &self.service.manner {
            Manner::Leased(leased) => leased,
            Manner::Sandboxed(sandboxed) => {
                let version = self.first_sandbox(sandboxed).await?;
                check_version(self.service, &version)?;
                return Ok(version);
            }
        };
        let version = async |target: &Target| {
            let version = (leased.speech.version)(target).await?;
            check_version(self.service, &version)?;
            anyhow::Ok(version)
        };
        let failed = |error: StartError| anyhow!(error.into_words());
        match &leased.speech.keeping {
            Keeping::Servers(servers) => {
                let first = self.server(leased, servers, None).await.map_err(failed)?;
                let target = first.target.clone();
                *self.first.lock().await = Some(first);
                version(&target).await
            }
            Keeping::Databases(databases) => {
                // Older ones do not know what is asked of them when a home is made.
                let (target, life) = self.launch(leased, None).await.map_err(failed)?;
                let version = match version(&target).await {
                    Ok(version) => version,
                    Err(error) => {
                        life.end().await.ok();
                        return Err(error);
                    }
                };
                let home = self.make_home(leased, databases, target, life).await?;
                *self.home.lock().await = Some(Arc::new(home));
                Ok(version)
            }
        }
    }

    async fn home(
        &self,
        leased: &'static Leased,
        databases: &'static Databases,
    ) -> Result<Arc<Home>, StartError> {
        let mut home = self.home.lock().await;
        if let Some(home) = &*home {
            return Ok(Arc::clone(home));
        }
        let (target, life) = self.launch(leased, None).await?;
        let made = Arc::new(self.make_home(leased, databases, target, life).await?);
        *home = Some(Arc::clone(&made));
        Ok(made)
    }

    async fn make_home(
        &self,
        leased: &'static Leased,
        databases: &'static Databases,
        target: Target,
        life: Life,
    ) -> Result<Home> {
        Home::open(self.service, leased, databases, target, life, &self.run).await
    }

    async fn server(
        &self,
        leased: &'static Leased,
        servers: &'static Servers,
        config: Option<&Path>,
    ) -> Result<Instance, StartError> {
        if let (Some(path), Some(known)) = (config, &leased.config) {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            if let Some(words) = (known.objection)(&String::from_utf8_lossy(&text)) {
                return Err(StartError::Refused { words });
            }
        }
        let (target, life) = self.launch(leased, config).await?;
        // A server with a learner's configuration is used once, and one that is not ours is
        // never asked to change: there is nothing to come back to.
        let settings = match config.is_some() || !target.ours {
            true => Settings::new(),
            false => (servers.settings)(&target).await?,
        };
        Ok(Instance {
            target,
            life,
            servers: Some((servers, settings)),
        })
    }

    async fn launch(
        &self,
        leased: &Leased,
        config: Option<&Path>,
    ) -> Result<(Target, Life), StartError> {
        let (service, run) = (self.service, &self.run);
        Ok(match &self.source {
            Source::External(external) => {
                let (target, lease) = external.lease(config.is_some()).await?;
                (target, Life::Lease(lease))
            }
            Source::Lent(target) => (target.clone(), Life::Lent),
            Source::Docker(image) => {
                let (target, container) =
                    docker::start(service, leased, image, run, config).await?;
                (target, Life::Container(container))
            }
            Source::Program(program) => {
                let (target, process) =
                    native::start(service, leased, program, run, config).await?;
                (target, Life::Process(process))
            }
        })
    }
}

/// A running server or a database that is the caller's alone.
#[derive(Debug)]
pub(crate) struct Instance {
    target: Target,
    life: Life,
    /// How a whole server is made as new, and the settings to come back to.
    servers: Option<(&'static Servers, Settings)>,
}

#[derive(Debug)]
enum Life {
    Lease(external::Lease),
    Lent,
    Database(Database),
    Container(docker::Container),
    Process(native::Process),
}

impl Instance {
    /// Where it is.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Whether it serves one lease and no other.
    pub(crate) fn is_used_up(&self) -> bool {
        matches!(self.life, Life::Database(_))
    }

    /// Makes it as new. An error means that it cannot be used again: stop it.
    pub(crate) async fn empty(&self) -> Result<()> {
        match (&self.life, &self.servers) {
            (Life::Lease(lease), _) => lease.clear(&self.target).await,
            (_, Some((servers, settings))) => (servers.reset)(&self.target, settings).await,
            (_, None) => bail!("a database is used once"),
        }
    }

    /// Ends it, with all it wrote.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.life {
            Life::Lease(lease) => lease.clear(&self.target).await,
            life => life.end().await,
        }
    }
}

impl Life {
    async fn end(self) -> Result<()> {
        match self {
            Self::Lease(_) | Self::Lent => Ok(()),
            Self::Database(database) => database.drop().await,
            Self::Container(container) => container.stop().await,
            Self::Process(process) => process.stop().await,
        }
    }
}

/// A server that we are about to start, with a password for the one who may do everything.
fn administered(leased: &Leased, address: Address) -> Target {
    let mut target = Target::at(address);
    if let Some(name) = leased.administrator {
        target.username = Some(name.to_owned());
        target.password = Some(password());
    }
    target
}

/// Waits until a server answers; says why if it does not.
async fn until_alive(
    leased: &Leased,
    target: &Target,
    died: impl Future<Output = String>,
) -> Result<(), String> {
    let alive = async {
        let mut pause = Duration::from_millis(1);
        while (leased.speech.alive)(target).await.is_err() {
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
