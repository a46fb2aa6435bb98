//! Exercise 2: the first page comes out of the index, in its order.

use labkit::finding::fail;
use sql_indexing_checks::{Database, Question};

const FILE: &str = "migrations/02.sql";
/// What the brief states.
const QUERY: &str = "SELECT id, ref, total_cents, created_at FROM orders \
                     WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10";
const PAGES: u64 = 30;
const REFERENCE: u64 = 13;

/// Ten rows are worth a dozen pages. An index that leads through other customers' orders finds
/// them too, and its plan looks just as good; only the pages tell.
#[labkit::test]
async fn the_latest_ten_cost_at_most_30_pages(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = Question::of_the_brief(QUERY, "int");
    for customer in database.some_customers::<3>() {
        let judged = database.judge(&did, &query, &[&customer.to_string()]).await;
        database.measured(judged.plan.pages());
        judged.expect_no_scan_of("orders", REFERENCE);
        judged.expect_pages(PAGES, REFERENCE);
    }
}

/// A sort has to see its last row before it gives its first: to show ten orders of a customer
/// it fetches all that they ever placed.
#[labkit::test]
async fn the_latest_ten_are_not_sorted(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = Question::of_the_brief(QUERY, "int");
    for customer in database.some_customers::<3>() {
        let judged = database.judge(&did, &query, &[&customer.to_string()]).await;
        judged.expect_no_sort();
        judged.expect_little_waste();
    }
}

/// An index that also promises that its values are unique makes a rule of the shop that nobody has
/// asked for.
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
