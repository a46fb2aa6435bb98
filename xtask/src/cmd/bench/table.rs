//! Time beside the count that explains it.

use std::fmt;

use owo_colors::OwoColorize as _;

use super::{Group, REFERENCE, Row, Time, YOURS};
use crate::lab::{Bench, Lab};
use crate::report::style::Look;

/// How wide a time with its interval is, and a ratio with its own.
const TIME: usize = 21;
const RATIO: usize = 18;

/// One table for each group, and below it what it says of the learner's code.
pub(super) fn render(
    lab: &Lab,
    bench: &Bench,
    groups: &[Group],
    time_of: impl Fn(&Group, &Row) -> Option<Time>,
    look: &Look,
) -> String {
    let mut text = format!(
        "{}\n\n{}\n",
        lab.manifest.title.style(look.strong),
        textwrap::fill(bench.about.trim(), look.width.min(80))
    );
    for group in groups {
        let times = group.rows.iter().map(|row| match row.failed {
            Some(_) => None,
            None => time_of(group, row),
        });
        let times: Vec<Option<Time>> = times.collect();
        text += &format!("\n{}\n", group.name.style(look.strong));
        text += &table(group, &times);
        text += &said(group, &times, look);
    }
    text + "\n"
}

/// Columns as wide as what stands in them.
fn table(group: &Group, times: &[Option<Time>]) -> String {
    let widest = |texts: &mut dyn Iterator<Item = &String>| {
        let widths = texts.map(|text| text.chars().count());
        widths.max().unwrap_or(0)
    };
    let name = widest(&mut group.rows.iter().map(|row| &row.name));
    let widths: Vec<usize> = (0..group.counts.len())
        .map(|at| {
            let counts = group.rows.iter().filter_map(|row| row.counts.get(at));
            widest(&mut counts.chain(group.counts.get(at)))
        })
        .collect();
    let columns = |counts: &[String]| -> String {
        let columns = counts.iter().zip(&widths);
        columns
            .map(|(count, width)| format!("  {count:>width$}"))
            .collect()
    };
    let mut text = format!(
        "  {:<name$} {:>TIME$}  {:>RATIO$}{}\n",
        "",
        "time (95 %)",
        format!("× {}", group.baseline),
        columns(&group.counts)
    );
    let base = time_of(group, times, &group.baseline);
    for (row, time) in group.rows.iter().zip(times) {
        text += &match (time, &row.failed) {
            (Some(time), None) => {
                let ratio = match base {
                    Some(base) if row.name != group.baseline => Ratio::of(*time, base).to_string(),
                    _ => "1".to_owned(),
                };
                let Time { mean, low, high } = *time;
                let time = format!("{} ({}–{})", ms(mean), bare(low), bare(high));
                let counts = columns(&row.counts);
                format!(
                    "  {:<name$} {time:>TIME$}  {ratio:>RATIO$}{counts}\n",
                    row.name
                )
            }
            (_, failed) => format!(
                "  {:<name$} {}\n",
                row.name,
                failed.as_deref().unwrap_or("criterion left no figure")
            ),
        };
    }
    text
}

/// The learner's code beside the reference, in words.
fn said(group: &Group, times: &[Option<Time>], look: &Look) -> String {
    let yours = time_of(group, times, YOURS);
    let (Some(yours), Some(reference)) = (yours, time_of(group, times, REFERENCE)) else {
        return String::new();
    };
    let ratio = Ratio::of(yours, reference);
    let Ratio { mean, low, high } = ratio;
    let verdict = match ratio.tells() {
        false => "yours and the reference: no difference".to_owned(),
        true if mean > 1.0 => format!("yours takes {mean:.2} times as long as the reference"),
        true => format!("yours takes {mean:.2} of the reference's time"),
    };
    let interval = format!("(the interval is {low:.2} to {high:.2})");
    format!("  {verdict} {}\n", interval.style(look.quiet))
}

fn time_of(group: &Group, times: &[Option<Time>], name: &str) -> Option<Time> {
    let at = group.rows.iter().position(|row| row.name == name)?;
    times.get(at).copied().flatten()
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

    /// Whether the interval leaves "as long" out.
    fn tells(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

impl fmt::Display for Ratio {
    /// A part of less than a half as a fraction: 0.01 says nothing of 1/69.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, low, high } = *self;
        if !self.tells() {
            write!(f, "no difference")
        } else if mean < 0.5 {
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

    fn row(name: &str, counts: [&str; 2]) -> Row {
        Row {
            name: name.to_owned(),
            failed: None,
            counts: counts.map(str::to_owned).to_vec(),
        }
    }

    fn group(rows: Vec<Row>) -> Group {
        Group {
            name: "a crowd at an expiry".to_owned(),
            baseline: "no cache".to_owned(),
            counts: ["loads", "p99"].map(str::to_owned).to_vec(),
            rows,
        }
    }

    fn time(mean: f64, width: f64) -> Option<Time> {
        let (low, high) = (mean - width, mean + width);
        Some(Time { mean, low, high })
    }

    fn shown(yours: Option<Time>, reference: Option<Time>) -> String {
        let counts = ["1.0 of 200", "9.0 ms"];
        let group = group(vec![row(YOURS, counts), row(REFERENCE, counts)]);
        said(&group, &[yours, reference], &Look::new(false, 80, false))
    }

    #[test]
    fn a_difference_is_said_only_where_the_interval_leaves_one_out() {
        let reference = time(9e6, 5e5);
        assert_eq!(
            shown(time(9.4e6, 5e5), reference),
            "  yours and the reference: no difference (the interval is 0.94 to 1.16)\n"
        );
        assert_eq!(
            shown(time(18e6, 5e5), reference),
            "  yours takes 2.00 times as long as the reference (the interval is 1.84 to 2.18)\n"
        );
        assert_eq!(
            shown(time(4.5e6, 5e4), reference),
            "  yours takes 0.50 of the reference's time (the interval is 0.47 to 0.54)\n"
        );
    }

    #[test]
    fn a_table_has_the_counts_beside_the_time() {
        let group = group(vec![
            row("no cache", ["200 of 200", "159.0 ms"]),
            row("nearly none", ["199 of 200", "158.0 ms"]),
            row(YOURS, ["1.0 of 200", "18.0 ms"]),
            row(REFERENCE, ["1.0 of 200", "9.0 ms"]),
        ]);
        let times = [
            time(159e6, 1e6),
            time(158e6, 1e6),
            time(18e6, 5e5),
            time(9e6, 5e5),
        ];
        insta::assert_snapshot!(table(&group, &times), @r"
                              time (95 %)          × no cache       loads       p99
        no cache         159 ms (158–160)                   1  200 of 200  159.0 ms
        nearly none      158 ms (157–159)       no difference  199 of 200  158.0 ms
        yours         18.0 ms (17.5–18.5)     1/8.8 (8.5–9.1)  1.0 of 200   18.0 ms
        reference     9.00 ms (8.50–9.50)  1/17.7 (16.6–18.8)  1.0 of 200    9.0 ms
        ");
    }

    #[test]
    fn what_is_not_written_yet_has_no_figure() {
        let counts = ["1.0 of 200", "9.0 ms"];
        let mut group = group(vec![row(YOURS, counts), row(REFERENCE, counts)]);
        group.rows[0].failed = Some("it answers 500".to_owned());
        let times = [None, time(1e6, 1e4)];
        assert_eq!(said(&group, &times, &Look::new(false, 80, false)), "");
        insta::assert_snapshot!(table(&group, &times), @r"
                            time (95 %)          × no cache       loads     p99
        yours     it answers 500
        reference   1.00 ms (0.99–1.01)                   1  1.0 of 200  9.0 ms
        ");
    }
}
