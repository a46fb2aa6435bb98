//! `cargo xtask check LAB[/EXERCISE]`.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum as _;

use crate::checkout::Checkout;
use crate::cli::{self, Check, Format};
use crate::provider::{Choice, RunFolder};
use crate::report::json::Json;
use crate::report::terminal::Terminal;
use crate::report::{Outlook, Reporter};
use crate::run::{self, Plan};
use crate::variant::Variant;
use crate::{attempt, lab, predict, progress};

/// Runs the checks, prints the report, keeps the progress.
pub(crate) async fn check(checkout: &Checkout, options: &Check) -> anyhow::Result<ExitCode> {
    let (name, exercise) = cli::split(&options.target);
    let lab = lab::find(&checkout.root, name)?;
    if let Some(id) = exercise {
        lab.exercise(id)?;
    }
    let variant = match (&options.submission, options.solution) {
        (Some(folder), _) => Variant::Submission(folder.clone()),
        (None, true) => Variant::Solution,
        (None, false) => Variant::Working,
    };
    // What was typed wrong is said before a server is started for it.
    variant.files(&lab)?;
    let plan = Plan {
        variant,
        exercises: exercise.map(str::to_owned).into_iter().collect(),
        services: options.services,
        repeat: options.repeat,
        seed: options.seed.unwrap_or_else(any_seed),
        jobs: options.jobs.map_or_else(default_jobs, usize::from),
        long_values: options.wire,
    };
    let reporter: Arc<dyn Reporter> = match options.format {
        Format::Human => Arc::new(Terminal::new(exercise.is_some(), options.wire)),
        Format::Json => Arc::new(Json),
    };
    let folder = RunFolder::from_env()?;
    reporter.progress(&format!(
        "building {}; the first build takes two to three minutes",
        lab.name
    ));
    let mut report = run::run(checkout, &lab, &plan, &folder, Arc::clone(&reporter)).await?;
    let outlook = match plan.variant {
        Variant::Working => {
            let known = progress::change(checkout, &*reporter, |known| {
                known.take_in(&report);
                let own = known.labs.entry(lab.name.clone()).or_default();
                predict::compare(&mut report, &lab, own);
            });
            attempt::keep(checkout, &report, &*reporter);
            // Another lab that cannot be read is not this run's business.
            Outlook {
                carried: carried(options.services),
                ..known.outlook(&lab, &lab::all(&checkout.root).unwrap_or_default())
            }
        }
        _ => Outlook::default(),
    };
    // A reader that closed the pipe has what it wanted: the exit code is still the verdict.
    let _ = reporter.finish(&report, &outlook);
    Ok(ExitCode::from(report.exit_code))
}

/// The option that has the next command use the same servers.
fn carried(services: Choice) -> String {
    let name = services.to_possible_value();
    match name.filter(|_| services != Choice::default()) {
        Some(name) => format!(" --services {}", name.get_name()),
        None => String::new(),
    }
}

/// How many checks run at once where nothing is said: four a core, for a check waits about three
/// times as long as it works.
pub(crate) fn default_jobs() -> usize {
    4 * cores()
}

/// How many threads the machine runs at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Six digits: short enough to be typed again.
pub(crate) fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}
