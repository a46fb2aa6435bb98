//! A request that stands still at one of its messages, while something else happens.

use labkit::finding::fail_because;
use labkit::wire::{Hold, Match, Step, Steps};

use crate::Shop;
use crate::instance::{InFlight, Instance};

/// A request at a standstill.
#[must_use = "dropping it lets the request go on"]
pub struct Standstill {
    /// What is held, in words short enough for a finding.
    pub at: String,
    _request: Option<Step>,
    _reply: Option<Hold>,
    _redis: Steps,
    _catalogue: Steps,
}

impl Shop {
    /// Fails the check unless what is kept of a page expires from its first moment on, and
    /// is kept when the answer is out.
    pub async fn expect_expiry_with_the_value(&self, path: &str) {
        let did = format!("GET {path}, looking into Redis after each message of your service");
        let request = self.app.begin_get(path);
        let mut steps = self.app.steps();
        let answer = steps.walk(request, async |after| {
            self.redis.expect_expiries(&did, after).await;
        });
        let _ = answer.await.expect_ok();
        // What was not waited for is still held: it is not there, however quick it would be.
        let when = "when the answer was out";
        let kept = self.redis.expect_expiries_when(&did, when).await;
        if kept.is_empty() {
            let holds = self.redis.holds_nothing().await;
            // Why value and expiry belong together is not what its author has to hear first.
            fail_because(
                did,
                format!("the answer is out, and {holds}"),
                "an entry, with an expiry from its first moment on",
                "The next visitor comes when the answer is out. What is not in Redis by then, \
                 never written or still on its way, is another load.",
            );
        }
    }
}

impl Instance {
    /// Lets a request run until its `k`-th message stands still: what it says to Redis and
    /// to the catalogue, and the first thing that the catalogue answers. `None` if it has
    /// fewer and is answered.
    pub async fn standstill(&self, request: &mut InFlight<'_>, k: usize) -> Option<Standstill> {
        let mut redis = self.redis.hold_each(Match::any());
        let mut catalogue = self.catalogue.hold_each(Match::any());
        let mut reply = Some(self.catalogue.hold_reply(Match::any()));
        let mut seen = 0;
        let (at, request, reply) = loop {
            let said = async {
                tokio::select! {
                    step = redis.next() => step.map(|step| (step, false)),
                    step = catalogue.next() => step.map(|step| (step, true)),
                }
            };
            let (step, to_catalogue) = request.until(said).await??;
            let words = step.message().kind.to_string();
            seen += 1;
            if seen == k {
                let held = || usize::from(!to_catalogue) + redis.waiting();
                request.during(self.replies(held)).await;
                break (format!("your service's `{words}`"), Some(step), None);
            }
            step.release();
            if to_catalogue && let Some(reply) = reply.take() {
                request.until(reply.reached()).await?.ok()?;
                seen += 1;
                if seen == k {
                    break (
                        format!("the answer to your service's `{words}`"),
                        None,
                        Some(reply),
                    );
                }
            }
        };
        Some(Standstill {
            at,
            _request: request,
            _reply: reply,
            _redis: redis,
            _catalogue: catalogue,
        })
    }
}
