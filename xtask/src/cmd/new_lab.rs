//! `cargo xtask new-lab NAME`: a folder that compiles, verifies and is listed.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};

/// The template, file by file.
macro_rules! template {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../template/", $path)))),*]
    };
}

const TEMPLATE: [(&str, &str); 13] = template![
    "lab.toml",
    "README.md",
    "Cargo.toml",
    "src/main.rs",
    "src/greeting.rs",
    "solution/greeting.rs",
    "alternatives/concat/greeting.rs",
    "mutants/one-name.patch",
    "mutants/shouts.patch",
    "checks/Cargo.toml",
    "checks/src/lib.rs",
    "checks/tests/checks/main.rs",
    "checks/tests/checks/greeting.rs",
];

/// Makes `labs/NAME` from the template.
pub(crate) fn new_lab(checkout: &Checkout, name: &str) -> anyhow::Result<ExitCode> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.ends_with('-') || !name.chars().all(plain) {
        bail!(Fault::new(
            Whose::Usage,
            format!("`{name}` is no name for a lab"),
            "a-z, 0-9 and `-`, beginning with a letter: `cargo xtask new-lab rate-limiting`"
        ));
    }
    // cargo would find two packages of one name.
    let reserved = [
        "xtask",
        "labkit",
        "labkit-macros",
        "features",
        "test",
        "core",
        "std",
    ];
    let folder = checkout.root.join("labs").join(name);
    if reserved.contains(&name) || folder.exists() {
        bail!(Fault::new(
            Whose::Usage,
            format!("`{name}` is taken"),
            "choose another name"
        ));
    }
    // Laid out beside it and renamed: half a lab would break the workspace.
    let fresh = checkout.root.join("labs").join(format!(".{name}.new"));
    let written = write(&fresh, name).and_then(|()| {
        fs::rename(&fresh, &folder).with_context(|| format!("making {}", folder.display()))
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    written?;
    let _ = writeln!(
        std::io::stdout().lock(),
        "made labs/{name}\n\n\
         prove  cargo xtask verify {name}\n\
         check  cargo xtask check {name} --solution\n\
         read   CONTRIBUTING.md, \"Write a lab\""
    );
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, name: &str) -> anyhow::Result<()> {
    for (path, text) in TEMPLATE {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        let text = text
            .replace("LAB_NAME", name)
            .replace("LAB_CRATE", &name.replace('-', "_"));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
