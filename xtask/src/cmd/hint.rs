//! `cargo xtask hint LAB/EXERCISE`: one step more each time.

use std::io::Write as _;
use std::process::ExitCode;

use crate::checkout::Checkout;
use crate::lab::{self, Exercise, Lab};
use crate::provider::Notes;
use crate::report::style::Look;
use crate::report::{Status, say_notes, words};
use crate::{attempt, progress};

/// Shows the hints so far and one more.
pub(crate) fn hint(checkout: &Checkout, target: &str) -> anyhow::Result<ExitCode> {
    let (lab, exercise) = super::one_exercise(checkout, target)?;
    let text = one_more(checkout, &lab, &exercise, &say_notes());
    let mut stdout = std::io::stdout().lock();
    let text = Look::of(&stdout).wrapped(&text);
    let _ = writeln!(stdout, "{text}");
    Ok(ExitCode::SUCCESS)
}

/// The hints so far and one more, which is recorded.
pub(super) fn one_more(
    checkout: &Checkout,
    lab: &Lab,
    exercise: &Exercise,
    notes: &dyn Notes,
) -> String {
    let of = exercise.hints.len();
    let mut shown = 0;
    progress::change(checkout, notes, |progress| {
        let hints = &mut progress.labs.entry(lab.name.clone()).or_default().hints;
        let known = hints.entry(exercise.id.clone()).or_default();
        *known = (*known + 1).min(of);
        shown = *known;
    });
    // Where progress cannot be kept, the first hint is still better than none.
    let shown = shown.max(1);
    let mut text = String::new();
    for (number, hint) in (1..).zip(&exercise.hints[..shown.min(of)]) {
        text.push_str(&format!("{number}. {hint}\n"));
    }
    if let Some(check) = red(checkout, lab, exercise) {
        text.push_str(&format!(
            "\nthe hints are those of the exercise, whatever is red; first red in your last \
             attempt: {check}\n"
        ));
    }
    let more = match of - shown.min(of) {
        0 => format!(
            "that was the last; `cargo xtask solution {}/{} --peek` shows the reference",
            lab.name, exercise.id
        ),
        left => format!("{} left", words::count(left, "hint")),
    };
    text.push_str(&format!(
        "\n{more}\nrecorded in {}; it costs no points\n",
        lab::shown_below(&checkout.root, &progress::file(checkout))
    ));
    text
}

/// The check that the last attempt shows first, in words.
fn red(checkout: &Checkout, lab: &Lab, exercise: &Exercise) -> Option<String> {
    let attempts = attempt::read(checkout, lab).into_iter();
    let mut last = attempts.map(|attempts| attempts.last.exercise);
    let last = last.find(|last| last.id == exercise.id)?;
    let mut checks = last.checks.iter();
    let check = checks.find(|check| check.status == Status::Failed)?;
    Some(words::sentence(&check.name))
}
