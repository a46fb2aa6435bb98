//! The exercise files of one attempt: the learner's, the reference, a submission, a
//! mutant — all of them the same thing, files that are laid over the pristine lab.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::fault::{Fault, Whose};
use crate::lab::{Exercise, Lab, overlay_path};
use crate::starter;

/// A larger file is no exercise file: nobody writes that much by hand.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Which attempt.
#[derive(Clone, Debug)]
pub(crate) enum Variant {
    /// What stands in the checkout.
    Working,
    /// What a learner starts from, derived from the reference.
    Starter,
    /// The reference.
    Solution,
    /// A folder with somebody's exercise files: a checkout, or a lab's folder.
    Submission(PathBuf),
    /// A right answer unlike the reference, below `alternatives/`.
    Alternative(String),
    /// The reference with a patch over it.
    Mutant(String),
    /// What the lab's benchmark is held against, below `bench/baseline/`.
    Baseline,
    /// What `start` begins with, or, once its call was written, ends with.
    FirstWin {
        /// Whether it was.
        done: bool,
    },
}

/// The exercise files of one attempt, by path below the lab's folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// What each file holds.
    pub(crate) contents: BTreeMap<PathBuf, String>,
    /// By exercise: why its files cannot be taken; the starter stands in for them.
    pub(crate) refused: BTreeMap<String, String>,
}

impl Variant {
    /// The word in reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Working => "working".to_owned(),
            Self::Starter => "starter".to_owned(),
            Self::Solution => "solution".to_owned(),
            Self::Submission(_) => "submission".to_owned(),
            Self::Alternative(name) => format!("alternatives/{name}"),
            Self::Mutant(name) => format!("mutants/{name}"),
            Self::Baseline => "baseline".to_owned(),
            Self::FirstWin { done: false } => "start".to_owned(),
            Self::FirstWin { done: true } => "start, with its call".to_owned(),
        }
    }

    /// Whether an exercise whose files equal the starter is reported as not started.
    pub(crate) fn may_be_unstarted(&self) -> bool {
        matches!(self, Self::Working | Self::Submission(_))
    }

    /// Whether a `todo!()` that was reached means not started; an author wants to know what
    /// the checks themselves make of a starter.
    pub(crate) fn may_reach_todo(&self) -> bool {
        !matches!(self, Self::Starter)
    }

    /// Reads all exercise files of the lab as this attempt has them.
    pub(crate) fn files(&self, lab: &Lab) -> anyhow::Result<Files> {
        let mut files = Files::default();
        for exercise in &lab.manifest.exercises {
            for file in &exercise.files {
                let content = match self {
                    Self::Working => learner_file(&lab.folder, file),
                    Self::Submission(folder) => learner_file(&submitted(folder, lab)?, file),
                    Self::Starter => Ok(starter_of(lab, file)?),
                    Self::Solution | Self::Mutant(_) | Self::FirstWin { .. } => {
                        Ok(solution_of(lab, file)?)
                    }
                    Self::Alternative(name) => {
                        Ok(over_solution(lab, &format!("alternatives/{name}"), file)?)
                    }
                    Self::Baseline => Ok(over_solution(lab, "bench/baseline", file)?),
                };
                let content = match content {
                    Ok(content) => content,
                    Err(why) => {
                        let shown = lab.shown(file);
                        let id = exercise.id.clone();
                        files.refused.insert(id, format!("{shown} {why}"));
                        starter_of(lab, file)?
                    }
                };
                files.contents.insert(file.clone(), content);
            }
        }
        if let Self::Mutant(name) = self {
            let mutant = crate::mutant::Mutant::read(lab, name)?;
            mutant.apply(&mut files.contents)?;
        }
        if let (Self::FirstWin { done }, Some(start)) = (self, &lab.manifest.start) {
            let (_, file) = lab.begun_by(start)?;
            let text = lab.started(start, *done)?;
            files.contents.insert(file.to_owned(), text);
        }
        Ok(files)
    }
}

impl Files {
    /// Whether nothing of the exercise was changed yet.
    pub(crate) fn is_starter(&self, lab: &Lab, exercise: &Exercise) -> anyhow::Result<bool> {
        for file in &exercise.files {
            let starter = starter_of(lab, file)?;
            let own = self.contents.get(file).map_or("", String::as_str);
            // An editor or a Windows checkout may end lines its own way.
            if !own
                .lines()
                .map(str::trim_end)
                .eq(starter.lines().map(str::trim_end))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lays the starter over an exercise that does not compile.
    pub(crate) fn set_starter(&mut self, lab: &Lab, exercise: &Exercise) -> anyhow::Result<()> {
        for file in &exercise.files {
            self.contents.insert(file.clone(), starter_of(lab, file)?);
        }
        Ok(())
    }
}

/// The starter of one exercise file.
pub(crate) fn starter_of(lab: &Lab, file: &Path) -> anyhow::Result<String> {
    let path = lab.solution_of(file);
    starter::derive(&solution_of(lab, file)?).map_err(|error| {
        Fault::new(
            Whose::Lab,
            format!("{}: {error}", path.display()),
            "CONTRIBUTING.md, \"Write a lab\", describes the markers",
        )
        .into()
    })
}

/// The reference of one exercise file.
pub(crate) fn solution_of(lab: &Lab, file: &Path) -> anyhow::Result<String> {
    let path = lab.solution_of(file);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The file as a folder of the lab has it, else as the reference does.
fn over_solution(lab: &Lab, folder: &str, file: &Path) -> anyhow::Result<String> {
    let own = lab.folder.join(folder).join(overlay_path(file));
    fs::read_to_string(own).or_else(|_| solution_of(lab, file))
}

fn submitted(folder: &Path, lab: &Lab) -> anyhow::Result<PathBuf> {
    let inside = folder.join("labs").join(&lab.name);
    if inside.is_dir() {
        return Ok(inside);
    }
    if !folder.is_dir() {
        bail!(Fault::new(
            Whose::Usage,
            format!("there is no folder {}", folder.display()),
            "--submission takes a checkout, or a folder that holds the lab's exercise files"
        ));
    }
    Ok(folder.to_owned())
}

/// A file that somebody else wrote: a plain file of a sensible size, nothing else. The
/// error says what it is instead.
fn learner_file(folder: &Path, file: &Path) -> Result<String, String> {
    let mut path = folder.to_owned();
    for part in file {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Err(_) => return Err("is missing".to_owned()),
            // Through a link a submission could hand in a file of the machine it is graded on.
            Ok(about) if about.is_symlink() => return Err("is or lies behind a link".to_owned()),
            Ok(about) if about.len() > LARGEST_FILE => {
                return Err(format!("is larger than {LARGEST_FILE} bytes"));
            }
            Ok(_) => {}
        }
    }
    if !path.is_file() {
        return Err("is no plain file".to_owned());
    }
    match fs::read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err("is not UTF-8 text".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
