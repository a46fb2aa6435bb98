//! Proofs that were made and need not be made again: kept by the hash of all that they
//! rest on.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::checkout::Checkout;
use crate::cli::Verify;
use crate::lab::Lab;
use crate::lab_hash;
use crate::report::ServiceUsed;
use crate::stage::{self, hex};

/// What one proof is about.
pub(crate) struct Subject<'a> {
    /// The variant's name.
    pub(crate) variant: String,
    /// Its exercise files.
    pub(crate) files: &'a BTreeMap<PathBuf, String>,
    /// What was expected of it, where that is written down beside it.
    pub(crate) expectation: String,
}

/// The proofs of one lab.
pub(crate) struct Proofs {
    file: PathBuf,
    /// The hash of what all variants share.
    base: Vec<u8>,
    known: BTreeMap<String, Strength>,
}

/// How hard it was tried.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Strength {
    repeat: u32,
    stress: bool,
}

impl Proofs {
    /// Reads what is kept. An unreadable file proves nothing.
    pub(crate) fn read(
        checkout: &Checkout,
        lab: &Lab,
        services: &[ServiceUsed],
    ) -> anyhow::Result<Self> {
        let mut hash = Sha256::new();
        for (path, bytes) in stage::pristine(lab)? {
            add(&mut hash, path.as_os_str().as_encoded_bytes());
            add(&mut hash, &bytes);
        }
        let mut judges = vec![checkout.root.join("Cargo.lock")];
        for folder in [
            lab.folder.join("checks"),
            checkout.root.join("labkit"),
            checkout.root.join("xtask/src"),
        ] {
            lab_hash::collect(&folder, &mut judges)?;
        }
        judges.sort();
        for path in judges {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            add(&mut hash, path.as_os_str().as_encoded_bytes());
            add(&mut hash, &bytes);
        }
        for service in services {
            add(&mut hash, format!("{service:?}").as_bytes());
        }
        let file = checkout
            .scratch()?
            .join(format!("proofs-{}.json", lab.name));
        let known = fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Ok(Self {
            file,
            base: hash.finalize().to_vec(),
            known,
        })
    }

    /// Whether the variant was proved at least as hard as is asked now.
    pub(crate) fn holds(&self, subject: &Subject<'_>, options: &Verify) -> bool {
        self.known.get(&self.key(subject)).is_some_and(|proof| {
            proof.repeat >= options.repeat && (proof.stress || !options.stress)
        })
    }

    /// Keeps a proof.
    pub(crate) fn add(&mut self, subject: Subject<'_>, options: &Verify) -> anyhow::Result<()> {
        let strength = Strength {
            repeat: options.repeat,
            stress: options.stress,
        };
        self.known.insert(self.key(&subject), strength);
        self.write().context("keeping a proof")
    }

    /// The whole file or the old one, also where two runs keep proofs at once.
    fn write(&self) -> anyhow::Result<()> {
        let folder = self.file.parent().context("a file in no folder")?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(&serde_json::to_vec(&self.known)?)?;
        fresh.persist(&self.file)?;
        Ok(())
    }

    fn key(&self, subject: &Subject<'_>) -> String {
        let mut hash = Sha256::new();
        add(&mut hash, &self.base);
        add(&mut hash, subject.variant.as_bytes());
        add(&mut hash, subject.expectation.as_bytes());
        for (path, text) in subject.files {
            add(&mut hash, path.as_os_str().as_encoded_bytes());
            add(&mut hash, text.as_bytes());
        }
        hex(&hash.finalize())
    }
}

/// With its length, so that two neighbours do not pass for another two.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update(part.len().to_le_bytes());
    hash.update(part);
}
