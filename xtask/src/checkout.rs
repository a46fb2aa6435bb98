//! Where things are: the checkout, cargo's target folder, what the runner keeps there.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::fault::{Fault, Whose};

/// The checkout that the runner works in.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    /// The folder that holds `labs/`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

impl Checkout {
    /// The checkout of the running binary: cargo names it, or a parent folder is it.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = env::current_dir().context("there is no current folder")?;
        let root = own
            .iter()
            .flat_map(|folder| folder.ancestors())
            .chain(here.ancestors())
            .find(|folder| folder.join("labs").is_dir() && folder.join("xtask").is_dir());
        let Some(root) = root else {
            bail!(Fault::new(
                Whose::Usage,
                "this is no checkout of the labs",
                "run `cargo xtask` inside the checkout"
            ));
        };
        // The binary is `<target>/<profile>/xtask`.
        let binary = env::current_exe().context("the runner does not know its own file")?;
        let target = binary
            .ancestors()
            .nth(2)
            .map_or_else(|| root.join("target"), Path::to_owned);
        Ok(Self {
            root: root.to_owned(),
            target,
        })
    }

    /// Scratch space that is not worth keeping: slots, built variants, proofs.
    pub(crate) fn scratch(&self) -> anyhow::Result<PathBuf> {
        let folder = self.target.join("labs");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// What outlives `cargo clean`: progress, backups, what was told.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join(".labs")
    }

    /// Whether this is asked for the first time in this checkout. Where that cannot be kept
    /// each time is the first.
    pub(crate) fn first_time(&self, what: &str) -> bool {
        let told = self.state().join("told");
        // What fails here fails below as well.
        let _ = fs::create_dir_all(&told);
        let made = File::create_new(told.join(what));
        !made.is_err_and(|error| error.kind() == ErrorKind::AlreadyExists)
    }
}

/// Holds a lock file until it is dropped. `waiting` is called when another run has it.
pub(crate) fn lock(path: &Path, waiting: impl FnOnce()) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        waiting();
        file.lock()
            .with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}
