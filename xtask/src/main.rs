//! `cargo xtask`: builds, starts services, runs checks, reports.
//!
//! A verb that starts processes runs three deep: this process is the front, it starts a
//! keeper that lets nothing outlive the run, and the keeper starts the runner that does
//! the work (ARCHITECTURE.md, "The processes").

mod attempt;
mod brief;
mod build;
mod cargo;
mod checkout;
mod cli;
mod cmd;
mod fault;
mod front;
mod judge;
mod keeper;
mod lab;
mod lab_hash;
mod mutant;
mod pool;
mod predict;
mod progress;
mod proof;
mod provider;
mod report;
mod run;
mod sandboxes;
mod services;
mod stage;
mod starter;
mod variant;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::{Cli, Verb};
use crate::fault::Fault;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let rest = arguments.get(2..).unwrap_or_default();
    match arguments.get(1).map(String::as_str) {
        Some("keeper") => keeper::run(rest),
        Some("runner") => match keeper::enter_runner() {
            Ok(()) => parsed(rest, |verb, _| cmd::run(verb)),
            Err(error) => conclude(Err(error.into())),
        },
        _ => parsed(arguments.get(1..).unwrap_or_default(), |verb, arguments| {
            if let Some(verb) = &verb {
                predict::ask_before(verb);
            }
            match &verb {
                Some(Verb::Up { .. }) => front::run_until_stdin_ends(arguments),
                Some(Verb::Watch { .. } | Verb::Start { .. }) => front::run_on_terminal(arguments),
                Some(verb) if verb.needs_keeper() => front::run(arguments),
                _ => cmd::run(verb),
            }
        }),
    }
}

fn parsed(
    arguments: &[String],
    then: impl FnOnce(Option<Verb>, &[String]) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    let name = OsString::from("cargo xtask");
    let all = std::iter::once(name).chain(arguments.iter().map(OsString::from));
    match Cli::try_parse_from(all) {
        Ok(cli) => conclude(then(cli.verb, arguments)),
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nobody is left to tell when the stream is gone.
            let _ = error.print();
            ExitCode::from(if asked { 0 } else { 2 })
        }
    }
}

/// An error in the form of the house: what happened, and the next step.
fn conclude(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            report::error(&error);
            let code = error.downcast_ref::<Fault>().map_or(2, Fault::exit_code);
            ExitCode::from(code)
        }
    }
}
