//! Exercise 8: the migration that nobody notices.

use labkit::finding::fail;
use sql_indexing_checks::{Database, Index};

const FILE: &str = "migrations/08.sql";
/// What the brief states.
const COLUMN: &str = "packed_at";

/// A lock that is waited for is a lock that others wait behind: fifteen seconds of a migration
/// in the queue are fifteen seconds without a sale.
#[labkit::test]
async fn no_checkout_waits_behind_the_migration(database: Database) {
    database.deploy_while_selling(FILE).await;
    expect_done(&database, &format!("ran {FILE} while the shop sold")).await;
}

/// A unique index is refused when there are duplicates, and concurrently built it leaves a
/// wreck of its name behind: who only looks at the name takes it for the index.
#[labkit::test]
async fn a_second_run_finishes_what_a_duplicate_has_stopped(database: Database) {
    // No connection is kept open meanwhile: a file may end those that it meets.
    database
        .owner()
        .await
        .must(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT ref, 7, 'new', now(), 100, 'Noah_4@example.org', 'here' FROM orders WHERE id = 77",
        )
        .await;
    let did = format!("ran {FILE} twice with a reference that two orders have");
    for time in ["first", "second"] {
        if database.try_deploy(FILE).await.is_ok() {
            fail(
                did,
                format!("the {time} time it ran to its end"),
                "a file that is refused: the reference is not unique",
            );
        }
    }
    let mut owner = database.owner().await;
    owner.must("DELETE FROM orders WHERE id > 200000").await;
    drop(owner);
    let did = format!("{did}, deleted one of the two, ran it again");
    if let Err(refusal) = database.try_deploy(FILE).await {
        fail(
            did,
            format!("it was refused: {}", refusal.in_words()),
            "a file that can be run again from its beginning",
        );
    }
    expect_done(&database, &did).await;
}

/// What ships with a migration besides what was announced, nobody has looked at.
#[labkit::test]
async fn the_column_and_the_index_are_there_and_nothing_else(database: Database) {
    let before = database.before_adding(&[COLUMN]).await;
    // What it did, the unique one does.
    let before = before.with_or_without("orders_ref");
    database.deploy(FILE).await;
    let added = definitions(database.new_indexes(&before).await);
    // A deploy script that lost its connection does not know that all was done.
    let did = format!("ran {FILE} to its end");
    if let Err(refusal) = database.try_deploy(FILE).await {
        fail(
            format!("{did}, and once more"),
            format!("it was refused: {}", refusal.in_words()),
            "a file that can be run again from its beginning, also when all is done",
        );
    }
    let did = format!("{did}, twice");
    expect_done(&database, &did).await;
    database.expect_only_indexes(&before, &did, &[COLUMN]).await;
    let again = definitions(database.new_indexes(&before).await);
    if again != added {
        fail(
            did,
            format!(
                "these indexes were new after the first run: {added}; after the second {again}"
            ),
            "the second run leaves all as it was",
        );
    }
    let references = ["check-1", "check-2", "check-3"];
    database.expect_orders_are_taken_of(&did, references).await;
}

fn definitions(mut indexes: Vec<Index>) -> String {
    indexes.sort_by(|one, other| one.name.cmp(&other.name));
    let definitions = indexes.into_iter().map(|index| index.definition);
    definitions.collect::<Vec<_>>().join("; ")
}

/// Fails the check unless both parts of the migration are there.
async fn expect_done(database: &Database, did: &str) {
    let mut administrator = database.administrator().await;
    let column = "SELECT format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
                  FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'packed_at'";
    let column = administrator.value(column).await;
    let expected = "the column packed_at: a timestamptz that may be NULL, and is for the orders \
                    there are";
    if column != "timestamp with time zone" {
        let saw = match column.is_empty() {
            true => "there is no column packed_at".to_owned(),
            false => format!("packed_at is a {column}"),
        };
        fail(did, saw, expected);
    }
    let packed = "SELECT count(packed_at) FROM orders";
    let packed = administrator.value(packed).await;
    if packed != "0" {
        fail(did, format!("{packed} orders have a packed_at"), expected);
    }
    // One that refuses a reference that is there: of nothing but it, and of all orders.
    let good = "SELECT count(*) FROM pg_index
                WHERE indrelid = 'orders'::regclass AND indisunique AND indisvalid AND indnkeyatts = 1
                  AND indpred IS NULL AND indkey[0] = (
                      SELECT attnum FROM pg_attribute
                      WHERE attrelid = 'orders'::regclass AND attname = 'ref')";
    let good = administrator.value(good).await != "0";
    let others = "SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' (invalid)' END
                  FROM pg_index WHERE indrelid = 'orders'::regclass AND indisunique AND NOT indisprimary
                  ORDER BY indisvalid";
    let others = administrator.must(others).await.rows;
    let mut others = others.into_iter().flatten().flatten();
    let expected = "a valid unique index on orders (ref)";
    match others.next() {
        Some(wreck) if !good || wreck.ends_with("(invalid)") => fail(
            did,
            format!("the unique index on orders is {wreck}"),
            expected,
        ),
        None => fail(
            did,
            "there is no unique index on orders besides the primary key's",
            expected,
        ),
        Some(_) => {}
    }
}
