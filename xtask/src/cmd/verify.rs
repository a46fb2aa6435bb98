//! `cargo xtask verify [LAB]`: the proof that a lab accepts right answers and refuses
//! known-wrong ones. A fault is shown when it is found, and does not end the proof.

mod cases;
mod judge;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};

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

/// Variants that are built and judged at once: one compiles while others wait for what is
/// bound to come, or is not.
const SIDE_BY_SIDE: usize = 3;

/// Proves one lab, or all of them.
pub(crate) async fn verify(checkout: &Checkout, options: &Verify) -> anyhow::Result<ExitCode> {
    let labs = match &options.lab {
        Some(name) => vec![lab::find(&checkout.root, name.trim_end_matches('/'))?],
        None => lab::all(&checkout.root)?,
    };
    let folder = RunFolder::from_env()?;
    let stress = options.stress.then(Stress::begin);
    let mut faults = 0;
    let mut unavailable = false;
    for lab in &labs {
        let proof = prove(checkout, lab, options, &folder).await?;
        unavailable |= proof.unavailable;
        faults += proof.faults;
    }
    drop(stress);
    let mut stdout = std::io::stdout().lock();
    let _ = match (faults, unavailable) {
        (0, false) => writeln!(stdout, "{} proved", words::count(labs.len(), "lab")),
        (0, true) => writeln!(stdout, "not proved: a service could not be had"),
        (number, _) => writeln!(stdout, "{}", words::count(number, "fault")),
    };
    Ok(ExitCode::from(match (faults, unavailable) {
        (0, false) => 0,
        (0, true) => Status::Unavailable.exit_code(),
        _ => Status::Error.exit_code(),
    }))
}

struct Outcome {
    /// How many.
    faults: usize,
    unavailable: bool,
}

async fn prove(
    checkout: &Checkout,
    lab: &Lab,
    options: &Verify,
    folder: &RunFolder,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let terminal = Arc::new(Terminal::new(false, false));
    let reporter: Arc<dyn Reporter> = Arc::clone(&terminal) as _;
    let show = |faults: &[String]| {
        for fault in faults {
            terminal.print(&format!("✗ {}: {fault}\n", lab.name));
        }
    };
    let mut faults = brief::faults(checkout, lab)?;
    faults.extend(brief::starter_faults(lab)?);
    reporter.progress(&format!("building the checks of {}", lab.name));
    let checks = in_background({
        let (checkout, lab) = (checkout.clone(), lab.clone());
        let (run, reporter) = (folder.path().to_owned(), Arc::clone(&reporter));
        move || build::judge(&checkout, &lab, &run, &*reporter)
    });
    let (pool, judged_by) = tokio::join!(
        Pool::open(checkout, lab, options.services, folder, &*reporter),
        checks
    );
    let judged_by = judged_by?;
    let names: BTreeSet<String> = run::list(&judged_by.checks)?.into_iter().collect();
    let cases = cases(lab, &names, &mut faults)?;
    show(&faults);
    let mut proofs = Proofs::read(checkout, lab, &pool.used())?;
    let mut outcome = Outcome {
        faults: faults.len(),
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
    let (judged_by, servers, told) = (&judged_by, &pool, &reporter);
    let judged = open.iter().map(|case| async move {
        let built = start_build(checkout, lab, case, judged_by, folder, told);
        let built = built.await.context("a build panicked")??;
        let found = judge(lab, options, case, &built, servers, folder).await?;
        let _ = std::fs::remove_file(&built.app);
        anyhow::Ok((case, found))
    });
    let mut judged = stream::iter(judged).buffer_unordered(SIDE_BY_SIDE);
    let mut done = 0;
    while let Some(result) = judged.next().await {
        let (case, found) = result?;
        done += 1;
        reporter.progress(&format!(
            "{}: {done} of {}, {}",
            lab.name,
            open.len(),
            case.variant.name()
        ));
        match found {
            None => outcome.unavailable = true,
            Some(found) if found.is_empty() => proofs.add(proof_of(case), options)?,
            Some(found) => {
                show(&found);
                outcome.faults += found.len();
            }
        }
    }
    drop(judged);
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
            format!(
                "{:?} {:?} {}",
                mutant.caught_by, mutant.by_chance, mutant.says
            )
        }),
    }
}

fn start_build(
    checkout: &Checkout,
    lab: &Lab,
    case: &Case,
    judge: &build::Judge,
    folder: &RunFolder,
    reporter: &Arc<dyn Reporter>,
) -> tokio::task::JoinHandle<anyhow::Result<build::Built>> {
    let (checkout, lab, files) = (checkout.clone(), lab.clone(), case.files.clone());
    let (judge, run) = (judge.clone(), folder.path().to_owned());
    let reporter = Arc::clone(reporter);
    tokio::task::spawn_blocking(move || {
        build::app(&checkout, &lab, files, &judge, &run, &*reporter)
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
