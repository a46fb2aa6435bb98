//! What a report says of the checkout that judged: its commit, what was changed in it, and
//! the hash of the lab.

use std::path::Path;
use std::process::Command;

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::variant::Variant;

/// What a report says of the checkout.
pub(super) struct About {
    /// See [`crate::lab_hash`].
    pub(super) lab_hash: anyhow::Result<String>,
    /// The commit, where git knows one.
    pub(super) commit: Option<String>,
    /// Files of the course that were changed.
    pub(super) changed: Vec<String>,
}

impl About {
    /// Asks git, and hashes the lab.
    pub(super) fn of(checkout: &Checkout, lab: &Lab, variant: &Variant) -> Self {
        let commit = git(&checkout.root, &["rev-parse", "HEAD"]);
        let changed = match variant {
            Variant::Working => changed_course_files(checkout, lab),
            _ => Vec::new(),
        };
        Self {
            lab_hash: crate::lab_hash::of(checkout, lab),
            commit: commit.map(|commit| commit.trim().to_owned()),
            changed,
        }
    }
}

/// Files of the lab that git says were changed and that are no exercise's.
fn changed_course_files(checkout: &Checkout, lab: &Lab) -> Vec<String> {
    let folder = format!("labs/{}", lab.name);
    let arguments = ["diff", "--name-only", "HEAD", "--", &folder, "labkit"];
    let theirs: Vec<String> = lab
        .manifest
        .exercises
        .iter()
        .flat_map(|exercise| &exercise.files)
        .map(|file| lab.shown(file))
        .collect();
    git(&checkout.root, &arguments)
        .unwrap_or_default()
        .lines()
        .filter(|path| !theirs.iter().any(|file| file == path))
        .map(str::to_owned)
        .collect()
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}
