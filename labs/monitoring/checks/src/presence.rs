//! Who is there and who is not: the targets that Prometheus scrapes, the backups that it hears of,
//! and which alerts that is to raise.

use std::collections::BTreeMap;

use labkit::finding::fail;

use crate::rehearsal::{self, Alerts, MINUTES, Rehearsal, did, in_words, lasting};

/// The learner's file.
const RULES: &str = "rules/06_absence.yml";

/// How old the last backup may be, in seconds.
const BACKUP_AGE: usize = 90 * 60;

/// How a target is in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Scraped.
    Up,
    /// Known, and its scrape fails.
    Down,
    /// Prometheus does not know of it: no series tells of it.
    Gone,
}

/// What Prometheus is told to scrape, and how that went.
#[derive(Clone, Debug)]
pub struct Target {
    job: &'static str,
    instance: &'static str,
    minutes: Vec<State>,
}

impl Target {
    /// An instance of a job, which is as `state` says in each minute.
    pub fn new(job: &'static str, instance: &'static str, state: impl Fn(usize) -> State) -> Self {
        Self {
            job,
            instance,
            minutes: (0..MINUTES).map(state).collect(),
        }
    }

    /// What was known of it when the rules were evaluated: what the scrape before said.
    fn known(&self, minute: usize) -> State {
        minute
            .checked_sub(1)
            .map_or(State::Gone, |before| self.minutes[before])
    }

    fn series(&self) -> String {
        let of = format!("up{{instance=\"{}\",job=\"{}\"}}", self.instance, self.job);
        let mut before = State::Gone;
        let scrapes = self.minutes.iter().map(|state| {
            let ended = *state == State::Gone && before != State::Gone;
            before = *state;
            let [first, second] = match state {
                State::Up => ["1", "1"],
                State::Down => ["0", "0"],
                State::Gone if ended => ["stale", "_"],
                State::Gone => ["_", "_"],
            };
            [first.to_owned(), second.to_owned()]
        });
        rehearsal::series(&of, scrapes)
    }
}

/// What one machine tells of the backups that it made.
#[derive(Clone, Debug)]
pub struct Backups {
    instance: &'static str,
    /// In seconds, at the end of each minute; none where nothing is told.
    last_success: Vec<Option<usize>>,
}

impl Backups {
    /// A machine that succeeds in the minutes that `succeeds` says. It has nothing to tell before
    /// the first of them.
    pub fn new(instance: &'static str, succeeds: impl Fn(usize) -> bool) -> Self {
        let mut last = None;
        let last_success = (0..MINUTES).map(|minute| {
            if succeeds(minute) {
                // To the second, so that its age is the limit at one evaluation.
                last = Some(minute * 60);
            }
            last
        });
        Self {
            instance,
            last_success: last_success.collect(),
        }
    }

    /// The same, of which nothing is told from that minute on.
    pub fn silent_from(mut self, minute: usize) -> Self {
        self.last_success[minute..].fill(None);
        self
    }

    fn known(&self, minute: usize) -> Option<usize> {
        self.last_success[minute.checked_sub(1)?]
    }

    fn series(&self) -> String {
        let of = format!(
            "backup_last_success_timestamp_seconds{{instance=\"{}\",job=\"backup\"}}",
            self.instance
        );
        let mut before: Option<usize> = None;
        let scrapes = self.last_success.iter().map(|now| {
            let shown = |value: Option<usize>| value.map_or("_".to_owned(), |it| it.to_string());
            let first = match (before, now) {
                (Some(_), None) => "stale".to_owned(),
                (before, _) => shown(before),
            };
            before = *now;
            [first, shown(*now)]
        });
        rehearsal::series(&of, scrapes)
    }
}

/// Everything that there is to know of.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What is scraped.
    pub targets: Vec<Target>,
    /// Who makes backups.
    pub backups: Vec<Backups>,
    /// The minute before which nothing is compared. The clock begins in 1970, when "never" is not
    /// yet long ago.
    pub since: usize,
}

/// An alert by what the brief says of it: its name, its severity and, where it is about one, the
/// instance. Other labels may be there: which ones depends on how the expression is written.
type Key = (String, String, String);

impl Rehearsal {
    /// Fails the check unless these alerts fire in the minutes in which they have to, by what the
    /// brief says of this world.
    pub async fn expect_alerts(&self, story: &str, world: &World, names: &[&str]) {
        let fires = self.fires(story, world).await;
        let due = due(world);
        let of_names = |mut alerts: BTreeMap<Key, Vec<bool>>| -> BTreeMap<Key, Vec<bool>> {
            alerts.retain(|key, _| names.contains(&key.0.as_str()));
            alerts
                .values_mut()
                .for_each(|minutes| minutes[..world.since].fill(false));
            alerts
        };
        compare(story, &of_names(fires), &of_names(due));
    }

    /// The same of all alerts that there are, whatever they are called.
    pub async fn expect_no_other_alert(&self, story: &str, world: &World) {
        let fires = self.fires(story, world).await;
        compare(story, &fires, &due(world));
    }

    async fn fires(&self, story: &str, world: &World) -> BTreeMap<Key, Vec<bool>> {
        let targets = world.targets.iter().map(Target::series);
        let backups = world.backups.iter().map(Backups::series);
        let past: Vec<String> = targets.chain(backups).collect();
        by_key(&self.alerts(RULES, story, &past).await)
    }
}

fn by_key(alerts: &Alerts) -> BTreeMap<Key, Vec<bool>> {
    let mut all: BTreeMap<Key, Vec<bool>> = BTreeMap::new();
    for (labels, fires) in alerts {
        let [name, severity, instance] = ["alertname", "severity", "instance"]
            .map(|label| labels.get(label).cloned().unwrap_or_default());
        let minutes = all.entry((name, severity, instance));
        let minutes = minutes.or_insert_with(|| vec![false; MINUTES]);
        for (one, other) in minutes.iter_mut().zip(fires) {
            *one |= other;
        }
    }
    all
}

fn compare(story: &str, fires: &BTreeMap<Key, Vec<bool>>, due: &BTreeMap<Key, Vec<bool>>) {
    let differs = |key: &&Key| fires.get(*key) != due.get(*key);
    let keys: Vec<&Key> = fires
        .keys()
        .filter(differs)
        .chain(
            due.keys()
                .filter(differs)
                .filter(|key| !fires.contains_key(*key)),
        )
        .collect();
    if !keys.is_empty() {
        fail(did(RULES, story), told(&keys, fires), told(&keys, due));
    }
}

/// A line for each of those alerts.
fn told(keys: &[&Key], alerts: &BTreeMap<Key, Vec<bool>>) -> String {
    let line = |key: &&Key| {
        let (name, severity, instance) = key;
        let labels: Vec<String> = [("instance", instance), ("severity", severity)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let labels = labels.join(",");
        let fires = alerts.get(*key).map_or(&[] as &[bool], Vec::as_slice);
        format!("{name} {{{labels}}} {}", in_words(fires))
    };
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Which alerts fire, and when.
fn due(world: &World) -> BTreeMap<Key, Vec<bool>> {
    let shop = || world.targets.iter().filter(|target| target.job == "shop");
    let key = |name: &str, severity: &str, instance: &str| -> Key {
        (name.to_owned(), severity.to_owned(), instance.to_owned())
    };
    let mut due = BTreeMap::from([(key("Watchdog", "heartbeat", ""), vec![true; MINUTES])]);
    for target in shop() {
        let fires = lasting(5, |minute| target.known(minute) == State::Down);
        due.insert(key("InstanceDown", "ticket", target.instance), fires);
    }
    let gone = |minute: usize| shop().all(|target| target.known(minute) != State::Up);
    due.insert(key("ShopGone", "page", ""), lasting(2, gone));
    let overdue = |minute: usize| {
        let last = world.backups.iter().filter_map(|it| it.known(minute)).max();
        last.is_none_or(|last| minute * 60 - last > BACKUP_AGE)
    };
    due.insert(key("BackupOverdue", "ticket", ""), lasting(2, overdue));
    due.retain(|_, fires| fires.contains(&true));
    due
}
