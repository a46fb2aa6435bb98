//! Faults at the k-th message: what becomes of it.

use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::matching::Match;
use super::message::Message;
use crate::patience::{PATIENCE, timeout};

/// What the timeline notes beside a message that stood still, and, among other words, beside one
/// whose answer did.
pub const HELD: &str = "held by the check";
/// What it notes of an answer.
pub(super) const REPLY_HELD: &str = "reply held by the check";

/// What a check waited for did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StillWaiting(String);

impl StillWaiting {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// A message, or its reply, that stands still on the wire; everything behind it on that
/// connection waits too. Dropping it releases.
#[derive(Debug)]
#[must_use = "dropping a hold releases it"]
pub struct Hold {
    awaited: String,
    reached: watch::Receiver<Option<Message>>,
    // Never sent on: the wire waits for it to be dropped.
    _released: oneshot::Sender<()>,
}

impl Hold {
    /// Waits, for ten seconds at most, until the message is there and stands still.
    pub async fn reached(&self) -> Result<Message, StillWaiting> {
        self.reached_within(PATIENCE).await
    }

    /// As [`Hold::reached`], with a deadline of one's own.
    pub async fn reached_within(&self, limit: Duration) -> Result<Message, StillWaiting> {
        let mut reached = self.reached.clone();
        let arrival = async {
            match reached.wait_for(Option::is_some).await {
                Ok(message) => message.clone(),
                // The wire is gone, or a connection that owed a reply: it cannot come any more.
                Err(_) => None,
            }
        };
        match timeout(limit, arrival).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(StillWaiting::new(format!(
                "{} was seen before the connection was closed",
                self.awaited
            ))),
            Err(_) => Err(StillWaiting::new(format!(
                "{} was seen within {} s",
                self.awaited,
                limit.as_secs_f64()
            ))),
        }
    }

    /// Lets the message go on its way.
    pub fn release(self) {}
}

/// The wire's end of a [`Hold`].
#[derive(Debug)]
pub(super) struct Held {
    reached: watch::Sender<Option<Message>>,
    released: oneshot::Receiver<()>,
}

impl Held {
    fn is_released(&mut self) -> bool {
        self.released.try_recv() == Err(TryRecvError::Closed)
    }

    /// Says whether it stood still at all: its hold may have been released before it came.
    pub(super) async fn stand_still(mut self, message: Message) -> bool {
        let held = !self.is_released();
        self.reached.send_replace(Some(message));
        if held {
            // Err: the hold was dropped, which is how it releases.
            let _ = self.released.await;
        }
        held
    }
}

/// Every matching message in turn, each standing still until it is released.
#[derive(Debug)]
#[must_use = "dropping the steps releases them"]
pub struct Steps {
    steps: mpsc::UnboundedReceiver<Step>,
}

impl Steps {
    /// The next message that stands still; `None` once the wire is closed.
    ///
    /// It waits as long as it takes, and nothing is lost when it is dropped: put it in a
    /// `tokio::select!` beside whatever ends the sequence, such as the app's answer.
    pub async fn next(&mut self) -> Option<Step> {
        self.steps.recv().await
    }

    /// How many more stand still at this moment, of which [`Steps::next`] has not told yet: an app
    /// with several connections sends several at the same time.
    pub fn waiting(&self) -> usize {
        self.steps.len()
    }
}

/// One message that stands still. Dropping it releases.
#[derive(Debug)]
#[must_use = "dropping a step releases it"]
pub struct Step {
    message: Message,
    _released: oneshot::Sender<()>,
}

impl Step {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Lets the message go on its way.
    pub fn release(self) {}
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Action {
    Hold(Held),
    HoldReply(Held),
    Step(mpsc::UnboundedSender<Step>),
    Cut,
    DropReply,
    Delay(Duration),
}

impl Action {
    /// What the timeline says beside the message.
    pub(super) fn note(&self) -> String {
        match self {
            Self::Hold(_) | Self::Step(_) => HELD.to_owned(),
            Self::HoldReply(_) => REPLY_HELD.to_owned(),
            Self::Cut => "connection cut before it arrived".to_owned(),
            Self::DropReply => "reply lost, connection cut".to_owned(),
            Self::Delay(time) => format!("delayed {time:?}"),
        }
    }
}

/// Stands a message still until its step is released.
pub(super) async fn step(steps: &mpsc::UnboundedSender<Step>, message: Message) {
    let (released, wait) = oneshot::channel();
    let step = Step {
        message,
        _released: released,
    };
    if steps.send(step).is_ok() {
        let _ = wait.await;
    }
}

/// The faults that are set, in the order in which they were.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

#[derive(Debug)]
struct Fault {
    matching: Match,
    seen: usize,
    action: Action,
}

impl Faults {
    pub(super) fn set(&mut self, matching: Match, action: Action) {
        self.0.push(Fault {
            matching,
            seen: 0,
            action,
        });
    }

    pub(super) fn hold(&mut self, matching: Match) -> Hold {
        let (hold, held) = hold(format!("no {matching}"));
        self.set(matching, Action::Hold(held));
        hold
    }

    pub(super) fn hold_reply(&mut self, matching: Match) -> Hold {
        let (hold, held) = hold(format!("no reply to {matching}"));
        self.set(matching, Action::HoldReply(held));
        hold
    }

    pub(super) fn hold_each(&mut self, matching: Match) -> Steps {
        let (sender, steps) = mpsc::unbounded_channel();
        self.set(matching, Action::Step(sender));
        Steps { steps }
    }

    /// What happens to this message. Every fault counts it, also behind another one.
    pub(super) fn meet(&mut self, message: &Message) -> Vec<Action> {
        self.0.retain_mut(|fault| match &mut fault.action {
            // Dropped by the check, so that nothing stands still any more.
            Action::Hold(held) | Action::HoldReply(held) => !held.is_released(),
            Action::Step(steps) => !steps.is_closed(),
            Action::Cut | Action::DropReply | Action::Delay(_) => true,
        });
        let mut actions = Vec::new();
        let mut i = 0;
        while let Some(fault) = self.0.get_mut(i) {
            if fault.matching.meets(message) {
                fault.seen += 1;
                if fault.seen >= fault.matching.nth {
                    if let Action::Step(steps) = &fault.action {
                        actions.push(Action::Step(steps.clone()));
                    } else {
                        actions.push(self.0.remove(i).action);
                        continue;
                    }
                }
            }
            i += 1;
        }
        actions
    }
}

fn hold(awaited: String) -> (Hold, Held) {
    let (reached_sender, reached) = watch::channel(None);
    let (released_sender, released) = oneshot::channel();
    let hold = Hold {
        awaited,
        reached,
        _released: released_sender,
    };
    let held = Held {
        reached: reached_sender,
        released,
    };
    (hold, held)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::message::MessageKind;

    fn command(words: &str) -> Message {
        Message {
            at_ms: 0.0,
            client: "app".to_owned(),
            connection: 1,
            kind: MessageKind::Redis {
                args: words
                    .split(' ')
                    .map(|w| Bytes::from(w.to_owned()))
                    .collect(),
            },
            reply: None,
        }
    }

    #[test]
    fn a_fault_meets_the_kth_matching_message_and_only_that() {
        let mut faults = Faults::default();
        let second_del = Match::command("del").key("product:7").nth(2);
        assert_eq!(second_del.to_string(), "DEL of product:7 number 2");
        faults.set(second_del, Action::Cut);
        let hits: Vec<usize> = ["DEL product:7", "GET product:7", "DEL x", "del a product:7"]
            .into_iter()
            .chain(["DEL product:7"])
            .map(|words| faults.meet(&command(words)).len())
            .collect();
        assert_eq!(hits, [0, 0, 0, 1, 0]);
    }
}
