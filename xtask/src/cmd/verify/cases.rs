//! All that is to be proved of one lab: reference, starter, alternatives, mutants.

use std::collections::BTreeSet;

use crate::lab::Lab;
use crate::mutant::{self, Mutant};
use crate::variant::{Files, Variant};

/// One variant that is to be proved, and what is expected of it.
pub(super) struct Case {
    /// What is built.
    pub(super) variant: Variant,
    /// Its exercise files.
    pub(super) files: Files,
    /// The exercises whose files differ from the reference; none: all are judged.
    pub(super) exercises: Vec<String>,
    /// What it says of itself, where it is one.
    pub(super) mutant: Option<Mutant>,
}

/// All that is to be proved; what cannot even be read is a fault.
pub(super) fn cases(
    lab: &Lab,
    checks: &BTreeSet<String>,
    faults: &mut Vec<String>,
) -> anyhow::Result<Vec<Case>> {
    let solution = Variant::Solution.files(lab)?;
    let mut variants = vec![Variant::Solution, Variant::Starter];
    if lab.manifest.start.is_some() {
        variants.extend([false, true].map(|done| Variant::FirstWin { done }));
    }
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
            let both = mutant.caught_by.union(&mutant.by_chance);
            for check in both.filter(|check| !checks.contains(*check)) {
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
