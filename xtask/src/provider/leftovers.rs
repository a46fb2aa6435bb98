//! What runs that were killed beyond all care have left behind, and its removal.

use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::docker;
use crate::keeper::folder::{Leftover, homes, leftovers};

/// What belongs to runs whose keeper is dead.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Containers, by id.
    pub(crate) containers: Vec<String>,
    /// Run folders.
    pub(crate) folders: Vec<Leftover>,
    /// Processes that live in such a folder.
    pub(crate) processes: Vec<i32>,
}

impl Leftovers {
    /// Whether all is clean.
    pub(crate) fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.folders.is_empty() && self.processes.is_empty()
    }
}

/// Looks for leftovers. Without Docker no container can be running.
pub(crate) async fn find() -> Leftovers {
    find_in(&homes()).await
}

pub(super) async fn find_in(homes: &[PathBuf]) -> Leftovers {
    let folders = leftovers(homes);
    Leftovers {
        containers: docker::dead_containers().await.unwrap_or_default(),
        processes: folders.iter().flat_map(Leftover::processes).collect(),
        folders,
    }
}

/// Ends and removes them; processes first, for they may still write.
pub(crate) async fn remove(leftovers: &Leftovers) -> Result<()> {
    for pid in &leftovers.processes {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
    }
    docker::remove_by_id(&leftovers.containers).await?;
    for folder in &leftovers.folders {
        folder
            .remove()
            .with_context(|| format!("cannot remove {}", folder.path().display()))?;
    }
    Ok(())
}
