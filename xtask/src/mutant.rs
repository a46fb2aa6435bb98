//! A mutant: a known-wrong answer as a patch over the reference, with a head that says
//! why it is wrong, which checks must catch it, and in which words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::fault::{Fault, Whose};
use crate::lab::{Lab, overlay_path};

/// A parsed `mutants/NAME.patch`.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// The file's stem.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) why: String,
    /// Exactly the checks that fail: `cache_aside::a_cached_product_expires`.
    pub(crate) caught_by: BTreeSet<String>,
    /// Checks that may fail as well: what is wrong shows there only in some of the runs.
    pub(crate) by_chance: BTreeSet<String>,
    /// Part of the message that each of them gives.
    pub(crate) says: String,
    patch: String,
}

/// All mutants of a lab, by name.
pub(crate) fn names(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let folder = lab.folder.join("mutants");
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "patch")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl Mutant {
    /// Reads `mutants/NAME.patch`.
    pub(crate) fn read(lab: &Lab, name: &str) -> anyhow::Result<Self> {
        let path = lab.folder.join("mutants").join(format!("{name}.patch"));
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(name, &text).map_err(|error| {
            Fault::new(
                Whose::Lab,
                format!("labs/{}/mutants/{name}.patch: {error}", lab.name),
                "CONTRIBUTING.md, \"Write a lab\", describes the head of a mutant",
            )
            .into()
        })
    }

    fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let (head, patch) = text
            .split_once("\n\n")
            .ok_or_else(|| anyhow!("an empty line must stand between head and patch"))?;
        let field = |key: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .ok_or_else(|| anyhow!("the head has no `{key}:`"))
        };
        let checks = |list: &str| {
            let names = list.split(',').map(|check| check.trim().to_owned());
            names.collect::<BTreeSet<String>>()
        };
        Ok(Self {
            name: name.to_owned(),
            why: field("why")?,
            caught_by: checks(&field("caught-by")?),
            by_chance: field("by-chance").map_or_else(|_| BTreeSet::new(), |list| checks(&list)),
            says: field("says")?,
            patch: patch.to_owned(),
        })
    }

    /// Changes the reference's files, which are keyed by path below the lab's folder.
    pub(crate) fn apply(&self, files: &mut BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
        let fault = |what: String| {
            Fault::new(
                Whose::Lab,
                format!("mutants/{}.patch {what}", self.name),
                "make the patch again from the present solution",
            )
        };
        for part in file_patches(&self.patch) {
            let patch = diffy::Patch::from_str(&part)
                .map_err(|error| fault(format!("does not parse: {error}")))?;
            let target = patch.original().unwrap_or_default();
            let target = target.strip_prefix("a/").unwrap_or(target);
            let (_, content) = files
                .iter_mut()
                .find(|(path, _)| overlay_path(path) == target)
                .ok_or_else(|| fault(format!("changes `{target}`, which is no exercise file")))?;
            *content = diffy::apply(content, &patch)
                .map_err(|error| fault(format!("does not apply to `{target}`: {error}")))?;
        }
        Ok(())
    }
}

/// The patch, file by file: diffy reads one at a time.
fn file_patches(patch: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut lines = patch.lines().peekable();
    while let Some(line) = lines.next() {
        let next_is_target = lines.peek().is_some_and(|next| next.starts_with("+++ "));
        if line.starts_with("--- ") && next_is_target {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}
