//! Many callers at once: their answers, also those that never came.

use std::time::Duration;

use futures_util::future::join_all;
use labkit::answer::Answer;
use labkit::finding::fail;
use labkit::patience::timeout;
use labkit::upstream::Gate;
use labkit::wire::{Match, Step, Steps};
use serde_json::Value;

use crate::goods::Thing;
use crate::instance::{InFlight, Instance};

/// When a caller gives up: ten seconds, and what a check does before it lets them go.
pub(crate) const LIMIT: Duration = Duration::from_secs(12);

/// Between two looks at something that is bound to come.
pub const MOMENT: Duration = Duration::from_millis(2);

/// For how long Redis says nothing: longer than somebody waits who then calls it done all the
/// same. Decides how sure we are to see that, never the verdict on a service that waits.
pub const SILENCE: Duration = Duration::from_millis(1_200);

/// By then a load that ends with its reader has left the catalogue, and one that goes on has gone
/// on. Decides how a check goes on, never its verdict.
const LEAVE: Duration = Duration::from_millis(500);

/// What became of each caller; nothing for one that was never answered.
pub type Answers = Vec<Option<Answer>>;

impl Instance {
    /// Callers that ask at the same time, one for each path.
    pub fn begin_crowd<'a, I>(&'a self, paths: I) -> InFlight<'a, Answers>
    where
        I: IntoIterator<Item = &'a str>,
    {
        let callers = paths
            .into_iter()
            .map(|path| self.app.get_within(path, LIMIT));
        InFlight::of(join_all(callers))
    }

    /// Waits until a crowd has come in: until something was said to Redis, and nothing more
    /// is said without being asked to.
    pub async fn come_in(&self) {
        // Whoever never speaks to Redis is found out otherwise.
        let spoken = async {
            while self.redis.messages().is_empty() {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let _ = timeout(LIMIT, spoken).await;
        self.fall_silent().await;
    }

    /// Waits until nothing more is said, to Redis or to the catalogue, without being asked
    /// to: what goes on behind an answer has gone on by then.
    pub async fn fall_silent(&self) {
        let (mut said, mut silent) = (self.said(), 0);
        // Whoever waits by asking again and again never falls silent.
        for _ in 0..20 {
            self.settle().await;
            let now = self.said();
            silent = if now == said { silent + 1 } else { 0 };
            if silent == 3 {
                return;
            }
            said = now;
        }
    }

    /// The next thing that this instance says to Redis, held; nothing, where it says nothing more.
    pub async fn next_said(&self, words: &mut Steps) -> Option<Step> {
        tokio::select! {
            word = words.next() => word,
            () = self.fall_silent() => None,
        }
    }

    /// The same for what it says after `before` other things, which are let go.
    pub async fn said_after(&self, before: usize, words: &mut Steps) -> Option<Step> {
        for _ in 0..before {
            drop(self.next_said(words).await?);
        }
        self.next_said(words).await
    }

    /// Waits until this instance has come to rest and Redis owes it no answer. False where that
    /// does not come: then it is busy with something.
    pub async fn waits_for_no_answer(&self) -> bool {
        for _ in 0..20 {
            self.fall_silent().await;
            let messages = self.redis.messages();
            if messages.iter().all(|message| message.reply.is_some()) {
                return true;
            }
        }
        false
    }

    /// Waits, for as long as a caller would, until this instance asks the catalogue for a
    /// path.
    pub async fn asks(&self, path: &str) -> bool {
        let load = Match::request("GET", path);
        let asked = async {
            while !self.catalogue.messages().iter().any(|it| load.meets(it)) {
                tokio::time::sleep(MOMENT).await;
            }
        };
        timeout(LIMIT, asked).await.is_ok()
    }

    /// Waits, for as long as a caller would, until the catalogue has answered all that this
    /// instance asked.
    pub async fn has_loaded(&self) {
        let answered = async {
            let unanswered = || {
                let messages = self.catalogue.messages();
                messages.iter().any(|message| message.reply.is_none())
            };
            while unanswered() {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let _ = timeout(LIMIT, answered).await;
    }

    /// How much went over this instance's wires: questions and answers.
    fn said(&self) -> (usize, usize) {
        let messages = [self.redis.messages(), self.catalogue.messages()].concat();
        let answered = messages.iter().filter(|message| message.reply.is_some());
        (messages.len(), answered.count())
    }

    /// The client goes away without waiting for its answer.
    pub async fn hang_up(&self, request: InFlight<'_>, path: &str) {
        drop(request);
        let note = format!("hangs up on GET {path}");
        self.timeline.push("check", self.app.name(), note);
        self.settle().await;
    }

    /// Waits until the loads that ended with their readers have left the gate. Those that go on
    /// stay, for all we wait.
    pub async fn abandoned_loads_leave(&self, gate: &Gate) {
        let leave = async {
            while gate.parked_now() > 0 {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let _ = timeout(LEAVE, leave).await;
        self.settle().await;
    }

    /// Opens the gate to a load whose reader has hung up, and waits until all that comes of it
    /// is done.
    pub async fn finish_abandoned_load(&self, gate: &Gate) {
        self.abandoned_loads_leave(gate).await;
        if gate.parked_now() > 0 {
            self.finish_load(gate).await;
        } else {
            gate.open();
        }
        self.fall_silent().await;
    }

    /// Opens the gate to a load, and waits until it was answered and the service has gone on: until
    /// it has said something to Redis, or has had the time to.
    pub async fn finish_load(&self, gate: &Gate) {
        let before = self.redis.messages().len();
        gate.open();
        self.has_loaded().await;
        let goes_on = async {
            while self.redis.messages().len() == before {
                tokio::time::sleep(MOMENT).await;
            }
        };
        let _ = timeout(LEAVE, goes_on).await;
    }

    /// The process is killed where it stands.
    pub async fn kill(&self) {
        self.timeline.push("check", self.app.name(), "kill -9");
        self.app.kill().await;
    }
}

/// Fails the check unless each caller got what the catalogue has; `still` says what those
/// who wait might wait for.
pub fn expect_served(answers: &Answers, thing: &Thing, did: &str, still: &str) {
    expect_answered(answers, did, still);
    for answer in answers.iter().flatten() {
        expect_shown(answer, &thing.value, did);
    }
}

/// As [`expect_served`], where the callers asked for these things in turn.
pub fn expect_each_served(answers: &Answers, things: &[Thing], did: &str, still: &str) {
    expect_answered(answers, did, still);
    for (answer, thing) in answers.iter().flatten().zip(things.iter().cycle()) {
        expect_shown(answer, &thing.value, did);
    }
}

/// Fails the check where a caller was never answered.
pub fn expect_answered(answers: &Answers, did: &str, still: &str) {
    let waiting = answers.iter().filter(|answer| answer.is_none()).count();
    if waiting > 0 {
        let of = answers.len();
        fail(
            did,
            format!(
                "{waiting} of {of} callers {} never answered ({} s); {still}",
                if waiting == 1 { "was" } else { "were" },
                LIMIT.as_secs()
            ),
            "an answer for each of them",
        );
    }
}

/// Fails the check unless an answer is this value.
pub fn expect_shown(answer: &Answer, value: &Value, did: &str) {
    if answer.status != 200 {
        answer.point("not 200");
        fail(
            did,
            format!("{} answered {answer}", answer.request),
            format!("200 with {value}"),
        );
    }
    let shown: Value = answer.json();
    if shown != *value {
        answer.point("not this");
        fail(
            did,
            format!("{} answered {shown}", answer.request),
            value.to_string(),
        );
    }
}
