//! What happened during a check, in order, and who said it to whom.
//!
//! Everything that a check can see — its own requests, the wire, the upstreams — writes
//! here; a finding shows the lines that led to it.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The shared record of one check; clones write to the same record.
#[derive(Clone, Debug)]
pub struct Timeline {
    started: Instant,
    events: Arc<Mutex<Vec<Event>>>,
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
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(Event {
            at_ms: self.now_ms(),
            from: from.to_owned(),
            to: to.to_owned(),
            what: what.into(),
            reply: None,
            replied_at_ms: None,
            note: None,
        });
        EventId(events.len() - 1)
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

    /// All events so far, in the order in which they were pushed.
    pub fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, id: EventId, change: impl FnOnce(&mut Event)) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = events.get_mut(id.0) {
            change(event);
        }
    }
}
