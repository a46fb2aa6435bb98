//! What Prometheus has of an hour ago: series of a shop that we make up, and a real server
//! over them. No time passes: each question is asked for one and the same moment.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use labkit::finding::{error, fail};
use labkit::patience::{PATIENCE, timeout};
use labkit::sandbox::Sandbox;
use labkit::timeline::Timeline;
use labkit::{Check, Fixture};
use rand::rngs::StdRng;
use serde_json::Value;

/// Seconds between two scrapes.
const SCRAPE: u64 = 15;

/// 2026-01-01T00:00:00Z in seconds: when the first scrape was, but for [`OFFSET`].
const BEGINNING: u64 = 1_767_225_600;

/// How long scrapes went on: more than the hour that the longest question is about.
const LASTED: u64 = 4_500;

/// From a round moment to the scrape after it. No scrape is at the edge of a question's window,
/// which belongs to it in Prometheus 2 and does not in 3.
const OFFSET: u64 = 7;

/// What a value may be off: what floating-point numbers cost.
const TOLERANCE: f64 = 1e-6;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// A server and its past.
pub struct Archive {
    /// Random data of this check.
    pub rng: StdRng,
    check: Check,
    timeline: Timeline,
    sandbox: Sandbox,
}

/// A counter of one instance, by how much it grew from scrape to scrape.
#[derive(Clone, Debug)]
pub struct Counter {
    name: &'static str,
    labels: Labels,
    value: f64,
    /// What it grows by between two scrapes.
    grows: f64,
    /// Seconds before the end, and what it grows by from then on.
    changes: Option<(u64, f64)>,
    /// Seconds before the end at which its instance began anew.
    restart: Option<u64>,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is of.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", shown(&self.labels), rounded(self.value))
    }
}

impl Counter {
    /// One that grows by as much between any two scrapes, and had some value before.
    pub fn new(name: &'static str, labels: &[(&str, &str)], before: u32, grows: f64) -> Self {
        let labels = labels.iter();
        Self {
            name,
            labels: labels
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            value: f64::from(before),
            grows,
            changes: None,
            restart: None,
        }
    }

    /// The same, whose instance began anew so many seconds before the end.
    pub fn restarted(mut self, seconds_ago: Option<u64>) -> Self {
        self.restart = seconds_ago;
        self
    }

    /// The same, which grows otherwise since so many seconds before the end.
    pub fn since(mut self, seconds_ago: u64, grows: f64) -> Self {
        self.changes = Some((seconds_ago, grows));
        self
    }

    /// What `increase` makes of its last seconds: what it grew by between the scrapes in them,
    /// scaled up to all of them (<https://prometheus.io/docs/prometheus/latest/querying/functions/>).
    pub fn grown(&self, window: u64) -> f64 {
        let inside: Vec<f64> = scrapes()
            .map(|at| LASTED - at)
            .filter(|ago| *ago <= window)
            .map(|ago| self.grows_at(ago))
            .collect();
        // Before the first of them it grew outside.
        let grown: f64 = inside.iter().skip(1).sum();
        let seen = (inside.len() as u64 - 1) * SCRAPE;
        grown * window as f64 / seen as f64
    }

    /// The value of one of its labels.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    fn grows_at(&self, ago: u64) -> f64 {
        match self.changes {
            Some((since, grows)) if ago <= since => grows,
            _ => self.grows,
        }
    }

    fn write(&self, page: &mut String) {
        let labels = shown(&self.labels);
        let mut value = self.value;
        for at in scrapes() {
            let ago = LASTED - at;
            // It begins at 0 right after the scrape before.
            if self
                .restart
                .is_some_and(|since| ago <= since && since < ago + SCRAPE)
            {
                value = 0.0;
            }
            value += self.grows_at(ago);
            let _ = writeln!(page, "{}{labels} {value} {}", self.name, BEGINNING + at);
        }
    }
}

/// When scrapes were, in seconds since the beginning.
fn scrapes() -> impl Iterator<Item = u64> {
    (0..)
        .map(|number| OFFSET + number * SCRAPE)
        .take_while(|at| *at < LASTED)
}

impl Fixture for Archive {
    async fn open(check: &Check) -> Self {
        Self {
            rng: check.rng(),
            timeline: check.timeline(),
            sandbox: check.sandbox("prometheus").await,
            check: check.clone(),
        }
    }
}

impl Archive {
    /// Puts the counters into blocks, and a server over these.
    pub async fn serve(&self, counters: &[Counter]) -> Server<'_> {
        let mut families: BTreeMap<&str, Vec<&Counter>> = BTreeMap::new();
        for counter in counters {
            families.entry(counter.name).or_default().push(counter);
        }
        let mut page = String::new();
        for (name, counters) in families {
            // An edge's counter is read as any other: there is no whole histogram to check here.
            let kind = if name.ends_with("_total") {
                "counter"
            } else {
                "unknown"
            };
            let family = name.trim_end_matches("_total");
            let _ = writeln!(page, "# TYPE {family} {kind}");
            for counter in counters {
                counter.write(&mut page);
            }
        }
        page.push_str("# EOF\n");
        self.sandbox.write("past.txt", page).await;
        let made = [
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "past.txt",
            "data",
        ];
        let made = self.sandbox.run("promtool", &made).await;
        if !made.is_ok() {
            error(format!(
                "promtool does not take our series: {}",
                made.said()
            ));
        }
        self.sandbox.write("prometheus.yml", "global: {}\n").await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.check.free_port().await));
        let listen = format!("--web.listen-address={address}");
        let arguments = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            // They are old already.
            "--storage.tsdb.retention.time=100y",
            &listen,
        ];
        let server = self
            .sandbox
            .start("prometheus", "prometheus", &arguments)
            .await;
        if let Err(ended) = server.listens(address).await {
            error(format!("prometheus ended: {}", ended.log));
        }
        let client = reqwest::Client::builder().no_proxy().build();
        let server = Server {
            archive: self,
            address,
            client: client.unwrap_or_else(|why| error(format!("no HTTP client: {why}"))),
        };
        server.ready().await;
        server
    }
}

/// A Prometheus that has a past and no present.
pub struct Server<'a> {
    archive: &'a Archive,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Server<'_> {
    /// What a learner's query says at the end of the past; it fails the check where Prometheus
    /// does not take it, or where it is no instant vector.
    pub async fn ask(&self, file: &str) -> Vec<Sample> {
        let query = self.archive.check.exercise_file(file);
        let timeline = &self.archive.timeline;
        let event = timeline.push("check", "prometheus", format!("what {file} asks"));
        let answer = self.query(&query).await;
        let did = format!("asked Prometheus what is in {file}");
        if answer["status"] != "success" {
            let words = answer["error"].as_str().unwrap_or_default();
            timeline.reply(event, "refused");
            fail(
                did,
                format!("it is refused: {words}"),
                "a query that Prometheus takes",
            );
        }
        let kind = answer["data"]["resultType"].as_str().unwrap_or_default();
        let samples: Option<Vec<Sample>> = match kind {
            "vector" => answer["data"]["result"]
                .as_array()
                .map(|all| all.iter().map(sample).collect()),
            // A number of its own, `scalar(…)`, is one series without labels.
            "scalar" => Some(vec![sample(&Value::from_iter([(
                "value",
                answer["data"]["result"].clone(),
            )]))]),
            _ => None,
        };
        let Some(samples) = samples else {
            timeline.reply(event, kind);
            fail(
                did,
                format!(
                    "it is a {kind}: samples of a stretch of time, and no numbers of this moment"
                ),
                "an instant vector",
            );
        };
        timeline.reply(event, format!("{} series", samples.len()));
        samples
    }

    /// Fails the check unless the query gives these series, and no others. One that is NaN is none.
    pub async fn expect(&self, file: &str, past: &str, expected: &[Sample]) {
        let mut got = self.ask(file).await;
        got.retain(|sample| !sample.value.is_nan());
        let close = |one: f64, other: f64| (one - other).abs() <= TOLERANCE * other.abs().max(1.0);
        let same = |one: &Sample, other: &Sample| {
            one.labels == other.labels && close(one.value, other.value)
        };
        let all = |these: &[Sample], those: &[Sample]| {
            these
                .iter()
                .all(|one| those.iter().any(|other| same(one, other)))
        };
        if got.len() == expected.len() && all(&got, expected) && all(expected, &got) {
            return;
        }
        fail(
            format!("asked Prometheus what is in {file}; {past}"),
            listed(&got),
            listed(expected),
        );
    }

    /// It listens before it has read its blocks.
    async fn ready(&self) {
        let url = format!("http://{}/-/ready", self.address);
        let ready = async {
            loop {
                match self.client.get(&url).send().await {
                    Ok(answer) if answer.status().is_success() => return,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        if timeout(PATIENCE, ready).await.is_err() {
            error("prometheus listens, and is never ready");
        }
    }

    async fn query(&self, query: &str) -> Value {
        let end = (BEGINNING + LASTED).to_string();
        let url = format!("http://{}/api/v1/query", self.address);
        // As a form: a query may be longer than an address.
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("time", &end)
            .finish();
        let answer = async {
            let request = self.client.post(url);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            request.body(form).send().await?.json().await
        };
        answer.await.unwrap_or_else(|why: reqwest::Error| {
            error(format!("prometheus does not answer: {why}"))
        })
    }
}

fn sample(value: &Value) -> Sample {
    let labels = value["metric"].as_object().into_iter().flatten();
    let number = value["value"][1].as_str().unwrap_or_default();
    Sample {
        labels: labels
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        // As Prometheus writes them: `NaN`, `+Inf`.
        value: number.parse().unwrap_or(f64::NAN),
    }
}

/// A line for each series.
fn listed(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "no series at all".to_owned();
    }
    let mut lines: Vec<_> = samples.iter().map(ToString::to_string).collect();
    lines.sort();
    let more = lines.len().saturating_sub(12);
    lines.truncate(12);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

pub(crate) fn shown(labels: &Labels) -> String {
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// Short enough to be compared at a glance.
fn rounded(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
