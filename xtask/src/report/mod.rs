//! What happened, as data. How it looks is the business of the reporters below.
//!
//! The shape is documented in `docs/report.md`; it is what `--format json` prints.

pub(crate) mod finding;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod style;
pub(crate) mod terminal;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use labkit::assignment::{Log, Todo};
use labkit::finding::Finding;
use labkit::timeline::Event;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::provider::Notes;

/// The version of [`Report`]'s shape; raised when a field changes its meaning or goes.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// What `start` is, beside the command.
pub(crate) const BEGINNING: &str = "(a guess first, then one call)";

/// How a check, an exercise or a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// As the brief asks.
    Passed,
    /// Not begun, or a `todo!()` was reached.
    NotStarted,
    /// Otherwise than the brief asks; there is a finding.
    Failed,
    /// rustc refuses it.
    DoesNotCompile,
    /// The check was still running when its time was over.
    TimedOut,
    /// A service could not be had.
    Unavailable,
    /// The lab is at fault.
    Error,
}

impl Status {
    /// 0, 1, 2 or 3 as documented: all passed, work to do, environment, the lab.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::NotStarted | Self::Failed | Self::DoesNotCompile | Self::TimedOut => 1,
            Self::Unavailable => 2,
            Self::Error => 3,
        }
    }
}

/// One run of `check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// [`FORMAT_VERSION`].
    pub(crate) format_version: u32,
    /// The lab's name.
    pub(crate) lab: String,
    /// The lab's title.
    pub(crate) title: String,
    /// SHA-256 of the lab without the exercise files: two reports with one hash were judged
    /// by the same checks.
    pub(crate) lab_hash: String,
    /// The checkout's commit, where it is a git checkout.
    pub(crate) commit: Option<String>,
    /// `working`, `solution`, `submission` …
    pub(crate) variant: String,
    /// What `--seed` takes to repeat the run.
    pub(crate) seed: u64,
    /// How often each check was run.
    pub(crate) repeat: u32,
    /// The services that were used.
    pub(crate) services: Vec<ServiceUsed>,
    /// Each exercise that was asked for, in the lab's order.
    pub(crate) exercises: Vec<ExerciseReport>,
    /// Sums over the exercises.
    pub(crate) totals: Totals,
    /// Files of the course that were changed: a grade does not carry them.
    pub(crate) changed_course_files: Vec<String>,
    /// What the process ends with.
    pub(crate) exit_code: u8,
    /// Milliseconds from the command to the verdict.
    pub(crate) duration_ms: u64,
}

/// A service, and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ServiceUsed {
    /// `redis`.
    pub(crate) name: String,
    /// `external`, `docker`, `native` or `bundle`; none when it could not be had.
    pub(crate) provider: Option<String>,
    /// The server's own version.
    pub(crate) version: Option<String>,
    /// Why it could not be had.
    pub(crate) reason: Option<String>,
}

/// Points and checks over all exercises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Checks that passed.
    pub(crate) passed: usize,
    /// All checks.
    pub(crate) checks: usize,
    /// Points of exercises all of whose checks passed.
    pub(crate) points: u32,
    /// Points that could be had.
    pub(crate) points_possible: u32,
}

/// One exercise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExerciseReport {
    /// `cache-aside`.
    pub(crate) id: String,
    /// `Cache-aside reads`.
    pub(crate) title: String,
    /// The worst of its checks.
    pub(crate) status: Status,
    /// What it counts.
    pub(crate) points: u32,
    /// rustc's words, where it does not compile.
    pub(crate) compile_error: Option<String>,
    /// The files that a learner edits, relative to the checkout.
    pub(crate) files: Vec<String>,
    /// What the learner guessed, and what it was.
    #[serde(default)]
    pub(crate) prediction: Option<Prediction>,
    /// In the order of their names in the source.
    pub(crate) checks: Vec<CheckReport>,
}

/// A number that was guessed before the first check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prediction {
    /// What was asked.
    pub(crate) question: String,
    /// The check that measures it.
    pub(crate) check: String,
    /// What the learner said.
    pub(crate) guessed: u64,
    /// What that check measured.
    pub(crate) measured: u64,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CheckReport {
    /// `a_second_read_never_reaches_the_catalogue`.
    pub(crate) name: String,
    /// Under `--repeat`: the worst of its runs.
    pub(crate) status: Status,
    /// How many of the runs passed.
    pub(crate) runs_passed: u32,
    /// What was seen, where it failed.
    pub(crate) finding: Option<Finding>,
    /// Why there is no verdict.
    pub(crate) reason: Option<String>,
    /// The `todo!()` that was reached.
    pub(crate) todo: Option<Todo>,
    /// The number that a learner may have been asked to guess.
    #[serde(default)]
    pub(crate) measured: Option<u64>,
    /// All that was seen in the run that decided.
    pub(crate) timeline: Vec<Event>,
    /// What the app instances wrote to stderr, where it did not pass.
    pub(crate) logs: Vec<Log>,
    /// Milliseconds of the slowest run.
    pub(crate) duration_ms: f64,
}

/// What the learner may do next, as far as the report does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    /// By exercise: how many hints were shown, and how many there are.
    pub(crate) hints: BTreeMap<String, (usize, usize)>,
    /// Where to go on once all that was checked passes; none where nothing is left.
    pub(crate) open: Option<Open>,
    /// The exercise that `start` leads into, where the lab has a beginning.
    pub(crate) begins: Option<String>,
    /// What of this command goes for the next one as well, with a space before it:
    /// ` --services native`. Empty where nothing does.
    pub(crate) carried: String,
}

/// An exercise that has not passed.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// The lab's name.
    pub(crate) lab: String,
    /// `cache-aside`.
    pub(crate) exercise: String,
    /// `Cache-aside reads`: the heading in the brief.
    pub(crate) title: String,
    /// The files that a learner edits, relative to the checkout.
    pub(crate) files: Vec<String>,
}

impl CheckReport {
    /// A check that has not been run.
    pub(crate) fn unrun(name: &str, status: Status) -> Self {
        Self {
            name: name.to_owned(),
            status,
            runs_passed: 0,
            finding: None,
            reason: None,
            todo: None,
            measured: None,
            timeline: Vec::new(),
            logs: Vec::new(),
            duration_ms: 0.0,
        }
    }
}

impl ExerciseReport {
    /// The worst of the checks; an exercise without checks is the lab's fault.
    pub(crate) fn judge(&mut self) {
        self.status = self
            .checks
            .iter()
            .map(|check| check.status)
            .max()
            .unwrap_or(Status::Error);
    }
}

impl Report {
    /// Fills totals and exit code from the exercises.
    pub(crate) fn total(&mut self) {
        let mut totals = Totals::default();
        for exercise in &self.exercises {
            totals.checks += exercise.checks.len();
            totals.passed += exercise
                .checks
                .iter()
                .filter(|check| check.status == Status::Passed)
                .count();
            totals.points_possible += exercise.points;
            if exercise.status == Status::Passed {
                totals.points += exercise.points;
            }
        }
        self.totals = totals;
        let checks = self.exercises.iter().flat_map(|exercise| &exercise.checks);
        // 3 before 2 before 1: whoever is least able to mend it must not be sent to work.
        self.exit_code = checks
            .map(|check| check.status)
            .chain(self.exercises.iter().map(|exercise| exercise.status))
            .map(Status::exit_code)
            .max()
            .unwrap_or(Status::Error.exit_code());
    }
}

/// Takes what happens while a run goes on, and the report at its end.
pub(crate) trait Reporter: Notes {
    /// An exercise's checks have all ended.
    fn exercise(&self, exercise: &ExerciseReport);
    /// How many of how many checks have ended, and which has been going on for longest.
    fn advance(&self, done: usize, of: usize, current: Option<&str>);
    /// The run has ended.
    fn finish(&self, report: &Report, outlook: &Outlook) -> io::Result<()>;
}

/// An error on stderr: what happened, then what to do next.
pub(crate) fn error(error: &anyhow::Error) {
    terminal::say(&format!("error: {error:#}"));
    let hint = match error.downcast_ref::<Fault>() {
        Some(fault) => Some(fault.hint.as_str()),
        None => error.chain().find_map(hint_of_system),
    };
    if let Some(hint) = hint {
        terminal::say(&format!("\nhint: {hint}"));
    }
}

/// What to do where the machine refuses a file, whoever asked for it.
fn hint_of_system(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    match cause.downcast_ref::<io::Error>()?.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(
            "the checkout has to be yours to write to; CARGO_TARGET_DIR puts what is built elsewhere",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("the disk is full; `cargo clean` frees what was built, `cargo xtask doctor` looks")
        }
        _ => None,
    }
}

/// Notes of verbs that have no run: each a line on stderr.
pub(crate) fn say_notes() -> impl Notes {
    json::Json
}
