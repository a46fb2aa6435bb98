//! What `start` shows.

use std::fs;

use anyhow::Context as _;
use labkit::timeline::Event;
use owo_colors::OwoColorize as _;

use super::Tour;
use crate::lab::{HERE, says_here};
use crate::report::style::Look;
use crate::report::terminal::trouble;
use crate::report::{CheckReport, ExerciseReport, Status, words};

/// How many lines of a timeline are shown: the first few visits.
const LINES: usize = 9;

/// So many, where the file stands below them: the number above has to stay on a screen of 24 rows.
const LINES_ABOVE_A_FILE: usize = 5;

/// Narrower, and two timelines do not stand side by side.
const SIDE_BY_SIDE: usize = 76;

/// Where the learner comes in, and how to leave: below, there is no row left to say it.
pub(super) fn opening(tour: &Tour<'_>, look: &Look) -> String {
    let leave = format!(
        "Ctrl-C leaves; once the file has changed, `cargo xtask watch {}/{}` goes on with it.",
        tour.lab.name, tour.exercise.id
    );
    format!(
        "{}\n\n{}\n\n{}\n\n",
        tour.lab.manifest.title.style(look.strong),
        paragraph(&tour.start.story, look),
        look.wrapped(&leave).style(look.quiet)
    )
}

/// The guess, the number, and the place where the call is missing. `laid_out` if the file was
/// written just now.
pub(super) fn before(
    check: &CheckReport,
    guess: Option<u64>,
    laid_out: bool,
    tour: &Tour<'_>,
    look: &Look,
) -> anyhow::Result<String> {
    let measured = check.measured.unwrap_or_default();
    let said = match guess {
        Some(guess) if guess == measured => format!("You said {guess}, and so it is: "),
        Some(guess) => format!("You said {guess}. Measured: "),
        None => "Measured: ".to_owned(),
    };
    let mut text = format!("\n{said}{}\n\n", measured.style(look.bad));
    let width = look.width.saturating_sub(2);
    for line in lines(&check.timeline, LINES_ABOVE_A_FILE, width) {
        text += &format!("  {line}\n");
    }
    let file = fs::read_to_string(&tour.file)
        .with_context(|| format!("reading {}", tour.file.display()))?;
    let here = file.lines().position(says_here);
    let here = here.context("the file says where")?;
    text += &format!("\n{}:{}\n\n", tour.shown, here + 1);
    for (number, line) in file
        .lines()
        .enumerate()
        .skip(here.saturating_sub(2))
        .take(4)
    {
        let sign = if number == here { "→" } else { " " };
        let line = format!("{sign} {:>3} | {line}", number + 1);
        text += &match number == here {
            true => format!("{}\n", line.style(look.strong)),
            false => format!("{line}\n"),
        };
    }
    let written = match laid_out {
        true => {
            "The file has just been written, as your colleague left it, in place of the starter: \
             if it is open in your editor, load it again."
        }
        false => "The file stands as your colleague left it.",
    };
    let ask = format!("Write this in place of line {}, and save:", here + 1);
    text += &format!(
        "\n{}\n\n{}\n\n",
        paragraph(&format!("{written} {ask}"), look),
        tour.start.call.style(look.command)
    );
    Ok(text)
}

/// The number after a save that did not do it. Where something was won all the same, another
/// check knows better what is missing.
pub(super) fn not_yet(
    check: &CheckReport,
    before: &CheckReport,
    exercise: &ExerciseReport,
    look: &Look,
) -> String {
    let measured = check.measured.unwrap_or_default();
    let mut text = match check.measured == before.measured {
        true => format!("\nMeasured: still {}\n", measured.style(look.bad)),
        false => format!("\nMeasured: {}\n", measured.style(look.bad)),
    };
    if let Some(finding) = &check.finding {
        let says = format!("{}; expected {}", finding.saw, finding.expected);
        text += &format!("{}\n", paragraph(&says, look));
    }
    let mut others = exercise.clone();
    others
        .checks
        .retain(|other| other.name != check.name && other.status != Status::Passed);
    if check.measured != before.measured && !others.checks.is_empty() {
        let says = "Another check of the exercise says more:";
        text += &format!("\n{says}\n\n{}", trouble(&others, false, false, look));
    }
    text + "\n"
}

/// The number that was wanted, what changed on the wire, and where to go on.
pub(super) fn after(
    before: &CheckReport,
    after: &CheckReport,
    exercise: &ExerciseReport,
    tour: &Tour<'_>,
    look: &Look,
) -> String {
    let (was, is) = (
        before.measured.unwrap_or_default(),
        after.measured.unwrap_or_default(),
    );
    let mut text = format!("\nMeasured: {}. It was {was}.\n\n", is.style(look.good));
    text += &side_by_side(before, after, look);
    text += &format!("\n{}\n\n", paragraph(&tour.start.moral, look));
    let count = words::count(exercise.checks.len(), "check");
    let mut says = format!("All {count} of \"{}\" pass.", exercise.title);
    let file = fs::read_to_string(&tour.file);
    if file.is_ok_and(|file| file.lines().any(says_here)) {
        says += &format!(" The line with {HERE} can go.");
    }
    let next = format!("cargo xtask next {}", tour.lab.name);
    text + &format!(
        "{}\nnext  {}\n",
        paragraph(&says, look),
        next.style(look.command)
    )
}

/// The number is the one that was wanted, and something else of the exercise is not.
pub(super) fn almost(
    before: &CheckReport,
    after: &CheckReport,
    exercise: &ExerciseReport,
    look: &Look,
) -> String {
    let (was, is) = (
        before.measured.unwrap_or_default(),
        after.measured.unwrap_or_default(),
    );
    let passed = exercise.checks.iter();
    let passed = passed.filter(|check| check.status == Status::Passed);
    let says = format!(
        "{} of the {} of \"{}\" pass. The first that does not:",
        passed.count(),
        words::count(exercise.checks.len(), "check"),
        exercise.title
    );
    format!(
        "\nMeasured: {}. It was {was}.\n{}\n\n{}",
        is.style(look.good),
        paragraph(&says, look),
        trouble(exercise, false, false, look)
    )
}

fn side_by_side(before: &CheckReport, after: &CheckReport, look: &Look) -> String {
    if look.width < SIDE_BY_SIDE {
        let mut text = String::new();
        for (title, check) in [("before", before), ("after", after)] {
            text += &format!("{}\n", title.style(look.strong));
            for line in lines(&check.timeline, LINES, look.width.saturating_sub(2)) {
                text += &format!("  {line}\n");
            }
        }
        return text;
    }
    let half = (look.width - 3) / 2;
    let [left, right] = [before, after].map(|check| lines(&check.timeline, LINES, half));
    let mut text = format!(
        "{} │ {}\n",
        format!("{:<half$}", "before").style(look.strong),
        "after".style(look.strong)
    );
    for row in 0..left.len().max(right.len()) {
        let at = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
        text += &format!("{:<half$} │ {}\n", at(&left), at(&right));
    }
    text
}

/// The first `most` messages, each on a line of its own that is cut at `width`.
fn lines(events: &[Event], most: usize, width: usize) -> Vec<String> {
    let widest = |of: fn(&Event) -> &String| {
        let widths = events.iter().map(|event| of(event).chars().count());
        widths.max().unwrap_or(0)
    };
    let (from, to) = (widest(|event| &event.from), widest(|event| &event.to));
    let mut lines: Vec<String> = events
        .iter()
        .take(most)
        .map(|event| {
            let parties = format!("{:<from$} → {:<to$}  ", event.from, event.to);
            let room = width.saturating_sub(parties.chars().count());
            let reply = event.reply.as_deref().unwrap_or_default();
            parties + &beside(&event.what, reply, room)
        })
        .collect();
    if events.len() > most {
        lines.push(format!(
            "… {} more",
            words::count(events.len() - most, "line")
        ));
    }
    lines
}

/// Message and answer in so many columns. Of both something is seen: a miss and a hit differ
/// in the answer alone.
fn beside(what: &str, reply: &str, room: usize) -> String {
    let (what_long, reply_long) = (what.chars().count(), reply.chars().count());
    if what_long + 2 + reply_long <= room {
        return format!("{what}  {reply}");
    }
    let reply = shortened(reply, reply_long.min(room / 3));
    let left = room.saturating_sub(reply.chars().count() + 2);
    format!("{}  {reply}", shortened(what, left))
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn paragraph(text: &str, look: &Look) -> String {
    textwrap::fill(text.trim(), look.width.min(80))
}
