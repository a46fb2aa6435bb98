//! Alerts in virtual time: `promtool test rules` goes through hours of a made-up past, minute by
//! minute, and tells which of them fire.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use labkit::finding::fail;
use labkit::sandbox::Sandbox;
use labkit::{Check, Fixture};
use rand::rngs::StdRng;

use crate::Labels;

/// How long it goes on, in minutes.
pub(crate) const MINUTES: usize = 240;

/// A folder to rehearse the learner's rules in.
pub struct Rehearsal {
    /// Random data of this check.
    pub rng: StdRng,
    check: Check,
    sandbox: Sandbox,
}

/// What fires, by its labels, and whether it does in each minute.
pub(crate) type Alerts = BTreeMap<Labels, Vec<bool>>;

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
    /// Goes through the past that these [`series`] tell, with the learner's `rules`, and fails the
    /// check where Prometheus does not take them.
    pub(crate) async fn alerts(&self, rules: &str, story: &str, past: &[String]) -> Alerts {
        let sandbox = &self.sandbox;
        sandbox
            .write("rules.yml", self.check.exercise_file(rules))
            .await;
        let read = sandbox
            .run("promtool", &["check", "rules", "rules.yml"])
            .await;
        if !read.is_ok() {
            let words = read.said().replace(&sandbox.path("rules.yml"), rules);
            let words = words.replace("rules.yml", rules);
            fail(
                format!("promtool check rules {rules}"),
                words,
                "a file of rules that Prometheus takes",
            );
        }
        sandbox.write("rehearsal.yml", scene(past)).await;
        let ran = sandbox
            .run("promtool", &["test", "rules", "rehearsal.yml"])
            .await;
        let said = ran.said();
        if ran.code.is_none() || (!ran.is_ok() && !said.contains("got:")) {
            // Rules that can be read may still not be evaluated.
            fail(
                did(rules, story),
                said,
                "rules that Prometheus can evaluate",
            );
        }
        let mut alerts = Alerts::new();
        let mut minute = 0;
        for line in said.lines().map(str::trim) {
            if let Some(number) = line.strip_prefix("expr: ").and_then(minute_of) {
                minute = number;
            } else if let Some(got) = line.strip_prefix("got:") {
                for mut labels in labels_of(got) {
                    labels.remove("alertstate");
                    let minutes = alerts.entry(labels);
                    minutes.or_insert_with(|| vec![false; MINUTES])[minute] = true;
                }
            }
        }
        alerts
    }
}

/// A series for `promtool`, every 15 s: scraped at a quarter and at three quarters of each minute.
/// No scrape is at the edge of a window, which belongs to it in Prometheus 2 and does not in 3.
///
/// A value is a number, `stale` where the series has just ended, or `_` where there is none.
pub(crate) fn series(of: &str, scrapes: impl IntoIterator<Item = [String; 2]>) -> String {
    let mut text = format!("  - series: '{of}'\n    values: '");
    for [first, second] in scrapes {
        let _ = write!(text, "_ {first} _ {second} ");
    }
    text.push_str("'\n");
    text
}

/// In which minutes an alert fires `after` so many minutes in which `holds` was true, the one
/// before them included.
pub(crate) fn lasting(after: usize, holds: impl Fn(usize) -> bool) -> Vec<bool> {
    let fires = |minute: usize| minute >= after && (minute - after..=minute).all(&holds);
    (0..MINUTES).map(fires).collect()
}

/// What a finding says of a rehearsal.
pub(crate) fn did(rules: &str, story: &str) -> String {
    format!(
        "rehearsed {rules} over {} hours, in which {story}",
        MINUTES / 60
    )
}

/// `fires from minute 139 to 201, and from minute 230 on`.
pub(crate) fn in_words(fires: &[bool]) -> String {
    let mut stretches = Vec::new();
    let mut from = None;
    for (minute, fires) in fires.iter().copied().chain([false]).enumerate() {
        match (from, fires) {
            (None, true) => from = Some(minute),
            (Some(first), false) => {
                stretches.push(match minute == MINUTES {
                    true => format!("from minute {first} on"),
                    false if minute == first + 1 => format!("in minute {first}"),
                    false => format!("from minute {first} to {}", minute - 1),
                });
                from = None;
            }
            _ => {}
        }
    }
    match stretches.as_slice() {
        [] => "never fires".to_owned(),
        stretches => format!("fires {}", stretches.join(", and ")),
    }
}

/// What promtool is to go through. It expects that nothing ever fires, and tells where that is not
/// so; each question carries its minute.
fn scene(past: &[String]) -> String {
    let mut file = String::from(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 15s\n  input_series:\n",
    );
    file.extend(past.iter().map(String::as_str));
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

/// The labels of each series in what promtool got: `{a="b", c="d"} 1E+00, {…} 1E+00`.
fn labels_of(got: &str) -> Vec<Labels> {
    let mut all = Vec::new();
    let mut labels = Labels::new();
    let (mut name, mut value) = (String::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in got.chars() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' if quoted => {
                labels.insert(std::mem::take(&mut name), std::mem::take(&mut value));
                quoted = false;
            }
            _ if quoted => value.push(c),
            '"' => quoted = true,
            '{' => name.clear(),
            '}' => all.push(std::mem::take(&mut labels)),
            ',' | ' ' | '=' => {}
            _ => name.push(c),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_told_from_what_stands_in_them() {
        let got = r#" {alertname="A", x="a \"b\" {c}, d=e"} 1E+00, {alertname="B"} 1E+00"#;
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        assert_eq!(
            labels_of(got),
            [
                labels(&[("alertname", "A"), ("x", r#"a "b" {c}, d=e"#)]),
                labels(&[("alertname", "B")]),
            ]
        );
    }

    #[test]
    fn an_alert_fires_when_it_has_lasted() {
        let fires = lasting(2, |minute| (5..9).contains(&minute) || minute == 20);
        assert_eq!(in_words(&fires), "fires from minute 7 to 8");
        assert_eq!(in_words(&lasting(1, |_| false)), "never fires");
        assert_eq!(
            in_words(&lasting(0, |minute| minute == 3)),
            "fires in minute 3"
        );
    }
}
