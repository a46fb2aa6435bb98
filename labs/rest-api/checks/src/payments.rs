//! Payments: what somebody wants to pay, what became of it, and who tries again.

use std::time::Duration;

use futures_util::future::join_all;
use labkit::finding::fail;
use labkit::patience::timeout;
use labkit::upstream::Gate;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::{Api, Call, InFlight, Instance, Person, Reply};

/// The route of payments.
pub const PAYMENTS: &str = "/payments";
/// How long somebody tries again whom the answer did not reach; stated in the brief.
const PATIENCE: Duration = Duration::from_secs(10);

/// One payment of one person.
pub struct Wish {
    /// What its client calls it.
    pub key: String,
    /// What is paid for.
    pub order: String,
    /// How much.
    pub cents: i64,
    /// Whose it is.
    pub token: String,
}

impl Wish {
    /// What is sent.
    pub fn body(&self) -> Value {
        json!({ "order": self.order, "cents": self.cents })
    }

    /// The request.
    pub fn call(&self) -> Call {
        self.with(&self.body())
    }

    /// The same key with another body.
    pub fn with(&self, body: &Value) -> Call {
        let call = Call::post(PAYMENTS).header("idempotency-key", self.key.clone());
        call.by(&self.token).json(body)
    }
}

/// A payment that nobody else makes.
pub fn wish(api: &mut Api, person: &Person) -> Wish {
    let order = format!("order {}", api.rng.random_range(0..1_000_000_000_u64));
    let cents = api.rng.random_range(100..100_000);
    wish_of(api, person, &order, cents)
}

/// The same, for a given order and amount.
pub fn wish_of(api: &mut Api, person: &Person, order: &str, cents: i64) -> Wish {
    Wish {
        key: format!("{:016x}", api.rng.random::<u64>()),
        order: order.to_owned(),
        cents,
        token: person.token.clone(),
    }
}

/// Fails the check unless an answer is the receipt of a payment.
pub fn paid(api: &Api, reply: Reply, wish: &Wish) -> Value {
    let reply = reply.expect(201, "the payment was made");
    let told = reply.json();
    let charge = told["charge"]
        .as_str()
        .and_then(|it| api.provider.charge(it));
    let charged = charge.is_some_and(|it| it.order == wish.order && it.cents == wish.cents);
    if !told["id"].is_i64() {
        reply.refuse(
            "no number",
            format!("the receipt {told}"),
            "the `id` of the payment",
        );
    }
    if told["order"] != wish.order || told["cents"] != wish.cents || !charged {
        reply.refuse(
            "another payment",
            format!("the receipt {told}"),
            format!("that of {}, with its charge", wish.body()),
        );
    }
    told
}

/// Fails the check unless a payment that is sent again is answered as the first time.
pub fn expect_the_same(first: &Value, again: Reply) {
    let again = again.expect(201, "it is answered as the first time");
    if again.json() != *first {
        again.refuse(
            "another answer",
            format!("{} the first time, then {}", first, again.body),
            "one answer: it is one payment",
        );
    }
}

/// How many payments of an order are written down.
pub async fn rows_of(api: &Api, wish: &Wish) -> i64 {
    let count = "SELECT count(*) FROM payments WHERE order_name =";
    api.inside
        .number(&format!("{count} '{}'", wish.order))
        .await
}

/// One charge and one row.
pub async fn expect_once(api: &Api, wish: &Wish, did: &str) {
    let charges = api.provider.charges_for(&wish.order);
    if charges != 1 {
        fail(did, format!("{charges} charges"), "one charge");
    }
    let rows = rows_of(api, wish).await;
    if rows != 1 {
        fail(
            did,
            format!("{rows} payments are written down, and one was charged"),
            "one",
        );
    }
    let quoted = wish.order.replace('\'', "''");
    let written = format!(
        "SELECT p.cents, p.charge, EXISTS (SELECT 1 FROM tokens AS t
             WHERE t.user_id = p.user_id AND t.token = '{}')
         FROM payments AS p WHERE p.order_name = '{quoted}'",
        wish.token
    );
    let written: Vec<(i64, String, bool)> = api.inside.rows(&written).await;
    for (cents, charge, theirs) in written {
        let charged = api.provider.charge(&charge);
        let right = charged.is_some_and(|it| it.order == wish.order && it.cents == wish.cents);
        if cents != wish.cents || !right || !theirs {
            let whose = if theirs { "theirs" } else { "somebody else's" };
            fail(
                did,
                format!("written down is a payment of {cents} with the charge {charge}, {whose}"),
                format!("{}, with its charge, of whoever has paid", wish.cents),
            );
        }
    }
}

/// Tries again as a client does whom no answer has reached: until it is paid.
pub async fn until_paid(api: &Api, app: &Instance, wish: &Wish, did: &str) {
    let mut last = None;
    let tries = async {
        loop {
            let reply = app.send(wish.call()).await;
            if reply.status == 201 {
                return reply;
            }
            last = Some(reply.to_string());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match timeout(PATIENCE, tries).await {
        Ok(reply) => {
            paid(api, reply, wish);
        }
        Err(_) => fail(
            did,
            match last {
                Some(answer) => format!("ten seconds of tries later the answer is {answer}"),
                None => "ten seconds later there is no answer".to_owned(),
            },
            "201: what was begun by somebody who is gone can be finished",
        ),
    }
}

/// A second instance, beside the first one: two payments at once were made on each before, so that
/// of those that follow two are not still opening a connection, which no count of statements sees.
/// Of more at once each might hold one connection of the pool and wait for a second one.
pub async fn at_work(api: &mut Api, ann: &Person) -> Instance {
    let other = api.second_app().await;
    let wishes: [Wish; 4] = std::array::from_fn(|_| wish(api, ann));
    let (here, there) = wishes.split_at(2);
    let sent = [(&api.app, here), (&other, there)]
        .map(|(app, wishes)| join_all(wishes.iter().map(|wish| app.send(wish.call()))));
    let replies = join_all(sent).await.concat();
    for (reply, wish) in replies.into_iter().zip(&wishes) {
        paid(api, reply, wish);
    }
    other
}

/// Waits until a charge is parked at the gate; fails the check if there will be none.
pub async fn until_charging<T>(request: &mut InFlight<'_, T>, gate: &Gate) {
    let saw = match request.until(gate.parked(1)).await {
        Some(Ok(())) => return,
        Some(Err(waiting)) => format!("no answer, and nothing at the provider: {waiting}"),
        None => "an answer, and nothing had arrived at the provider".to_owned(),
    };
    fail(
        format!("POST {PAYMENTS}"),
        saw,
        "a charge before the answer: a payment has to be paid",
    )
}
