//! `cargo xtask verify [LAB]`: the proof that a lab accepts right answers and refuses
//! known-wrong ones. All faults are listed at once.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;

use super::check::{any_seed, cores, default_jobs};
use crate::checkout::Checkout;
use crate::cli::Verify;
use crate::lab::{self, Lab};
use crate::mutant::{self, Mutant};
use crate::pool::Pool;
use crate::proof::{self, Proofs};
use crate::provider::RunFolder;
use crate::report::terminal::Terminal;
use crate::report::{ExerciseReport, Reporter, Status, words};
use crate::run::{self, Plan, Session};
use crate::variant::{Files, Variant};
use crate::{brief, build};

/// Proves one lab, or all of them.
pub(crate) async fn verify(checkout: &Checkout, options: &Verify) -> anyhow::Result<ExitCode> {
    let labs = match &options.lab {
        Some(name) => vec![lab::find(&checkout.root, name.trim_end_matches('/'))?],
        None => lab::all(&checkout.root)?,
    };
    let folder = RunFolder::from_env()?;
    let stress = options.stress.then(Stress::begin);
    let mut faults = Vec::new();
    let mut unavailable = false;
    for lab in &labs {
        let proof = prove(checkout, lab, options, &folder).await?;
        unavailable |= proof.unavailable;
        faults.extend(
            proof
                .faults
                .into_iter()
                .map(|fault| format!("{}: {fault}", lab.name)),
        );
    }
    drop(stress);
    let mut stdout = std::io::stdout().lock();
    for fault in &faults {
        let _ = writeln!(stdout, "✗ {fault}");
    }
    let _ = match (faults.len(), unavailable) {
        (0, false) => writeln!(stdout, "{} proved", words::count(labs.len(), "lab")),
        (0, true) => writeln!(stdout, "not proved: a service could not be had"),
        (number, _) => writeln!(stdout, "{}", words::count(number, "fault")),
    };
    Ok(ExitCode::from(match (faults.is_empty(), unavailable) {
        (false, _) => Status::Error.exit_code(),
        (true, true) => Status::Unavailable.exit_code(),
        (true, false) => 0,
    }))
}

struct Outcome {
    faults: Vec<String>,
    unavailable: bool,
}

/// One variant that is to be proved, and what is expected of it.
struct Case {
    variant: Variant,
    files: Files,
    /// The exercises whose files differ from the reference; none: all are judged.
    exercises: Vec<String>,
    mutant: Option<Mutant>,
}

async fn prove(
    checkout: &Checkout,
    lab: &Lab,
    options: &Verify,
    folder: &RunFolder,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let reporter: Arc<dyn Reporter> = Arc::new(Terminal::new(false, false));
    let mut faults = brief::faults(checkout, lab)?;
    faults.extend(brief::starter_faults(lab)?);
    reporter.progress(&format!("building the checks of {}", lab.name));
    let checks = in_background({
        let (checkout, lab) = (checkout.clone(), lab.clone());
        let (run, reporter) = (folder.path().to_owned(), Arc::clone(&reporter));
        move || build::checks(&checkout, &lab, &run, &*reporter)
    });
    let (pool, checks) = tokio::join!(
        Pool::open(lab, options.services, folder, &*reporter),
        checks
    );
    let checks = checks?;
    let names: BTreeSet<String> = run::list(&checks)?.into_iter().collect();
    let cases = cases(lab, &names, &mut faults)?;
    let mut proofs = Proofs::read(checkout, lab, &pool.used())?;
    let mut outcome = Outcome {
        faults,
        unavailable: false,
    };
    let kept = cases
        .iter()
        .filter(|case| !options.fresh && proofs.holds(&proof_of(case), options))
        .count();
    let open: Vec<Case> = cases
        .into_iter()
        .filter(|case| options.fresh || !proofs.holds(&proof_of(case), options))
        .collect();
    let mut building = open
        .first()
        .map(|case| start_build(checkout, lab, case, &checks, folder, &reporter));
    for (index, case) in open.iter().enumerate() {
        let built = match building.take() {
            Some(task) => task.await.context("a build panicked")?,
            None => break,
        };
        // The next one compiles while this one is judged.
        building = open
            .get(index + 1)
            .map(|next| start_build(checkout, lab, next, &checks, folder, &reporter));
        let built = built?;
        reporter.progress(&format!(
            "{}: {} of {}, {}",
            lab.name,
            index + 1,
            open.len(),
            case.variant.name()
        ));
        let found = judge(lab, options, case, &built, &pool, folder).await?;
        let _ = std::fs::remove_file(&built.app);
        match found {
            None => outcome.unavailable = true,
            Some(found) if found.is_empty() => proofs.add(proof_of(case), options)?,
            Some(found) => outcome.faults.extend(found),
        }
    }
    pool.close(&*reporter).await;
    reporter.note(&format!(
        "{}: {} judged, {kept} proved before, {} × {}{}, {:.1} s",
        lab.name,
        words::count(open.len(), "variant"),
        words::count(names.len(), "check"),
        options.repeat,
        if options.stress {
            ", all cores busy"
        } else {
            ""
        },
        began.elapsed().as_secs_f64()
    ));
    Ok(outcome)
}

fn proof_of(case: &Case) -> proof::Subject<'_> {
    proof::Subject {
        variant: case.variant.name(),
        files: &case.files.contents,
        expectation: case.mutant.as_ref().map_or_else(String::new, |mutant| {
            format!("{:?} {}", mutant.caught_by, mutant.says)
        }),
    }
}

/// All that is to be proved; what cannot even be read is a fault.
fn cases(
    lab: &Lab,
    checks: &BTreeSet<String>,
    faults: &mut Vec<String>,
) -> anyhow::Result<Vec<Case>> {
    let solution = Variant::Solution.files(lab)?;
    let mut variants = vec![Variant::Solution, Variant::Starter];
    variants.extend(alternatives(lab)?.into_iter().map(Variant::Alternative));
    variants.extend(mutant::names(lab)?.into_iter().map(Variant::Mutant));
    let mut cases = Vec::new();
    let mut named = BTreeSet::new();
    for variant in variants {
        let files = match variant.files(lab) {
            Ok(files) => files,
            Err(error) => {
                faults.push(format!("{error:#}"));
                continue;
            }
        };
        let touched: Vec<String> = lab
            .manifest
            .exercises
            .iter()
            .filter(|exercise| {
                exercise
                    .files
                    .iter()
                    .any(|file| files.contents.get(file) != solution.contents.get(file))
            })
            .map(|exercise| exercise.id.clone())
            .collect();
        let mutant = match &variant {
            Variant::Mutant(name) => Some(Mutant::read(lab, name)?),
            _ => None,
        };
        if let Some(mutant) = &mutant {
            for check in mutant.caught_by.difference(checks) {
                faults.push(format!(
                    "mutants/{}: there is no check `{check}`",
                    mutant.name
                ));
            }
            named.extend(mutant.caught_by.iter().cloned());
        }
        if touched.is_empty() && !matches!(variant, Variant::Solution | Variant::Starter) {
            faults.push(format!("{} equals the reference", variant.name()));
            continue;
        }
        cases.push(Case {
            exercises: match variant {
                Variant::Solution | Variant::Starter => Vec::new(),
                _ => touched,
            },
            variant,
            files,
            mutant,
        });
    }
    for check in checks.difference(&named) {
        faults.push(format!("no mutant proves that `{check}` can fail"));
    }
    Ok(cases)
}

fn alternatives(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let folder = lab.folder.join("alternatives");
    let mut names = Vec::new();
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

fn start_build(
    checkout: &Checkout,
    lab: &Lab,
    case: &Case,
    checks: &Path,
    folder: &RunFolder,
    reporter: &Arc<dyn Reporter>,
) -> tokio::task::JoinHandle<anyhow::Result<build::Built>> {
    let (checkout, lab, files) = (checkout.clone(), lab.clone(), case.files.clone());
    let (checks, run) = (checks.to_owned(), folder.path().to_owned());
    let reporter = Arc::clone(reporter);
    tokio::task::spawn_blocking(move || {
        build::app(&checkout, &lab, files, &checks, &run, &*reporter)
    })
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a background task panicked")?
}

/// The faults of one variant; none at all where a service could not be had.
async fn judge(
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
        seed: any_seed(),
        jobs: default_jobs(),
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
        for check in &exercise.checks {
            if check.status == Status::Unavailable {
                return Ok(None);
            }
            let full = format!("{}::{}", exercise.id.replace('-', "_"), check.name);
            let must_fail = match (&case.variant, &case.mutant) {
                (Variant::Starter, _) => true,
                (_, Some(mutant)) => mutant.caught_by.contains(&full),
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
    fn advance(&self, _done: usize, _of: usize) {}
    fn finish(&self, _report: &crate::report::Report) -> std::io::Result<()> {
        Ok(())
    }
}

/// Threads that keep every core busy until dropped.
struct Stress(Arc<AtomicBool>);

impl Stress {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..cores() {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(over)
    }
}

impl Drop for Stress {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
