//! Lends services to checks that run without the runner, as labkit's [`Up`] describes it.
//!
//! [`Up`]: labkit::check::Up

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use labkit::check::Lent;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::build::Built;
use crate::lab::Lab;
use crate::pool::Pool;
use crate::provider::{Notes, Prepare, RunFolder};
use crate::sandboxes::Sandboxes;

/// Where checks come to borrow.
pub(super) struct Desk {
    path: PathBuf,
    listener: UnixListener,
    /// By check module: the configuration that a server is started with.
    configs: BTreeMap<String, PathBuf>,
    prepare: Option<Prepare>,
}

impl Desk {
    /// Opens in the run folder, to nobody but this user.
    pub(super) fn open(lab: &Lab, built: &Built, folder: &RunFolder) -> anyhow::Result<Self> {
        let mut configs = BTreeMap::new();
        for exercise in &lab.manifest.exercises {
            let Some(config) = &exercise.config else {
                continue;
            };
            let text = built.files.contents.get(config);
            let path = folder.path().join(format!("{}.conf", exercise.id));
            fs::write(&path, text.context("a config is a file")?)
                .context("writing a configuration")?;
            configs.insert(exercise.module(), path);
        }
        let path = folder.path().join("leases");
        let listener = UnixListener::bind(&path).context("opening a socket for checks")?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self {
            path,
            listener,
            configs,
            prepare: built.prepare.clone(),
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lends until `end`, and takes everything back.
    pub(super) async fn lend(self, pool: &Pool, notes: &dyn Notes, end: impl Future<Output = ()>) {
        let (over, _) = watch::channel(false);
        let mut loans = FuturesUnordered::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                Ok((connection, _)) = self.listener.accept() => {
                    loans.push(self.serve(connection, pool, notes, over.subscribe()));
                }
                Some(ended) = loans.next() => tell(ended, notes),
            }
        }
        over.send_replace(true);
        while let Some(ended) = loans.next().await {
            tell(ended, notes);
        }
    }

    /// One check, from its module's name until it hangs up or all is over.
    async fn serve(
        &self,
        connection: UnixStream,
        pool: &Pool,
        notes: &dyn Notes,
        mut over: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut connection = BufReader::new(connection);
        let mut module = String::new();
        tokio::select! {
            read = connection.read_line(&mut module) => read?,
            _ = over.changed() => return Ok(()),
        };
        let config = self.configs.get(module.trim()).map(PathBuf::as_path);
        let lease = match pool.lease(config, self.prepare.as_ref(), notes).await {
            Ok(lease) => lease,
            Err(refusal) => {
                return say(&mut connection, &Lent::Refused(refusal.words())).await;
            }
        };
        let said = say(&mut connection, &Lent::Services(lease.targets())).await;
        if said.is_ok() {
            let mut sandboxes = Sandboxes::of(pool);
            tokio::select! {
                _ = serve_asks(&mut connection, &mut sandboxes) => {}
                _ = over.changed() => {}
            }
            sandboxes.end(notes).await;
        }
        pool.give_back(lease, notes).await;
        said
    }
}

/// Answers what a check asks, until it hangs up.
async fn serve_asks(
    connection: &mut BufReader<UnixStream>,
    sandboxes: &mut Sandboxes<'_>,
) -> anyhow::Result<()> {
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 0 {
        let answer = sandboxes.answer(&line).await;
        let answer = answer.context("it asks for nothing that there is")?;
        connection.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn say(connection: &mut BufReader<UnixStream>, lent: &Lent) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(lent)?;
    line.push(b'\n');
    connection.write_all(&line).await?;
    Ok(())
}

fn tell(ended: anyhow::Result<()>, notes: &dyn Notes) {
    if let Err(error) = ended {
        notes.note(&format!(
            "a check could not be lent its services: {error:#}"
        ));
    }
}
