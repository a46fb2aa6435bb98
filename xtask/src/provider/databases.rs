//! One server, and on it a database for each lease: copied from a template that a lab's
//! `prepare` has filled, dropped afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Life, Notes, RunFolder, StartError, external};
use crate::services::{Claim, Databases, Leased, Service, Target};
use crate::stage::hex;

/// What a `prepare` takes its random data from: all checks of all runs see the same.
const SEED: u64 = 1;

/// A `prepare` that takes longer would be waited for before every first check.
const PREPARE: Duration = Duration::from_secs(300);

/// A lab's program that fills a database.
#[derive(Clone, Debug)]
pub(crate) struct Prepare {
    /// Where it is.
    pub(crate) program: PathBuf,
    /// What names its content: the same content is not run twice on one server.
    pub(crate) hash: String,
}

impl Prepare {
    /// The program there.
    pub(crate) fn of(program: PathBuf) -> Result<Self> {
        let content =
            fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
        Ok(Self {
            hash: hex(&Sha256::digest(&content)),
            program,
        })
    }
}

/// A server with our claim on it.
#[derive(Debug)]
pub(super) struct Home {
    service: &'static Service,
    leased: &'static Leased,
    databases: &'static Databases,
    target: Target,
    claim: Claim,
    life: Life,
    /// By the hash of what filled it: its name, or what `prepare` said when it failed.
    templates: Mutex<BTreeMap<String, Result<String, String>>>,
    number: AtomicU32,
}

/// A database that is the caller's alone.
#[derive(Debug)]
pub(super) struct Database {
    home: Arc<Home>,
    name: String,
    pub(super) target: Target,
}

impl Home {
    /// Claims a server that answers.
    pub(super) async fn open(
        service: &'static Service,
        leased: &'static Leased,
        databases: &'static Databases,
        target: Target,
        life: Life,
        run: &RunFolder,
    ) -> Result<Self> {
        let claim = Claim {
            name: format!(
                "backend_labs_{}",
                run.id().rsplit('-').next().unwrap_or_default()
            ),
            words: external::words_of(run),
            is_over: external::is_dead,
        };
        (databases.claim)(&target, &claim).await?;
        Ok(Self {
            service,
            leased,
            databases,
            target,
            claim,
            life,
            templates: Mutex::default(),
            number: AtomicU32::new(1),
        })
    }

    /// A database as `prepare` leaves it; an empty one without.
    pub(super) async fn lease(
        self: &Arc<Self>,
        prepare: Option<&Prepare>,
        notes: &dyn Notes,
    ) -> Result<Database, StartError> {
        let template = self.template(prepare, notes).await?;
        let name = self.new_name("");
        let copied = (self.databases.copy)(&self.target, &self.claim, &template, &name).await;
        match copied {
            Ok(target) => Ok(Database {
                home: Arc::clone(self),
                name,
                target,
            }),
            Err(error) => {
                // Half of it may be there; the first error is the one to tell.
                let _ = (self.databases.drop)(&self.target, &name).await;
                Err(error.into())
            }
        }
    }

    /// The template's name. Whoever asks while it is being filled waits.
    async fn template(
        &self,
        prepare: Option<&Prepare>,
        notes: &dyn Notes,
    ) -> Result<String, StartError> {
        let mut templates = self.templates.lock().await;
        let hash = prepare.map_or("", |prepare| &prepare.hash);
        if let Some(known) = templates.get(hash) {
            return known.clone().map_err(StartError::Unprepared);
        }
        let name = self.new_name("t");
        let target = (self.databases.template)(&self.target, &self.claim, &name).await?;
        let filled = match prepare {
            Some(prepare) => {
                notes.progress(&format!("{}: preparing the lab's data", self.service.name));
                fill(self.leased, &target, prepare).await
            }
            None => Ok(()),
        };
        if let Err(words) = filled {
            (self.databases.drop)(&self.target, &name).await?;
            templates.insert(hash.to_owned(), Err(words.clone()));
            return Err(StartError::Unprepared(words));
        }
        (self.databases.close)(&self.target, &name).await?;
        templates.insert(hash.to_owned(), Ok(name.clone()));
        Ok(name)
    }

    fn new_name(&self, kind: &str) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("{}_{kind}{number}", self.claim.name)
    }

    /// Whether the server still answers. What could not be prepared may be tried again.
    pub(super) async fn refresh(&self) -> bool {
        self.templates.lock().await.retain(|_, known| known.is_ok());
        (self.leased.speech.alive)(&self.target).await.is_ok()
    }

    /// Gives a server of the user's own back as it was; ends one of ours.
    pub(super) async fn close(self: Arc<Self>) -> Result<()> {
        if !self.target.ours {
            (self.databases.unclaim)(&self.target, &self.claim).await?;
        }
        // Somebody who still has a database there will be the last to let go of it.
        match Arc::into_inner(self) {
            Some(home) => home.life.end().await,
            None => Ok(()),
        }
    }
}

impl Database {
    /// Drops it, and the login that owns it.
    pub(super) async fn drop(self) -> Result<()> {
        (self.home.databases.drop)(&self.home.target, &self.name).await
    }
}

/// Runs the lab's program on an empty database; gives back what it said if it failed.
async fn fill(leased: &Leased, target: &Target, prepare: &Prepare) -> Result<(), String> {
    let variable = (leased.variable)(target);
    let (name, value) = variable.split_once('=').unwrap_or_default();
    let mut command = Command::new(&prepare.program);
    command
        .env(name, value)
        .env("LABS_SEED", SEED.to_string())
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let ended = timeout(PREPARE, command.output()).await;
    let output = ended
        .with_context(|| format!("it did not end in {PREPARE:?}"))
        .and_then(|output| output.context("it does not start"))
        .map_err(|error| format!("{error:#}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(format!("{}\n{}", output.status, said.trim_end()))
}
