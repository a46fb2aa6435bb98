//! The last two attempts at each exercise, as they were judged: what `report` shows.
//!
//! Kept beside the progress. Unlike that they are worth nothing that another run would not
//! bring back: what cannot be read counts as not there.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::provider::Notes;
use crate::report::{ExerciseReport, Report, ServiceUsed, Status};

/// How much of a check's timeline is kept; more than anybody reads.
const EVENTS: usize = 200;

/// One run of an exercise's checks against the learner's own files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// When it was judged: RFC 3339, in UTC.
    pub(crate) at: String,
    /// What `--seed` takes to repeat it.
    pub(crate) seed: u64,
    /// The checks that judged it: see [`Report::lab_hash`].
    pub(crate) lab_hash: String,
    /// The checkout's commit.
    pub(crate) commit: Option<String>,
    /// The services that were used.
    pub(crate) services: Vec<ServiceUsed>,
    /// The verdicts; each timeline cut to its first [`EVENTS`] messages.
    pub(crate) exercise: ExerciseReport,
}

/// An exercise's last attempt, and the one before it.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// The last one.
    pub(crate) last: Attempt,
    /// The one before.
    pub(crate) before: Option<Attempt>,
}

/// Keeps what a run of the learner's own files showed. What was not begun is no attempt,
/// and what had no service was none either.
pub(crate) fn keep(checkout: &Checkout, report: &Report, notes: &dyn Notes) {
    let now = OffsetDateTime::now_utc();
    let at = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339);
    let at = at.unwrap_or_default();
    for exercise in &report.exercises {
        let begun = |status| !matches!(status, Status::NotStarted | Status::Unavailable);
        if !begun(exercise.status) {
            continue;
        }
        let mut exercise = exercise.clone();
        for check in &mut exercise.checks {
            check.timeline.truncate(EVENTS);
        }
        let attempt = Attempt {
            at: at.clone(),
            seed: report.seed,
            lab_hash: report.lab_hash.clone(),
            commit: report.commit.clone(),
            services: report.services.clone(),
            exercise,
        };
        if let Err(error) = write(checkout, &report.lab, &attempt) {
            notes.note(&format!("the attempt was not kept for `report`: {error:#}"));
            return;
        }
    }
}

/// The attempts at each exercise of a lab, in its order; exercises without one are left out.
pub(crate) fn read(checkout: &Checkout, lab: &Lab) -> Vec<Attempts> {
    let one =
        |path: PathBuf| -> Option<Attempt> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
    lab.manifest
        .exercises
        .iter()
        .filter_map(|exercise| {
            let [last, before] = files(checkout, &lab.name, &exercise.id);
            Some(Attempts {
                last: one(last)?,
                before: one(before),
            })
        })
        .collect()
}

fn write(checkout: &Checkout, lab: &str, attempt: &Attempt) -> anyhow::Result<()> {
    let [last, before] = files(checkout, lab, &attempt.exercise.id);
    let folder = last.parent().unwrap_or(&checkout.root);
    fs::create_dir_all(folder)?;
    // Whole or not at all, as its readers may come at any time.
    let fresh = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(&fresh, serde_json::to_vec(attempt)?)?;
    if last.exists() {
        fs::rename(&last, before)?;
    }
    fresh.persist(last)?;
    Ok(())
}

/// Where the last attempt and the one before it are.
fn files(checkout: &Checkout, lab: &str, exercise: &str) -> [PathBuf; 2] {
    let folder = checkout.state().join("attempts").join(lab);
    [
        folder.join(format!("{exercise}.json")),
        folder.join(format!("{exercise}.before.json")),
    ]
}
