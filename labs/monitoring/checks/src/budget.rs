//! Requests of which a share fails, and when that is to wake somebody.

use labkit::finding::fail;

use crate::Labels;
use crate::rehearsal::{self, MINUTES, Rehearsal, did, in_words, lasting};

/// Minutes with nothing out of the ordinary before anything happens: longer than any window.
pub const ORDINARY: usize = 90;

/// The learner's file.
const RULES: &str = "rules/05_burn.yml";

/// What the alert has to carry, and nothing else.
const LABELS: [(&str, &str); 2] = [("alertname", "ErrorBudgetBurn"), ("severity", "page")];

/// More than the windows see come and go: nothing that Prometheus guesses of a counter that is
/// close to its beginning.
const BEFORE: u64 = 100_000;

/// The requests of one instance that ended with one status, in each minute.
#[derive(Clone, Debug)]
pub struct Traffic {
    instance: &'static str,
    status: &'static str,
    /// Twice as many as in half a minute: there are two scrapes in each.
    minutes: Vec<u64>,
    restart: Option<usize>,
}

impl Traffic {
    /// As many in each minute as `each` says; even numbers.
    pub fn new(instance: &'static str, status: &'static str, each: impl Fn(usize) -> u64) -> Self {
        Self {
            instance,
            status,
            minutes: (0..MINUTES).map(each).collect(),
            restart: None,
        }
    }

    /// What one instance answers of `each` requests in a minute: one in `part` fails with `status`
    /// where it is `bad`, the others are 200.
    pub fn failing(
        each: u64,
        part: u64,
        status: &'static str,
        bad: impl Fn(usize) -> bool,
    ) -> [Self; 2] {
        let failed = |minute: usize| if bad(minute) { each / part } else { 0 };
        [
            Self::new("shop-1:8080", "200", |minute| each - failed(minute)),
            Self::new("shop-1:8080", status, failed),
        ]
    }

    /// The same, of an instance that begins anew in that minute.
    pub fn restarted(mut self, minute: usize) -> Self {
        self.restart = Some(minute);
        self
    }

    /// How many in the `window` minutes before one: what lies between the scrapes in them.
    fn within(&self, minute: usize, window: usize) -> f64 {
        let first = minute.saturating_sub(window);
        let whole: u64 = self.minutes[first..minute].iter().sum();
        // The first half minute ends with the first scrape, and nothing is known of it.
        whole as f64 - self.minutes[first] as f64 / 2.0
    }

    fn series(&self) -> String {
        let of = format!(
            "pages_requests_total{{instance=\"{}\",method=\"GET\",route=\"/products/{{id}}\",\
             status=\"{}\"}}",
            self.instance, self.status
        );
        let mut value = BEFORE;
        let scrapes = self.minutes.iter().enumerate().map(|(minute, grows)| {
            if self.restart == Some(minute) {
                value = 0;
            }
            value += grows;
            [value - grows / 2, value].map(|value| value.to_string())
        });
        rehearsal::series(&of, scrapes)
    }
}

impl Rehearsal {
    /// Fails the check unless the alert fires in the minutes in which it has to, by what the brief
    /// says of this traffic.
    pub async fn expect_page(&self, story: &str, traffic: &[Traffic]) {
        let past: Vec<String> = traffic.iter().map(Traffic::series).collect();
        let alerts = self.alerts(RULES, story, &past).await;
        let labels = LABELS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = Labels::from(labels);
        let due = due(traffic);
        let others: Vec<String> = alerts
            .iter()
            .filter(|alert| *alert.0 != labels)
            .map(|(labels, fires)| format!("{} {}", crate::shown(labels), in_words(fires)))
            .collect();
        if !others.is_empty() {
            fail(
                did(RULES, story),
                others.join("\n"),
                format!("one alert, with these labels:\n{}", crate::shown(&labels)),
            );
        }
        let fires = alerts.get(&labels).cloned();
        let fires = fires.unwrap_or_else(|| vec![false; MINUTES]);
        if fires != due {
            let it = |fires: &[bool]| format!("it {}", in_words(fires));
            fail(did(RULES, story), it(&fires), it(&due));
        }
    }
}

/// When the alert has to fire: two minutes after all three hold, for as long as they do.
fn due(traffic: &[Traffic]) -> Vec<bool> {
    let count = |minute: usize, window: usize, failed: bool| -> f64 {
        let counted = traffic
            .iter()
            .filter(|it| !failed || it.status.starts_with('5'));
        counted.map(|it| it.within(minute, window)).sum()
    };
    let share = |minute, window| {
        let all = count(minute, window, false);
        if all > 0.0 {
            count(minute, window, true) / all
        } else {
            0.0
        }
    };
    lasting(2, |minute| {
        minute >= 60
            && share(minute, 60) > 0.0144
            && share(minute, 5) > 0.0144
            && count(minute, 60, true) >= 10.0
    })
}
