//! `cargo xtask report LAB --html`: the last attempt as a page.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::report::html;
use crate::{attempt, lab};

/// Writes the page and says where it is.
pub(crate) fn report(
    checkout: &Checkout,
    name: &str,
    output: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
    let attempts = attempt::read(checkout, &lab);
    if attempts.is_empty() {
        bail!(Fault::new(
            Whose::Usage,
            format!("there is no attempt at {} yet", lab.name),
            format!("cargo xtask check {}", lab.name)
        ));
    }
    let page = html::page(&lab, &attempts);
    let path = match output {
        Some(path) => path.to_owned(),
        None => default_path(checkout, &lab.name)?,
    };
    fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    // A reader that has gone needs no path.
    let _ = writeln!(std::io::stdout().lock(), "{}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn default_path(checkout: &Checkout, lab: &str) -> anyhow::Result<PathBuf> {
    let folder = checkout.state().join("reports");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.join(format!("{lab}.html")))
}
