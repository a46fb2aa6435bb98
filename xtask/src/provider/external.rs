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
use crate::services::{Leased, Servers, Service, Target, Url};

const CONNECT: Duration = Duration::from_secs(3);

/// A server that carries our claim until [`External::release`].
#[derive(Debug)]
pub(crate) struct External {
    name: &'static str,
    servers: &'static Servers,
    target: Target,
    claim: String,
    /// One server is one lease: its users would see each other.
    turn: Arc<Semaphore>,
}

/// The right to use the server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    servers: &'static Servers,
    claim: String,
    _turn: OwnedSemaphorePermit,
}

/// Whether the user named a server at all.
pub(crate) fn is_named(leased: &Leased) -> bool {
    std::env::var_os(leased.env).is_some_and(|value| !value.is_empty())
}

/// A server that would do, looked at but not yet claimed.
pub(crate) async fn look(
    service: &Service,
    leased: &Leased,
    forced: bool,
) -> Result<(Target, String)> {
    let value = std::env::var(leased.env).unwrap_or_default();
    ensure!(!value.is_empty(), "{} is not set", leased.env);
    look_at(service, leased, &value, forced).await
}

/// As [`look`], at the server that `value` names.
pub(crate) async fn look_at(
    service: &Service,
    leased: &Leased,
    value: &str,
    forced: bool,
) -> Result<(Target, String)> {
    let name = leased.env;
    let url = (leased.speech.parse)(value).with_context(|| format!("{name} cannot be used"))?;
    let target = Target {
        address: Address::Tcp(find(&url, forced, name).await?),
        username: url.username,
        password: url.password,
        database: url.database,
        ours: false,
        administrator: None,
    };
    let version = (leased.speech.version)(&target)
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
    leased: &Leased,
    servers: &'static Servers,
    target: Target,
    run: &RunFolder,
) -> Result<External> {
    let claim = words_of(run);
    // Looked at before the first key is written: a server in use stays untouched.
    refuse_contents(leased, servers, &target, None).await?;
    if let Some(holder) = (servers.claim)(&target, &claim).await? {
        let dead = is_dead(&holder);
        ensure!(
            dead && (servers.take_over)(&target, &holder, &claim).await?,
            "the server that {} names is in use by another run ({holder})",
            leased.env
        );
        // It was empty when that run claimed it, so what is there now was that run's.
        (servers.clear)(&target, &claim).await?;
    }
    let external = External {
        name: service.name,
        servers,
        target,
        claim,
        turn: Arc::new(Semaphore::new(1)),
    };
    // Somebody may have come between the look and the claim.
    let ours = Some(external.claim.as_str());
    if let Err(error) = refuse_contents(leased, servers, &external.target, ours).await {
        (servers.unclaim)(&external.target, &external.claim).await?;
        return Err(error);
    }
    Ok(external)
}

async fn refuse_contents(
    leased: &Leased,
    servers: &Servers,
    target: &Target,
    ours: Option<&str>,
) -> Result<()> {
    let contents = (servers.contents)(target).await?;
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
    let name = leased.env;
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

/// How a run names itself on a server that others use as well.
pub(super) fn words_of(run: &RunFolder) -> String {
    format!("{} {} {}", run.id(), run.owner(), host())
}

/// A run of this machine whose keeper is gone; of another machine's we cannot know.
pub(super) fn is_dead(claim: &str) -> bool {
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
                self.name
            )));
        }
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let lease = Lease {
            servers: self.servers,
            claim: self.claim.clone(),
            _turn: turn.context("the server was given up")?,
        };
        lease.clear(&self.target).await?;
        Ok((self.target.clone(), lease))
    }

    /// Deletes what was put there, and takes our name off it.
    pub(crate) async fn release(self) -> Result<()> {
        (self.servers.clear)(&self.target, &self.claim).await?;
        (self.servers.unclaim)(&self.target, &self.claim).await
    }
}

impl Lease {
    /// Deletes what was put there under our claim.
    pub(crate) async fn clear(&self, target: &Target) -> Result<()> {
        (self.servers.clear)(target, &self.claim).await
    }
}
