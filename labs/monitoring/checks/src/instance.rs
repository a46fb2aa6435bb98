//! A running instance of the service, and its metrics pages.

use std::net::SocketAddr;
use std::time::Duration;

use labkit::answer::Answer;
use labkit::patience::{PATIENCE, timeout};
use labkit::timeline::Timeline;
use labkit::upstream::Gate;
use labkit::wire::Wire;
use labkit::{App, Check, finding};

use crate::exposition::Exposition;

/// How long to wait before a page is read again.
const MOMENT: Duration = Duration::from_millis(2);
/// Enough for work that waits for nobody.
const ROUND_TRIPS: usize = 5;
/// How often the till's answers are looked for; one that nobody waits for may never be seen.
const LOOKS: usize = 200;

/// What the service goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The time that its neighbours say they took.
    Told,
    /// The machine's.
    Machine,
}

/// One of them; what it says to its neighbours is recorded.
pub struct Instance {
    /// The service.
    pub app: App,
    timeline: Timeline,
    till: Wire,
    _index: Wire,
}

impl Instance {
    /// Starts one between a till and an index, which listen there.
    pub(crate) async fn start(
        check: &Check,
        name: &str,
        [till, index]: [SocketAddr; 2],
        clock: Clock,
    ) -> Self {
        let till = wire(check, name, "till", till).await;
        let index = wire(check, name, "index", index).await;
        let clock = match clock {
            Clock::Told => "told",
            Clock::Machine => "machine",
        };
        let environment = [
            ("TILL_URL", format!("http://{}", till.address())),
            ("INDEX_URL", format!("http://{}", index.address())),
            ("CLOCK", clock.to_owned()),
        ];
        Self {
            app: App::start(check, name, &environment).await,
            timeline: check.timeline(),
            till,
            _index: index,
        }
    }

    /// Reads the metrics of `checkout`, `pages` or `search`.
    pub async fn metrics(&self, part: &str) -> Exposition {
        let answer = self.app.get(&format!("/metrics/{part}")).await.expect_ok();
        answer.body.parse().unwrap_or_else(|mistake| {
            finding::fail_because(
                "",
                format!("{}: {mistake}", answer.request),
                "the text format of Prometheus",
                "A Prometheus that cannot read one line takes none of them: for it, the whole \
                 service is down.",
            )
        })
    }

    /// Reads the metrics of the checkout after its client has hung up, until they are as wanted.
    /// When the service has let go of what it asked the till, there is no more to wait for: it
    /// knows by then.
    pub async fn metrics_after_hang_up(
        &self,
        at_the_till: &Gate,
        wanted: impl Fn(&Exposition) -> bool,
    ) -> Exposition {
        let mark = self.timeline.mark();
        let mut last = self.metrics("checkout").await;
        let reading = async {
            while !wanted(&last) {
                let let_go = at_the_till.parked_now() == 0;
                match let_go {
                    true => self.app.settle(ROUND_TRIPS).await,
                    false => tokio::time::sleep(MOMENT).await,
                }
                // One line of it is enough.
                self.timeline.forget_since(mark);
                last = self.metrics("checkout").await;
                if let_go {
                    break;
                }
            }
        };
        // That they never are is for the caller to say.
        let _ = timeout(PATIENCE, reading).await;
        last
    }

    /// Waits until what the till was asked is answered, and for what the service makes of it.
    pub async fn has_heard_from_the_till(&self) {
        for _ in 0..LOOKS {
            let asked = self.till.messages();
            if asked.iter().all(|message| message.reply.is_some()) {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        self.app.settle(ROUND_TRIPS).await;
    }

    /// Pays for a cart.
    pub async fn pay(&self, cart: u64) -> Answer {
        self.app.post(&format!("/checkout/{cart}"), &()).await
    }
}

async fn wire(check: &Check, app: &str, name: &str, at: SocketAddr) -> Wire {
    let wire = Wire::http(check.timeline(), app, name, at).await;
    wire.unwrap_or_else(|error| finding::error(format!("no wire to the {name}: {error}")))
}
