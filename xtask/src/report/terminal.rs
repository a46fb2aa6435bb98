//! The report for a person: verdicts as they come, then the one finding to work on.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use labkit::assignment::Todo;
use owo_colors::OwoColorize as _;

use super::style::Look;
use super::{BEGINNING, ExerciseReport, Open, Outlook, Report, Reporter, Status, finding, words};
use crate::provider::Notes;

/// So many findings of one exercise are told at once: one cause often has many.
const TOLD_AT_ONCE: usize = 3;

/// Prints to stdout what is asked for, and to stderr what is going on.
#[derive(Debug)]
pub(crate) struct Terminal {
    look: Look,
    /// One exercise was asked for: each check has its line.
    detailed: bool,
    /// `--wire`: timelines are shown whole.
    whole_wire: bool,
    spinner: ProgressBar,
}

/// A line on stderr, or as many as a narrow terminal needs for it.
pub(crate) fn say(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let text = Look::of(&io::stderr()).wrapped(text);
    let _ = writeln!(io::stderr().lock(), "{text}");
}

impl Terminal {
    /// Looks at stdout and stderr once.
    pub(crate) fn new(detailed: bool, whole_wire: bool) -> Self {
        let spinner = if Look::of(&io::stderr()).live && io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            look: Look::of(&io::stdout()),
            detailed,
            whole_wire,
            spinner,
        }
    }

    /// How stdout may look.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Takes the line away that says what is going on.
    pub(crate) fn clear(&self) {
        self.spinner.finish_and_clear();
    }

    /// Writes to stdout, clear of what is going on.
    pub(crate) fn print(&self, text: &str) {
        // A reader that has gone is noticed at the end, where it decides the exit.
        self.spinner.suspend(|| {
            let _ = io::stdout().lock().write_all(text.as_bytes());
        });
    }
}

impl Notes for Terminal {
    fn note(&self, text: &str) {
        self.spinner.suspend(|| say(text));
    }

    fn progress(&self, text: &str) {
        self.spinner.set_message(text.to_owned());
    }
}

impl Reporter for Terminal {
    fn exercise(&self, exercise: &ExerciseReport) {
        self.print(&exercise_lines(exercise, self.detailed, &self.look));
    }

    fn advance(&self, done: usize, of: usize, current: Option<&str>) {
        let checking = words::checking(done, of, current);
        self.spinner.set_message(checking);
    }

    fn finish(&self, report: &Report, outlook: &Outlook) -> io::Result<()> {
        self.spinner.finish_and_clear();
        let text = closing(report, outlook, self.detailed, self.whole_wire, &self.look);
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// One exercise, and below it what did not pass.
pub(crate) fn exercise_lines(exercise: &ExerciseReport, detailed: bool, look: &Look) -> String {
    let style = style_of(exercise.status, look);
    let passed = exercise
        .checks
        .iter()
        .filter(|check| check.status == Status::Passed)
        .count();
    let outcome = match exercise.status {
        Status::Passed | Status::Failed => format!("{passed} of {}", exercise.checks.len()),
        Status::NotStarted if passed > 0 => format!("begun, {passed} of {}", exercise.checks.len()),
        Status::DoesNotCompile => format!(
            "{}: {} for it",
            words::status(exercise.status),
            words::waiting(exercise.checks.len())
        ),
        other => words::status(other).to_owned(),
    };
    let mut text = format!(
        "{} {:<22} {}\n",
        words::sign(exercise.status).style(style),
        exercise.id,
        outcome.style(style)
    );
    // What was not built was not run either: its checks have nothing to say.
    if exercise.status == Status::DoesNotCompile {
        return text;
    }
    let begun = exercise.status != Status::NotStarted || passed > 0;
    for check in &exercise.checks {
        if detailed || (begun && check.status != Status::Passed) {
            text.push_str(&format!(
                "    {} {}\n",
                words::sign(check.status).style(style_of(check.status, look)),
                words::sentence(&check.name)
            ));
        }
    }
    text
}

/// What stands below the verdicts: the finding to work on, the sum, the next command.
pub(crate) fn closing(
    report: &Report,
    outlook: &Outlook,
    detailed: bool,
    whole_wire: bool,
    look: &Look,
) -> String {
    let mut text = String::from("\n");
    let worked_on = worked_on(report);
    if worked_on.is_none() && detailed {
        let guesses = report
            .exercises
            .iter()
            .map(|exercise| guess(exercise, look));
        text.extend(guesses);
    }
    if let Some(exercise) = worked_on {
        text.push_str(&trouble(exercise, detailed, whole_wire, look));
    } else if whole_wire {
        for check in report
            .exercises
            .iter()
            .flat_map(|exercise| &exercise.checks)
        {
            text.push_str(&finding::render(check, true, look));
            text.push('\n');
        }
    }
    // What was tried stands above already where a check is told to lack it.
    let told = worked_on.is_some_and(|exercise| exercise.status == Status::Unavailable);
    for service in &report.services {
        let reason = service.reason.as_deref().unwrap_or("none");
        let line = match (&service.provider, &service.version) {
            (Some(provider), Some(version)) => format!("{} {version} ({provider})", service.name),
            _ if told => reason.lines().next().unwrap_or_default().to_owned(),
            _ => format!("{}: {reason}", service.name),
        };
        text.push_str(&format!("{}\n", line.style(look.quiet)));
    }
    let totals = report.totals;
    let repeated = if report.repeat > 1 {
        format!(", each {} times", report.repeat)
    } else {
        String::new()
    };
    text.push_str(&format!(
        "{} of {} passed{repeated} · {} of {} points · seed {}\n",
        totals.passed,
        words::count(totals.checks, "check"),
        totals.points,
        totals.points_possible,
        report.seed
    ));
    if !report.changed_course_files.is_empty() {
        text.push_str(&format!(
            "changed, but no exercise file, so a grade does not carry it: {}\n",
            report.changed_course_files.join(", ")
        ));
    }
    for (label, command) in next(report, outlook, worked_on) {
        let aside = match (label, worked_on) {
            ("stuck", Some(exercise)) => hints_of(&exercise.id, outlook, look),
            ("or", _) => format!("  {}", BEGINNING.style(look.quiet)),
            ("see", _) => format!("  {}", "(beside the reference)".style(look.quiet)),
            _ => String::new(),
        };
        text.push_str(&format!(
            "{label:<5} {}{aside}\n",
            command.style(look.command)
        ));
    }
    text
}

/// The first exercise that was begun and has not passed.
pub(crate) fn worked_on(report: &Report) -> Option<&ExerciseReport> {
    report
        .exercises
        .iter()
        .find(|exercise| match exercise.status {
            Status::Passed => false,
            // Begun, and the `todo!()` that was reached may lie where nobody looks for it.
            Status::NotStarted => reached(exercise).is_some(),
            _ => true,
        })
}

/// Why an exercise has not passed: rustc's words, or what its checks found. One finding at a
/// time, unless it is asked for in detail.
pub(crate) fn trouble(
    exercise: &ExerciseReport,
    detailed: bool,
    whole_wire: bool,
    look: &Look,
) -> String {
    let mut text = String::new();
    if let Some(error) = &exercise.compile_error {
        text.push_str(&format!(
            "{} does not compile:\n\n{}\n",
            exercise.id,
            look.wrapped(error.trim_end())
        ));
        text.push('\n');
        return text;
    }
    text.push_str(&guess(exercise, look));
    // One at a time teaches more than all at once, unless more were asked for.
    let told = match (detailed, whole_wire) {
        (true, true) => usize::MAX,
        (true, false) => TOLD_AT_ONCE,
        (false, _) => 1,
    };
    let mut last_reason = None;
    let mut open: Vec<_> = exercise
        .checks
        .iter()
        .filter(|check| check.status != Status::Passed)
        .collect();
    open.retain(|check| {
        let again =
            check.finding.is_none() && check.reason.is_some() && check.reason == last_reason;
        last_reason.clone_from(&check.reason);
        !again
    });
    for check in open.iter().take(told) {
        text.push_str(&finding::render(check, whole_wire, look));
        text.push('\n');
    }
    let more = open.len().saturating_sub(told);
    if detailed && more > 0 {
        let more = format!(
            "{more} more did not pass, perhaps for the same reason; `--wire` shows all of them"
        );
        text.push_str(&format!("{}\n\n", look.wrapped(&more).style(look.quiet)));
    }
    text
}

/// What the learner guessed, beside what it was.
pub(crate) fn guess(exercise: &ExerciseReport, look: &Look) -> String {
    exercise.prediction.as_ref().map_or_else(String::new, |it| {
        let verdict = match it.guessed == it.measured {
            true => format!("you said {}, and so it is", it.guessed),
            false => format!("you said {}; it was {}", it.guessed, it.measured),
        };
        finding::field("guess", &format!("{} {verdict}", it.question), look) + "\n"
    })
}

/// What to type next.
fn next(
    report: &Report,
    outlook: &Outlook,
    worked_on: Option<&ExerciseReport>,
) -> Vec<(&'static str, String)> {
    let (lab, carried) = (&report.lab, &outlook.carried);
    if report.variant != "working" {
        return Vec::new();
    }
    if let Some(exercise) = worked_on {
        let id = &exercise.id;
        return match exercise.status {
            Status::Unavailable => vec![("next", "cargo xtask doctor".to_owned())],
            Status::Error => vec![(
                "next",
                format!("cargo xtask check {lab}/{id} --wire{carried}"),
            )],
            Status::DoesNotCompile => vec![
                ("edit", exercise.files.join(", ")),
                ("next", format!("cargo xtask check {lab}/{id}{carried}")),
                ("stuck", format!("cargo xtask hint {lab}/{id}")),
            ],
            _ => vec![
                (
                    "edit",
                    match reached(exercise) {
                        Some(todo) => format!("{}:{}", todo.file, todo.line),
                        None => exercise.files.join(", "),
                    },
                ),
                ("next", format!("cargo xtask check {lab}/{id}{carried}")),
                ("stuck", format!("cargo xtask hint {lab}/{id}")),
            ],
        };
    }
    let open = report
        .exercises
        .iter()
        .find(|exercise| exercise.status == Status::NotStarted);
    let open = open.map(|exercise| Open {
        lab: lab.clone(),
        exercise: exercise.id.clone(),
        title: exercise.title.clone(),
        files: exercise.files.clone(),
    });
    let mut lines = Vec::new();
    if let [just_passed] = report.exercises.as_slice()
        && just_passed.status == Status::Passed
    {
        let id = &just_passed.id;
        lines.push(("see", format!("cargo xtask solution {lab}/{id}")));
    }
    match open.as_ref().or(outlook.open.as_ref()) {
        Some(open) => {
            let (lab, id) = (&open.lab, &open.exercise);
            lines.extend([
                ("read", format!("labs/{lab}/README.md, \"{}\"", open.title)),
                ("edit", open.files.join(", ")),
                ("next", format!("cargo xtask check {lab}/{id}{carried}")),
            ]);
            if *lab == report.lab && outlook.begins.as_ref() == Some(id) {
                lines.push(("or", format!("cargo xtask start {lab}{carried}")));
            }
        }
        None => lines.push(("next", "cargo xtask".to_owned())),
    }
    lines
}

/// How far the hints of an exercise go, beside the command that shows one more.
fn hints_of(id: &str, outlook: &Outlook, look: &Look) -> String {
    let Some((shown, of)) = outlook.hints.get(id) else {
        return String::new();
    };
    let next = if shown < of {
        format!("(hint {} of {of})", shown + 1)
    } else {
        format!("(all {of} hints again)")
    };
    format!("  {}", next.style(look.quiet))
}

/// The first `todo!()` that an exercise's checks reached.
fn reached(exercise: &ExerciseReport) -> Option<&Todo> {
    exercise.checks.iter().find_map(|check| check.todo.as_ref())
}

fn style_of(status: Status, look: &Look) -> owo_colors::Style {
    match status {
        Status::Passed => look.good,
        Status::NotStarted => look.quiet,
        _ => look.bad,
    }
}
