//! One run of a lab's checks: services while cargo compiles, then every check as a process
//! of its own, several at once.

mod about;
mod round;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use labkit::assignment::Assignment;
use labkit::finding::Finding;
use labkit::play;
use nix::unistd::geteuid;

use crate::build::Built;
use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::judge;
use crate::lab::{Exercise, Lab};
use crate::pool::{Lease, Pool, Refusal};
use crate::provider::{Choice, RunFolder};
use crate::report::{CheckReport, ExerciseReport, Report, Reporter, Status, words};
use crate::sandboxes::Sandboxes;
use crate::variant::Variant;

pub(crate) use round::Building;

/// The user that an app runs as when we are root: neither ours nor the services'.
pub(crate) const APP_USER: u32 = 65532;

/// What is asked of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Whose exercise files.
    pub(crate) variant: Variant,
    /// The exercises that are judged; none named: all.
    pub(crate) exercises: Vec<String>,
    /// Where services may come from.
    pub(crate) services: Choice,
    /// How often each check is run.
    pub(crate) repeat: u32,
    /// Where random data comes from.
    pub(crate) seed: u64,
    /// Checks at once.
    pub(crate) jobs: usize,
    /// Whether timelines show more of long values.
    pub(crate) long_values: bool,
}

/// Runs the checks that `plan` asks for.
pub(crate) async fn run(
    checkout: &Checkout,
    lab: &Lab,
    plan: &Plan,
    folder: &RunFolder,
    reporter: Arc<dyn Reporter>,
) -> anyhow::Result<Report> {
    let building = Building::start(checkout, lab, plan, folder, &reporter);
    let (pool, ready) = tokio::join!(
        Pool::open(checkout, lab, plan.services, folder, &*reporter),
        building.ready()
    );
    let report = ready?.judge(lab, plan, folder, &pool, &*reporter).await?;
    pool.close(&*reporter).await;
    Ok(report)
}

/// All that judging a built variant takes.
pub(crate) struct Session<'a> {
    /// The lab.
    pub(crate) lab: &'a Lab,
    /// What is asked for.
    pub(crate) plan: &'a Plan,
    /// The app and the checks.
    pub(crate) built: &'a Built,
    /// The services.
    pub(crate) pool: &'a Pool,
    /// Where everything temporary goes.
    pub(crate) folder: &'a RunFolder,
    /// Who is told.
    pub(crate) reporter: &'a dyn Reporter,
}

/// Runs the checks of a built variant, exercise by exercise.
pub(crate) async fn judge_all(session: &Session<'_>) -> anyhow::Result<Vec<ExerciseReport>> {
    let Session {
        lab,
        plan,
        built,
        pool,
        reporter,
        ..
    } = *session;
    let names = list(&built.checks)?;
    let mut exercises = Vec::new();
    let mut tasks = Vec::new();
    for exercise in &lab.manifest.exercises {
        if !plan.exercises.is_empty() && !plan.exercises.contains(&exercise.id) {
            continue;
        }
        let unrun = why_unrun(lab, plan, built, exercise)?;
        let mut report = blank(lab, exercise, built);
        for check in in_source_order(lab, exercise, &names) {
            report
                .checks
                .push(CheckReport::unrun(&check, unrun.unwrap_or(Status::Passed)));
            if unrun.is_none() {
                for round in 0..plan.repeat {
                    tasks.push((exercises.len(), report.checks.len() - 1, round));
                }
            }
        }
        report.judge();
        exercises.push(report);
    }
    // Round by round, so that a slow exercise does not hold back the first verdicts.
    tasks.sort_by_key(|(_, _, round)| *round);
    let mut left: BTreeMap<usize, usize> = BTreeMap::new();
    for (exercise, _, _) in &tasks {
        *left.entry(*exercise).or_default() += 1;
    }
    let mut told = tell_finished(&exercises, 0, &left, reporter);
    let (of, mut done) = (tasks.len(), 0);
    let jobs = if pool.is_shared() { 1 } else { plan.jobs };
    let planned: Vec<_> = tasks
        .into_iter()
        .map(|(e, c, round)| {
            let module = exercises[e].id.replace('-', "_");
            let name = format!("{module}::{}", exercises[e].checks[c].name);
            (e, c, round, name)
        })
        .collect();
    // In the order in which they began.
    let under_way = Mutex::new(Vec::new());
    let under_way = &under_way;
    let mut results =
        futures_util::stream::iter(planned.into_iter().map(|(e, c, round, name)| async move {
            under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((e, c));
            let seed = plan.seed.wrapping_add(u64::from(round));
            let exercise = lab
                .manifest
                .exercises
                .iter()
                .find(|exercise| name.starts_with(&format!("{}::", exercise.module())));
            let result = judge_one(session, &name, exercise, seed).await;
            (e, c, result)
        }))
        .buffer_unordered(jobs.max(1));
    while let Some((e, c, result)) = results.next().await {
        merge(&mut exercises[e].checks[c], result?);
        done += 1;
        let current = {
            let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = under_way.iter().position(|check| *check == (e, c));
            ended.map(|ended| under_way.remove(ended));
            under_way.first().copied()
        };
        let current = current.map(|(e, c)| words::sentence(&exercises[e].checks[c].name));
        reporter.advance(done, of, current.as_deref());
        if let Some(count) = left.get_mut(&e) {
            *count -= 1;
            if *count == 0 {
                left.remove(&e);
                exercises[e].judge();
                told = tell_finished(&exercises, told, &left, reporter);
            }
        }
    }
    Ok(exercises)
}

/// Reports the exercises from `told` on that have nothing left to run, in the lab's order;
/// says where it stopped.
fn tell_finished(
    exercises: &[ExerciseReport],
    told: usize,
    left: &BTreeMap<usize, usize>,
    reporter: &dyn Reporter,
) -> usize {
    let mut next = told;
    while next < exercises.len() && !left.contains_key(&next) {
        reporter.exercise(&exercises[next]);
        next += 1;
    }
    next
}

async fn judge_one(
    session: &Session<'_>,
    name: &str,
    exercise: Option<&Exercise>,
    seed: u64,
) -> anyhow::Result<CheckReport> {
    let Session {
        plan,
        built,
        pool,
        folder,
        reporter,
        ..
    } = *session;
    let own = check_folder(folder)?;
    let config = match exercise.and_then(|exercise| exercise.config.as_ref()) {
        Some(file) => {
            let text = built
                .files
                .contents
                .get(file)
                .context("a config is a file")?;
            let path = own.join("service.conf");
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            Some((path, file))
        }
        None => None,
    };
    let path = config.as_ref().map(|(path, _)| path.as_path());
    let lease = match pool.lease(path, built.prepare.as_ref(), reporter).await {
        Ok(lease) => lease,
        Err(refusal) => {
            let _ = fs::remove_dir_all(&own);
            return refused(name, refusal, config.map(|(_, file)| file));
        }
    };
    let assignment = Assignment {
        long_values: plan.long_values,
        ..assignment(built, &lease, &own, seed)
    };
    let rule = plan.variant.may_reach_todo();
    let mut sandboxes = Sandboxes::of(pool);
    let result = judge::run(&built.checks, name, &assignment, rule, &mut sandboxes).await;
    sandboxes.end(reporter).await;
    pool.give_back(lease, reporter).await;
    // What the app left there is nobody's any more; the keeper removes what stays.
    let _ = fs::remove_dir_all(&own);
    result
}

/// What a check is given: the app, the servers of a lease, a folder of its own.
pub(crate) fn assignment(built: &Built, lease: &Lease, folder: &Path, seed: u64) -> Assignment {
    Assignment {
        seed,
        app: built.app.clone(),
        app_uid: app_uid(),
        folder: folder.to_owned(),
        exercise_files: built.exercise_files.clone(),
        services: lease.targets(),
        long_values: false,
        echo: false,
        record: true,
    }
}

/// The user that an app is to run as, where we can choose.
pub(crate) fn app_uid() -> Option<u32> {
    geteuid().is_root().then_some(APP_USER)
}

/// A folder that one check and its apps have to themselves.
pub(crate) fn check_folder(folder: &RunFolder) -> anyhow::Result<PathBuf> {
    let own = tempfile::Builder::new()
        .prefix("check-")
        .tempdir_in(folder.path())
        .context("making a folder for a check")?
        .keep();
    if let Some(uid) = app_uid() {
        chown(&own, Some(uid), Some(uid)).context("giving the app its folder")?;
    }
    Ok(own)
}

fn refused(name: &str, refusal: Refusal, file: Option<&PathBuf>) -> anyhow::Result<CheckReport> {
    let name = judge::short_name(name);
    Ok(match refusal {
        // The same for all checks: told once, and no verdict is to be had.
        Refusal::Unprepared(_) => bail!(refusal.into_fault()),
        Refusal::Unavailable(reason) => {
            let mut report = CheckReport::unrun(name, Status::Unavailable);
            report.reason = Some(reason);
            report
        }
        Refusal::Config(words) => {
            let file = file.map_or_else(String::new, |file| file.display().to_string());
            let mut report = CheckReport::unrun(name, Status::Failed);
            report.finding = Some(Finding {
                did: format!("started the server with your {file}"),
                saw: format!("it was refused: {words}"),
                expected: "a configuration that the server starts with".to_owned(),
                why: "a server that does not start after a change is an outage".to_owned(),
            });
            report
        }
    })
}

/// The worst run decides, and with it its finding.
fn merge(report: &mut CheckReport, run: CheckReport) {
    let passed = report.runs_passed + run.runs_passed;
    let slowest = report.duration_ms.max(run.duration_ms);
    if run.status > report.status || report.duration_ms == 0.0 {
        *report = run;
    }
    report.runs_passed = passed;
    report.duration_ms = slowest;
}

/// Why the checks of an exercise need not be run, if so.
fn why_unrun(
    lab: &Lab,
    plan: &Plan,
    built: &Built,
    exercise: &Exercise,
) -> anyhow::Result<Option<Status>> {
    if built.broken.contains_key(&exercise.id) {
        return Ok(Some(Status::DoesNotCompile));
    }
    let untouched = plan.variant.may_be_unstarted() && built.files.is_starter(lab, exercise)?;
    Ok(untouched.then_some(Status::NotStarted))
}

fn blank(lab: &Lab, exercise: &Exercise, built: &Built) -> ExerciseReport {
    ExerciseReport {
        id: exercise.id.clone(),
        title: exercise.title.clone(),
        status: Status::NotStarted,
        points: exercise.points,
        compile_error: built.broken.get(&exercise.id).cloned(),
        files: exercise.files.iter().map(|file| lab.shown(file)).collect(),
        prediction: None,
        checks: Vec::new(),
    }
}

/// The names of all checks in the binary: libtest is asked, nothing lists them twice.
pub(crate) fn list(checks: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = tests(checks)?;
    names.retain(|name| name != play::NAME);
    if names.is_empty() {
        bail!(Fault::new(
            Whose::Lab,
            "the lab's checks binary holds no check",
            "CONTRIBUTING.md, \"Write a lab\""
        ));
    }
    Ok(names)
}

/// Whether the lab's service can be played with.
pub(crate) fn has_playground(checks: &Path) -> anyhow::Result<bool> {
    Ok(tests(checks)?.iter().any(|name| name == play::NAME))
}

fn tests(checks: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(checks)
        .args(["--list", "--format", "terse"])
        .output()
        .context("asking for the names of the checks")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// The checks of an exercise as their author ordered them; libtest sorts by name.
fn in_source_order(lab: &Lab, exercise: &Exercise, names: &[String]) -> Vec<String> {
    let module = exercise.module();
    let source = lab.folder.join(format!("checks/tests/checks/{module}.rs"));
    let source = fs::read_to_string(source).unwrap_or_default();
    let mut own: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_prefix(&module)?.strip_prefix("::"))
        .map(str::to_owned)
        .collect();
    own.sort_by_key(|name| source.find(&format!("fn {name}(")).unwrap_or(usize::MAX));
    own
}
