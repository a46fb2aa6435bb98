//! A request that is under way while the check does something else.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use labkit::finding;
use labkit::patience::timeout;
use labkit::wire::{Match, Message};

use crate::inside::Inside;
use crate::instance::Instance;

/// Between two looks at something that is bound to come.
pub(crate) const MOMENT: Duration = Duration::from_millis(2);

/// How long one request is held for another that neither ends nor waits in the database: it may
/// be asking again and again until the first one is done. Decides how a check goes on, never its
/// verdict.
const ASKS_AGAIN: Duration = Duration::from_secs(2);

/// A request that has not been answered yet, as far as we know.
pub struct InFlight<'a, T> {
    request: Pin<Box<dyn Future<Output = T> + 'a>>,
    answer: Option<T>,
}

impl<'a, A> InFlight<'a, A> {
    /// A request that begins when it is first waited for.
    pub fn of(request: impl Future<Output = A> + 'a) -> Self {
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
        let mut other = pin!(other);
        match self.until(&mut other).await {
            Some(ended) => ended,
            None => other.await,
        }
    }

    /// Waits for the answer.
    pub async fn answer(self) -> A {
        match self.answer {
            Some(answer) => answer,
            None => self.request.await,
        }
    }
}

/// What came of a request that was held at one of its statements.
pub enum Interrupted<A, B> {
    /// It had fewer statements than that, and the other did not happen.
    Over(A),
    /// Both are done.
    Both {
        /// The answer to the request.
        held: A,
        /// What the other ended with.
        other: B,
        /// Where it was held, in words.
        at: String,
    },
}

impl Instance {
    /// Stands the `nth` statement of a request still, does `other` meanwhile, and lets it go
    /// when that is done, or when it waits for what the held one has locked, in the database or
    /// by asking again and again.
    pub async fn interrupted<A, B>(
        &self,
        inside: &Inside,
        nth: usize,
        request: impl Future<Output = A>,
        other: impl Future<Output = B>,
    ) -> Interrupted<A, B> {
        let hold = self.db.hold(Match::any().nth(nth));
        let mut request = InFlight::of(request);
        let message = match request.until(hold.reached()).await {
            Some(Ok(message)) => message,
            None => return Interrupted::Over(request.answer().await),
            Some(Err(waiting)) => finding::fail(
                "",
                format!("no answer, and no statement {nth} to the database: {waiting}"),
                "an answer",
            ),
        };
        let at = words(&message);
        let mut other = InFlight::of(other);
        let _ = timeout(ASKS_AGAIN, other.until(inside.somebody_waits())).await;
        hold.release();
        let (held, other) = tokio::join!(request.answer(), other.answer());
        Interrupted::Both { held, other, at }
    }
}

/// A statement as a finding names it.
fn words(message: &Message) -> String {
    let words = message.to_string();
    let short: String = words.chars().take(60).collect();
    match short.len() < words.len() {
        true => short + "…",
        false => short,
    }
}
