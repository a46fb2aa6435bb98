//! The services of one run: found once, leased to one check at a time, emptied between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::lab::Lab;
use crate::provider::{
    self, Choice, Instance, Notes, Prepare, Provider, RunFolder, Sandbox, StartError,
};
use crate::report::ServiceUsed;
use crate::services::{self, Target};

/// All services of a lab.
pub(crate) struct Pool {
    services: BTreeMap<String, Source>,
}

struct Source {
    /// The provider, or why there is none.
    provider: Result<Provider, String>,
    idle: Mutex<Vec<Instance>>,
}

/// What a check is given for as long as it runs.
#[derive(Default)]
pub(crate) struct Lease {
    instances: BTreeMap<String, Instance>,
    /// Started with the learner's configuration: used once, then stopped.
    configured: BTreeSet<String>,
}

/// Why a check cannot be given its services.
pub(crate) enum Refusal {
    /// The learner's configuration is not taken, and why.
    Config(String),
    /// A service cannot be had.
    Unavailable(String),
    /// The lab's `prepare` failed, and what it said.
    Unprepared(String),
}

impl Refusal {
    /// What is to be told of it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Unavailable(reason) => reason,
            _ => self.into_fault().what,
        }
    }

    /// For a verb that has no verdict to put it into.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Unavailable(reason) => Fault::new(
                Whose::Machine,
                reason,
                "`cargo xtask doctor` says what each provider needs",
            ),
            Self::Config(words) => Fault::new(
                Whose::Lab,
                format!("the server refused the reference's configuration: {words}"),
                "`cargo xtask verify` proves a lab",
            ),
            Self::Unprepared(words) => Fault::new(
                Whose::Lab,
                format!("the lab's data cannot be made, its `prepare` failed: {words}"),
                "checks/src/bin/ of the lab holds it; CONTRIBUTING.md, \"Data\"",
            ),
        }
    }
}

impl Pool {
    /// Finds a provider for each service of the lab, all at once. That an earlier one does
    /// not work here is said once in a checkout: `doctor` says it whenever it is asked.
    pub(crate) async fn open(
        checkout: &Checkout,
        lab: &Lab,
        choice: Choice,
        run: &RunFolder,
        notes: &dyn Notes,
    ) -> Self {
        let found = lab.manifest.services.iter().map(|name| async move {
            let provider = match services::find(name) {
                Some(service) => provider::resolve(service, choice, run, notes)
                    .await
                    .map_err(|unresolved| unresolved.to_string()),
                None => Err(format!("the runner knows no service `{name}`")),
            };
            if let Ok(found) = &provider {
                for (kind, line) in found.passed_over() {
                    if checkout.first_time(&format!("{name}-{}", kind.name())) {
                        let by = found.name();
                        notes.note(&format!("{line}; so it comes by {by} (this is said once)"));
                    }
                }
            }
            let source = Source {
                provider,
                idle: Mutex::default(),
            };
            (name.clone(), source)
        });
        Self {
            services: join_all(found).await.into_iter().collect(),
        }
    }

    /// What was found, for the report.
    pub(crate) fn used(&self) -> Vec<ServiceUsed> {
        self.services
            .iter()
            .map(|(name, source)| {
                let provider = source.provider.as_ref();
                ServiceUsed {
                    name: name.clone(),
                    provider: provider.ok().map(|provider| provider.name().to_owned()),
                    version: provider.ok().map(|provider| provider.version().to_owned()),
                    reason: provider.err().cloned(),
                }
            })
            .collect()
    }

    /// Whether checks must take turns.
    pub(crate) fn is_shared(&self) -> bool {
        self.services
            .values()
            .filter_map(|source| source.provider.as_ref().ok())
            .any(Provider::is_shared)
    }

    /// Of each service what one check is given: a server or a database of its own. With
    /// `config` the server that takes one is started with that file; with `prepare` a
    /// database is as that leaves it.
    pub(crate) async fn lease(
        &self,
        config: Option<&Path>,
        prepare: Option<&Prepare>,
        notes: &dyn Notes,
    ) -> Result<Lease, Refusal> {
        let mut lease = Lease::default();
        for (name, source) in &self.services {
            if !is_lent(name) {
                // A check asks for it when it wants it, and many want none.
                continue;
            }
            match source.lease(config, prepare, notes).await {
                Ok((instance, configured)) => {
                    if configured {
                        lease.configured.insert(name.clone());
                    }
                    lease.instances.insert(name.clone(), instance);
                }
                Err(error) => {
                    // What was leased before it is others' to use.
                    self.give_back(lease, notes).await;
                    return Err(match error {
                        StartError::Refused { words } => Refusal::Config(words),
                        StartError::Unavailable(reason) => Refusal::Unavailable(reason),
                        StartError::Unprepared(words) => Refusal::Unprepared(words),
                    });
                }
            }
        }
        Ok(lease)
    }

    /// A sandbox for the programs of a service.
    pub(crate) async fn sandbox(&self, service: &str) -> anyhow::Result<Sandbox> {
        let source = self.services.get(service);
        let source = source.with_context(|| format!("the lab asks for no service `{service}`"))?;
        match &source.provider {
            Ok(provider) => provider.sandbox().await,
            Err(reason) => bail!("{reason}"),
        }
    }

    /// Takes a lease back. A server that cannot be emptied is not used again.
    pub(crate) async fn give_back(&self, lease: Lease, notes: &dyn Notes) {
        for (name, instance) in lease.instances {
            let again = !lease.configured.contains(&name) && !instance.is_used_up();
            let emptied = again && instance.empty().await.is_ok();
            if emptied && let Some(source) = self.services.get(&name) {
                source.idle.lock().await.push(instance);
            } else if let Err(error) = instance.stop().await {
                notes.note(&format!("{name}: a server did not stop: {error:#}"));
            }
        }
    }

    /// Lets go of idle servers that do not answer any more.
    pub(crate) async fn refresh(&self) {
        for source in self.services.values() {
            if let Ok(provider) = &source.provider {
                provider.refresh().await;
            }
            let mut idle = source.idle.lock().await;
            for instance in std::mem::take(&mut *idle) {
                if instance.empty().await.is_ok() {
                    idle.push(instance);
                } else {
                    // It is gone already; what is left of it, the keeper finds.
                    let _ = instance.stop().await;
                }
            }
        }
    }

    /// Stops all servers.
    pub(crate) async fn close(self, notes: &dyn Notes) {
        for (name, source) in self.services {
            for instance in source.idle.into_inner() {
                if let Err(error) = instance.stop().await {
                    notes.note(&format!("{name}: a server did not stop: {error:#}"));
                }
            }
            if let Ok(provider) = source.provider
                && let Err(error) = provider.close().await
            {
                notes.note(&format!("{name}: {error:#}"));
            }
        }
    }
}

/// Whether each check is lent one of it; a check asks for the others itself.
pub(crate) fn is_lent(service: &str) -> bool {
    services::find(service).is_none_or(|known| known.leased().is_some())
}

impl Source {
    /// What one check is given, and whether it was started with `config`.
    async fn lease(
        &self,
        config: Option<&Path>,
        prepare: Option<&Prepare>,
        notes: &dyn Notes,
    ) -> Result<(Instance, bool), StartError> {
        let provider = self.provider.as_ref();
        let provider = provider.map_err(|reason| StartError::Unavailable(reason.clone()))?;
        let config = config.filter(|_| provider.takes_a_configuration());
        let idle = match config {
            Some(_) => None,
            None => self.idle.lock().await.pop(),
        };
        let instance = match idle {
            Some(instance) => instance,
            None => provider.start(config, prepare, notes).await?,
        };
        Ok((instance, config.is_some()))
    }
}

impl Lease {
    /// Where the leased servers are.
    pub(crate) fn targets(&self) -> BTreeMap<String, Target> {
        self.instances
            .iter()
            .map(|(name, instance)| (name.clone(), instance.target().clone()))
            .collect()
    }
}
