//! Exercise 1: one customer's orders are found without reading everybody's.

use labkit::finding::fail;
use sql_indexing_checks::{Database, Question};

const FILE: &str = "migrations/01.sql";
/// What the brief states.
const QUERY: &str =
    "SELECT id, ref, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY id";
const PAGES: u64 = 100;
const REFERENCE: u64 = 42;

/// Every visitor who opens "my orders" would make Postgres read all orders that the shop ever
/// had; with ten visitors a second nothing else is read any more.
#[labkit::test]
async fn one_customer_costs_at_most_100_pages(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = Question::of_the_brief(QUERY, "int");
    for customer in database.some_customers::<3>() {
        let judged = database.judge(&did, &query, &[&customer.to_string()]).await;
        database.measured(judged.plan.pages());
        judged.expect_no_scan_of("orders", REFERENCE);
        judged.expect_pages(PAGES, REFERENCE);
        judged.expect_little_waste();
    }
    // Nobody knows yet who comes tomorrow.
    for customer in ["0", "6000000"] {
        let judged = database.judge(&did, &query, &[customer]).await;
        judged.expect_no_scan_of("orders", REFERENCE);
        judged.expect_pages(PAGES, REFERENCE);
    }
}

/// A migration is run once, on the only copy there is: what it takes along or switches over
/// besides, nobody brings back.
#[labkit::test]
async fn the_file_adds_an_index_and_changes_nothing_else(database: Database) {
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
