//! Exercise 5: an index of what waits, and of nothing else.

use labkit::finding::fail;
use sql_indexing_checks::{Database, Question};

const FILE: &str = "migrations/05.sql";
/// What the brief states.
const QUERY: &str = "SELECT id, ref, ship_to FROM orders \
                     WHERE status = 'new' ORDER BY created_at, id LIMIT 20";
const PAGES: u64 = 30;
const REFERENCE: u64 = 3;
const ROWS: f64 = 40.0;
const KIB: u64 = 400;

/// Each of ten stations asks every few seconds. What has long been delivered is nothing that
/// they should have to walk past.
#[labkit::test]
async fn the_next_twenty_cost_at_most_30_pages(database: Database) {
    let did = database.deploy(FILE).await;
    let query = Question::of_the_brief(QUERY, "");
    let judged = database.judge(&did, &query, &[]).await;
    database.measured(judged.plan.pages());
    judged.expect_no_scan_of("orders", REFERENCE);
    judged.expect_little_waste();
    judged.expect_pages(PAGES, REFERENCE);
}

/// To find the head of a queue by sorting the queue gets dearer with each order that waits: on
/// the day when packing falls behind, it falls behind further.
#[labkit::test]
async fn the_head_of_the_queue_is_found_without_the_rest(database: Database) {
    let did = database.deploy(FILE).await;
    let query = Question::of_the_brief(QUERY, "");
    let judged = database.judge(&did, &query, &[]).await;
    judged.expect_rows_found(ROWS);
}

/// An index is written to for each row that it holds, and takes the room in memory that other
/// pages need. Of a hundred orders one waits.
#[labkit::test]
async fn the_index_holds_only_what_waits(database: Database) {
    let before = database.before().await;
    let did = database.deploy(FILE).await;
    let added = database.new_indexes(&before).await;
    let bytes: u64 = added.iter().map(|index| index.bytes).sum();
    let expected = format!("an index, and at most {KIB} KiB; a good one has 80 KiB");
    if added.is_empty() {
        fail(did, "no new index", expected);
    }
    if bytes > KIB * 1024 {
        let named: Vec<&str> = added
            .iter()
            .map(|index| index.definition.as_str())
            .collect();
        fail(
            did,
            format!("{} KiB: {}", bytes / 1024, named.join("; ")),
            expected,
        );
    }
}

/// The queue changes all day: what comes in has to be found, and what was packed is not to be
/// packed again.
#[labkit::test]
async fn the_queue_goes_on_and_nothing_else_has_changed(database: Database) {
    let before = database.before().await;
    let did = database.deploy(FILE).await;
    database.expect_only_indexes(&before, &did, &[]).await;
    let added = database.new_indexes(&before).await;
    if !added
        .iter()
        .any(|index| index.valid && index.is_on("orders"))
    {
        fail(did, "no new index on orders", "an index on orders");
    }
    database.expect_orders_are_taken(&did).await;
}
