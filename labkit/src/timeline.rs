//! What happened during a check, in order, and who said it to whom.
//!
//! Everything that a check can see — its own requests, the wire, the upstreams — writes
//! here; a finding shows the lines that led to it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// One message, and its answer once that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the check began.
    pub at_ms: f64,
    /// Who spoke: `check`, `app`, `app 2` …
    pub from: String,
    /// To whom: `app`, `redis`, `catalogue` …
    pub to: String,
    /// The message in one line: `GET product:7`.
    pub what: String,
    /// The answer in one line: `nil`, `200`.
    pub reply: Option<String>,
    /// When the answer was seen, on the clock of `at_ms`.
    pub replied_at_ms: Option<f64>,
    /// What a reader should notice here; shown behind an arrow.
    pub note: Option<String>,
}

/// Names an event on the timeline that gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId(usize);

/// Where a timeline stood at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// What was pushed and not forgotten, by number.
#[derive(Debug, Default)]
struct Events {
    pushed: usize,
    kept: BTreeMap<usize, Event>,
}

/// The shared record of one check; clones write to the same record.
#[derive(Clone, Debug)]
pub struct Timeline {
    started: Instant,
    events: Arc<Mutex<Events>>,
    long_values: bool,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// An empty timeline whose clock starts now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            events: Arc::default(),
            long_values: false,
        }
    }

    /// The same, and what the wire says shows more of long values.
    pub fn with_long_values() -> Self {
        Self {
            long_values: true,
            ..Self::new()
        }
    }

    /// A message or an answer as this timeline shows it.
    pub(crate) fn in_words(&self, said: &impl Display) -> String {
        if self.long_values {
            format!("{said:#}")
        } else {
            said.to_string()
        }
    }

    /// Milliseconds since the timeline began.
    pub fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }

    /// Adds a message.
    pub fn push(&self, from: &str, to: &str, what: impl Into<String>) -> EventId {
        // Read under the lock, or two writers could be listed against their times.
        let mut events = self.lock();
        let number = events.pushed;
        events.pushed += 1;
        let event = Event {
            at_ms: self.now_ms(),
            from: from.to_owned(),
            to: to.to_owned(),
            what: what.into(),
            reply: None,
            replied_at_ms: None,
            note: None,
        };
        events.kept.insert(number, event);
        EventId(number)
    }

    /// Adds the answer to a message.
    pub fn reply(&self, id: EventId, reply: impl Into<String>) {
        let now = self.now_ms();
        self.change(id, |event| {
            event.reply = Some(reply.into());
            event.replied_at_ms = Some(now);
        });
    }

    /// Points a reader at a message.
    pub fn note(&self, id: EventId, note: impl Into<String>) {
        self.change(id, |event| event.note = Some(note.into()));
    }

    /// Where the timeline stands now.
    pub fn mark(&self) -> Mark {
        Mark(self.lock().pushed)
    }

    /// Forgets what was said since: of a check that does the same again and again, a finding
    /// shows the time that failed, and not those that passed.
    pub fn forget_since(&self, mark: Mark) {
        self.lock().kept.split_off(&mark.0);
    }

    /// All events that were not forgotten, in the order in which they were pushed.
    pub fn events(&self) -> Vec<Event> {
        self.events_from(0)
    }

    /// The same from one on.
    pub(crate) fn events_from(&self, first: usize) -> Vec<Event> {
        let events = self.lock();
        let from_there = events.kept.range(first..);
        from_there.map(|(_, event)| event.clone()).collect()
    }

    fn change(&self, id: EventId, change: impl FnOnce(&mut Event)) {
        if let Some(event) = self.lock().kept.get_mut(&id.0) {
            change(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_takes_no_answer_and_gives_its_place_to_nobody() {
        let timeline = Timeline::new();
        let start = timeline.push("check", "app", "start");
        let mark = timeline.mark();
        let passed = timeline.push("app", "redis", "GET 1");
        timeline.forget_since(mark);
        let failed = timeline.push("app", "redis", "GET 2");
        timeline.reply(passed, "late");
        timeline.reply(failed, "nil");
        timeline.note(start, "kept");
        let events = timeline.events().into_iter();
        let shown: Vec<_> = events.map(|it| (it.what, it.reply)).collect();
        let nil = Some("nil".to_owned());
        assert_eq!(
            shown,
            [("start".to_owned(), None), ("GET 2".to_owned(), nil)]
        );
    }
}
