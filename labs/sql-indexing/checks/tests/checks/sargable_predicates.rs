//! Exercise 3: a predicate that an index can serve, and the same answer as before.

use labkit::finding::fail;
use rand::RngExt as _;
use sql_indexing_checks::Database;

const FILE: &str = "migrations/03.sql";
const DAY: &str = "queries/03_day.sql";
const EMAIL: &str = "queries/03_email.sql";
/// What the brief states.
const DAY_PAGES: u64 = 40;
const DAY_REFERENCE: u64 = 6;
const EMAIL_PAGES: u64 = 100;
const EMAIL_REFERENCE: u64 = 43;

/// The answers that the two questions have.
const RIGHT_DAY: &str = "SELECT count(*) AS orders FROM orders \
                         WHERE date_trunc('day', created_at) = $1";
const RIGHT_EMAIL: &str = "SELECT id, created_at, total_cents FROM orders \
                           WHERE lower(email) = lower($1) ORDER BY id";

/// The first day of the shop is 0, the last whole one 395.
async fn day(database: &Database, number: u32) -> String {
    let date = format!("SELECT date '2025-10-01' + {number}");
    database.administrator().await.value(&date).await
}

/// An address of one of the shop's customers, typed in a way of its own.
async fn address(database: &mut Database) -> String {
    let [customer] = database.some_customers();
    let email = format!("SELECT email FROM customers WHERE id = {customer}");
    let email = database.administrator().await.value(&email).await;
    let typed = email.chars().map(|letter| match database.rng.random() {
        true => letter.to_ascii_uppercase(),
        false => letter,
    });
    typed.collect()
}

/// A day ends before the next one begins: with `<=` or `BETWEEN` the imports of midnight are
/// counted twice, once for either day, and no report adds up any more.
#[labkit::test]
async fn a_day_is_counted_right_and_through_an_index(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(DAY, "date");
    let random = database.rng.random_range(1..395);
    let first = day(&database, random).await;
    let mut owner = database.owner().await;
    for moment in ["23:59:59.999999", "24:00:00"] {
        owner
            .place(&did, &format!(
                "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
                 VALUES ('late', 7, 'new', '{first} {moment}+00', 100, 'Noah_4@example.org', 'here')"
            ))
            .await;
    }
    for number in [0, random, random + 1, 396, 500] {
        let day = day(&database, number).await;
        database.expect_answer(&query, &[&day], RIGHT_DAY).await;
    }
    let judged = database.judge(&did, &query, &[&first]).await;
    judged.expect_no_scan_of("orders", DAY_REFERENCE);
}

/// A plan with the word Index in it may still read every entry of the index: what counts is
/// how much was read, and how much of that was of no use.
#[labkit::test]
async fn a_day_costs_at_most_40_pages(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(DAY, "date");
    for _ in 0..3 {
        let number = database.rng.random_range(1..395);
        let day = day(&database, number).await;
        let judged = database.judge(&did, &query, &[&day]).await;
        database.measured(judged.plan.pages());
        judged.expect_little_waste();
        judged.expect_pages(DAY_PAGES, DAY_REFERENCE);
    }
}

/// People type their address as they like, and there are two who differ by one sign only. To
/// show one the orders of the other is a leak, to show them none is a call to the hotline.
#[labkit::test]
async fn an_address_finds_its_orders_however_it_was_typed(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(EMAIL, "text");
    // Side by side, wherever there is room: the first and the last by their numbers, and the
    // other way round by their times.
    let mut owner = database.owner().await;
    owner
        .place(
            &did,
            "INSERT INTO orders (id, ref, customer_id, status, created_at, total_cents, email, ship_to)
             VALUES (-1, 'first', 7, 'new', '2026-11-20 12:00+00', 100, 'noah_1@example.org', 'here'),
                    (900000, 'last', 7, 'new', '2025-01-01 12:00+00', 100, 'noah_1@example.org', 'here')",
        )
        .await;
    for known in [
        "Noah_1@EXAMPLE.org",
        "noah-1@example.org",
        "nobody@example.org",
        // Signs that mean something to LIKE, and one that is easily lost.
        "noah%@example.org",
        "noah\\_1@example.org",
        "noah_1@example.org ",
    ] {
        database.expect_answer(&query, &[known], RIGHT_EMAIL).await;
    }
    // Each differs by a sign from the one above, or from each other, and has an order of its own.
    let department = "the-department-of-long-words-and-other-useful-things".repeat(2);
    let odd = [
        " noah_1@example.org",
        "noah\\1@example.org",
        "noah_1+gift@example.org",
        &format!("{department}-1@example.org"),
        &format!("{department}-2@example.org"),
    ];
    owner
        .place(
            &did,
            &format!(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT 'odd', 7, 'new', '2026-11-21 12:00+00', 100, unnest(ARRAY['{}']), 'here'",
            odd.join("', '")
        ),
        )
        .await;
    // Somebody who buys for a whole school.
    owner
        .place(
            &did,
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT 'school-' || i, 7, 'new', '2026-11-22 12:00+00', i, 'school@example.org', 'here'
             FROM generate_series(1, 70) AS i",
        )
        .await;
    for known in odd.into_iter().chain(["School@example.org"]) {
        database.expect_answer(&query, &[known], RIGHT_EMAIL).await;
    }
    let typed = address(&mut database).await;
    database.expect_answer(&query, &[&typed], RIGHT_EMAIL).await;
}

/// An index on the column as it is written cannot find what is compared in another form.
#[labkit::test]
async fn an_address_costs_at_most_100_pages(mut database: Database) {
    let did = database.deploy(FILE).await;
    let query = database.question(EMAIL, "text");
    for _ in 0..3 {
        let typed = address(&mut database).await;
        let judged = database.judge(&did, &query, &[&typed]).await;
        judged.expect_no_scan_of("orders", EMAIL_REFERENCE);
        judged.expect_little_waste();
        judged.expect_pages(EMAIL_PAGES, EMAIL_REFERENCE);
    }
}

/// To keep the answer of a query somewhere else, in a table of sums, is another technique, and its
/// price is paid by whoever writes.
#[labkit::test]
async fn the_file_adds_indexes_and_changes_nothing_else(database: Database) {
    let before = database.before().await;
    let did = database.deploy(FILE).await;
    database.expect_only_indexes(&before, &did, &[]).await;
    let added = database.new_indexes(&before).await;
    if !added
        .iter()
        .any(|index| index.valid && index.is_on("orders"))
    {
        fail(did, "no new index on orders", "indexes on orders");
    }
    database.expect_orders_are_taken(&did).await;
}
