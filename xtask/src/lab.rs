//! A lab: one folder below `labs/`, and what its `lab.toml` says.
//!
//! Nothing else in the repository knows which labs there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::fault::{Fault, Whose};
use crate::services::{self, Service};

/// The newest `lab.toml` that this runner reads.
const FORMAT_VERSION: u32 = 1;

/// Marks the line of an unfinished file below which the call is missing.
pub(crate) const HERE: &str = "HERE";

/// Whether a line is so marked; `WHERE` is another word.
pub(crate) fn says_here(line: &str) -> bool {
    line.split_whitespace().any(|word| word == HERE)
}

/// A lab on disk.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    /// The folder's name, the package's name and the word on the command line.
    pub(crate) name: String,
    /// `labs/NAME`, absolute.
    pub(crate) folder: PathBuf,
    /// What `lab.toml` says.
    pub(crate) manifest: Manifest,
}

/// `lab.toml`. Unknown keys are refused: a typing error must not be a silent default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Which form of this file it is.
    pub(crate) format_version: u32,
    /// `Caching with Redis`.
    pub(crate) title: String,
    /// The skill that a job advertisement would name.
    pub(crate) skill: String,
    /// What a learner can do afterwards.
    pub(crate) outcome: String,
    /// 1 (first steps) to 5.
    pub(crate) level: u8,
    /// Labs that should come first.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    /// Real services that the checks need.
    #[serde(default)]
    pub(crate) services: Vec<String>,
    /// The first quarter of an hour: `cargo xtask start`.
    #[serde(default)]
    pub(crate) start: Option<Start>,
    /// What `cargo xtask bench` measures.
    #[serde(default)]
    pub(crate) bench: Option<Bench>,
    /// In the order in which they are best solved.
    #[serde(default, rename = "exercise")]
    pub(crate) exercises: Vec<Exercise>,
}

/// One exercise of a lab.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exercise {
    /// The word on the command line; with underscores, the module of its checks.
    pub(crate) id: String,
    /// `Cache-aside reads`.
    pub(crate) title: String,
    /// 1 to 5.
    pub(crate) level: u8,
    /// All that a learner edits and all that a submission carries, below the lab's folder.
    pub(crate) files: Vec<PathBuf>,
    /// What it counts in a grade.
    pub(crate) points: u32,
    /// One at a time, each a step closer.
    pub(crate) hints: Vec<String>,
    /// The one of `files` that its service is started with.
    #[serde(default)]
    pub(crate) config: Option<PathBuf>,
    /// The number that a learner guesses before the first check.
    #[serde(default)]
    pub(crate) predict: Option<Predict>,
}

/// The first win: a shop that wants one call, and a number that shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The exercise that begins so; it has one file, and a number to guess.
    pub(crate) exercise: String,
    /// What is laid over its starter: complete but for the call, with a line that says `HERE`.
    pub(crate) unfinished: PathBuf,
    /// What is asked, where the question of its `predict` would give the answer away.
    #[serde(default)]
    pub(crate) question: Option<String>,
    /// What the learner meets.
    pub(crate) story: String,
    /// What is missing below the line that says `HERE`.
    pub(crate) call: String,
    /// What was learned.
    pub(crate) moral: String,
}

/// A benchmark: the package `LAB-bench`, and `bench/baseline/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bench {
    /// The `[[bench]]` of that package.
    pub(crate) target: String,
    /// What the baseline is called: `no cache`.
    pub(crate) baseline: String,
    /// What has to be known to read the figures.
    pub(crate) about: String,
}

/// A number to guess, and the check that measures it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Predict {
    /// What is asked: "How often is the catalogue asked?"
    pub(crate) question: String,
    /// The check of this exercise that measures it, by its function's name.
    pub(crate) check: String,
}

impl Exercise {
    /// The module of its checks: `cache_aside`.
    pub(crate) fn module(&self) -> String {
        self.id.replace('-', "_")
    }
}

impl Lab {
    /// The exercise that the first win belongs to, and its one file.
    pub(crate) fn begun_by(&self, start: &Start) -> anyhow::Result<(&Exercise, &Path)> {
        let exercise = self.exercise(&start.exercise)?;
        match (exercise.files.as_slice(), &exercise.predict) {
            ([file], Some(_)) => Ok((exercise, file)),
            _ => bail!(Fault::new(
                Whose::Lab,
                format!(
                    "labs/{}/lab.toml: [start] wants an exercise with one file and a `predict`",
                    self.name
                ),
                "CONTRIBUTING.md, \"Write a lab\", describes the file"
            )),
        }
    }

    /// The file of the first win: as the learner meets it, or with the call in its place.
    pub(crate) fn started(&self, start: &Start, done: bool) -> anyhow::Result<String> {
        let path = self.folder.join(&start.unfinished);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let Some(here) = text.lines().find(|line| says_here(line)) else {
            bail!(Fault::new(
                Whose::Lab,
                format!("{} has no line that says {HERE}", path.display()),
                "CONTRIBUTING.md, \"Write a lab\", describes the file"
            ));
        };
        if !done {
            return Ok(text);
        }
        let indent: String = here.chars().take_while(|c| c.is_whitespace()).collect();
        let call = textwrap::indent(&start.call, &indent);
        Ok(text.replacen(here, &format!("{here}\n{call}"), 1))
    }

    /// The exercise of that id; the nearest one is suggested where there is none.
    pub(crate) fn exercise(&self, id: &str) -> anyhow::Result<&Exercise> {
        if let Some(found) = self.manifest.exercises.iter().find(|e| e.id == id) {
            return Ok(found);
        }
        let ids = || self.manifest.exercises.iter().map(|e| e.id.as_str());
        // The brief numbers them.
        let numbered = id.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let near = match numbered {
            Some(n) => ids().nth(n),
            None => nearest(id, ids()),
        };
        let hint = near.map_or_else(
            || format!("`cargo xtask list {}` shows the exercises", self.name),
            |near| format!("did you mean `{}/{near}`?", self.name),
        );
        bail!(Fault::new(
            Whose::Usage,
            format!("the lab `{}` has no exercise `{id}`", self.name),
            hint
        ))
    }

    /// A path below the lab's folder, as a reader sees it: `labs/caching/src/x.rs`.
    pub(crate) fn shown(&self, file: &Path) -> String {
        format!("labs/{}/{}", self.name, file.display())
    }

    /// Where the reference of one of an exercise's files is.
    pub(crate) fn solution_of(&self, file: &Path) -> PathBuf {
        self.folder.join("solution").join(overlay_path(file))
    }
}

/// Where an exercise file stands in `solution/` and in an alternative: `src/` is left out.
pub(crate) fn overlay_path(file: &Path) -> &Path {
    file.strip_prefix("src").unwrap_or(file)
}

/// All labs, by name. A folder without `lab.toml` is no lab and is passed over.
pub(crate) fn all(root: &Path) -> anyhow::Result<Vec<Lab>> {
    let folder = root.join("labs");
    let mut names = BTreeSet::new();
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.path().join("lab.toml").is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.iter().map(|name| read(root, name)).collect()
}

/// The lab of that name; the nearest one is suggested where there is none.
pub(crate) fn find(root: &Path, name: &str) -> anyhow::Result<Lab> {
    let folder = root.join("labs").join(name);
    let plain = !name.is_empty() && !name.contains(['/', '\\', '.']);
    if plain && folder.join("lab.toml").is_file() {
        return read(root, name);
    }
    if plain && folder.is_dir() {
        bail!(Fault::new(
            Whose::Usage,
            format!("labs/{name} is no lab: it has no lab.toml"),
            "`cargo xtask list` shows the labs, `cargo xtask new-lab NAME` makes one"
        ));
    }
    // A broken neighbour must not hide the suggestion.
    let names: Vec<String> = fs::read_dir(root.join("labs"))
        .map(|entries| {
            entries
                .flatten()
                .filter(|entry| entry.path().join("lab.toml").is_file())
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    let near = match lab_with_exercise(root, name) {
        Some(lab) => Some(format!("{lab}/{name}")),
        None => nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
    };
    let hint = near.map_or_else(
        || "`cargo xtask list` shows the labs".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    bail!(Fault::new(
        Whose::Usage,
        format!("there is no lab `{name}`"),
        hint
    ))
}

/// The lab that has an exercise of that id: its name was left out.
fn lab_with_exercise(root: &Path, id: &str) -> Option<String> {
    let mut labs = all(root).ok()?.into_iter();
    labs.find(|lab| lab.exercise(id).is_ok())
        .map(|lab| lab.name)
}

fn read(root: &Path, name: &str) -> anyhow::Result<Lab> {
    let folder = root.join("labs").join(name);
    let path = folder.join("lab.toml");
    let shown = format!("labs/{name}/lab.toml");
    let wrong = |what: String| {
        Fault::new(
            Whose::Lab,
            format!("{shown}: {what}"),
            "CONTRIBUTING.md, \"Write a lab\", describes the file",
        )
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    if text.trim().is_empty() {
        bail!(wrong(
            "the file is empty; expected `format_version = 1`, title, exercises".into()
        ));
    }
    // Read on its own first: a newer file may hold keys that this runner does not know.
    if let Ok(Versioned { format_version }) = toml::from_str(&text)
        && *format_version.get_ref() > FORMAT_VERSION
    {
        let line = text[..format_version.span().start].lines().count().max(1);
        let format_version = format_version.into_inner();
        bail!(wrong(format!(
            "line {line}: format_version is {format_version}, this runner reads up to {FORMAT_VERSION}; \
             update the checkout"
        )));
    }
    let manifest: Manifest =
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    let faults = faults(&manifest);
    if !faults.is_empty() {
        bail!(wrong(faults.join("; ")));
    }
    Ok(Lab {
        name: name.to_owned(),
        folder,
        manifest,
    })
}

#[derive(Deserialize)]
struct Versioned {
    format_version: toml::Spanned<u32>,
}

/// What the types cannot say, all at once.
fn faults(manifest: &Manifest) -> Vec<String> {
    let mut faults = Vec::new();
    if manifest.format_version != FORMAT_VERSION {
        faults.push(format!("format_version must be {FORMAT_VERSION}"));
    }
    if manifest.exercises.is_empty() {
        faults.push("there is no [[exercise]]".to_owned());
    }
    let mut ids = BTreeSet::new();
    for exercise in &manifest.exercises {
        let id = &exercise.id;
        let plain = id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if id.is_empty() || !plain {
            faults.push(format!("the id `{id}` is not made of a-z, 0-9 and `-`"));
        }
        if !ids.insert(id) {
            faults.push(format!("two exercises have the id `{id}`"));
        }
        if exercise.files.is_empty() {
            faults.push(format!("`{id}` lists no files"));
        }
        for file in &exercise.files {
            let inside = file
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !inside {
                faults.push(format!(
                    "`{id}`: {} leaves the lab's folder",
                    file.display()
                ));
            }
        }
        if exercise
            .config
            .as_ref()
            .is_some_and(|config| !exercise.files.contains(config))
        {
            faults.push(format!("`{id}`: config is none of its files"));
        }
        let services = manifest.services.iter().filter_map(|it| services::find(it));
        let mut leased = services.filter_map(Service::leased);
        if exercise.config.is_some() && !leased.any(|leased| leased.config.is_some()) {
            faults.push(format!("`{id}`: no service of this lab takes a config"));
        }
        if !(1..=5).contains(&exercise.level) {
            faults.push(format!("`{id}`: level must be 1 to 5"));
        }
        if exercise.hints.is_empty() {
            faults.push(format!("`{id}` has no hints"));
        }
    }
    faults
}

/// The candidate that a person most likely meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A path as a reader in the checkout sees it.
pub(crate) fn shown_below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::says_here;

    #[test]
    fn a_where_in_a_query_marks_no_line() {
        assert!(says_here("    // HERE the product is known"));
        assert!(!says_here("-- SELECT total FROM orders WHERE id = 1"));
    }
}
