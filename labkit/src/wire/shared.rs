//! What a wire and its connections share: the record so far, and the faults to come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fault::{Action, Faults};
use super::message::{Message, MessageKind, Reply, ReplyKind};
use crate::timeline::{EventId, Timeline};

/// What the wire and its connections share.
pub(super) struct Shared {
    pub(super) timeline: Timeline,
    pub(super) client: String,
    pub(super) service: String,
    pub(super) state: Mutex<State>,
    /// Changes whenever all connections are cut; a connection lives as long as the epoch
    /// that it was accepted in.
    pub(super) epoch: watch::Sender<u64>,
}

/// What happened so far, and what shall happen.
pub(super) struct State {
    pub(super) messages: Vec<(Message, EventId)>,
    pub(super) faults: Faults,
    /// Here and not with the task that accepts, so that it can be closed at once.
    pub(super) listener: Option<TcpListener>,
    pub(super) connections: u64,
}

impl Shared {
    pub(super) fn new(
        timeline: Timeline,
        client: &str,
        service: &str,
        listener: TcpListener,
    ) -> Arc<Self> {
        Arc::new(Self {
            timeline,
            client: client.to_owned(),
            service: service.to_owned(),
            state: Mutex::new(State {
                messages: Vec::new(),
                faults: Faults::default(),
                listener: Some(listener),
                connections: 0,
            }),
            epoch: watch::Sender::new(0),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request and finds out what shall become of it; nothing, if its connection
    /// was cut meanwhile.
    pub(super) fn received(&self, life: Life, kind: MessageKind) -> Option<Received> {
        let mut state = self.state();
        if !self.lives(life) {
            return None;
        }
        let id = state.messages.len();
        // Under the lock, so that the messages and the timeline agree about the order.
        let what = self.timeline.in_words(&kind);
        let line = self.timeline.push(&self.client, &self.service, what);
        let message = Message {
            at_ms: self.timeline.now_ms(),
            client: self.client.clone(),
            connection: life.connection,
            kind,
            reply: None,
        };
        let actions = state.faults.meet(&message);
        for action in &actions {
            self.timeline.note(line, action.note());
        }
        state.messages.push((message.clone(), line));
        Some(Received {
            id,
            message,
            actions,
        })
    }

    /// Enters a request that became a message only by its reply. No fault meets it.
    pub(super) fn failed(&self, life: Life, kind: MessageKind, reply: ReplyKind) {
        let mut state = self.state();
        let line = self.app_said(self.timeline.in_words(&kind));
        self.timeline.reply(line, self.timeline.in_words(&reply));
        let at_ms = self.timeline.now_ms();
        let message = Message {
            at_ms,
            client: self.client.clone(),
            connection: life.connection,
            kind,
            reply: Some(Reply { at_ms, kind: reply }),
        };
        state.messages.push((message, line));
    }

    /// A request as it was entered.
    pub(super) fn message(&self, id: usize) -> Option<Message> {
        let state = self.state();
        state.messages.get(id).map(|(message, _)| message.clone())
    }

    /// Enters the reply to a request, of which the first counts.
    pub(super) fn answered(&self, id: usize, kind: ReplyKind) -> Option<Message> {
        let mut state = self.state();
        let (message, line) = state.messages.get_mut(id)?;
        if message.reply.is_none() {
            self.timeline.reply(*line, self.timeline.in_words(&kind));
            message.reply = Some(Reply {
                at_ms: self.timeline.now_ms(),
                kind,
            });
        }
        Some(message.clone())
    }

    /// Says beside a message how long it stood still: its line stands where it was sent, and
    /// an answer that came long after would seem to have come then.
    pub(super) fn went_on(&self, id: usize, held: &str) {
        if let Some((_, line)) = self.state().messages.get(id) {
            let now = self.timeline.now_ms();
            self.timeline
                .note(*line, format!("{held} until {now:.1} ms"));
        }
    }

    pub(super) fn lives(&self, life: Life) -> bool {
        *self.epoch.borrow() == life.epoch
    }

    pub(super) fn app_said(&self, what: impl Into<String>) -> EventId {
        self.timeline.push(&self.client, &self.service, what)
    }

    pub(super) fn service_said(&self, what: impl Into<String>) -> EventId {
        self.timeline.push(&self.service, &self.client, what)
    }
}

/// A request that was entered.
pub(super) struct Received {
    pub(super) id: usize,
    pub(super) message: Message,
    /// What shall become of it, in order.
    pub(super) actions: Vec<Action>,
}

/// Which connection, and since when.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub(super) connection: u64,
    pub(super) epoch: u64,
}
