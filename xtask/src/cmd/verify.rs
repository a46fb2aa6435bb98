//! `cargo xtask verify [LAB]`: the proof that a lab accepts right answers and refuses
//! known-wrong ones. All faults are listed at once.

mod cases;
mod judge;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;

use super::check::cores;
use crate::checkout::Checkout;
use crate::cli::Verify;
use crate::lab::{self, Lab};
use crate::pool::Pool;
use crate::proof::{self, Proofs};
use crate::provider::RunFolder;
use crate::report::terminal::Terminal;
use crate::report::{Reporter, Status, words};
use crate::run;
use crate::{brief, build};

use cases::{Case, cases};
use judge::judge;

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
        Pool::open(checkout, lab, options.services, folder, &*reporter),
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
