//! What the checks say of one variant, held against what they should say.

use super::super::check::{any_seed, default_jobs};
use super::cases::Case;
use crate::build;
use crate::cli::Verify;
use crate::lab::Lab;
use crate::pool::Pool;
use crate::predict;
use crate::provider::RunFolder;
use crate::report::{ExerciseReport, Outlook, Report, Reporter, Status, words};
use crate::run::{self, Plan, Session};
use crate::variant::Variant;

/// The faults of one variant; none at all where a service could not be had.
pub(super) async fn judge(
    lab: &Lab,
    options: &Verify,
    case: &Case,
    built: &build::Built,
    pool: &Pool,
    folder: &RunFolder,
) -> anyhow::Result<Option<Vec<String>>> {
    let name = case.variant.name();
    if let Some((exercise, error)) = built.broken.iter().next() {
        return Ok(Some(vec![format!(
            "{name}: {exercise} does not compile:\n{error}"
        )]));
    }
    let plan = Plan {
        variant: case.variant.clone(),
        exercises: case.exercises.clone(),
        services: options.services,
        repeat: options.repeat,
        seed: options.seed.unwrap_or_else(any_seed),
        jobs: default_jobs(),
        long_values: false,
    };
    let exercises = run::judge_all(&Session {
        lab,
        plan: &plan,
        built,
        pool,
        folder,
        reporter: &Silent,
    })
    .await?;
    let mut faults = Vec::new();
    let mut said = false;
    for exercise in &exercises {
        if let (Variant::Solution, Some(check)) = (&case.variant, asked_for(lab, exercise))
            && predict::measured(exercise, check).is_none()
        {
            faults.push(format!(
                "{}: a learner guesses a number, and `{check}` measures none",
                exercise.id
            ));
        }
        for check in &exercise.checks {
            if check.status == Status::Unavailable {
                return Ok(None);
            }
            let full = format!("{}::{}", exercise.id.replace('-', "_"), check.name);
            let must_fail = match (&case.variant, &case.mutant) {
                (Variant::Starter, _) => true,
                (_, Some(mutant)) if mutant.by_chance.contains(&full) => continue,
                (_, Some(mutant)) => mutant.caught_by.contains(&full),
                // One number shows what is missing; the rest of the exercise is for later.
                (Variant::FirstWin { done: false }, _) => {
                    if asked_for(lab, exercise) != Some(&check.name) {
                        continue;
                    }
                    true
                }
                _ => false,
            };
            let seed = plan.seed;
            let of = options.repeat;
            if !must_fail && check.runs_passed != of {
                faults.push(format!(
                    "{name}: `{full}` passed {} of {of} times, should pass all (seed {seed}){}",
                    check.runs_passed,
                    what_it_said(exercise, &check.name)
                ));
            } else if must_fail && (check.runs_passed != 0 || check.status != Status::Failed) {
                faults.push(format!(
                    "{name}: `{full}` passed {} of {of} times and is {}, should fail each time \
                     (seed {seed}){}",
                    check.runs_passed,
                    words::status(check.status),
                    why_wrong(case) + &what_it_said(exercise, &check.name)
                ));
            } else if must_fail && let Some(mutant) = &case.mutant {
                said |= what_it_said(exercise, &check.name).contains(&mutant.says);
            }
        }
    }
    if faults.is_empty()
        && !said
        && let Some(mutant) = &case.mutant
    {
        let all: String = exercises
            .iter()
            .flat_map(|exercise| {
                exercise
                    .checks
                    .iter()
                    .filter(|check| check.status == Status::Failed)
                    .map(|check| what_it_said(exercise, &check.name))
            })
            .collect();
        faults.push(format!("{name}: no finding says `{}`:{all}", mutant.says));
    }
    Ok(Some(faults))
}

/// The check whose number a learner is asked to guess.
fn asked_for<'a>(lab: &'a Lab, exercise: &ExerciseReport) -> Option<&'a str> {
    let declared = lab.exercise(&exercise.id).ok()?;
    let predict = declared.predict.as_ref()?;
    Some(&predict.check)
}

/// What is wrong with a mutant, on a line of its own.
fn why_wrong(case: &Case) -> String {
    case.mutant.as_ref().map_or_else(String::new, |mutant| {
        format!("\n    mutant: {}", mutant.why)
    })
}

/// The finding or the reason of one check, on lines of its own.
fn what_it_said(exercise: &ExerciseReport, check: &str) -> String {
    let Some(check) = exercise.checks.iter().find(|known| known.name == check) else {
        return String::new();
    };
    let mut text = String::new();
    if let Some(finding) = &check.finding {
        text = format!(
            "\n    did {}\n    saw {}\n    expected {}\n    why {}",
            finding.did, finding.saw, finding.expected, finding.why
        );
    }
    if let Some(reason) = &check.reason {
        text.push_str(&format!("\n    {reason}"));
    }
    text
}

/// Takes no notice: a proof speaks of faults only.
struct Silent;

impl crate::provider::Notes for Silent {
    fn note(&self, _text: &str) {}
    fn progress(&self, _text: &str) {}
}

impl Reporter for Silent {
    fn exercise(&self, _exercise: &ExerciseReport) {}
    fn advance(&self, _done: usize, _of: usize, _current: Option<&str>) {}
    fn finish(&self, _report: &Report, _outlook: &Outlook) -> std::io::Result<()> {
        Ok(())
    }
}
