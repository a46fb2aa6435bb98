//! An alert in virtual time: `promtool test rules` goes through hours of made-up traffic, minute
//! by minute, and tells when it fires.

use std::fmt::Write as _;

use labkit::finding::fail;
use labkit::sandbox::Sandbox;
use labkit::{Check, Fixture};
use rand::rngs::StdRng;

/// How long it goes on, in minutes.
const MINUTES: usize = 240;

/// Minutes with nothing out of the ordinary before anything happens: longer than any window.
pub const ORDINARY: usize = 90;

/// The learner's file.
const RULES: &str = "rules/05_burn.yml";

/// What has to be there when it fires, and nothing else.
const LABELS: &str = r#"alertname="ErrorBudgetBurn", alertstate="firing", severity="page""#;

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

    /// A series for `promtool`, every 15 s: scraped at a quarter and at three quarters of each
    /// minute. No scrape is at the edge of a window, which belongs to it in Prometheus 2 and does
    /// not in 3.
    fn write(&self, file: &mut String) {
        let _ = write!(
            file,
            "  - series: 'pages_requests_total{{instance=\"{}\",method=\"GET\",\
             route=\"/products/{{id}}\",status=\"{}\"}}'\n    values: '",
            self.instance, self.status
        );
        let mut value = BEFORE;
        for (minute, grows) in self.minutes.iter().enumerate() {
            if self.restart == Some(minute) {
                value = 0;
            }
            let (first, second) = (value + grows / 2, value + grows);
            let _ = write!(file, "_ {first} _ {second} ");
            value = second;
        }
        file.push_str("'\n");
    }
}

/// The learner's rules, and a folder to rehearse them in.
pub struct Rehearsal {
    /// Random data of this check.
    pub rng: StdRng,
    check: Check,
    sandbox: Sandbox,
}

impl Fixture for Rehearsal {
    async fn open(check: &Check) -> Self {
        Self {
            rng: check.rng(),
            sandbox: check.sandbox("prometheus").await,
            check: check.clone(),
        }
    }
}

impl Rehearsal {
    /// Fails the check unless the alert fires in the minutes in which it has to, by what the brief
    /// says of this traffic.
    pub async fn expect(&self, story: &str, traffic: &[Traffic]) {
        let due = due(traffic);
        let fires = self.fires(story, traffic).await;
        if fires != due {
            fail(did(story), in_words(&fires), in_words(&due));
        }
    }

    /// In which minutes it fires.
    async fn fires(&self, story: &str, traffic: &[Traffic]) -> Vec<bool> {
        let sandbox = &self.sandbox;
        sandbox
            .write("rules.yml", self.check.exercise_file(RULES))
            .await;
        let read = sandbox
            .run("promtool", &["check", "rules", "rules.yml"])
            .await;
        if !read.is_ok() {
            let words = read.said().replace(&sandbox.path("rules.yml"), RULES);
            let words = words.replace("rules.yml", RULES);
            fail(
                format!("promtool check rules {RULES}"),
                words,
                "a file of rules that Prometheus takes",
            );
        }
        sandbox.write("rehearsal.yml", scene(traffic)).await;
        let ran = sandbox
            .run("promtool", &["test", "rules", "rehearsal.yml"])
            .await;
        let said = ran.said();
        if ran.code.is_none() || (!ran.is_ok() && !said.contains("got:")) {
            // Rules that can be read may still not be evaluated.
            fail(did(story), said, "rules that Prometheus can evaluate");
        }
        let mut fires = vec![false; MINUTES];
        let mut minute = 0;
        for line in said.lines().map(str::trim) {
            if let Some(number) = line.strip_prefix("expr: ").and_then(minute_of) {
                minute = number;
            } else if let Some(got) = line.strip_prefix("got:") {
                expect_labels(story, minute, got);
                fires[minute] = true;
            }
        }
        fires
    }
}

/// What promtool is to go through. It expects that nothing ever fires, and tells where that is not
/// so; each question carries its minute.
fn scene(traffic: &[Traffic]) -> String {
    let mut file = String::from(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 15s\n  input_series:\n",
    );
    for traffic in traffic {
        traffic.write(&mut file);
    }
    file.push_str("  promql_expr_test:\n");
    for minute in 0..MINUTES {
        let _ = writeln!(
            file,
            "  - {{expr: 'ALERTS{{alertstate=\"firing\"}} + 0 * {minute}', eval_time: {minute}m, \
             exp_samples: []}}"
        );
    }
    file
}

/// The number that an expression of [`scene`] ends with: `"ALERTS{…} + 0 * 125", time: 2h5m,`.
fn minute_of(expression: &str) -> Option<usize> {
    let (_, rest) = expression.split_once("+ 0 * ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..digits]
        .parse()
        .ok()
        .filter(|minute| *minute < MINUTES)
}

/// One alert, and the labels by which it is sent to somebody.
fn expect_labels(story: &str, minute: usize, got: &str) {
    let alerts: Vec<&str> = got
        .split('{')
        .skip(1)
        .filter_map(|it| it.split('}').next())
        .collect();
    if alerts != [LABELS] {
        let shown: Vec<String> = alerts
            .iter()
            .map(|labels| format!("{{{labels}}}"))
            .collect();
        fail(
            did(story),
            format!("in minute {minute} there are\n{}", shown.join("\n")),
            format!("one alert, with these labels:\n{{{LABELS}}}"),
        );
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
    let holds = |minute: usize| {
        minute >= 60
            && share(minute, 60) > 0.0144
            && share(minute, 5) > 0.0144
            && count(minute, 60, true) >= 10.0
    };
    let three = |minute: usize| (minute.saturating_sub(2)..=minute).all(holds);
    (0..MINUTES).map(three).collect()
}

fn did(story: &str) -> String {
    format!(
        "rehearsed {RULES} over {} hours, in which {story}",
        MINUTES / 60
    )
}

/// `fires from minute 139 to 201, and from minute 230 on`.
fn in_words(fires: &[bool]) -> String {
    let mut stretches = Vec::new();
    let mut from = None;
    for (minute, fires) in fires.iter().copied().chain([false]).enumerate() {
        match (from, fires) {
            (None, true) => from = Some(minute),
            (Some(first), false) => {
                stretches.push(match minute == MINUTES {
                    true => format!("from minute {first} on"),
                    false => format!("from minute {first} to {}", minute - 1),
                });
                from = None;
            }
            _ => {}
        }
    }
    match stretches.as_slice() {
        [] => "it never fires".to_owned(),
        stretches => format!("it fires {}", stretches.join(", and ")),
    }
}
