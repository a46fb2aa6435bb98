//! What the learner has done, by day and by check. Kept in the checkout, beside git and
//! outside of cargo's target folder, so that `cargo clean` does not take it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::checkout::{Checkout, lock};
use crate::fault::{Fault, Whose};
use crate::lab::{Exercise, Lab};
use crate::provider::Notes;
use crate::report::{Open, Outlook, Report, Status};

/// All of it; labs, exercises and checks that are gone stay until they come back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The form of this file.
    pub(crate) format_version: u32,
    /// By lab.
    pub(crate) labs: BTreeMap<String, LabProgress>,
}

/// What was done in one lab.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabProgress {
    /// By `exercise/check`.
    #[serde(default)]
    pub(crate) checks: BTreeMap<String, CheckProgress>,
    /// By exercise: how many hints were shown.
    #[serde(default)]
    pub(crate) hints: BTreeMap<String, usize>,
    /// Exercises whose solution was looked at before they passed.
    #[serde(default)]
    pub(crate) peeked: BTreeSet<String>,
    /// By exercise: the number that was guessed; none where nothing was.
    #[serde(default)]
    pub(crate) guesses: BTreeMap<String, Option<u64>>,
    /// Exercises whose guess was shown beside what was measured.
    #[serde(default)]
    pub(crate) told: BTreeSet<String>,
    /// By day (UTC): how often the checks were run.
    #[serde(default)]
    pub(crate) attempts: BTreeMap<String, u32>,
}

/// How one check stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckProgress {
    /// In the last run that judged it; none once the lab has no such check any more.
    pub(crate) last: Option<Status>,
    /// The day (UTC) on which it first passed.
    pub(crate) first_passed: Option<String>,
}

const FORMAT_VERSION: u32 = 1;

/// Where progress is kept.
pub(crate) fn file(checkout: &Checkout) -> PathBuf {
    checkout.state().join("progress.json")
}

/// Reads it. A file that cannot be read is set aside, never written over.
pub(crate) fn read(checkout: &Checkout, notes: &dyn Notes) -> Progress {
    read_or_set_aside(checkout, notes).unwrap_or_else(|error| {
        notes.note(&format!("{error:#}"));
        Progress::default()
    })
}

fn read_or_set_aside(checkout: &Checkout, notes: &dyn Notes) -> anyhow::Result<Progress> {
    let path = file(checkout);
    let why = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Progress::default()),
        Err(error) => format!("cannot be read ({error})"),
        Ok(bytes) => match serde_json::from_slice::<Progress>(&bytes) {
            Ok(progress) if progress.format_version <= FORMAT_VERSION => return Ok(progress),
            Ok(_) => "is of a newer runner".to_owned(),
            Err(error) => format!("cannot be read ({error})"),
        },
    };
    let aside =
        set_aside(&path).with_context(|| format!("progress.json {why} and cannot be set aside"))?;
    notes.note(&format!(
        "progress.json {why}: it was set aside as {} and a new one is begun",
        aside.display()
    ));
    Ok(Progress::default())
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = (1..1000)
        .map(|number| path.with_file_name(format!("progress.json.unreadable-{number}")))
        .find(|candidate| !candidate.exists())
        .ok_or_else(|| io::Error::other("too many were set aside before"))?;
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Reads, changes and writes it, alone among runs; gives back what it then is. Progress is
/// never worth a failed run: where it cannot be written, that is said and the verdict stands.
pub(crate) fn change(
    checkout: &Checkout,
    notes: &dyn Notes,
    change: impl FnOnce(&mut Progress),
) -> Progress {
    let turn = fs::create_dir_all(checkout.state())
        .map_err(anyhow::Error::from)
        .and_then(|()| lock(&checkout.state().join("lock"), || {}));
    // What cannot be read and not be set aside is not written over.
    let (mut progress, readable) = match read_or_set_aside(checkout, notes) {
        Ok(progress) => (progress, Ok(())),
        Err(error) => (Progress::default(), Err(error)),
    };
    progress.format_version = FORMAT_VERSION;
    change(&mut progress);
    let written = turn.and_then(|_turn| {
        readable?;
        write(&file(checkout), &progress)
    });
    if let Err(error) = written {
        let fault = Fault::new(
            Whose::Machine,
            format!("progress was not saved: {error:#}"),
            "`cargo xtask doctor` looks at disk and rights",
        );
        notes.note(&format!("{fault}\n\nhint: {}", fault.hint));
    }
    progress
}

/// The whole file or the old one: written beside it, flushed to the disk, renamed.
fn write(path: &Path, progress: &Progress) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut fresh, progress)?;
    fresh.write_all(b"\n")?;
    fresh.as_file().sync_all()?;
    fresh.persist(path)?;
    Ok(())
}

impl Progress {
    /// Takes in what a run of the learner's own files showed.
    pub(crate) fn take_in(&mut self, report: &Report) {
        let day = today();
        let lab = self.labs.entry(report.lab.clone()).or_default();
        *lab.attempts.entry(day.clone()).or_default() += 1;
        for exercise in &report.exercises {
            // No verdict is no news.
            let judged = |status| !matches!(status, Status::Unavailable | Status::Error);
            if !exercise.checks.iter().any(|check| judged(check.status)) {
                continue;
            }
            lab.forget(&exercise.id, None);
            for check in exercise.checks.iter().filter(|check| judged(check.status)) {
                let known = lab
                    .checks
                    .entry(format!("{}/{}", exercise.id, check.name))
                    .or_insert(CheckProgress {
                        last: None,
                        first_passed: None,
                    });
                known.last = Some(check.status);
                if check.status == Status::Passed && known.first_passed.is_none() {
                    known.first_passed = Some(day.clone());
                }
            }
        }
    }
}

impl Progress {
    /// The first exercise that did not pass when it was last checked, in the order of the
    /// labs.
    pub(crate) fn open<'a>(
        &self,
        labs: impl IntoIterator<Item = &'a Lab>,
    ) -> Option<(&'a Lab, &'a Exercise)> {
        labs.into_iter().find_map(|lab| {
            let done = self.labs.get(&lab.name);
            let status = |id: &str| done.and_then(|done| done.exercise(id));
            let mut exercises = lab.manifest.exercises.iter();
            let open = exercises.find(|one| status(&one.id) != Some(Status::Passed));
            open.map(|exercise| (lab, exercise))
        })
    }

    /// What the learner may do after a run of `lab`, whose report was taken in.
    pub(crate) fn outlook(&self, lab: &Lab, others: &[Lab]) -> Outlook {
        let own = self.labs.get(&lab.name);
        let shown = |id: &str| own.and_then(|own| own.hints.get(id).copied());
        let hints = lab.manifest.exercises.iter().map(|exercise| {
            let id = exercise.id.clone();
            let shown = shown(&id).unwrap_or(0);
            (id, (shown, exercise.hints.len()))
        });
        let others = others.iter().filter(|other| other.name != lab.name);
        let open = self.open(std::iter::once(lab).chain(others));
        Outlook {
            hints: hints.collect(),
            open: open.map(|(lab, exercise)| Open {
                lab: lab.name.clone(),
                exercise: exercise.id.clone(),
                title: exercise.title.clone(),
                files: exercise.files.iter().map(|file| lab.shown(file)).collect(),
            }),
            begins: self.beginning(lab).map(str::to_owned),
            carried: String::new(),
        }
    }

    /// The exercise of a lab that `start` leads into, where the lab has a beginning and nobody
    /// has begun it otherwise.
    pub(crate) fn beginning<'a>(&self, lab: &'a Lab) -> Option<&'a str> {
        let id = lab.manifest.start.as_ref()?.exercise.as_str();
        let done = self.labs.get(&lab.name).and_then(|own| own.exercise(id));
        done.is_none_or(|status| status == Status::NotStarted)
            .then_some(id)
    }
}

impl LabProgress {
    /// The exercise stands where its checks last put it no more; the days on which they
    /// passed stay.
    pub(crate) fn forget(&mut self, id: &str, now: Option<Status>) {
        let prefix = format!("{id}/");
        let own = self
            .checks
            .iter_mut()
            .filter(|(name, _)| name.starts_with(&prefix));
        for (_, check) in own {
            check.last = now;
        }
    }

    /// Whether one of its checks was ever run; a starter that was left alone is not run.
    pub(crate) fn has_been_judged(&self, id: &str) -> bool {
        let prefix = format!("{id}/");
        self.checks.iter().any(|(name, check)| {
            name.starts_with(&prefix)
                && (check.first_passed.is_some() || check.last != Some(Status::NotStarted))
        })
    }

    /// How an exercise stood when its checks were last run; none if they never were.
    pub(crate) fn exercise(&self, id: &str) -> Option<Status> {
        let prefix = format!("{id}/");
        self.checks
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .filter_map(|(_, check)| check.last)
            .max()
    }
}

/// `2026-11-23`, in UTC: a traveller's days must not run backwards.
fn today() -> String {
    let now = OffsetDateTime::now_utc().date();
    format!(
        "{:04}-{:02}-{:02}",
        now.year(),
        u8::from(now.month()),
        now.day()
    )
}
