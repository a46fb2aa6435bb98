//! The services of one run: found once, leased to one check at a time, emptied between.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::join_all;
use labkit::wire::RedisTarget;
use tokio::sync::Mutex;

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::provider::{self, Choice, Instance, Notes, Provider, RunFolder, StartError};
use crate::report::ServiceUsed;
use crate::services;

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
pub(crate) struct Lease {
    instances: BTreeMap<String, Instance>,
    /// Started with the learner's configuration: used once, then stopped.
    configured: bool,
}

/// Why a check cannot be given its services.
pub(crate) enum Refusal {
    /// The learner's configuration is not taken, and why.
    Config(String),
    /// A service cannot be had.
    Unavailable(String),
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
            let passed_over = provider.as_ref().map(Provider::passed_over);
            for (kind, line) in passed_over.unwrap_or_default() {
                if checkout.first_time(&format!("{name}-{}", kind.name())) {
                    notes.note(&format!("{line} (this is said once)"));
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

    /// Whether checks must take turns: a server that is not ours is there once.
    pub(crate) fn is_shared(&self) -> bool {
        self.services
            .values()
            .filter_map(|source| source.provider.as_ref().ok())
            .any(|provider| provider.name() == "external")
    }

    /// One server of each service; with `config`, started with that file.
    pub(crate) async fn lease(&self, config: Option<&Path>) -> Result<Lease, Refusal> {
        let mut instances = BTreeMap::new();
        for (name, source) in &self.services {
            let provider = source
                .provider
                .as_ref()
                .map_err(|reason| Refusal::Unavailable(reason.clone()))?;
            let idle = match config {
                Some(_) => None,
                None => source.idle.lock().await.pop(),
            };
            let instance = match idle {
                Some(instance) => instance,
                None => provider.start(config).await.map_err(|error| match error {
                    StartError::Refused { words } => Refusal::Config(words),
                    StartError::Unavailable(reason) => Refusal::Unavailable(reason),
                })?,
            };
            instances.insert(name.clone(), instance);
        }
        Ok(Lease {
            instances,
            configured: config.is_some(),
        })
    }

    /// Takes a lease back. A server that cannot be emptied is not used again.
    pub(crate) async fn give_back(&self, lease: Lease, notes: &dyn Notes) {
        for (name, instance) in lease.instances {
            let emptied = !lease.configured && instance.empty().await.is_ok();
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

impl Lease {
    /// Where the leased servers are.
    pub(crate) fn targets(&self) -> BTreeMap<String, RedisTarget> {
        self.instances
            .iter()
            .map(|(name, instance)| (name.clone(), instance.target().clone()))
            .collect()
    }
}
