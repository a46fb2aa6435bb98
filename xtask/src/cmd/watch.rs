//! `cargo xtask watch LAB[/EXERCISE]`.

pub(super) mod files;
mod screen;
mod session;
mod tty;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::bail;

use super::check::{any_seed, default_jobs};
use crate::checkout::Checkout;
use crate::cli;
use crate::fault::{Fault, Whose};
use crate::lab;
use crate::provider::{Choice, RunFolder};
use crate::report::style::Look;
use crate::run::Plan;
use crate::variant::Variant;

use session::End;

/// Checks after every save until a key ends it.
pub(crate) async fn watch(
    checkout: &Checkout,
    target: &str,
    services: Choice,
    seed: Option<u64>,
) -> anyhow::Result<ExitCode> {
    let (name, exercise) = cli::split(target);
    let lab = lab::find(&checkout.root, name)?;
    if let Some(id) = exercise {
        lab.exercise(id)?;
    }
    let stdout = io::stdout();
    if !stdout.is_terminal() || !Look::of(&stdout).live {
        bail!(Fault::new(
            Whose::Usage,
            "`watch` draws on a terminal, and this is none",
            format!("cargo xtask check {target}")
        ));
    }
    let plan = Plan {
        variant: Variant::Working,
        exercises: exercise.map(str::to_owned).into_iter().collect(),
        services,
        repeat: 1,
        seed: seed.unwrap_or_else(any_seed),
        jobs: default_jobs(),
        // The wire is asked for by a key, when the run is over.
        long_values: false,
    };
    let end = session::watch(checkout, &lab, plan, RunFolder::from_env()?).await?;
    Ok(match end {
        End::Quit => ExitCode::SUCCESS,
        End::Interrupted => ExitCode::from(130),
    })
}
