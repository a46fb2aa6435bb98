//! Names what judged a run: two reports with one hash were judged by the same checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::stage::hex;

/// SHA-256 over the lab without its exercise files, and over labkit.
pub(crate) fn of(checkout: &Checkout, lab: &Lab) -> anyhow::Result<String> {
    let exercise_files: Vec<PathBuf> = lab
        .manifest
        .exercises
        .iter()
        .flat_map(|exercise| &exercise.files)
        .map(|file| lab.folder.join(file))
        .collect();
    let mut files = Vec::new();
    collect(&lab.folder, &mut files)?;
    collect(&checkout.root.join("labkit"), &mut files)?;
    files.retain(|file| !exercise_files.contains(file));
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let name = file.strip_prefix(&checkout.root).unwrap_or(&file);
        let name = name.as_os_str().as_encoded_bytes();
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    Ok(hex(&hash.finalize()))
}

/// All plain files below `folder`.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
