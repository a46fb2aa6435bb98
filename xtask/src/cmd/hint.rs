//! `cargo xtask hint LAB/EXERCISE`: one step more each time.

use std::io::Write as _;
use std::process::ExitCode;

use crate::checkout::Checkout;
use crate::report::{say_notes, words};
use crate::{lab, progress};

/// Shows the hints so far and one more.
pub(crate) fn hint(checkout: &Checkout, target: &str) -> anyhow::Result<ExitCode> {
    let (lab, exercise) = super::one_exercise(checkout, target)?;
    let of = exercise.hints.len();
    let mut shown = 0;
    progress::change(checkout, &say_notes(), |progress| {
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
    let left = of - shown.min(of);
    let more = match left {
        0 => {
            format!("that was the last; `cargo xtask solution {target} --peek` shows the reference")
        }
        left => format!("{} left", words::count(left, "hint")),
    };
    text.push_str(&format!(
        "\n{more}\nrecorded in {}; it costs no points\n",
        lab::shown_below(&checkout.root, &progress::file(checkout))
    ));
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
