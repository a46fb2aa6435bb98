//! What a service says on its metrics page, in the text format of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, "Text format details").
//!
//! Read here and not by a crate: those that there are end a label's value at its first `}`,
//! and every template of a route has one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// One page of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    kinds: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    series: BTreeMap<Series, f64>,
}

/// What a value belongs to: a name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// `checkout_requests_total`
    pub name: String,
    /// `status` is `200`.
    pub labels: BTreeMap<String, String>,
}

impl Series {
    /// The value of a label; empty where it is missing, as Prometheus sees it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// As on the page, with the labels in the order of their names.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        match labels.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{}{{{}}}", self.name, labels.join(",")),
        }
    }
}

impl Exposition {
    /// What the TYPE line of a metric says.
    pub fn kind(&self, metric: &str) -> Option<&str> {
        self.kinds.get(metric).map(String::as_str)
    }

    /// What the HELP line of a metric says.
    pub fn help(&self, metric: &str) -> Option<&str> {
        self.helps.get(metric).map(String::as_str)
    }

    /// All series of a name, in the order of their labels.
    pub fn all(&self, name: &str) -> impl Iterator<Item = (&Series, f64)> {
        let named = self.series.iter().filter(move |(it, _)| it.name == name);
        named.map(|(series, value)| (series, *value))
    }

    /// The value of the one series of a name that has no labels.
    pub fn plain(&self, name: &str) -> Option<f64> {
        let series = Series {
            name: name.to_owned(),
            labels: BTreeMap::new(),
        };
        self.series.get(&series).copied()
    }

    /// Each series of a name whose value is another one than `before`, and by how much. What
    /// was not there before was 0.
    pub fn moved_since(&self, before: &Self, name: &str) -> BTreeMap<Series, f64> {
        let named = self.series.keys().chain(before.series.keys());
        let named: BTreeSet<&Series> = named.filter(|series| series.name == name).collect();
        let value = |page: &Self, series| page.series.get(series).copied().unwrap_or(0.0);
        named
            .into_iter()
            .map(|series| (series.clone(), value(self, series) - value(before, series)))
            .filter(|(_, by)| *by != 0.0)
            .collect()
    }
}

impl FromStr for Exposition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        for (at, line) in text.lines().enumerate() {
            let read = page.read(line.trim());
            read.map_err(|what| format!("line {}, `{line}`: {what}", at + 1))?;
        }
        match text.is_empty() || text.ends_with('\n') {
            true => Ok(page),
            false => Err("its last line does not end".to_owned()),
        }
    }
}

impl Exposition {
    fn read(&mut self, line: &str) -> Result<(), String> {
        if let Some(comment) = line.strip_prefix('#') {
            return self.read_comment(comment.trim_start());
        }
        if line.is_empty() {
            return Ok(());
        }
        let (name, rest) = name(line)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let mut rest = rest.split_whitespace();
        let value = rest.next().ok_or("it has no value")?;
        let value: f64 = value
            .parse()
            .map_err(|_| format!("`{value}` is no number"))?;
        if rest.next().is_some_and(|at| at.parse::<i64>().is_err()) || rest.next().is_some() {
            return Err("something stands behind the value".to_owned());
        }
        let series = Series { name, labels };
        match self.series.insert(series, value) {
            None => Ok(()),
            Some(_) => Err("this series has a value already".to_owned()),
        }
    }

    fn read_comment(&mut self, comment: &str) -> Result<(), String> {
        let Some((keyword, rest)) = comment.split_once(char::is_whitespace) else {
            return Ok(());
        };
        let known = match keyword {
            "HELP" => &mut self.helps,
            "TYPE" => &mut self.kinds,
            _ => return Ok(()),
        };
        let (name, text) = name(rest.trim_start())?;
        match known.insert(name, text.trim().to_owned()) {
            None => Ok(()),
            Some(_) => Err(format!("a second {keyword} line")),
        }
    }
}

/// A name at the beginning, and what stands behind it.
fn name(line: &str) -> Result<(String, &str), String> {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = line.find(|c| !goes_on(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    match name.starts_with(|c: char| !c.is_ascii_digit()) {
        true => Ok((name.to_owned(), rest)),
        false => Err("no name of a metric or a label".to_owned()),
    }
}

/// Labels behind their `{`, and what stands behind their `}`.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (label, behind) = name(rest)?;
        let behind = behind.trim_start().strip_prefix('=');
        let behind = behind.and_then(|behind| behind.trim_start().strip_prefix('"'));
        let (value, behind) = value(behind.ok_or("no `=\"` behind a label's name")?)?;
        if labels.insert(label, value).is_some() {
            return Err("a label that it has already".to_owned());
        }
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind,
            None if rest.starts_with('}') => rest,
            None => return Err("no `,` or `}` behind a label".to_owned()),
        };
    }
}

/// A label's value behind its first quote, and what stands behind its last one.
fn value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match signs.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, sign @ ('\\' | '"'))) => value.push(sign),
                _ => return Err("a `\\` before neither `\\` nor `\"` nor `n`".to_owned()),
            },
            sign => value.push(sign),
        }
    }
    Err("a label's value without an end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# HELP a_total All that there is.
# TYPE a_total counter
a_total{route="/products/{id}",method="GET"} 3
a_total{route="say \"a,b=c\"",method="GET",} 1e3 1700000000000
# a comment
b +Inf
"#;

    #[test]
    fn a_template_a_quote_and_a_comma_are_read() {
        let page: Exposition = PAGE.parse().expect("it is one");
        assert_eq!(page.kind("a_total"), Some("counter"));
        assert_eq!(page.help("a_total"), Some("All that there is."));
        assert_eq!(page.plain("b"), Some(f64::INFINITY));
        let all: Vec<(String, f64)> = page
            .all("a_total")
            .map(|(series, value)| (series.label("route").to_owned(), value))
            .collect();
        assert_eq!(
            all,
            [
                ("/products/{id}".to_owned(), 3.0),
                ("say \"a,b=c\"".to_owned(), 1000.0)
            ]
        );
    }

    #[test]
    fn what_is_no_exposition_is_refused_with_its_line() {
        for (page, why) in [
            (
                "a 1\na 2\n",
                "line 2, `a 2`: this series has a value already",
            ),
            ("a one\n", "line 1, `a one`: `one` is no number"),
            (
                "a{b=\"c} 1\n",
                "line 1, `a{b=\"c} 1`: a label's value without an end",
            ),
            (
                "a 1 2 3\n",
                "line 1, `a 1 2 3`: something stands behind the value",
            ),
            ("7a 1\n", "line 1, `7a 1`: no name of a metric or a label"),
            ("a 1", "its last line does not end"),
        ] {
            assert_eq!(page.parse::<Exposition>(), Err(why.to_owned()));
        }
    }

    #[test]
    fn only_what_moved_has_moved() {
        let before: Exposition = "a{b=\"1\"} 1\na{b=\"2\"} 2\n".parse().expect("it is one");
        let after: Exposition = "a{b=\"1\"} 1\na{b=\"2\"} 5\na{b=\"3\"} 1\nc 1\n"
            .parse()
            .expect("it is one");
        let moved: Vec<(String, f64)> = after
            .moved_since(&before, "a")
            .into_iter()
            .map(|(series, by)| (series.to_string(), by))
            .collect();
        let expected = [
            ("a{b=\"2\"}".to_owned(), 3.0),
            ("a{b=\"3\"}".to_owned(), 1.0),
        ];
        assert_eq!(moved, expected);
    }
}
