//! A histogram as Prometheus sees it: how many were not above each edge.

use labkit::finding;

use crate::exposition::Exposition;

/// The buckets of one histogram, from the lowest edge on, the last one `+Inf`.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// Edge in seconds, and how many observations were not above it.
    pub counts: Vec<(f64, f64)>,
}

impl Buckets {
    /// Those of a histogram without labels; nothing, if there is none or it has labels.
    pub fn of(page: &Exposition, metric: &str) -> Option<Self> {
        let mut counts = Vec::new();
        for (series, count) in page.all(&format!("{metric}_bucket")) {
            let mut labels = series.labels.keys();
            if labels.next().is_none_or(|label| label != "le") || labels.next().is_some() {
                return None;
            }
            counts.push((series.label("le").parse().ok()?, count));
        }
        counts.sort_by(|(a, _), (b, _)| f64::total_cmp(a, b));
        let whole = counts
            .last()
            .is_some_and(|(edge, _)| *edge == f64::INFINITY);
        whole.then_some(Self { counts })
    }

    /// The edges that are no infinity.
    pub fn edges(&self) -> Vec<f64> {
        let edges = self.counts.iter().map(|(edge, _)| *edge);
        edges.filter(|edge| edge.is_finite()).collect()
    }

    /// What was observed since; the edges must not have changed meanwhile.
    pub fn since(&self, before: &Self) -> Self {
        self.combined(before, |now, then| now - then)
            .unwrap_or_else(|| {
                finding::fail_because(
                    "",
                    "the edges of the histogram changed while the service ran",
                    "the same edges from the first observation on",
                    "Prometheus keeps a series for each edge: counts that move to other edges are \
                     counts that fell, and a rate over them is nonsense.",
                )
            })
    }

    /// Two instances seen as one, as `sum by (le)` does it; nothing, where the edges differ.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.combined(other, |a, b| a + b)
    }

    fn combined(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Option<Self> {
        let edges = |buckets: &Self| -> Vec<u64> {
            let edges = buckets.counts.iter().map(|(edge, _)| edge.to_bits());
            edges.collect()
        };
        let both = self.counts.iter().zip(&other.counts);
        let counts = both.map(|((edge, a), (_, b))| (*edge, of(*a, *b)));
        (edges(self) == edges(other)).then(|| Self {
            counts: counts.collect(),
        })
    }

    /// How many were not above an edge; nothing, where there is no such edge.
    pub fn not_above(&self, edge: f64) -> Option<f64> {
        let bucket = self.counts.iter().find(|(it, _)| *it == edge);
        bucket.map(|(_, count)| *count)
    }

    /// How many observations there were.
    pub fn count(&self) -> f64 {
        self.counts.last().map_or(0.0, |(_, count)| *count)
    }

    /// What `histogram_quantile` makes of them
    /// (<https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>):
    /// in its bucket the quantile is taken to lie in proportion to its rank, the first bucket
    /// begins at 0, and above the highest edge nothing is known but that.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.count();
        let (mut lower, mut below) = (0.0, 0.0);
        for (edge, count) in &self.counts {
            if *count >= rank {
                return match edge.is_finite() {
                    true => lower + (edge - lower) * (rank - below) / (count - below),
                    false => lower,
                };
            }
            (lower, below) = (*edge, *count);
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Buckets {
        Buckets {
            counts: counts.to_vec(),
        }
    }

    #[test]
    fn a_quantile_lies_in_its_bucket_in_proportion() {
        let even = buckets(&[(0.1, 50.0), (0.2, 100.0), (f64::INFINITY, 100.0)]);
        assert!((even.quantile(0.5) - 0.1).abs() < 1e-9);
        assert!((even.quantile(0.75) - 0.15).abs() < 1e-9);
        let above = buckets(&[(0.1, 1.0), (f64::INFINITY, 100.0)]);
        assert!((above.quantile(0.95) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn a_histogram_with_labels_or_without_an_end_is_none() {
        let read = |text: &str| Buckets::of(&text.parse().expect("it is a page"), "a");
        assert!(read("a_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\n").is_some());
        assert!(read("a_bucket{le=\"1\"} 1\n").is_none());
        assert!(read("a_bucket{le=\"+Inf\",pod=\"7\"} 1\n").is_none());
        assert!(read("").is_none());
    }
}
