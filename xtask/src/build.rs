//! From an attempt to what is run: the checks' binary, and an app in which an exercise that
//! does not compile has been replaced by its starter.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};

use crate::cargo::{self, Diagnostic, Output};
use crate::checkout::{Checkout, lock};
use crate::fault::{Fault, Whose};
use crate::lab::{Bench, Exercise, Lab};
use crate::provider::{Notes, Prepare};
use crate::stage::{self, Profile, Staged};
use crate::variant::{Files, Variant};

/// What a check run needs.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// The app, in the run folder.
    pub(crate) app: PathBuf,
    /// The checks, in the run folder.
    pub(crate) checks: PathBuf,
    /// What fills the lab's databases, where it has something to put there.
    pub(crate) prepare: Option<Prepare>,
    /// By exercise: why it does not compile.
    pub(crate) broken: BTreeMap<String, String>,
    /// The exercise files as they were laid over the lab, starters in place of broken ones.
    pub(crate) files: Files,
    /// The same, in a folder of the run: for checks that use those that are not Rust.
    pub(crate) exercise_files: PathBuf,
}

/// What judges, and what it judges on.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    /// The checks, in the run folder.
    pub(crate) checks: PathBuf,
    /// What fills the lab's databases, where it has something to put there.
    pub(crate) prepare: Option<Prepare>,
}

/// What a benchmark needs.
#[derive(Clone, Debug)]
pub(crate) struct Benchmark {
    /// The program that measures, in the run folder.
    pub(crate) program: PathBuf,
    /// What fills the lab's databases, where it has something to put there.
    pub(crate) prepare: Option<Prepare>,
    /// What it compares, in the order in which it was asked for.
    pub(crate) attempts: Vec<Attempt>,
    /// By exercise: why it does not compile; its starter stands in.
    pub(crate) broken: BTreeMap<String, String>,
}

/// One variant, built to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The app, in the run folder.
    pub(crate) app: PathBuf,
    /// Its exercise files, in a folder of the run.
    pub(crate) exercise_files: PathBuf,
}

/// Builds the checks and the app of `variant`, and copies both into `run`.
pub(crate) fn build(
    checkout: &Checkout,
    lab: &Lab,
    variant: &Variant,
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Built> {
    let files = variant.files(lab)?;
    if matches!(variant, Variant::Working) && files.refused.is_empty() {
        return in_place(checkout, lab, files, run, notes);
    }
    let judge = judge(checkout, lab, run, notes)?;
    app(checkout, lab, files, &judge, run, notes)
}

/// The checks and what they need, alone: an author's proof needs them once for many variants.
pub(crate) fn judge(
    checkout: &Checkout,
    lab: &Lab,
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Judge> {
    let _turn = turn(checkout, notes)?;
    let output = cargo::build(checkout, &packages(lab, false), notes)?;
    if let Some(error) = output.errors.first() {
        bail!(course_fault("the checks do not compile", error));
    }
    judge_of(lab, &output, run)
}

/// What fills the lab's databases, where it has something to put there.
pub(crate) fn prepare(
    checkout: &Checkout,
    lab: &Lab,
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Option<Prepare>> {
    match prepare_of(lab) {
        Some(_) => Ok(judge(checkout, lab, run, notes)?.prepare),
        None => Ok(None),
    }
}

fn judge_of(lab: &Lab, output: &Output, run: &Path) -> anyhow::Result<Judge> {
    Ok(Judge {
        checks: into_run(output.executable("checks")?, run, "checks")?,
        prepare: match prepare_of(lab) {
            Some(name) => {
                let program = into_run(output.executable(&name)?, run, "prepare")?;
                Some(Prepare::of(program)?)
            }
            None => None,
        },
    })
}

/// The program of a lab's checks that fills its databases, where there is one. The lab's name
/// is part of its own: cargo documents no two programs of one name in a workspace.
fn prepare_of(lab: &Lab) -> Option<String> {
    let name = format!("{}-prepare", lab.name);
    let source = lab.folder.join(format!("checks/src/bin/{name}.rs"));
    source.is_file().then_some(name)
}

/// The app with `files` laid over the pristine lab.
pub(crate) fn app(
    checkout: &Checkout,
    lab: &Lab,
    mut files: Files,
    judge: &Judge,
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Built> {
    let mut broken = files.refused.clone();
    let app = staged(checkout, lab, &mut files, &mut broken, Profile::Dev, notes)?;
    Ok(Built {
        app: app_into_run(&app, run)?,
        checks: judge.checks.clone(),
        prepare: judge.prepare.clone(),
        broken,
        exercise_files: files_into_run(&files, run)?,
        files,
    })
}

/// A benchmark of the lab, and what it compares: each of these variants, as production runs it.
pub(crate) fn benchmark(
    checkout: &Checkout,
    lab: &Lab,
    bench: &Bench,
    variants: &[Variant],
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Benchmark> {
    let turn = turn(checkout, notes)?;
    let arguments = [
        "--release".to_owned(),
        format!("--package={}-bench", lab.name),
        format!("--bench={}", bench.target),
    ];
    let output = cargo::build(checkout, &arguments, notes)?;
    if let Some(error) = output.errors.first() {
        bail!(course_fault("the benchmark does not compile", error));
    }
    let program = into_run(output.executable(&bench.target)?, run, "bench")?;
    drop(turn);
    let mut attempts = Vec::new();
    let mut broken = BTreeMap::new();
    for variant in variants {
        let mut files = variant.files(lab)?;
        let mut own = files.refused.clone();
        let app = staged(checkout, lab, &mut files, &mut own, Profile::Release, notes)?;
        attempts.push(Attempt {
            app: app_into_run(&app, run)?,
            exercise_files: files_into_run(&files, run)?,
        });
        broken.append(&mut own);
    }
    Ok(Benchmark {
        program,
        prepare: prepare(checkout, lab, run, notes)?,
        attempts,
        broken,
    })
}

/// The learner's files where they stand: one call of cargo, and nothing that their own
/// `cargo build` or editor has compiled is compiled again.
fn in_place(
    checkout: &Checkout,
    lab: &Lab,
    mut files: Files,
    run: &Path,
    notes: &dyn Notes,
) -> anyhow::Result<Built> {
    let turn = turn(checkout, notes)?;
    let output = cargo::build(checkout, &packages(lab, true), notes)?;
    if output.errors.is_empty() {
        let judge = judge_of(lab, &output, run)?;
        return Ok(Built {
            app: app_into_run(output.executable(&lab.name)?, run)?,
            checks: judge.checks,
            prepare: judge.prepare,
            broken: BTreeMap::new(),
            exercise_files: files_into_run(&files, run)?,
            files,
        });
    }
    drop(turn);
    let judge = judge(checkout, lab, run, notes)?;
    let mut broken = BTreeMap::new();
    blame(lab, &output.errors, &mut files, &mut broken)?;
    let app = staged(checkout, lab, &mut files, &mut broken, Profile::Dev, notes)?;
    Ok(Built {
        app: app_into_run(&app, run)?,
        checks: judge.checks,
        prepare: judge.prepare,
        broken,
        exercise_files: files_into_run(&files, run)?,
        files,
    })
}

/// One build at a time: between cargo's end and our copy nobody may build another.
fn turn(checkout: &Checkout, notes: &dyn Notes) -> anyhow::Result<fs::File> {
    lock(&checkout.scratch()?.join("build.lock"), || {
        notes.progress("waiting for another run to finish its build");
    })
}

fn course_fault(what: &str, error: &Diagnostic) -> Fault {
    Fault::new(
        Whose::Lab,
        format!("{what}:\n{}", error.rendered.trim_end()),
        "`git status` shows whether files of the course were changed",
    )
}

/// One set of packages in every call: cargo unites features over the set, and a library
/// that is asked for with two feature sets is built twice.
fn packages(lab: &Lab, with_app: bool) -> Vec<String> {
    let mut arguments = vec![
        "--package=xtask".to_owned(),
        format!("--package={}", lab.name),
        format!("--package={}-checks", lab.name),
        "--test=checks".to_owned(),
        // Most that a check does is code of tokio's and hyper's that is generic, and compiled
        // here: so it takes three fifths of the time, and no longer to build. Not in the
        // manifest, which would have to name each lab.
        format!(
            "--config=profile.dev.package.{}-checks.opt-level=1",
            lab.name
        ),
    ];
    arguments.extend(prepare_of(lab).map(|name| format!("--bin={name}")));
    if with_app {
        arguments.push(format!("--bin={}", lab.name));
    }
    arguments
}

/// Builds in a slot until what does not compile has been replaced.
fn staged(
    checkout: &Checkout,
    lab: &Lab,
    files: &mut Files,
    broken: &mut BTreeMap<String, String>,
    profile: Profile,
    notes: &dyn Notes,
) -> anyhow::Result<PathBuf> {
    // Each round takes at least one exercise out.
    for _ in 0..=lab.manifest.exercises.len() {
        match stage::build(checkout, lab, files, profile, notes)? {
            Staged::Built(app) => return Ok(app),
            Staged::Broken(errors) => blame(lab, &errors, files, broken)?,
            Staged::Reaches(strangers) => {
                let names: Vec<String> = strangers
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let why = format!(
                    "it takes in files that no submission carries: {}",
                    names.join(", ")
                );
                let suspects = suspects(lab, files, broken)?;
                replace(lab, &suspects, &why, files, broken)?;
            }
        }
    }
    bail!(Fault::new(
        Whose::Lab,
        "the lab's own code does not compile",
        "`git status` shows whether files of the course were changed"
    ))
}

/// Finds the exercises that errors point at and lays the starter over them.
fn blame(
    lab: &Lab,
    errors: &[Diagnostic],
    files: &mut Files,
    broken: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let mut found = false;
    for error in errors {
        for exercise in exercises_in(lab, error) {
            found = true;
            let rendered = broken.entry(exercise.id.clone()).or_default();
            rendered.push_str(&error.rendered);
            files.set_starter(lab, exercise)?;
        }
    }
    if !found {
        // The error shows elsewhere, as when a signature was changed: any exercise that
        // was begun may be the cause.
        let suspects = suspects(lab, files, broken)?;
        let rendered: Vec<&str> = errors.iter().map(|error| error.rendered.as_str()).collect();
        if suspects.is_empty() {
            match errors.first() {
                Some(error) => bail!(course_fault("the lab's own code does not compile", error)),
                None => bail!("cargo failed without an error"),
            }
        }
        replace(lab, &suspects, &rendered.join("\n"), files, broken)?;
    }
    Ok(())
}

/// The exercises that were begun and are not yet known to be broken.
fn suspects<'a>(
    lab: &'a Lab,
    files: &Files,
    broken: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<&'a Exercise>> {
    let mut suspects = Vec::new();
    for exercise in &lab.manifest.exercises {
        if !broken.contains_key(&exercise.id) && !files.is_starter(lab, exercise)? {
            suspects.push(exercise);
        }
    }
    Ok(suspects)
}

fn replace(
    lab: &Lab,
    exercises: &[&Exercise],
    why: &str,
    files: &mut Files,
    broken: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    for exercise in exercises {
        broken.insert(exercise.id.clone(), why.to_owned());
        files.set_starter(lab, exercise)?;
    }
    Ok(())
}

fn exercises_in<'a>(lab: &'a Lab, error: &Diagnostic) -> Vec<&'a Exercise> {
    let mut named = Vec::new();
    for exercise in &lab.manifest.exercises {
        let theirs = exercise.files.iter().any(|file| {
            let shown = PathBuf::from(lab.shown(file));
            error.files.iter().any(|path| path.ends_with(&shown))
        });
        if theirs {
            named.push(exercise);
        }
    }
    named
}

/// The exercise files where the checks of this very attempt find them: what stands in the
/// lab's folder may be another's, or have been saved again since.
fn files_into_run(files: &Files, run: &Path) -> anyhow::Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("files-")
        .tempdir_in(run)
        .context("making a folder for exercise files")?
        .keep();
    for (file, text) in &files.contents {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(folder)
}

/// Copies a program to where cargo does not reach: another build may write the file anew while
/// checks still start it. And where another user may run it, as the app does when we are root.
fn into_run(binary: &Path, run: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let copy = place(run, name);
    fs::copy(binary, &copy).with_context(|| format!("copying {}", binary.display()))?;
    Ok(copy)
}

/// As [`into_run`], by another name for the same file, which costs nothing. Only for an app:
/// cargo removes a program before it is linked again (rust-lang/cargo#8348), but not a test or
/// a benchmark, and some linkers (mold) write into the old file.
fn app_into_run(app: &Path, run: &Path) -> anyhow::Result<PathBuf> {
    let link = place(run, "app");
    match fs::hard_link(app, &link) {
        Ok(()) => Ok(link),
        // Another file system, or one without links.
        Err(_) => into_run(app, run, "app"),
    }
}

/// A name in the run folder that nothing else has.
fn place(run: &Path, name: &str) -> PathBuf {
    static PLACES: AtomicUsize = AtomicUsize::new(0);
    run.join(format!("{name}-{}", PLACES.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_stays_as_it_is_when_a_linker_writes_into_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let checks = folder.path().join("checks");
        fs::write(&checks, "first").expect("written");
        let copy = into_run(&checks, folder.path(), "checks").expect("copied");
        fs::write(&checks, "second").expect("written over");
        assert_eq!(fs::read_to_string(copy).expect("still there"), "first");
    }

    #[test]
    fn an_app_stays_as_it_is_when_cargo_removes_and_makes_it_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let app = folder.path().join("app");
        fs::write(&app, "first").expect("written");
        let link = app_into_run(&app, folder.path()).expect("linked");
        fs::remove_file(&app).expect("removed");
        fs::write(&app, "second").expect("made anew");
        assert_eq!(fs::read_to_string(link).expect("still there"), "first");
    }
}
