//! The report as one JSON object on stdout; notes go to stderr.

use std::io::Write as _;

use super::{ExerciseReport, Outlook, Report, Reporter};
use crate::provider::Notes;

/// Prints the report at the end and nothing else.
#[derive(Debug)]
pub(crate) struct Json;

impl Notes for Json {
    fn note(&self, text: &str) {
        super::terminal::say(text);
    }

    fn progress(&self, _text: &str) {}
}

impl Reporter for Json {
    fn exercise(&self, _exercise: &ExerciseReport) {}

    fn advance(&self, _done: usize, _of: usize, _current: Option<&str>) {}

    fn finish(&self, report: &Report, _outlook: &Outlook) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)
    }
}
