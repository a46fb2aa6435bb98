//! A running instance of the service, and its metrics pages.

use std::time::Duration;

use labkit::answer::Answer;
use labkit::patience::{PATIENCE, timeout};
use labkit::timeline::Timeline;
use labkit::upstream::Gate;
use labkit::wire::Wire;
use labkit::{App, Check, finding};

use crate::exposition::Exposition;
use crate::neighbour::Neighbour;

/// How long to wait before a page is read again.
const MOMENT: Duration = Duration::from_millis(2);
/// Enough for what waits for nothing to be done.
const ROUND_TRIPS: usize = 5;

/// One of them; what it says to its neighbours is recorded.
pub struct Instance {
    /// The service.
    pub app: App,
    timeline: Timeline,
    _till: Wire,
    _index: Wire,
}

impl Instance {
    pub(crate) async fn start(
        check: &Check,
        name: &str,
        till: &Neighbour,
        index: &Neighbour,
    ) -> Self {
        let till = wire(check, name, "till", till).await;
        let index = wire(check, name, "index", index).await;
        let environment = [
            ("TILL_URL", format!("http://{}", till.address())),
            ("INDEX_URL", format!("http://{}", index.address())),
            ("CLOCK", "told".to_owned()),
        ];
        Self {
            app: App::start(check, name, &environment).await,
            timeline: check.timeline(),
            _till: till,
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

    /// Pays for a cart.
    pub async fn pay(&self, cart: u64) -> Answer {
        self.app.post(&format!("/checkout/{cart}"), &()).await
    }
}

async fn wire(check: &Check, app: &str, name: &str, neighbour: &Neighbour) -> Wire {
    let wire = Wire::http(check.timeline(), app, name, neighbour.door.address()).await;
    wire.unwrap_or_else(|error| finding::error(format!("no wire to the {name}: {error}")))
}
