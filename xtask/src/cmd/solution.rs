//! `cargo xtask solution LAB/EXERCISE`: the reference beside the learner's files.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use similar::{ChangeTag, TextDiff};

use crate::checkout::Checkout;
use crate::lab::{Exercise, Lab};
use crate::report::style::Look;
use crate::report::{Status, say_notes};
use crate::{progress, variant};

/// Shows a diff from the learner's files to the reference, once the exercise passes.
pub(crate) fn solution(checkout: &Checkout, target: &str, peek: bool) -> anyhow::Result<ExitCode> {
    let (lab, exercise) = super::one_exercise(checkout, target)?;
    let known = progress::read(checkout, &say_notes());
    let passed = known
        .labs
        .get(&lab.name)
        .and_then(|lab| lab.exercise(&exercise.id))
        == Some(Status::Passed);
    let look = Look::of(&std::io::stdout());
    if !passed && !peek {
        let text = not_yet(&lab, &exercise, &look);
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        return Ok(ExitCode::from(Status::NotStarted.exit_code()));
    }
    if !passed {
        progress::change(checkout, &say_notes(), |progress| {
            let lab = progress.labs.entry(lab.name.clone()).or_default();
            lab.peeked.insert(exercise.id.clone());
        });
    }
    let mut text = format!(
        "{}, {}\n",
        "- yours".style(look.bad),
        "+ the reference".style(look.good)
    );
    for file in &exercise.files {
        let own = fs::read_to_string(lab.folder.join(file)).unwrap_or_default();
        let reference = variant::solution_of(&lab, file)?;
        text.push_str(&format!("{}\n", lab.shown(file).style(look.strong)));
        for change in
            TextDiff::from_lines(&own, without_markers(&reference).as_str()).iter_all_changes()
        {
            let line = change.value().trim_end_matches('\n').to_owned();
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ("-", look.bad),
                ChangeTag::Insert => ("+", look.good),
                ChangeTag::Equal => (" ", look.quiet),
            };
            text.push_str(&format!("{}\n", format!("{sign} {line}").style(style)));
        }
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// What there will be to see, and the two ways there: the work is still to be done.
fn not_yet(lab: &Lab, exercise: &Exercise, look: &Look) -> String {
    let target = format!("{}/{}", lab.name, exercise.id);
    let files: Vec<String> = exercise.files.iter().map(|file| lab.shown(file)).collect();
    let (hint, peek) = (
        format!("cargo xtask hint {target}"),
        format!("cargo xtask solution {target} --peek"),
    );
    format!(
        "{target} does not pass, as far as its last check knows; once it does, this shows how the \
         reference differs from {}\n\nstuck {}\npeek  {}  (shows it now; this is recorded)\n",
        files.join(", "),
        hint.style(look.command),
        peek.style(look.command),
    )
}

/// The reference as a person would have written it: no markers, no prompt.
fn without_markers(reference: &str) -> String {
    let mut text = String::new();
    let mut in_prompt = false;
    for line in reference.lines() {
        if line.contains("BEGIN PROMPT") || line.contains("END PROMPT") {
            in_prompt = line.contains("BEGIN PROMPT");
        } else if !in_prompt && !line.contains("BEGIN SOLUTION") && !line.contains("END SOLUTION") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
