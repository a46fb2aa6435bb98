//! Time beside the count that explains it.

use std::fmt;

use owo_colors::OwoColorize as _;

use super::{Finding, REFERENCE, Time, YOURS};
use crate::lab::{Bench, Lab};
use crate::report::style::Look;

type Row = (Finding, Option<Time>);

/// One table for each group, and below it what it says of the learner's code.
pub(super) fn render(lab: &Lab, bench: &Bench, rows: &[Row], look: &Look) -> String {
    let mut text = format!(
        "{}\n\n{}\n",
        lab.manifest.title.style(look.strong),
        textwrap::fill(bench.about.trim(), look.width.min(80))
    );
    let mut groups: Vec<&str> = Vec::new();
    for (finding, _) in rows {
        if !groups.contains(&finding.group.as_str()) {
            groups.push(&finding.group);
        }
    }
    for group in groups {
        let own = rows.iter().filter(|(finding, _)| finding.group == group);
        let own: Vec<&Row> = own.collect();
        text += &format!("\n{}\n", group.style(look.strong));
        text += &format!(
            "  {:<10} {:>21}  {:>18}  {:>12}  {:>8}\n",
            "",
            "time (95 %)",
            format!("× {}", bench.baseline),
            "loads",
            "p99"
        );
        let base = time_of(&own, &bench.baseline);
        for (finding, time) in &own {
            text += &match (time, &finding.failed) {
                (Some(time), None) => line(finding, *time, base, &bench.baseline),
                (_, failed) => format!(
                    "  {:<10} {}\n",
                    finding.app,
                    failed.as_deref().unwrap_or("criterion left no figure")
                ),
            };
        }
        text += &said(&own, look);
    }
    text + "\n"
}

fn line(finding: &Finding, time: Time, base: Option<Time>, baseline: &str) -> String {
    let ratio = match base {
        Some(base) if finding.app != baseline => Ratio::of(time, base).to_string(),
        _ => "1".to_owned(),
    };
    format!(
        "  {:<10} {:>21}  {ratio:>18}  {:>12}  {:>8}\n",
        finding.app,
        format!("{} ({}–{})", ms(time.mean), bare(time.low), bare(time.high)),
        loads(finding),
        format!("{:.1} ms", finding.p99_ms)
    )
}

/// How many requests of a round number of them were loads.
fn loads(finding: &Finding) -> String {
    let Finding {
        loads,
        requests,
        per,
        ..
    } = finding;
    #[allow(clippy::cast_precision_loss, reason = "a benchmark counts thousands")]
    let share = *loads as f64 * *per as f64 / (*requests).max(1) as f64;
    let digits = usize::from(share > 0.0 && share < 10.0);
    format!("{share:.digits$} of {per}")
}

/// The learner's code beside the reference, in words.
fn said(rows: &[&Row], look: &Look) -> String {
    let (Some(yours), Some(reference)) = (time_of(rows, YOURS), time_of(rows, REFERENCE)) else {
        return String::new();
    };
    let Ratio { mean, low, high } = Ratio::of(yours, reference);
    let verdict = match (low > 1.0, high < 1.0) {
        (true, _) => format!("yours takes {mean:.2} times as long as the reference"),
        (_, true) => format!("yours takes {mean:.2} of the reference's time"),
        _ => "yours and the reference: no difference".to_owned(),
    };
    let interval = format!("(the interval is {low:.2} to {high:.2})");
    format!("  {verdict} {}\n", interval.style(look.quiet))
}

fn time_of(rows: &[&Row], app: &str) -> Option<Time> {
    let row = rows.iter().find(|(finding, _)| finding.app == app)?;
    row.1
}

/// How many times as long; the ends are those of both intervals, so it is rather too wide.
struct Ratio {
    mean: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    fn of(time: Time, to: Time) -> Self {
        Self {
            mean: time.mean / to.mean,
            low: time.low / to.high,
            high: time.high / to.low,
        }
    }
}

impl fmt::Display for Ratio {
    /// A part of less than a half as a fraction: 0.01 says nothing of 1/69.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, low, high } = *self;
        if mean < 0.5 {
            let (mean, low, high) = (1.0 / mean, 1.0 / high, 1.0 / low);
            write!(f, "1/{mean:.1} ({low:.1}–{high:.1})")
        } else {
            write!(f, "{mean:.2} ({low:.2}–{high:.2})")
        }
    }
}

fn ms(nanoseconds: f64) -> String {
    format!("{} ms", bare(nanoseconds))
}

/// Three digits or so.
fn bare(nanoseconds: f64) -> String {
    let ms = nanoseconds / 1e6;
    let digits = match ms {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{ms:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(app: &str, mean: f64, width: f64, loads: usize) -> Row {
        let finding = Finding {
            group: "a crowd at an expiry".to_owned(),
            app: app.to_owned(),
            failed: None,
            requests: 200,
            loads,
            per: 200,
            p99_ms: mean / 1e6,
        };
        let time = Time {
            mean,
            low: mean - width,
            high: mean + width,
        };
        (finding, Some(time))
    }

    fn shown(rows: &[Row]) -> String {
        let own: Vec<&Row> = rows.iter().collect();
        said(&own, &Look::new(false, 80, false))
    }

    #[test]
    fn a_difference_is_said_only_where_the_interval_leaves_one_out() {
        let reference = || row(REFERENCE, 9e6, 5e5, 1);
        assert_eq!(
            shown(&[row(YOURS, 9.4e6, 5e5, 1), reference()]),
            "  yours and the reference: no difference (the interval is 0.94 to 1.16)\n"
        );
        assert_eq!(
            shown(&[row(YOURS, 18e6, 5e5, 2), reference()]),
            "  yours takes 2.00 times as long as the reference (the interval is 1.84 to 2.18)\n"
        );
        assert_eq!(
            shown(&[row(YOURS, 4.5e6, 5e4, 1), reference()]),
            "  yours takes 0.50 of the reference's time (the interval is 0.47 to 0.54)\n"
        );
    }

    #[test]
    fn a_table_has_the_count_beside_the_time() {
        let rows = [
            row("no cache", 159e6, 1e6, 200),
            row(YOURS, 18e6, 5e5, 1),
            row(REFERENCE, 9e6, 5e5, 1),
        ];
        let own: Vec<&Row> = rows.iter().collect();
        let base = time_of(&own, "no cache");
        let lines: String = rows
            .iter()
            .map(|(finding, time)| line(finding, time.expect("measured"), base, "no cache"))
            .collect();
        insta::assert_snapshot!(lines, @r"
        no cache        159 ms (158–160)                   1    200 of 200  159.0 ms
        yours        18.0 ms (17.5–18.5)     1/8.8 (8.5–9.1)    1.0 of 200   18.0 ms
        reference    9.00 ms (8.50–9.50)  1/17.7 (16.6–18.8)    1.0 of 200    9.0 ms
        ");
    }

    #[test]
    fn what_is_not_written_yet_has_no_figure() {
        let mut rows = [row(YOURS, 1e6, 1e4, 0), row(REFERENCE, 1e6, 1e4, 0)];
        rows[0].0.failed = Some("it answers 500".to_owned());
        rows[0].1 = None;
        assert_eq!(shown(&rows), "");
    }
}
