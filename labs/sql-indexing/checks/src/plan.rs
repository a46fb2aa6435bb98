//! What `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)` says, as a tree.
//!
//! Pages are those that were hit and those that were read: the sum is the same on each run,
//! the parts are not. Numbers of rows are fractions from Postgres 18 on.

use std::fmt::Write as _;

use labkit::finding;
use serde::Deserialize;

/// A query as it was carried out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The root of the tree.
    pub root: Node,
}

/// One step of a plan. All figures are those of one loop, but for the pages.
#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    /// `Seq Scan`, `Sort` …
    #[serde(rename = "Node Type")]
    pub kind: String,
    /// The table that it reads.
    #[serde(rename = "Relation Name")]
    pub relation: Option<String>,
    /// The index that it reads.
    #[serde(rename = "Index Name")]
    pub index: Option<String>,
    #[serde(rename = "Index Cond")]
    index_cond: Option<String>,
    #[serde(rename = "Filter")]
    filter: Option<String>,
    #[serde(rename = "Sort Key", default)]
    sort_key: Vec<String>,
    #[serde(rename = "Actual Rows", default)]
    rows: f64,
    #[serde(rename = "Actual Loops", default)]
    loops: f64,
    #[serde(rename = "Rows Removed by Filter", default)]
    filtered: f64,
    #[serde(rename = "Rows Removed by Index Recheck", default)]
    rechecked: f64,
    #[serde(rename = "Heap Fetches", default)]
    fetches: f64,
    #[serde(rename = "Shared Hit Blocks", default)]
    hit: u64,
    #[serde(rename = "Shared Read Blocks", default)]
    read: u64,
    /// What it works on.
    #[serde(rename = "Plans", default)]
    pub inner: Vec<Node>,
}

#[derive(Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Node,
}

impl Plan {
    /// Reads what EXPLAIN said.
    pub(crate) fn read(json: &str) -> Self {
        match serde_json::from_str::<Vec<Explained>>(json) {
            Ok(mut explained) if !explained.is_empty() => Self {
                root: explained.remove(0).plan,
            },
            Ok(_) => finding::error("EXPLAIN said nothing"),
            Err(error) => finding::error(format!("EXPLAIN speaks another language: {error}")),
        }
    }

    /// All its nodes, from the root on.
    pub fn nodes(&self) -> Vec<&Node> {
        let mut nodes = vec![&self.root];
        let mut at = 0;
        while at < nodes.len() {
            nodes.extend(&nodes[at].inner);
            at += 1;
        }
        nodes
    }

    /// The pages that it read, from memory or from the disk.
    pub fn pages(&self) -> u64 {
        self.root.pages()
    }

    /// The node that reads most pages itself.
    pub fn dearest(&self) -> &Node {
        let nodes = self.nodes().into_iter();
        nodes
            .max_by_key(|node| node.own_pages())
            .unwrap_or(&self.root)
    }

    /// The scan that throws most rows away.
    pub fn most_wasteful(&self) -> &Node {
        self.worst(Node::discarded)
    }

    /// The scan that looks at most rows.
    pub fn busiest(&self) -> &Node {
        self.worst(|node| match node.is_scan() {
            true => node.total_rows() + node.discarded(),
            false => 0.0,
        })
    }

    fn worst(&self, how_bad: impl Fn(&Node) -> f64) -> &Node {
        let nodes = self.nodes().into_iter();
        nodes
            .max_by(|a, b| how_bad(a).total_cmp(&how_bad(b)))
            .unwrap_or(&self.root)
    }

    /// How many rows its scans found, and how many of those they had looked at for nothing.
    pub fn found_and_discarded(&self) -> (f64, f64) {
        let scans = self.nodes().into_iter().filter(|node| node.is_scan());
        scans.fold((0.0, 0.0), |(found, discarded), node| {
            (found + node.total_rows(), discarded + node.discarded())
        })
    }

    /// The tree in lines, with a note behind one of its nodes.
    pub fn drawn(&self, guilty: &Node, note: &str) -> String {
        let mut text = String::new();
        self.root.draw(&mut text, "", "", guilty, note);
        text.trim_end().to_owned()
    }
}

impl Node {
    /// The pages that it and what it works on read.
    pub fn pages(&self) -> u64 {
        self.hit + self.read
    }

    /// The pages that it read itself.
    pub fn own_pages(&self) -> u64 {
        let inner: u64 = self.inner.iter().map(Node::pages).sum();
        self.pages().saturating_sub(inner)
    }

    /// The rows that came out of it, in all loops. EXPLAIN tells an average with two digits at
    /// most; what came out was a whole number.
    pub fn total_rows(&self) -> f64 {
        (self.rows * self.loops).round()
    }

    /// The rows that it looked at and threw away, in all loops.
    pub fn discarded(&self) -> f64 {
        ((self.filtered + self.rechecked) * self.loops).round()
    }

    /// The rows for which an index was not enough, in all loops: EXPLAIN tells their sum.
    pub fn fetches(&self) -> f64 {
        self.fetches
    }

    /// Whether it reads a table; what only collects the places of rows does not.
    pub fn is_scan(&self) -> bool {
        self.relation.is_some()
    }

    /// Whether it puts rows into an order.
    pub fn is_sort(&self) -> bool {
        self.kind == "Sort" || self.kind == "Incremental Sort"
    }

    fn draw(&self, text: &mut String, first: &str, rest: &str, guilty: &Node, note: &str) {
        let _ = writeln!(text, "{first}{}", self.headline());
        // On a line of its own: behind the figures it would be wrapped on most terminals.
        if std::ptr::eq(self, guilty) {
            let _ = writeln!(text, "{rest}   ↑ {note}");
        }
        for (label, said) in [
            ("Index Cond", self.index_cond.clone()),
            ("Filter", self.filter.clone()),
            (
                "Sort Key",
                Some(self.sort_key.join(", ")).filter(|key| !key.is_empty()),
            ),
        ] {
            if let Some(said) = said {
                let _ = writeln!(text, "{rest}   {label}: {said}");
            }
        }
        let last = self.inner.len().saturating_sub(1);
        for (index, inner) in self.inner.iter().enumerate() {
            let (branch, below) = match index == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            inner.draw(
                text,
                &format!("{rest}{branch}"),
                &format!("{rest}{below}"),
                guilty,
                note,
            );
        }
    }

    /// `Seq Scan on orders: 40 rows, 199960 discarded, 3920 pages`.
    fn headline(&self) -> String {
        let mut line = self.kind.clone();
        match (&self.index, &self.relation) {
            (Some(index), _) => line += &format!(" using {index}"),
            (None, Some(relation)) => line += &format!(" on {relation}"),
            (None, None) => {}
        }
        line += &format!(": {} rows", self.total_rows());
        if self.discarded() > 0.0 {
            line += &format!(", {} discarded", self.discarded());
        }
        if self.fetches > 0.0 {
            line += &format!(", {} heap fetches", self.fetches);
        }
        line + &format!(", {} pages", self.pages())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Postgres 18 says it: fractions, and keys that nobody here reads.
    const EIGHTEEN: &str = r#"[{"Plan": {"Node Type": "Limit", "Actual Rows": 10.00,
        "Actual Loops": 1, "Shared Hit Blocks": 3, "Shared Read Blocks": 4, "Disabled": false,
        "Plans": [{"Node Type": "Index Scan", "Index Name": "i", "Relation Name": "orders",
            "Index Cond": "(customer_id = 7)", "Index Searches": 1, "Filter": "(total > 1)",
            "Rows Removed by Filter": 1.67, "Actual Rows": 3.33, "Actual Loops": 3,
            "Shared Hit Blocks": 3, "Shared Read Blocks": 3}]},
        "Planning": {"Shared Hit Blocks": 90}}]"#;

    #[test]
    fn a_plan_is_a_tree_with_its_guilty_node_marked() {
        let plan = Plan::read(EIGHTEEN);
        assert_eq!(plan.pages(), 7);
        assert_eq!(plan.found_and_discarded(), (10.0, 5.0));
        let dearest = plan.dearest();
        assert_eq!(
            (dearest.kind.as_str(), dearest.own_pages()),
            ("Index Scan", 6)
        );
        assert_eq!(
            plan.drawn(dearest, "here"),
            "Limit: 10 rows, 7 pages\n\
             └─ Index Scan using i: 10 rows, 5 discarded, 6 pages\n      \
             ↑ here\n      \
             Index Cond: (customer_id = 7)\n      \
             Filter: (total > 1)"
        );
    }
}
