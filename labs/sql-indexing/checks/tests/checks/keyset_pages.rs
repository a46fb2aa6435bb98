//! Exercise 6: a page begins where the last one ended, however deep.

use std::collections::BTreeSet;

use labkit::finding::fail;
use sql_indexing_checks::{Desk, Order, Session};

const FILE: &str = "migrations/06.sql";
/// What the brief states.
const PAGES: u64 = 30;
const REFERENCE: u64 = 5;
const STATEMENTS: usize = 3;
const LIMIT: usize = 20;
/// How deep it is looked: so many pages of so many.
const DEEP: usize = 20;
const LARGE: usize = 1000;
/// A walk through the list while others write to it.
const STEPS: usize = 50;
/// A shop so small that one sees its end.
const FEW: usize = 45;

/// With OFFSET page 1,001 makes Postgres count through the thousand before it: the deeper
/// somebody looks, the dearer each page gets, and robots look deep.
#[labkit::test]
async fn a_deep_page_costs_at_most_30_pages(desk: Desk) {
    let did = desk.database.deploy(FILE).await;
    let rounds = desk.mark();
    let mut after = None;
    for _ in 0..DEEP {
        desk.begin_round(rounds);
        let page = desk.page(after.as_deref(), LARGE).await;
        after = page.next;
        if after.is_none() || page.orders.len() != LARGE {
            fail(
                "",
                format!(
                    "{} orders on a page of {LARGE} and {} `next`",
                    page.orders.len(),
                    if after.is_some() { "a" } else { "no" }
                ),
                format!("{LARGE} and a `next`: there are 200,000 orders"),
            );
        }
    }
    desk.begin_round(rounds);
    let did = format!(
        "{did}; asked for {LIMIT} orders after the first {}",
        DEEP * LARGE
    );
    expect_cheap(&desk, &did, after.as_deref()).await;
    let page = desk.page(after.as_deref(), LIMIT).await;
    let mut owner = desk.database.owner().await;
    let right = list(&mut owner, DEEP * LARGE, LIMIT).await;
    compare(&page.orders, &right, &did);
    if page.orders.len() != right.len() || page.orders.iter().any(|it| !right.contains(it)) {
        let first = |orders: &[Order]| orders.first().map_or(0, |order| order.id);
        fail(
            did,
            format!("a page that begins with order {}", first(&page.orders)),
            format!("the {LIMIT} that follow, from order {} on", first(&right)),
        );
    }
}

/// What ships with an index besides the index, nobody has looked at.
#[labkit::test]
async fn the_file_adds_an_index_and_changes_nothing_else(desk: Desk) {
    let before = desk.database.before().await;
    let did = desk.database.deploy(FILE).await;
    desk.database.expect_only_indexes(&before, &did, &[]).await;
    let added = desk.database.new_indexes(&before).await;
    if !added
        .iter()
        .any(|index| index.valid && index.is_on("orders"))
    {
        fail(did, "no new index on orders", "an index on orders");
    }
    desk.database.expect_orders_are_taken(&did).await;
}

/// Everybody opens the first page, and few go on. What begins without a boundary is another
/// question to Postgres, and has another plan.
#[labkit::test]
async fn the_first_page_costs_no_more_than_a_deep_one(desk: Desk) {
    let did = desk.database.deploy(FILE).await;
    let did = format!("{did}; asked for the first {LIMIT} orders");
    expect_cheap(&desk, &did, None).await;
}

/// Somebody scrolls while orders come in. What moves everything down by one shows an order
/// twice; a boundary that is not unique loses those that share it.
#[labkit::test]
async fn each_order_is_shown_once_while_others_come_in(desk: Desk) {
    let _ = desk.database.deploy(FILE).await;
    let mut others = desk.database.owner().await;
    // Late ones, from before: in the list they stand among the old, their numbers are new.
    insert(&mut others, 20, "2026-10-31 12:00:00+00").await;
    insert(&mut others, 13, "2026-10-31 08:40:00+00").await;
    let old = list(&mut others, 0, STEPS * LIMIT).await;
    let rounds = desk.mark();
    let mut seen: Vec<Order> = Vec::new();
    let mut after = None;
    for step in 0..STEPS {
        desk.begin_round(rounds);
        let page = desk.page(after.as_deref(), LIMIT).await;
        seen.extend(page.orders.clone());
        let did = format!("fetched {} pages of {LIMIT} while orders came in", step + 1);
        compare(&seen, &old, &did);
        after = page.next;
        if after.is_none() {
            fail(
                "",
                format!("after {} orders there is no `next`", seen.len()),
                "a `next`: there are 200,000 orders",
            );
        }
        // One that is new, and one that comes late: at the moment where the page ended, which is
        // ahead of what was shown last.
        insert(&mut others, 1, "2026-11-24 12:00:00+00").await;
        if let Some(last) = page.orders.last() {
            insert(&mut others, 1, &last.created_at).await;
        }
    }
}

/// Whoever fetches all pages has to learn that there are no more, and to have seen them all.
#[labkit::test]
async fn the_last_page_is_the_end(desk: Desk) {
    let _ = desk.database.deploy(FILE).await;
    let mut owner = desk.database.owner().await;
    owner.must("TRUNCATE orders CASCADE").await;
    // The numbers run against the time, and three orders share each moment.
    owner
        .must(&format!(
            "INSERT INTO orders (id, ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT i, 'few-' || i, 7, 'new', timestamptz '2026-11-01 00:00:00+00' - i / 3 * interval '1 us',
                    i, 'Noah_4@example.org', 'here'
             FROM generate_series(1, {FEW}) AS i"
        ))
        .await;
    let all = list(&mut owner, 0, FEW).await;
    let rounds = desk.mark();
    // One that does not divide them, and one that does.
    for limit in [LIMIT, FEW / 3] {
        desk.begin_round(rounds);
        let did = format!("fetched all pages of {limit} of a shop with {FEW} orders");
        let mut seen = Vec::new();
        let mut after = None;
        // As many pages as are needed, and one that is empty.
        for _ in 0..=FEW.div_ceil(limit) {
            let page = desk.page(after.as_deref(), limit).await;
            seen.extend(page.orders);
            compare(&seen, &all, &did);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if after.is_some() || seen.len() != FEW {
            let end = match after {
                Some(_) => "and still a `next`",
                None => "and then no `next`",
            };
            fail(
                did,
                format!("{} orders, {end}", seen.len()),
                format!("all {FEW}, and then no `next`; one empty page at the end is allowed"),
            );
        }
    }
}

/// Fails the check unless a page of the usual size costs what the brief allows.
async fn expect_cheap(desk: &Desk, did: &str, after: Option<&str>) {
    let spoken = desk.spoken();
    let page = desk.page(after, LIMIT).await;
    let said = desk.said_since(spoken);
    if page.orders.len() != LIMIT || said.is_empty() || said.len() > STATEMENTS {
        fail(
            did,
            format!(
                "{} orders, from {} statements",
                page.orders.len(),
                said.len()
            ),
            format!(
                "{LIMIT} orders, asked for while the page is, in at most {STATEMENTS} statements"
            ),
        );
    }
    let mut pages = 0;
    for said in &said {
        let Some(arguments) = &said.arguments else {
            fail(
                did,
                format!(
                    "the statement `{}` has a parameter that is a list",
                    said.sql
                ),
                "parameters that are single values",
            )
        };
        let arguments: Vec<Option<&str>> = arguments.iter().map(Option::as_deref).collect();
        let judged = desk
            .database
            .judge_said(did, &said.question(), &arguments)
            .await;
        pages += judged.plan.pages();
        desk.database.measured(pages);
        judged.expect_no_scan_of("orders", REFERENCE);
        judged.expect_rows_found(2.0 * LIMIT as f64);
        judged.expect_pages(PAGES, REFERENCE);
    }
}

/// Each old order once and in its place; what has come in meanwhile may be there, once.
fn compare(seen: &[Order], old: &[Order], did: &str) {
    let mut known = BTreeSet::new();
    for order in seen {
        if !known.insert(order.id) {
            fail(
                did,
                format!("order {} is shown twice ({})", order.id, order.created_at),
                "each order once",
            );
        }
    }
    let numbers: BTreeSet<i64> = old.iter().map(|order| order.id).collect();
    let theirs: Vec<&Order> = seen.iter().filter(|it| numbers.contains(&it.id)).collect();
    for (at, order) in theirs.iter().enumerate() {
        let right = &old[at];
        if *order != right {
            let saw = match theirs.iter().any(|theirs| theirs.id == right.id) {
                true => format!(
                    "place {} has order {} of {}",
                    at + 1,
                    order.id,
                    order.created_at
                ),
                false => format!(
                    "behind place {at} order {} of {} was passed over",
                    right.id, right.created_at
                ),
            };
            fail(
                did,
                saw,
                format!(
                    "order {} of {}: the latest first, and of one moment the highest number \
                     first",
                    right.id, right.created_at
                ),
            );
        }
    }
}

/// So many orders of the list, as it is now, behind the first ones.
async fn list(session: &mut Session, behind: usize, most: usize) -> Vec<Order> {
    let rows = session
        .must(&format!(
            "SELECT id, ref, created_at, total_cents FROM orders
             ORDER BY created_at DESC, id DESC LIMIT {most} OFFSET {behind}"
        ))
        .await;
    let order = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().flatten();
        Some(Order {
            id: fields.next()?.parse().ok()?,
            reference: fields.next()?,
            created_at: fields.next()?,
            total_cents: fields.next()?.parse().ok()?,
        })
    };
    rows.rows.into_iter().filter_map(order).collect()
}

async fn insert(session: &mut Session, how_many: u32, moment: &str) {
    session
        .must(&format!(
            "INSERT INTO orders (ref, customer_id, status, created_at, total_cents, email, ship_to)
             SELECT 'late', 7, 'new', '{moment}', 100, 'Noah_4@example.org', 'here'
             FROM generate_series(1, {how_many})"
        ))
        .await;
}
