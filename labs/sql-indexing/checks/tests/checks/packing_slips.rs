//! Exercise 7: many orders are one question, not many.

use std::collections::BTreeSet;

use labkit::finding::fail;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use sql_indexing_checks::{Desk, Item, Said, Session, Slip};

/// What the brief states.
const STATEMENTS: usize = 2;
/// The orders whose items are not in the archive.
const FIRST: u32 = 180_001;
const LAST: u32 = 200_000;

/// One question for each order is a hundred round trips, and a page that got slower with each
/// order since the shop was small enough for nobody to notice.
#[labkit::test]
async fn a_hundred_orders_take_as_many_statements_as_ten(mut desk: Desk) {
    let few = some_refs(&mut desk, 10).await;
    let many = some_refs(&mut desk, 100).await;
    let for_few = said_for(&desk, &few).await;
    let for_many = said_for(&desk, &many).await;
    desk.database
        .measured(u64::try_from(for_many.len()).unwrap_or(u64::MAX));
    let did = "asked for the slips of 10 orders, then for those of 100";
    let expected = format!("at most {STATEMENTS} statements, for 10 orders and for 100");
    if for_many.len() > STATEMENTS || for_few.len() > STATEMENTS {
        fail(
            did,
            format!(
                "{} statements for 10 orders, {} for 100",
                for_few.len(),
                for_many.len()
            ),
            expected,
        );
    }
    if for_many.is_empty() {
        fail(did, "no statement at all for the 100", expected);
    }
    let known: BTreeSet<&str> = for_few.iter().map(|said| said.sql.as_str()).collect();
    if let Some(new) = for_many
        .iter()
        .find(|said| !known.contains(said.sql.as_str()))
    {
        fail(
            did,
            format!(
                "for 100 orders another text, of {} letters",
                new.sql.chars().count()
            ),
            "the same text for any number of orders: each new one is parsed, planned and kept \
             anew, on each connection",
        );
    }
}

/// What is thrown away in the service was read, sent and unpacked first.
#[labkit::test]
async fn nothing_of_other_orders_is_fetched(mut desk: Desk) {
    let mut refs = some_refs(&mut desk, 10).await;
    // Of most there is nothing to fetch: a row for each of them is more than the orders have.
    refs.extend((0..90).map(|number| format!("plaza-99999{number:02}")));
    refs.shuffle(&mut desk.database.rng);
    let spoken = desk.spoken();
    let slips = desk.slips(&refs).await;
    let rows: u64 = desk.said_since(spoken).iter().map(|said| said.rows).sum();
    let items: usize = slips.iter().map(|slip| slip.items.len()).sum();
    if rows > u64::try_from(slips.len() + items).unwrap_or(u64::MAX) || rows == 0 {
        fail(
            "asked for the slips of 10 orders and of 90 that do not exist",
            format!("{rows} rows came from Postgres"),
            format!(
                "some, and at most {}: one for each order and one for each item",
                slips.len() + items
            ),
        );
    }
}

/// A parcel with another order's items in it is packed twice and sent three times.
#[labkit::test]
async fn each_slip_has_its_own_items(mut desk: Desk) {
    let mut refs = some_refs(&mut desk, 40).await;
    // An order without items, one of the marketplace with the quote, and one that does not exist.
    for known in ["depot-0180011", "d'or-0199990", "plaza-9999999"] {
        if !refs.iter().any(|drawn| drawn == known) {
            refs.push(known.to_owned());
        }
    }
    refs.shuffle(&mut desk.database.rng);
    expect_right(&desk, &refs).await;
    expect_right(&desk, &[]).await;
}

/// The largest customer orders for a year, in one parcel with a line for each month, the same
/// tea in two of them; and on Mondays more slips are printed than anybody has tried.
#[labkit::test]
async fn a_long_slip_and_many_slips_are_complete(mut desk: Desk) {
    let mut owner = desk.database.owner().await;
    take(&mut owner, 300_001, "plaza-0900001").await;
    // They lie in the table as they were entered, which is not the order of the lines.
    owner
        .must(
            "INSERT INTO order_items (order_id, line, sku, quantity, cents)
             SELECT 300001, line, 'tea-' || line % 6, line, 100
             FROM unnest(ARRAY[7, 12, 1, 3, 11, 2, 10, 9, 4, 6, 8, 5]) AS line",
        )
        .await;
    let mut refs = some_refs(&mut desk, 130).await;
    refs.push("plaza-0900001".to_owned());
    expect_right(&desk, &refs).await;
}

/// A customer who has moved calls before the parcel is packed. What was printed once is not
/// what is true now.
#[labkit::test]
async fn a_new_address_is_on_the_next_slip(desk: Desk) {
    let refs = ["plaza-0180005", "plaza-0180009", "plaza-0180013"].map(str::to_owned);
    expect_right(&desk, &refs).await;
    let mut owner = desk.database.owner().await;
    let moved = format!(
        "UPDATE orders SET ship_to = 'where they live now' WHERE ref = '{}'",
        refs[0]
    );
    owner.must(&moved).await;
    expect_right(&desk, &refs).await;
}

/// One of the marketplaces is called d'or. And whoever may name an order may write anything
/// into its name.
#[labkit::test]
async fn a_quote_in_a_reference_is_a_letter_like_any_other(desk: Desk) {
    let mut owner = desk.database.owner().await;
    let odd = [
        "the \"quoted\" one",
        "back\\slash",
        "one, two",
        "in {braces}",
        " behind a blank",
        "before a blank ",
        "NULL",
        "%",
        // What nobody types is no separator either.
        "unit\u{1f}separator",
        "record\u{1e}separator",
        "start\u{1}of heading",
    ];
    for (odd, id) in odd.iter().zip(300_001..) {
        take(&mut owner, id, odd).await;
    }
    expect_right(&desk, &odd.map(str::to_owned)).await;
    let refs = [
        // Nobody's, though there is one very much like it.
        "behind a blank",
        "before a blank",
        "d'or-0199998",
        "x' OR '1'='1",
        "x'); DELETE FROM order_items; --",
        "plaza-0199997",
        "x\\' OR 1=1 --",
        "$1",
        "{d'or-0199994,plaza-0199993}",
        "",
    ];
    expect_right(&desk, &refs.map(str::to_owned)).await;
}

/// An order of this number and reference comes in.
async fn take(owner: &mut Session, id: u32, reference: &str) {
    owner
        .must(&format!(
            "INSERT INTO orders (id, ref, customer_id, status, created_at, total_cents, email, ship_to)
             VALUES ({id}, '{reference}', 7, 'new', '2026-11-24 12:00+00', 100, 'a@example.org', 'here')"
        ))
        .await;
}

async fn said_for(desk: &Desk, refs: &[String]) -> Vec<Said> {
    let spoken = desk.spoken();
    expect_right(desk, refs).await;
    desk.said_since(spoken)
}

/// References of orders that are not in the archive, each once.
async fn some_refs(desk: &mut Desk, how_many: usize) -> Vec<String> {
    let mut numbers = BTreeSet::new();
    while numbers.len() < how_many {
        numbers.insert(desk.database.rng.random_range(FIRST..=LAST));
    }
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    let refs = format!(
        "SELECT ref FROM orders WHERE id IN ({})",
        numbers.join(", ")
    );
    let refs = desk.database.administrator().await.must(&refs).await;
    let mut refs: Vec<String> = refs.rows.into_iter().flatten().flatten().collect();
    refs.shuffle(&mut desk.database.rng);
    refs
}

/// Fails the check unless the slips are those of the orders that exist, as they were asked for.
async fn expect_right(desk: &Desk, refs: &[String]) {
    let slips = desk.slips(refs).await;
    let mut administrator = desk.database.administrator().await;
    let mut right = Vec::new();
    for reference in refs {
        let quoted = reference.replace('\'', "''");
        let order = format!("SELECT id, ship_to FROM orders WHERE ref = '{quoted}'");
        let Some(order) = administrator.must(&order).await.rows.into_iter().next() else {
            continue;
        };
        let mut order = order.into_iter().map(Option::unwrap_or_default);
        let id = order.next().unwrap_or_default();
        let items =
            format!("SELECT sku, quantity FROM order_items WHERE order_id = {id} ORDER BY line");
        let items = administrator.must(&items).await.rows.into_iter();
        let item = |row: Vec<Option<String>>| {
            let mut fields = row.into_iter().map(Option::unwrap_or_default);
            Item {
                sku: fields.next().unwrap_or_default(),
                quantity: fields
                    .next()
                    .and_then(|it| it.parse().ok())
                    .unwrap_or_default(),
            }
        };
        right.push(Slip {
            reference: reference.clone(),
            ship_to: order.next().unwrap_or_default(),
            items: items.map(item).collect(),
        });
    }
    if let Some(at) = (0..right.len().max(slips.len())).find(|at| slips.get(*at) != right.get(*at))
    {
        let did = format!("asked for the slips of {} orders", refs.len());
        fail(
            did,
            format!(
                "{} slips; slip {} is {}",
                slips.len(),
                at + 1,
                told(slips.get(at))
            ),
            format!(
                "{} slips; slip {} is {}",
                right.len(),
                at + 1,
                told(right.get(at))
            ),
        );
    }
}

fn told(slip: Option<&Slip>) -> String {
    let Some(slip) = slip else {
        return "not there".to_owned();
    };
    let items = slip.items.iter();
    let items: Vec<String> = items
        .map(|it| format!("{} × {}", it.quantity, it.sku))
        .collect();
    let items = match items.is_empty() {
        true => "no items".to_owned(),
        false => items.join(", "),
    };
    format!("{} to {}: {items}", slip.reference, slip.ship_to)
}
