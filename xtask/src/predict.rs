//! One number, guessed before an exercise's first check and shown beside the measured one.
//! Asked on a terminal, once.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::num::ParseIntError;

use crate::checkout::Checkout;
use crate::cli::{self, Verb};
use crate::lab::{self, Exercise, Lab, Predict};
use crate::progress::{self, LabProgress};
use crate::provider::Notes;
use crate::report::style::Look;
use crate::report::{Prediction, Report, say_notes};

/// What somebody types who does not want to guess is nothing; what is no number is asked for
/// again, so often.
const TRIES: usize = 3;

/// Asks before `check LAB/EXERCISE` and `watch LAB/EXERCISE` of the learner's own files. What
/// stands in the way of asking (another verb, no such lab) is the verb's to tell.
pub(crate) fn ask_before(verb: &Verb) {
    let target = match verb {
        Verb::Check(check) if !check.solution && check.submission.is_none() => &check.target,
        Verb::Watch { target, .. } => target,
        _ => return,
    };
    let (name, Some(id)) = cli::split(target) else {
        return;
    };
    if !on_terminal() {
        return;
    }
    let Ok(checkout) = Checkout::find() else {
        return;
    };
    let Ok(lab) = lab::find(&checkout.root, name) else {
        return;
    };
    let Ok(exercise) = lab.exercise(id) else {
        return;
    };
    let known = progress::read(&checkout, &say_notes());
    if let Some(question) = due(known.labs.get(&lab.name), exercise)
        && let Ok(guess) = ask(&question, &mut io::stdin().lock())
    {
        keep(&checkout, &lab, exercise, guess, false, &say_notes());
        if guess.is_some() {
            // On a starter there is nothing yet to compare it with.
            let _ = writeln!(
                io::stdout(),
                "kept: once your code works, it stands beside what was measured\n"
            );
        }
    }
}

/// What is asked before the first check of an exercise; nothing where it has been asked, or where
/// the answer may have been seen.
pub(crate) fn due(known: Option<&LabProgress>, exercise: &Exercise) -> Option<String> {
    let predict = exercise.predict.as_ref()?;
    let first = known.is_none_or(|known| {
        let asked = known.guesses.contains_key(&exercise.id);
        !asked && !known.has_been_judged(&exercise.id)
    });
    first.then(|| format!("Once this exercise works: {}", predict.question))
}

/// Whether somebody can be asked at all.
fn on_terminal() -> bool {
    let out = io::stdout();
    io::stdin().is_terminal() && out.is_terminal() && Look::of(&out).live
}

/// Asks for the number; none where the learner does not want to guess.
pub(crate) fn ask(question: &str, typed: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut stdout = io::stdout().lock();
    let look = Look::of(&stdout);
    writeln!(stdout, "{}\n", textwrap::fill(question, look.width))?;
    for _ in 0..TRIES {
        write!(stdout, "your guess (Enter skips)  ")?;
        stdout.flush()?;
        let mut line = String::new();
        typed.read_line(&mut line)?;
        if let Ok(guess) = number(&line) {
            return Ok(guess);
        }
        writeln!(stdout, "a whole number, please")?;
    }
    Ok(None)
}

/// The number that somebody has typed; none where nothing was typed.
pub(crate) fn number(typed: &str) -> Result<Option<u64>, ParseIntError> {
    // A person writes 1,000 or 1 000.
    let plain: String = typed
        .chars()
        .filter(|c| !matches!(c, ',' | '_' | '.') && !c.is_whitespace())
        .collect();
    match plain.as_str() {
        "" => Ok(None),
        plain => plain.parse().map(Some),
    }
}

/// Keeps what was said, so that it is asked once; with `told`, it will be shown at once.
pub(crate) fn keep(
    checkout: &Checkout,
    lab: &Lab,
    exercise: &Exercise,
    guess: Option<u64>,
    told: bool,
    notes: &dyn Notes,
) {
    progress::change(checkout, notes, |progress| {
        let own = progress.labs.entry(lab.name.clone()).or_default();
        own.guesses.insert(exercise.id.clone(), guess);
        if told {
            own.told.insert(exercise.id.clone());
        }
    });
}

/// Sets beside each guess what was measured, once: after that it is old news.
pub(crate) fn compare(report: &mut Report, lab: &Lab, known: &mut LabProgress) {
    for exercise in &mut report.exercises {
        let Ok(declared) = lab.exercise(&exercise.id) else {
            continue;
        };
        let guess = known.guesses.get(&exercise.id).copied().flatten();
        if let (Some(Predict { question, check }), Some(guessed)) = (&declared.predict, guess)
            && let Some(measured) = measured(exercise, check)
            && known.told.insert(exercise.id.clone())
        {
            exercise.prediction = Some(Prediction {
                question: question.clone(),
                check: check.clone(),
                guessed,
                measured,
            });
        }
    }
}

/// The number that a check of an exercise measured.
pub(crate) fn measured(exercise: &crate::report::ExerciseReport, check: &str) -> Option<u64> {
    let found = exercise.checks.iter().find(|one| one.name == check);
    found.and_then(|check| check.measured)
}
