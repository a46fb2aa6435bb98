//! One instance of the learner's service, and the wires of its connections.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use labkit::answer::Answer;
use labkit::patience::Pause;
use labkit::timeline::Timeline;
use labkit::wire::{Match, Message, MessageKind, Step, Target, Wire};
use labkit::{App, Check, finding};
use serde::Serialize;

use crate::crowd::LIMIT;

/// What every instance is started with, where a check does not say otherwise; the brief
/// lists the same numbers.
const LIVES: [(&str, u64); 13] = [
    ("PRODUCT_TTL_S", 600),
    ("VOUCHER_TTL_S", 3600),
    ("NEGATIVE_TTL_S", 30),
    ("LISTING_TTL_MS", 3_600_000),
    ("JITTER_SEED", 1),
    ("DEAL_TTL_S", 600),
    ("LOCK_TTL_MS", 30_000),
    ("MANUAL_TTL_S", 600),
    ("REDIS_BUDGET_MS", 10_000),
    ("ORIGIN_LIMIT", 8),
    ("RANKING_SOFT_MS", 60_000),
    ("RANKING_HARD_MS", 600_000),
    ("STOCK_TTL_S", 600),
];

/// Enough for an answer that waits for nothing to come out.
const ROUND_TRIPS: usize = 10;

/// A running instance.
pub struct Instance {
    /// Its connection to Redis: recorded, and where faults are laid.
    pub redis: Wire,
    /// Its connections to the catalogue: one load or change of one instance is held here.
    pub catalogue: Wire,
    pub(crate) app: App,
    pub(crate) timeline: Timeline,
}

impl Instance {
    pub(crate) async fn start(
        check: &Check,
        name: &str,
        catalogue: SocketAddr,
        changed: &[(&str, u64)],
    ) -> Self {
        let target = check.redis();
        let redis = Wire::redis(check.timeline(), name, "redis", target.clone())
            .await
            .unwrap_or_else(|error| finding::error(format!("no wire to Redis: {error}")));
        let catalogue = Wire::http(check.timeline(), name, "catalogue", catalogue)
            .await
            .unwrap_or_else(|error| finding::error(format!("no wire to the catalogue: {error}")));
        let mut environment = vec![
            ("REDIS_URL", url(redis.address(), &target)),
            ("CATALOGUE_URL", format!("http://{}", catalogue.address())),
        ];
        for (variable, usual) in LIVES {
            let other = changed.iter().find(|(name, _)| *name == variable);
            let value = other.map_or(usual, |(_, value)| *value);
            environment.push((variable, value.to_string()));
        }
        if !changed.is_empty() {
            let words = changed
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            let started = format!("start with{}", words.collect::<String>());
            check.timeline().push("check", name, started);
        }
        let app = App::start(check, name, &environment).await;
        Self {
            redis,
            catalogue,
            app,
            timeline: check.timeline(),
        }
    }

    /// GET, and whatever the answer is.
    pub async fn get(&self, path: &str) -> Answer {
        self.app.get(path).await
    }

    /// GET by somebody who waits for so long and no longer.
    pub async fn get_within(&self, path: &str, limit: Duration) -> Option<Answer> {
        self.app.get_within(path, limit).await
    }

    /// PUT with a JSON body, and whatever the answer is.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Answer {
        self.app.put(path, body).await
    }

    /// POST without anything to say, and whatever the answer is.
    pub async fn post(&self, path: &str) -> Answer {
        self.app.post(path, &()).await
    }

    /// A GET that is under way while the check does something else.
    pub fn begin_get<'a>(&'a self, path: &'a str) -> InFlight<'a> {
        InFlight::of(self.app.get(path))
    }

    /// A PUT that is under way while the check does something else.
    pub fn begin_put<'a>(&'a self, path: &'a str, body: &'a impl Serialize) -> InFlight<'a> {
        InFlight::of(self.app.put(path, body))
    }

    /// As [`Self::begin_put`], by somebody who waits for longer than a check does: nothing
    /// where no answer came.
    pub fn begin_patient_put<'a>(
        &'a self,
        path: &'a str,
        body: &'a impl Serialize,
    ) -> InFlight<'a, Option<Answer>> {
        InFlight::of(self.app.put_within(path, body, LIMIT))
    }

    /// As [`App::settle`].
    pub async fn settle(&self) {
        self.app.settle(ROUND_TRIPS).await;
    }

    /// Waits until Redis has done what was let go, all but what is `held`: messages of a
    /// pipeline follow each other faster than it works.
    pub async fn replies(&self, held: impl Fn() -> usize) {
        // A command may have no reply of its own: that must not stop the walk.
        for _ in 0..200 {
            let messages = self.redis.messages();
            let unanswered = messages.iter().filter(|message| message.reply.is_none());
            if unanswered.count() <= held() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// From now on every message of this instance to Redis stands still until
    /// [`Steps::walk`] lets it go.
    pub fn steps(&self) -> Steps<'_> {
        Steps {
            held: self.redis.hold_each(Match::any()),
            instance: self,
            unawaited: None,
        }
    }

    /// The lives that this instance has asked Redis for, in order: the shell's import
    /// writes `SET key value PX life`.
    pub fn lives_written(&self) -> Vec<u64> {
        let life = |message: &Message| {
            let MessageKind::Redis { args } = &message.kind else {
                return None;
            };
            let [set, _, _, px, life] = args.as_slice() else {
                return None;
            };
            let written = set == "SET" && px == "PX";
            let life = std::str::from_utf8(life).ok().filter(|_| written)?;
            life.parse().ok()
        };
        self.redis.messages().iter().filter_map(life).collect()
    }
}

/// The messages of one instance, standing still one after the other.
pub struct Steps<'a> {
    held: labkit::wire::Steps,
    instance: &'a Instance,
    /// The message that was still held when the answer came: nobody waited for it.
    unawaited: Option<Step>,
}

impl Steps<'_> {
    /// The message that was still held when the answer came, in words.
    pub fn unawaited(&self) -> Option<String> {
        let step = self.unawaited.as_ref()?;
        Some(step.message().kind.to_string())
    }

    /// Lets the messages go one at a time until `request` is answered. Before each of them
    /// `look` runs, with the words of the one before. What comes after the answer stands
    /// still until these steps are dropped: it cannot have been waited for.
    pub async fn walk<T>(
        &mut self,
        mut request: InFlight<'_, T>,
        mut look: impl AsyncFnMut(Option<&str>),
    ) -> T {
        let mut last: Option<String> = None;
        while let Some(Some(step)) = request.until(self.held.next()).await {
            // Nor does it cost patience how long each message is held: it is the check that a
            // request with many messages waits for.
            let pause = Pause::begin();
            let held = || 1 + self.held.waiting();
            request.during(self.instance.replies(held)).await;
            request.during(self.instance.settle()).await;
            if request.answered().is_some() {
                self.unawaited = Some(step);
                break;
            }
            look(last.as_deref()).await;
            drop(pause);
            last = Some(step.message().kind.to_string());
            step.release();
        }
        request.answer().await
    }

    /// Lets the messages go one at a time until `other` has ended; nothing, where `request`
    /// was answered first. Before each of them `look` runs, with the words of the one before.
    pub async fn walk_until<T>(
        &mut self,
        request: &mut InFlight<'_>,
        other: impl Future<Output = T>,
        mut look: impl AsyncFnMut(Option<&str>),
    ) -> Option<T> {
        tokio::pin!(other);
        let mut last: Option<String> = None;
        loop {
            let either = async {
                tokio::select! {
                    ended = &mut other => Err(ended),
                    step = self.held.next() => Ok(step),
                }
            };
            match request.until(either).await {
                Some(Ok(Some(step))) => {
                    let held = || 1 + self.held.waiting();
                    request.during(self.instance.replies(held)).await;
                    look(last.as_deref()).await;
                    last = Some(step.message().kind.to_string());
                    step.release();
                }
                Some(Err(ended)) => {
                    let held = || self.held.waiting();
                    request.during(self.instance.replies(held)).await;
                    look(last.as_deref()).await;
                    return Some(ended);
                }
                Some(Ok(None)) | None => return None,
            }
        }
    }
}

/// A request that has not been answered yet, as far as we know.
pub struct InFlight<'a, T = Answer> {
    request: Pin<Box<dyn Future<Output = T> + 'a>>,
    answer: Option<T>,
}

impl<'a, A> InFlight<'a, A> {
    pub(crate) fn of(request: impl Future<Output = A> + 'a) -> Self {
        Self {
            request: Box::pin(request),
            answer: None,
        }
    }

    /// What `other` ends with; `None` when the request is answered first.
    pub async fn until<T>(&mut self, other: impl Future<Output = T>) -> Option<T> {
        if self.answer.is_some() {
            return None;
        }
        tokio::select! {
            answer = &mut self.request => {
                self.answer = Some(answer);
                None
            }
            ended = other => Some(ended),
        }
    }

    /// What `other` ends with, whether or not the request is answered meanwhile.
    pub async fn during<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        match self.until(&mut other).await {
            Some(ended) => ended,
            None => other.await,
        }
    }

    /// Both at once.
    pub fn and<B: 'a>(self, other: InFlight<'a, B>) -> InFlight<'a, (A, B)>
    where
        A: 'a,
    {
        InFlight::of(async move { tokio::join!(self.answer(), other.answer()) })
    }

    /// All at once.
    pub fn all(requests: Vec<Self>) -> InFlight<'a, Vec<A>>
    where
        A: 'a,
    {
        InFlight::of(join_all(requests.into_iter().map(InFlight::answer)))
    }

    /// The answer, if it has been seen.
    pub fn answered(&self) -> Option<&A> {
        self.answer.as_ref()
    }

    /// Waits for the answer.
    pub async fn answer(self) -> A {
        match self.answer {
            Some(answer) => answer,
            None => self.request.await,
        }
    }
}

/// The URL of the wire, with the name and password that the server behind it asks for.
fn url(wire: SocketAddr, target: &Target) -> String {
    let name = target.username.as_deref().map(encoded).unwrap_or_default();
    let login = match &target.password {
        Some(password) => format!("{name}:{}@", encoded(password)),
        None => String::new(),
    };
    format!("redis://{login}{wire}/{}", target.redis_database())
}

/// As a URL wants what may be any text.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
