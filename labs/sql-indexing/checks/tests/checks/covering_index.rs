//! Exercise 4: an index that answers alone.

use labkit::finding::fail;
use sql_indexing_checks::Database;

const FILE: &str = "migrations/04.sql";
const QUERY: &str = "queries/04_spending.sql";
/// What the brief states.
const PAGES: u64 = 10;
const REFERENCE: u64 = 5;

/// The answer that the question has.
const RIGHT: &str = "SELECT created_at, total_cents FROM orders \
                     WHERE customer_id = $1 ORDER BY created_at";

/// An order is a page of its own in the table; in the index, forty of them stand on one.
#[labkit::test]
async fn a_customers_spending_costs_at_most_10_pages(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(QUERY, "int");
    for customer in database.some_customers::<3>() {
        let customer = customer.to_string();
        let judged = database.judge(&did, &query, &[&customer]).await;
        database.measured(judged.plan.pages());
        judged.expect_no_scan_of("orders", REFERENCE);
        judged.expect_pages(PAGES, REFERENCE);
    }
}

/// An index does not know who may see a row. While a page of the table is not marked
/// all-visible, each of its rows is looked up there all the same.
#[labkit::test]
async fn the_index_answers_without_the_table(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(QUERY, "int");
    for customer in database.some_customers::<3>() {
        let judged = database.judge(&did, &query, &[&customer.to_string()]).await;
        judged.expect_index_alone("orders");
    }
}

/// What the customer reads is two columns in the order of time, and not what was convenient to
/// select.
#[labkit::test]
async fn the_answer_is_two_columns_in_the_order_of_time(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(QUERY, "int");
    let [customer] = database.some_customers();
    // A basket that was bought twice at once, and more orders than anybody else has.
    database
        .owner()
        .await
        .place(&did, &format!(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT 'twice-' || i, {customer}, 'new', '2026-11-24 12:00+00', 100, 'a@example.org', 'here'
             FROM generate_series(1, 2) AS i"
        ))
        .await;
    for customer in [customer, 0] {
        let customer = customer.to_string();
        database.expect_answer(&query, &[&customer], RIGHT).await;
    }
}

/// The backfill is why the file exists; an index that is quick because the work was left out
/// is no help to those who wait for it.
#[labkit::test]
async fn the_backfill_is_done_and_nothing_else_has_changed(database: Database) {
    // What has come in since the file was written: empty notes, and some that say something.
    let mut administrator = database.administrator().await;
    administrator
        .must(
            "UPDATE orders SET note = (ARRAY['', ' ', 'ring twice'])[1 + number % 3]
             FROM (SELECT id, row_number() OVER (ORDER BY id)::int AS number
                   FROM orders WHERE note IS NULL LIMIT 30) AS late
             WHERE orders.id = late.id",
        )
        .await;
    let before = database.before().await;
    let did = database.deploy(FILE).await;
    let empty = "SELECT count(*) FROM orders WHERE note = ''";
    let empty = administrator.value(empty).await;
    if empty != "0" {
        fail(
            did,
            format!("{empty} orders have their empty note still"),
            "no order has one: the file's UPDATE stays in it",
        );
    }
    let kept = "SELECT count(*) FROM orders WHERE note <> ''";
    let kept = administrator.value(kept).await;
    if kept != "20" {
        fail(
            did,
            format!("of 20 orders with something in their note, {kept} have it still"),
            "all 20: an empty note is one with no sign in it, not even a blank",
        );
    }
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
