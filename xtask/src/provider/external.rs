//! external: a server of the user's own. It is precious: we claim what we use under our
//! own name, refuse what is not empty, and delete only what we put there.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use labkit::wire::Address;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, timeout};

use super::run::{Owner, RunFolder, host};
use super::{StartError, check_version};
use crate::services::{Service, Target, Url};

const CONNECT: Duration = Duration::from_secs(3);

/// A server that carries our claim until [`External::release`].
#[derive(Debug)]
pub(crate) struct External {
    service: &'static Service,
    target: Target,
    claim: String,
    /// One server is one lease: its users would see each other.
    turn: Arc<Semaphore>,
}

/// The right to use the server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    claim: String,
    _turn: OwnedSemaphorePermit,
}

/// Whether the user named a server at all.
pub(crate) fn is_named(service: &Service) -> bool {
    std::env::var_os(service.env).is_some_and(|value| !value.is_empty())
}

/// A server that would do, looked at but not yet claimed.
pub(crate) async fn look(service: &'static Service, forced: bool) -> Result<(Target, String)> {
    let value = std::env::var(service.env).unwrap_or_default();
    ensure!(!value.is_empty(), "{} is not set", service.env);
    look_at(service, &value, forced).await
}

/// As [`look`], at the server that `value` names.
pub(crate) async fn look_at(
    service: &'static Service,
    value: &str,
    forced: bool,
) -> Result<(Target, String)> {
    let name = service.env;
    let url = (service.speech.parse)(value).with_context(|| format!("{name} cannot be used"))?;
    let target = Target {
        address: Address::Tcp(find(&url, forced, name).await?),
        username: url.username,
        password: url.password,
        database: url.database,
        ours: false,
    };
    let version = (service.speech.version)(&target)
        .await
        .with_context(|| format!("the server that {name} names"))?;
    check_version(service, &version)?;
    Ok((target, version))
}

async fn find(url: &Url, forced: bool, name: &str) -> Result<SocketAddr> {
    let place = format!("{}:{}", url.host, url.port);
    let addresses: Vec<_> = lookup_host((url.host.as_str(), url.port))
        .await
        .with_context(|| format!("{name} names {place}, which has no address"))?
        .collect();
    let near = addresses.iter().all(|address| address.ip().is_loopback());
    ensure!(
        near || forced,
        "{name} names {place}, which is not on this machine; --services external takes it \
         all the same"
    );
    for address in addresses {
        if let Ok(Ok(_)) = timeout(CONNECT, TcpStream::connect(address)).await {
            return Ok(address);
        }
    }
    bail!("{name} names {place}, where nothing answers")
}

/// Claims a server that is empty.
pub(crate) async fn claim(
    service: &'static Service,
    target: Target,
    run: &RunFolder,
) -> Result<External> {
    let speech = &service.speech;
    let claim = format!("{} {} {}", run.id(), run.owner(), host());
    // Looked at before the first key is written: a server in use stays untouched.
    refuse_contents(service, &target, None).await?;
    if let Some(holder) = (speech.claim)(&target, &claim).await? {
        let dead = is_dead(&holder);
        ensure!(
            dead && (speech.take_over)(&target, &holder, &claim).await?,
            "the server that {} names is in use by another run ({holder})",
            service.env
        );
        // It was empty when that run claimed it, so what is there now was that run's.
        (speech.clear)(&target, &claim).await?;
    }
    let external = External {
        service,
        target,
        claim,
        turn: Arc::new(Semaphore::new(1)),
    };
    // Somebody may have come between the look and the claim.
    if let Err(error) = refuse_contents(service, &external.target, Some(&external.claim)).await {
        (speech.unclaim)(&external.target, &external.claim).await?;
        return Err(error);
    }
    Ok(external)
}

async fn refuse_contents(service: &Service, target: &Target, ours: Option<&str>) -> Result<()> {
    let contents = (service.speech.contents)(target).await?;
    let foreign = contents
        .holder
        .as_deref()
        .filter(|holder| Some(*holder) != ours);
    // What lies beside a dead run's claim is not the user's.
    if foreign.is_some_and(is_dead) && contents.elsewhere.is_empty() {
        return Ok(());
    }
    let held: Vec<_> = contents
        .here
        .into_iter()
        .chain(contents.elsewhere)
        .collect();
    let name = service.env;
    if let Some(holder) = foreign {
        bail!("the server that {name} names is in use by another run ({holder})");
    }
    ensure!(
        held.is_empty(),
        "the server that {name} names is not empty: {}",
        held.join(", ")
    );
    Ok(())
}

/// A run of this machine whose keeper is gone; of another machine's we cannot know.
fn is_dead(claim: &str) -> bool {
    let mut words = claim.split(' ').skip(1);
    let owner: Option<Owner> = words.next().and_then(|owner| owner.parse().ok());
    let here = words.next() == Some(host().as_str());
    here && owner.is_some_and(|owner| !owner.is_alive())
}

impl External {
    /// Waits for the server to be free, and empties it.
    pub(crate) async fn lease(&self, own_config: bool) -> Result<(Target, Lease), StartError> {
        if own_config {
            return Err(StartError::Unavailable(format!(
                "this exercise starts {} with a configuration of its own, which a server \
                 that is already running (external) cannot be given",
                self.service.name
            )));
        }
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let lease = Lease {
            claim: self.claim.clone(),
            _turn: turn.context("the server was given up")?,
        };
        lease.clear(self.service, &self.target).await?;
        Ok((self.target.clone(), lease))
    }

    /// Deletes what was put there, and takes our name off it.
    pub(crate) async fn release(self) -> Result<()> {
        let speech = &self.service.speech;
        (speech.clear)(&self.target, &self.claim).await?;
        (speech.unclaim)(&self.target, &self.claim).await
    }
}

impl Lease {
    /// Deletes what was put there under our claim.
    pub(crate) async fn clear(&self, service: &Service, target: &Target) -> Result<()> {
        (service.speech.clear)(target, &self.claim).await
    }
}
