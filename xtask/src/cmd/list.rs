//! `cargo xtask list [LAB]`.

use std::io::Write as _;
use std::process::ExitCode;

use crate::checkout::Checkout;
use crate::lab::{self, Lab};
use crate::progress::{self, LabProgress};
use crate::report::style::Look;
use crate::report::{Status, say_notes, words};
use owo_colors::OwoColorize as _;

/// From so many columns on there is room for what an exercise is called beside its name.
const WIDE: usize = 70;

/// Shows every lab, or the exercises of one.
pub(crate) fn list(checkout: &Checkout, name: Option<&str>) -> anyhow::Result<ExitCode> {
    let look = Look::of(&std::io::stdout());
    let progress = progress::read(checkout, &say_notes());
    let mut text = String::new();
    match name {
        Some(name) => {
            let lab = lab::find(&checkout.root, name.trim_end_matches('/'))?;
            let done = progress.labs.get(&lab.name).cloned().unwrap_or_default();
            text.push_str(&exercises(&lab, &done, &look));
        }
        None => {
            for lab in lab::all(&checkout.root)? {
                let done = progress.labs.get(&lab.name).cloned().unwrap_or_default();
                text.push_str(&summary(&lab, &done, &look));
            }
        }
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// One line: the name, a bar, how many exercises are done.
pub(crate) fn summary(lab: &Lab, done: &LabProgress, look: &Look) -> String {
    const BAR: usize = 20;
    let of = lab.manifest.exercises.len();
    let passed = passed(lab, done);
    let filled = (passed * BAR).checked_div(of).unwrap_or(0);
    format!(
        "{:<18} {}{} {passed}/{of}  {}\n",
        lab.name.style(look.strong),
        "█".repeat(filled).style(look.good),
        "░".repeat(BAR - filled).style(look.quiet),
        lab.manifest.title,
    )
}

/// How many exercises passed when they were last checked.
pub(crate) fn passed(lab: &Lab, done: &LabProgress) -> usize {
    lab.manifest
        .exercises
        .iter()
        .filter(|exercise| done.exercise(&exercise.id) == Some(Status::Passed))
        .count()
}

/// One lab: what it is about, and how its exercises stand.
pub(super) fn exercises(lab: &Lab, done: &LabProgress, look: &Look) -> String {
    let about = &lab.manifest;
    let mut text = format!(
        "{} {}\n{}: {}\n",
        about.title.style(look.strong),
        "★".repeat(about.level.into()),
        about.skill,
        about.outcome
    );
    if !about.requires.is_empty() {
        text.push_str(&format!("best after: {}\n", about.requires.join(", ")));
    }
    text.push('\n');
    for exercise in &lab.manifest.exercises {
        let status = done.exercise(&exercise.id).unwrap_or(Status::NotStarted);
        let hints = done.hints.get(&exercise.id).copied().unwrap_or(0);
        let hinted = if hints > 0 {
            format!(", {} shown", words::count(hints, "hint"))
        } else {
            String::new()
        };
        let peeked = if done.peeked.contains(&exercise.id) {
            ", solution seen"
        } else {
            ""
        };
        let title = match look.width < WIDE {
            true => String::new(),
            false => format!("{:<28} ", exercise.title),
        };
        text.push_str(&format!(
            "{} {:<22} {title}{:<5} {}{hinted}{peeked}\n",
            words::sign(status),
            exercise.id,
            "★".repeat(exercise.level.into()),
            words::status(status),
        ));
    }
    text.push_str(&format!("\n{}\n", "★ easy … ★★★★★ hard".style(look.quiet)));
    text
}
