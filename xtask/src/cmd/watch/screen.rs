//! What `watch` shows: one line of verdict on top, one line of keys below, and between them
//! as much of the finding as fits.

use owo_colors::OwoColorize as _;

use crate::report::style::Look;
use crate::report::terminal::{exercise_lines, guess, trouble, worked_on};
use crate::report::{ExerciseReport, Report, Status, words};

const KEYS: &str = "h hint  n next  l list  w wire  q quit";

/// While the exercise has not passed.
const KEYS_OF_AN_OPEN_ONE: &str = "h hint  n skip  l list  w wire  q quit";

/// While something else stands in place of the verdict.
const KEYS_OF_A_PAGE: &str = "esc back  h one more hint  l list  q quit";

/// While a number is asked for.
const KEYS_OF_A_QUESTION: &str = "enter goes on, without a number too  q quit";

/// Below this a timeline says nothing: the rest of it has to be scrolled to.
const FEWEST_MESSAGES: usize = 4;

/// No screen has room for more.
const MOST_MESSAGES: usize = 40;

/// All that the screen is made from.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// `caching/cache-aside`.
    pub(super) target: String,
    /// What is going on; empty while nothing is.
    pub(super) doing: String,
    /// The last verdict.
    pub(super) report: Option<Report>,
    /// Why there is none, in place of it.
    pub(super) error: Option<String>,
    /// What the brief says of an exercise that nobody has begun.
    pub(super) brief: Option<String>,
    /// What was asked for by a key, in place of the verdict.
    pub(super) page: Option<String>,
    /// The page is a question, and what is typed its answer.
    pub(super) asks: bool,
    /// Timelines are shown whole.
    pub(super) wire: bool,
    /// Lines of the body that are above the screen.
    pub(super) scroll: usize,
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Model {
    /// Watches something else: a verdict never stands beside another name than its own.
    pub(super) fn turn_to(&mut self, target: String) {
        if target != self.target {
            self.report = None;
            self.error = None;
            self.target = target;
        }
    }

    /// The whole screen, a string for each of its rows.
    pub(super) fn rows(&mut self, columns: usize, rows: usize) -> Vec<String> {
        if columns == 0 || rows == 0 {
            return Vec::new();
        }
        let look = Look::new(self.colour, columns, true);
        let room = rows.saturating_sub(3);
        let body = self.body(&look, room);
        let body: Vec<&str> = body.trim_end().lines().collect();
        // While the next verdict is in the making, this is the one of before.
        let old = !self.doing.is_empty() && self.page.is_none();
        let shown = |line: &&str| match old {
            true => console::strip_ansi_codes(line)
                .style(look.quiet)
                .to_string(),
            false => (*line).to_owned(),
        };
        self.scroll = self.scroll.min(body.len().saturating_sub(room));
        let mut screen = vec![self.head(&look, body.len(), room), String::new()];
        screen.extend(body.iter().skip(self.scroll).take(room).map(shown));
        screen.resize(rows.saturating_sub(1), String::new());
        let keys = match self.page {
            Some(_) if self.asks => KEYS_OF_A_QUESTION,
            Some(_) => KEYS_OF_A_PAGE,
            None if self.report.as_ref().is_some_and(|it| open(it).is_none()) => KEYS,
            None => KEYS_OF_AN_OPEN_ONE,
        };
        let keys = match self.wire {
            true => keys.replace("w wire", "w less"),
            false => keys.to_owned(),
        };
        screen.push(keys.style(look.quiet).to_string());
        let screen = screen.split_off(screen.len() - rows.min(screen.len()));
        // A terminal that does not wrap writes all that is too long over its last column.
        let cut = |row: String| console::truncate_str(&row, columns, "…").into_owned();
        screen.into_iter().map(cut).collect()
    }

    fn head(&self, look: &Look, lines: usize, room: usize) -> String {
        let verdict = match (&self.report, &self.error) {
            (Some(report), _) => {
                let statuses = report.exercises.iter().map(|exercise| exercise.status);
                let begun = statuses.clone().any(|status| status == Status::Passed);
                let status = statuses.max().unwrap_or(Status::Error);
                let style = match status {
                    Status::Passed => look.good,
                    Status::NotStarted => look.quiet,
                    _ => look.bad,
                };
                let count = || format!("{} of {}", report.totals.passed, report.totals.checks);
                let says = match status {
                    Status::Passed | Status::Failed | Status::TimedOut => count(),
                    Status::NotStarted if begun => count(),
                    other => words::status(other).to_owned(),
                };
                let text = format!("{} {}  {says}", words::sign(status), self.target);
                text.style(style).to_string()
            }
            _ => format!("  {}", self.target),
        };
        let doing = match self.doing.as_str() {
            "" => String::new(),
            doing => format!("  {doing}"),
        };
        let more = match lines > room && room > 0 {
            true => {
                let (from, to) = (self.scroll + 1, (self.scroll + room).min(lines));
                // On a narrow screen there is no room for more.
                match look.width < 60 {
                    true => format!("  ↑↓ {to}/{lines}"),
                    false => format!("  ↑↓ lines {from}-{to}/{lines}"),
                }
            }
            false => String::new(),
        };
        // What is cut off on a narrow screen is where one is.
        format!("{verdict}{}", format!("{doing}{more}").style(look.quiet))
    }

    fn body(&self, look: &Look, room: usize) -> String {
        if let Some(page) = &self.page {
            return look.wrapped(page);
        }
        if let Some(error) = &self.error {
            return look.wrapped(error);
        }
        match &self.report {
            Some(report) => verdict(report, self.brief.as_deref(), self.wire, look, room),
            None => String::new(),
        }
    }
}

/// The exercise to work on: the first that was begun, else the first that has not passed.
pub(super) fn open(report: &Report) -> Option<&ExerciseReport> {
    worked_on(report).or_else(|| {
        let exercises = &mut report.exercises.iter();
        exercises.find(|exercise| exercise.status != Status::Passed)
    })
}

/// The one thing to work on first; below it what else is open.
fn verdict(report: &Report, brief: Option<&str>, wire: bool, look: &Look, room: usize) -> String {
    let Some(exercise) = open(report) else {
        let passed = report.exercises.iter();
        let lines: String = passed.map(|one| exercise_lines(one, true, look)).collect();
        let guesses: String = report
            .exercises
            .iter()
            .map(|one| guess(one, look))
            .collect();
        let compare = match report.exercises.as_slice() {
            [one] => format!(
                "`cargo xtask solution {}/{}` shows yours beside the reference\n",
                report.lab, one.id
            ),
            _ => String::new(),
        };
        // Above the list, which may be longer than the screen.
        let next = look.wrapped(&format!("n goes on to the next exercise\n{compare}"));
        return format!("{guesses}{}\n\n{lines}", next.trim_end());
    };
    let mut text = fitting(exercise, wire, look, room);
    match exercise.status {
        Status::NotStarted => {
            text.push_str(&begin(report, exercise));
            if let Some(brief) = brief {
                text.push_str(&format!("\n{}\n", look.reflowed(brief)));
            }
        }
        Status::DoesNotCompile => {}
        _ => text.push_str(&exercise_lines(exercise, false, look)),
    }
    text
}

/// What went wrong, with as much of its timeline as the screen has room for: the lines that decide
/// are to be seen without a key.
fn fitting(exercise: &ExerciseReport, wire: bool, look: &Look, room: usize) -> String {
    let whole = trouble(exercise, false, wire, look);
    if wire || whole.trim_end().lines().count() <= room {
        return whole;
    }
    let shorter = (FEWEST_MESSAGES..=MOST_MESSAGES).rev().map(|messages| {
        let look = Look {
            messages,
            ..look.clone()
        };
        trouble(exercise, false, false, &look)
    });
    let mut last = whole;
    for text in shorter {
        if text.trim_end().lines().count() <= room {
            return text;
        }
        last = text;
    }
    last
}

fn begin(report: &Report, exercise: &ExerciseReport) -> String {
    format!(
        "read  labs/{}/README.md, \"{}\"\nedit  {}\n",
        report.lab,
        exercise.title,
        exercise.files.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use labkit::finding::Finding;
    use labkit::timeline::Event;

    use super::*;
    use crate::report::{CheckReport, FORMAT_VERSION, Totals};

    fn report(status: Status) -> Report {
        let mut check = CheckReport::unrun("a_second_read_is_a_hit", status);
        if status == Status::Failed {
            check.finding = Some(Finding {
                did: "GET /reads/1, twice".to_owned(),
                saw: "the origin was asked for /reads/1 2 times".to_owned(),
                expected: "1: only the first read is a miss".to_owned(),
                why: "Without the write-back every visitor still pays for the origin.".to_owned(),
            });
            let event = |at_ms, from: &str, to: &str, what: &str, reply: &str| Event {
                at_ms,
                from: from.to_owned(),
                to: to.to_owned(),
                what: what.to_owned(),
                reply: Some(reply.to_owned()),
                replied_at_ms: Some(at_ms),
                note: None,
            };
            check.timeline = vec![
                event(1.0, "check", "app", "GET /reads/1", "200"),
                event(1.5, "app", "redis", "GET read:1", "nil"),
                event(2.0, "app", "origin", "GET /reads/1", "200"),
                event(3.0, "check", "app", "GET /reads/1", "200"),
            ];
        }
        let mut report = Report {
            format_version: FORMAT_VERSION,
            lab: "shop".to_owned(),
            title: "Shop".to_owned(),
            lab_hash: String::new(),
            commit: None,
            variant: "working".to_owned(),
            seed: 7,
            repeat: 1,
            services: Vec::new(),
            exercises: vec![ExerciseReport {
                id: "reads".to_owned(),
                title: "Reads".to_owned(),
                status,
                points: 10,
                compile_error: None,
                files: vec!["labs/shop/src/reads.rs".to_owned()],
                prediction: None,
                checks: vec![
                    check,
                    CheckReport::unrun("an_entry_expires", Status::Passed),
                ],
            }],
            totals: Totals::default(),
            changed_course_files: Vec::new(),
            exit_code: 0,
            duration_ms: 0,
        };
        report.exercises[0].judge();
        report.total();
        report
    }

    fn screen(model: &mut Model, columns: usize, rows: usize) -> String {
        let rows: Vec<_> = model.rows(columns, rows);
        rows.iter().map(|row| format!("|{row}\n")).collect()
    }

    fn model(status: Status) -> Model {
        Model {
            target: "shop/reads".to_owned(),
            report: Some(report(status)),
            ..Model::default()
        }
    }

    #[test]
    fn a_failure_shows_verdict_finding_and_timeline_at_once() {
        insta::assert_snapshot!(screen(&mut model(Status::Failed), 80, 24));
    }

    #[test]
    fn a_long_timeline_is_folded_around_what_decides() {
        let mut model = model(Status::Failed);
        let report = model.report.as_mut().expect("there is one");
        let timeline = &mut report.exercises[0].checks[0].timeline;
        let again: Vec<Event> = (0..15).map(|n| timeline[n % 4].clone()).collect();
        timeline.extend(again);
        timeline[9].note = Some("a second load".to_owned());
        insta::assert_snapshot!("folded", screen(&mut model, 80, 20));
        model.wire = true;
        let whole = screen(&mut model, 80, 24);
        assert!(whole.contains("lines 1-21/"), "{whole}");
    }

    #[test]
    fn a_small_screen_keeps_the_verdict_and_the_keys_and_scrolls_the_rest() {
        let mut model = model(Status::Failed);
        model.doing = "building".to_owned();
        insta::assert_snapshot!("small", screen(&mut model, 40, 12));
        model.scroll = usize::MAX;
        insta::assert_snapshot!("small_scrolled", screen(&mut model, 40, 12));
    }

    #[test]
    fn what_passed_what_is_not_begun_and_what_does_not_compile_have_their_screens() {
        insta::assert_snapshot!("passed", screen(&mut model(Status::Passed), 80, 12));
        insta::assert_snapshot!(
            "not_started",
            screen(&mut model(Status::NotStarted), 80, 12)
        );
        let mut broken = model(Status::DoesNotCompile);
        let report = broken.report.as_mut().expect("there is one");
        report.exercises[0].compile_error =
            Some("error: expected `;`\n --> src/reads.rs:7\n".repeat(30));
        insta::assert_snapshot!("does_not_compile", screen(&mut broken, 80, 12));
    }

    #[test]
    fn a_lab_that_was_begun_is_not_called_not_started() {
        let mut model = model(Status::NotStarted);
        assert!(screen(&mut model, 80, 12).contains("○ shop/reads  not started"));
        let lab = model.report.as_mut().expect("there is one");
        lab.exercises.extend(report(Status::Passed).exercises);
        lab.total();
        assert!(screen(&mut model, 80, 12).contains("○ shop/reads  3 of 4"));
    }

    #[test]
    fn a_verdict_goes_with_its_exercise() {
        let mut model = model(Status::Passed);
        model.turn_to("shop/reads".to_owned());
        assert!(screen(&mut model, 80, 12).contains("✓ shop/reads"));
        model.turn_to("shop/writes".to_owned());
        insta::assert_snapshot!("turned_to_another", screen(&mut model, 80, 6));
    }

    #[test]
    fn the_wire_key_says_which_way_it_goes() {
        let mut model = model(Status::Failed);
        assert!(screen(&mut model, 40, 12).contains("w wire"));
        model.wire = true;
        assert!(screen(&mut model, 40, 12).contains("w less"));
    }

    #[test]
    fn no_size_is_too_small() {
        let mut model = model(Status::Failed);
        for columns in [0, 1, 2, 7] {
            for rows in [0, 1, 2, 3, 4] {
                assert!(
                    model.rows(columns, rows).len() <= rows,
                    "{columns} × {rows}"
                );
            }
        }
    }
}
