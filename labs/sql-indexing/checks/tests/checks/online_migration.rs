//! Exercise 8: the migration that nobody notices.

use labkit::finding::fail;
use sql_indexing_checks::Database;

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
    let mut owner = database.owner().await;
    owner
        .must(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT ref, 7, 'new', now(), 100, 'Noah_4@example.org', 'here' FROM orders WHERE id = 77",
        )
        .await;
    let did = format!("ran {FILE} with a reference that two orders have");
    if database.try_deploy(FILE).await.is_ok() {
        fail(
            did,
            "it ran to its end",
            "a file that is refused: the reference is not unique",
        );
    }
    owner.must("DELETE FROM orders WHERE id > 200000").await;
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
    database.expect_orders_are_taken(&did).await;
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
    let indexes = "SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' (invalid)' END
                   FROM pg_index WHERE indrelid = 'orders'::regclass AND indisunique AND NOT indisprimary";
    let indexes = administrator.must(indexes).await.rows;
    let indexes: Vec<String> = indexes.into_iter().flatten().flatten().collect();
    let good = indexes.iter().any(|index| index.ends_with("(ref)"));
    let wreck = indexes.iter().find(|index| index.ends_with("(invalid)"));
    if let (Some(wreck), _) | (None, Some(wreck)) = (wreck, indexes.first().filter(|_| !good)) {
        fail(
            did,
            format!("the unique index on orders is {wreck}"),
            "a valid unique index on orders (ref)",
        );
    }
    if !good {
        fail(
            did,
            "there is no unique index on orders besides the primary key's",
            "a valid unique index on orders (ref)",
        );
    }
}
