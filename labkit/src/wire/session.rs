//! What both directions of a connection share: the requests that wait for an answer, and what
//! befalls the answers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::fault::{self, Held};
use super::message::{Message, ReplyKind};
use super::protocol::{Protocol, Refusal};
use super::shared::Shared;

/// The protocol's state and the requests that wait for an answer, the oldest first.
pub(super) struct Session<P: Protocol> {
    pub(super) protocol: P,
    pub(super) waiting: VecDeque<Waiting<P::Expect>>,
    /// How many there are, and those whose answer is just being passed on.
    pub(super) unanswered: watch::Sender<usize>,
}

pub(super) struct Waiting<E> {
    /// The message, if it is one.
    pub(super) id: Option<usize>,
    pub(super) expect: E,
    pub(super) refusal: Option<Refusal>,
    /// What shall become of the reply, in order.
    pub(super) faults: Vec<ReplyFault>,
}

pub(super) enum ReplyFault {
    Hold(Held),
    Drop,
}

pub(super) fn locked<P: Protocol>(session: &Mutex<Session<P>>) -> MutexGuard<'_, Session<P>> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What befalls a reply.
pub(super) struct Befalls {
    pub(super) faults: Vec<ReplyFault>,
    pub(super) of: Option<(usize, Message)>,
}

#[derive(PartialEq)]
pub(super) enum Fate {
    PassedOn,
    Lost,
}

impl Befalls {
    pub(super) async fn happen(self, shared: &Shared) -> Fate {
        for fault in self.faults {
            match (fault, &self.of) {
                (ReplyFault::Drop, _) => return Fate::Lost,
                (ReplyFault::Hold(held), Some((id, message))) => {
                    if held.stand_still(message.clone()).await {
                        shared.went_on(*id, fault::REPLY_HELD);
                    }
                }
                (ReplyFault::Hold(_), None) => {}
            }
        }
        Fate::PassedOn
    }
}

/// Whether a fault awaits the reply to the oldest request.
pub(super) fn keeps_back<P: Protocol>(session: &Mutex<Session<P>>) -> bool {
    let session = locked(session);
    let oldest = session.waiting.front();
    oldest.is_some_and(|waiting| !waiting.faults.is_empty())
}

/// What befalls the reply to the oldest request, of which only a part is there.
pub(super) fn befalls<P: Protocol>(shared: &Shared, session: &Mutex<Session<P>>) -> Befalls {
    let mut session = locked(session);
    let (id, faults) = match session.waiting.front_mut() {
        Some(waiting) => (waiting.id, std::mem::take(&mut waiting.faults)),
        None => (None, Vec::new()),
    };
    Befalls {
        faults,
        of: id.and_then(|id| Some((id, shared.message(id)?))),
    }
}

/// Gives an answer to the oldest request. Returns what goes to the app, and what shall
/// become of it.
pub(super) fn settle<P: Protocol>(
    shared: &Shared,
    session: &Mutex<Session<P>>,
    raw: Bytes,
    reply: ReplyKind,
    last: bool,
) -> (Bytes, Befalls) {
    let mut session = locked(session);
    let Some(oldest) = session.waiting.front_mut() else {
        let nothing = Befalls {
            faults: Vec::new(),
            of: None,
        };
        return (raw, nothing);
    };
    let (raw, reply) = match oldest.refusal.take() {
        Some(refusal) => (refusal.raw, refusal.reply),
        None => (raw, reply),
    };
    let faults = std::mem::take(&mut oldest.faults);
    let of = oldest
        .id
        .and_then(|id| Some((id, shared.answered(id, reply)?)));
    if last {
        session.waiting.pop_front();
    }
    (raw, Befalls { faults, of })
}
