//! A plan held against the numbers of the brief, and the findings that come of it.

use labkit::finding::fail;

use crate::database::Database;
use crate::plan::{Node, Plan};
use crate::question::{Question, given, in_words};

/// How a query was carried out, and after what.
pub struct Judged {
    /// The plan.
    pub plan: Plan,
    did: String,
}

impl Database {
    /// Has a query carried out and its plan kept; `did` says what was done before.
    pub async fn judge(&self, did: &str, question: &Question, arguments: &[&str]) -> Judged {
        self.judge_said(did, question, &given(arguments)).await
    }

    /// The same for arguments some of which may be NULL.
    pub async fn judge_said(
        &self,
        did: &str,
        question: &Question,
        arguments: &[Option<&str>],
    ) -> Judged {
        let plan = self.explain(question, arguments).await;
        Judged {
            plan,
            did: format!(
                "{did}; then asked {} with {}",
                question.name,
                in_words(arguments)
            ),
        }
    }
}

impl Judged {
    /// Fails the check if more pages were read; `reference` is what a good plan reads.
    pub fn expect_pages(&self, at_most: u64, reference: u64) {
        let pages = self.plan.pages();
        if pages > at_most {
            let guilty = self.plan.dearest();
            self.fail(
                &format!("the plan reads {pages} pages"),
                guilty,
                &format!("{} of them", guilty.own_pages()),
                &format!("at most {at_most} pages; a good plan reads {reference}"),
            );
        }
    }

    /// Fails the check if the whole table was read.
    pub fn expect_no_scan_of(&self, table: &str, reference: u64) {
        let nodes = self.plan.nodes();
        let scan = nodes
            .iter()
            .find(|node| node.kind == "Seq Scan" && node.relation.as_deref() == Some(table));
        if let Some(scan) = scan {
            self.fail(
                &format!("all of {table} was read: {} pages", scan.pages()),
                scan,
                "row by row",
                &format!("{table} read through an index; a good plan reads {reference} pages"),
            );
        }
    }

    /// Fails the check if rows had to be brought into their order.
    pub fn expect_no_sort(&self) {
        let sort = self.plan.nodes().into_iter().find(|node| node.is_sort());
        if let Some(sort) = sort {
            let sorted: f64 = sort.inner.iter().map(Node::total_rows).sum();
            self.fail(
                &format!("{sorted} rows were fetched and sorted"),
                sort,
                "reads all of its input first",
                "rows that come out of the index in their order, and no Sort",
            );
        }
    }

    /// Fails the check if more rows were looked at for nothing than were found.
    pub fn expect_little_waste(&self) {
        let (found, discarded) = self.plan.found_and_discarded();
        if discarded > found {
            let guilty = self.plan.most_wasteful();
            self.fail(
                &format!("{discarded} rows were looked at and thrown away, to find {found}"),
                guilty,
                "the condition came after the reading",
                "no more rows thrown away than found; a good plan throws none away",
            );
        }
    }

    /// Fails the check if the scans found more rows.
    pub fn expect_rows_found(&self, at_most: f64) {
        let (found, discarded) = self.plan.found_and_discarded();
        if found + discarded > at_most {
            let guilty = self.plan.busiest();
            self.fail(
                &format!(
                    "{} rows were looked at, to show {}",
                    found + discarded,
                    self.plan.root.total_rows()
                ),
                guilty,
                "does not stop at the last row that is shown",
                &format!("at most {at_most} rows looked at"),
            );
        }
    }

    /// Fails the check if the table itself was visited, and not the index alone.
    pub fn expect_index_alone(&self, table: &str) {
        let nodes = self.plan.nodes();
        let visits = |node: &&&Node| {
            node.relation.as_deref() == Some(table) && node.kind != "Index Only Scan"
        };
        let expected = "an Index Only Scan with 0 heap fetches";
        if let Some(node) = nodes.iter().find(visits) {
            self.fail(
                &format!("the rows were fetched from {table} itself"),
                node,
                "not the index alone",
                expected,
            );
        }
        if let Some(node) = nodes.iter().find(|node| node.fetches() > 0.0) {
            self.fail(
                &format!(
                    "for {} rows the index had to ask the table whether they are still there",
                    node.fetches()
                ),
                node,
                "its pages are not marked all-visible",
                expected,
            );
        }
    }

    fn fail(&self, saw: &str, guilty: &Node, note: &str, expected: &str) -> ! {
        fail(
            self.did.clone(),
            format!("{saw}\n\n{}", self.plan.drawn(guilty, note)),
            expected,
        )
    }
}
