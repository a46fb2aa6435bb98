//! One verb, one file.

mod bench;
mod check;
mod doctor;
mod hint;
mod list;
mod new_lab;
mod next;
mod overview;
mod report;
mod reset;
mod run;
mod solution;
mod start;
mod up;
mod verify;
mod watch;

use std::process::ExitCode;

use anyhow::bail;

use crate::checkout::Checkout;
use crate::cli::{self, Verb};
use crate::fault::{Fault, Whose};
use crate::lab::{self, Exercise, Lab};

/// Does what was asked for.
pub(crate) fn run(verb: Option<Verb>) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    match verb {
        None => overview::overview(&checkout),
        Some(Verb::Start { lab, services }) => {
            wait(start::start(&checkout, lab.as_deref(), services))
        }
        Some(Verb::Bench { lab, services }) => wait(bench::bench(&checkout, &lab, services)),
        Some(Verb::Check(options)) => wait(check::check(&checkout, &options)),
        Some(Verb::Watch {
            target,
            services,
            seed,
        }) => wait(watch::watch(&checkout, &target, services, seed)),
        Some(Verb::Run {
            lab,
            solution,
            services,
        }) => wait(run::run(&checkout, &lab, solution, services)),
        Some(Verb::Next { lab }) => next::next(&checkout, lab.as_deref()),
        Some(Verb::List { lab }) => list::list(&checkout, lab.as_deref()),
        Some(Verb::Hint { exercise }) => hint::hint(&checkout, &exercise),
        Some(Verb::Solution { exercise, peek }) => solution::solution(&checkout, &exercise, peek),
        Some(Verb::Reset { target, yes }) => reset::reset(&checkout, &target, yes),
        Some(Verb::Report {
            lab,
            html: _,
            output,
        }) => report::report(&checkout, &lab, output.as_deref()),
        Some(Verb::Verify(options)) => wait(verify::verify(&checkout, &options)),
        Some(Verb::Up {
            lab,
            services,
            json,
        }) => wait(up::up(&checkout, &lab, services, json)),
        Some(Verb::Doctor { sweep }) => wait(doctor::doctor(sweep)),
        Some(Verb::NewLab { name }) => new_lab::new_lab(&checkout, &name),
    }
}

fn wait(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(work);
    // A blocking task that still waits for a child must not hold the verdict back.
    runtime.shutdown_background();
    code
}

/// The lab and the exercise that `LAB/EXERCISE` names.
fn one_exercise(checkout: &Checkout, target: &str) -> anyhow::Result<(Lab, Exercise)> {
    let (name, id) = cli::split(target);
    let lab = lab::find(&checkout.root, name)?;
    let Some(id) = id else {
        let first = lab
            .manifest
            .exercises
            .first()
            .map_or("EXERCISE", |first| &first.id);
        bail!(Fault::new(
            Whose::Usage,
            format!("`{target}` names a lab, not an exercise"),
            format!("LAB/EXERCISE, for example `{name}/{first}`")
        ));
    };
    let exercise = lab.exercise(id)?.clone();
    Ok((lab, exercise))
}
