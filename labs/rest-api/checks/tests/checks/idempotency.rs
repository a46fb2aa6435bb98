//! Exercise 5: who hears nothing sends again, and pays once.

use futures_util::future::join_all;
use labkit::finding::fail;
use labkit::wire::Match;
use rest_api_checks::payments::{
    PAYMENTS, Wish, at_work, expect_once, expect_the_same, paid, rows_of, until_charging,
    until_paid, wish, wish_of,
};
use rest_api_checks::{Api, CHARGES, Call, InFlight, Probe, expect_agreement};
use serde_json::{Value, json};

/// How many signs a key may have; stated in the brief.
const LONGEST_KEY: usize = 200;
/// How many send the same payment at once; stated in the brief.
const RETRIES: usize = 20;
/// More statements than a payment has.
const MOST_STATEMENTS: usize = 14;

/// A payment is charged, written down and answered; a payment that is sent again is answered
/// as the first time, and nothing else happens.
#[labkit::test]
async fn a_payment_sent_again_is_charged_once(mut api: Api) {
    let ann = api.person("Ann").await;
    let wish = wish(&mut api, &ann);
    let first = paid(&api, api.app.send(wish.call()).await, &wish);
    for _ in 0..3 {
        let again = api.app.send(wish.call()).await;
        expect_the_same(&first, again);
    }
    // Another client library writes the same in another way.
    let body = format!(
        "{{ \"cents\": {},\n  \"order\": \"{}\" }}",
        wish.cents, wish.order
    );
    let again = Call::post(PAYMENTS).header("idempotency-key", wish.key.clone());
    let again = again.by(&ann.token).raw("application/json", body);
    expect_the_same(&first, api.app.send(again).await);
    expect_once(&api, &wish, "POST /payments five times, with one key").await;
}

/// Somebody buys the same once more, and means it: what was bought says nothing about it, the key
/// alone does, from its first sign to its last.
#[labkit::test]
async fn each_key_is_a_payment_of_its_own(mut api: Api) {
    let ann = api.person("Ann").await;
    let first = wish(&mut api, &ann);
    let long = "k".repeat(LONGEST_KEY - 1);
    let keys = [
        "again".to_owned(),
        "Again".to_owned(),
        format!("{long}1"),
        format!("{long}2"),
        format!("1{long}"),
    ];
    let wishes = keys.map(|key| Wish {
        key,
        order: first.order.clone(),
        cents: first.cents,
        token: ann.token.clone(),
    });
    let mut receipts: Vec<Value> = Vec::new();
    for wish in &wishes {
        let reply = api.app.send(wish.call()).await;
        let told = paid(&api, reply.clone(), wish);
        let known = |one: &Value| one["id"] == told["id"] || one["charge"] == told["charge"];
        if receipts.iter().any(known) {
            reply.refuse(
                "an older receipt",
                format!(
                    "the key {} was answered {told}, as another key was",
                    wish.key
                ),
                "a payment and a charge of its own: no payment had this key",
            );
        }
        receipts.push(told);
    }
    for (wish, receipt) in wishes.iter().zip(&receipts) {
        expect_the_same(receipt, api.app.send(wish.call()).await);
    }
    let (charges, rows) = (
        api.provider.charges_for(&first.order),
        rows_of(&api, &first).await,
    );
    if charges != wishes.len() || usize::try_from(rows) != Ok(wishes.len()) {
        fail(
            format!("POST {PAYMENTS} with {} keys, twice each", wishes.len()),
            format!("{charges} charges and {rows} rows"),
            format!("{} of each", wishes.len()),
        );
    }
}

/// Without a key nobody can tell a retry from a second purchase.
#[labkit::test]
async fn a_payment_without_a_key_is_refused(mut api: Api) {
    let ann = api.person("Ann").await;
    let wish = wish(&mut api, &ann);
    let bare = Call::post(PAYMENTS).by(&ann.token).json(&wish.body());
    for call in [bare.clone(), bare.header("idempotency-key", "")] {
        let reply = api.app.send(call).await;
        let _ = reply.expect(400, "it does not say which payment it is");
    }
    if api.provider.charges_for(&wish.order) > 0 {
        fail(
            "",
            "the card was charged",
            "no charge: the payment was refused",
        );
    }
    paid(&api, api.app.send(wish.call()).await, &wish);
}

/// A key that is used twice by mistake must not answer one purchase with the receipt of
/// another.
#[labkit::test]
async fn the_same_key_with_another_body_is_a_422(mut api: Api) {
    let ann = api.person("Ann").await;
    let order = wish(&mut api, &ann).order;
    let wish = wish_of(&mut api, &ann, &order, 54_321);
    let first = paid(&api, api.app.send(wish.call()).await, &wish);
    let others = [
        json!({ "order": wish.order, "cents": wish.cents + 1 }),
        json!({ "order": format!("{} II", wish.order), "cents": wish.cents }),
        // The same letters and digits, when they are put together.
        json!({ "order": format!("{}5", wish.order), "cents": 4_321 }),
    ];
    for other in others {
        let reply = api.app.send(wish.with(&other)).await;
        if reply.status == 201 {
            reply.refuse(
                "another payment",
                format!("{other} got the receipt {}", reply.body),
                "422: the key belongs to another payment",
            );
        }
        let _ = reply.expect(422, "the key belongs to another payment");
    }
    let again = api.app.send(wish.call()).await;
    expect_the_same(&first, again);
    expect_once(&api, &wish, "sent one key with four bodies").await;
}

/// Keys are made by clients: two of them may make the same, and one of them may guess.
#[labkit::test]
async fn a_key_is_good_for_its_owner_only(mut api: Api) {
    let (ann, ben) = (api.person("Ann").await, api.person("Ben").await);
    // Put behind each other, her number and `1…` are his number and `…`.
    let cem = api
        .person_numbered("Cem", ann.id * 1_000_000 + 100_001)
        .await;
    for (owner, same_body) in [(&ben, true), (&ben, false), (&cem, true)] {
        let mut first = wish(&mut api, &ann);
        let mut second = wish(&mut api, owner);
        second.key.clone_from(&first.key);
        if owner.id == cem.id {
            first.key.insert_str(0, "100001");
        }
        let receipt = paid(&api, api.app.send(first.call()).await, &first);
        if same_body {
            second.order.clone_from(&first.order);
            second.cents = first.cents;
        }
        let reply = api.app.send(second.call()).await;
        let told = paid(&api, reply.clone(), &second);
        if told["id"] == receipt["id"] || told["charge"] == receipt["charge"] {
            let sent = match owner.id == cem.id {
                true => "Cem sent a key that reads, behind his number, as Ann's behind hers",
                false => "Ben sent Ann's key",
            };
            reply.refuse(
                "somebody else's",
                format!("{sent}, and received Ann's receipt: {told}"),
                "a payment and a charge of his own",
            );
        }
        let charges = api.provider.charges_for(&second.order);
        let expected = if same_body { 2 } else { 1 };
        if charges != expected {
            fail(
                "Ann and another pay, each with a key that happens to be the same",
                format!("{charges} charges for `{}`", second.order),
                format!("{expected}: one for each who pays"),
            );
        }
    }
}

/// The phone, the load balancer and the person all try again, and not to the same instance. One
/// of them has to be first.
#[labkit::test]
async fn twenty_tries_over_two_instances_charge_once(mut api: Api) {
    let ann = api.person("Ann").await;
    let other = at_work(&mut api, &ann).await;
    let wish = wish(&mut api, &ann);
    let gate = api.provider.door.gate("POST", CHARGES);
    let mut crowd = InFlight::of(join_all((0..RETRIES).map(|n| {
        let app = if n % 2 == 0 { &api.app } else { &other };
        app.send(wish.call())
    })));
    until_charging(&mut crowd, &gate).await;
    // Whoever does not wait for the first one is on its way to the provider.
    crowd.during(api.go_as_far_as_they_can(&other)).await;
    gate.open();
    let replies = crowd.answer().await;
    let charges = api.provider.charges_for(&wish.order);
    api.measured(charges);
    let did = format!("POST {PAYMENTS}, {RETRIES} times at once over two instances, with one key");
    expect_once(&api, &wish, &did).await;
    let mut receipt: Option<Value> = None;
    for reply in replies {
        if reply.status == 409 {
            continue;
        }
        let told = paid(&api, reply.clone(), &wish);
        if receipt.get_or_insert_with(|| told.clone()) != &told {
            reply.refuse(
                "another answer",
                format!("{told}"),
                "the same answer for everybody",
            );
        }
    }
    for app in [&api.app, &other] {
        let again = paid(&api, app.send(wish.call()).await, &wish);
        if receipt.as_ref().is_some_and(|receipt| *receipt != again) {
            fail(
                did,
                format!("afterwards it is answered {again}"),
                "as the first time",
            );
        }
    }
    expect_once(&api, &wish, &did).await;
}

/// Two purchases with one key, at the same time: one of them is refused, and it is not charged.
#[labkit::test]
async fn another_body_meanwhile_is_not_charged(mut api: Api) {
    let ann = api.person("Ann").await;
    let other = at_work(&mut api, &ann).await;
    let wish = wish(&mut api, &ann);
    let dearer = json!({ "order": wish.order, "cents": wish.cents + 1 });
    let gate = api.provider.door.gate("POST", CHARGES);
    let both = async { tokio::join!(api.app.send(wish.call()), other.send(wish.with(&dearer))) };
    let mut both = InFlight::of(both);
    until_charging(&mut both, &gate).await;
    both.during(api.go_as_far_as_they_can(&other)).await;
    gate.open();
    let (one, two) = both.answer().await;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    let charges = api.provider.charges_for(&wish.order);
    let fine = statuses[0] == 201 && [409, 422].contains(&statuses[1]);
    if !fine || charges != 1 {
        one.point("one key");
        two.point("one key");
        fail(
            format!("POST {PAYMENTS} on two instances at once: one key, two amounts"),
            format!("{one} and {two}; {charges} charges"),
            "201 for one and 422 or 409 for the other, and one charge",
        );
    }
}

/// What failed has not happened. An error that is kept is served to each retry, for ever.
#[labkit::test]
async fn a_failure_of_the_provider_is_not_kept(mut api: Api) {
    let ann = api.person("Ann").await;
    let wish = wish(&mut api, &ann);
    api.provider.door.fail("POST", CHARGES, 503);
    let reply = api.app.send(wish.call()).await;
    let _ = reply.expect(502, "the provider failed, and nothing was paid");
    // Whoever holds a claim for some time may ask for patience.
    let reply = api.app.send(wish.call()).await;
    let _ = reply.expect_one_of(
        &[502, 409],
        "the provider fails still, and nothing was paid",
    );
    let rows = rows_of(&api, &wish).await;
    if rows > 0 {
        fail(
            "",
            format!("{rows} payments are written down"),
            "none: nothing was paid",
        );
    }
    api.provider.door.heal();
    let did = format!("POST {PAYMENTS} while the provider was down, and again when it was back");
    until_paid(&api, &api.app, &wish, &did).await;
    expect_once(&api, &wish, &did).await;
}

/// The provider has charged, and its answer is lost on the way: nobody knows, and whoever tries
/// again is charged once all the same.
#[labkit::test]
async fn a_lost_reply_of_the_provider_charges_once(mut api: Api) {
    let ann = api.person("Ann").await;
    let wish = wish(&mut api, &ann);
    api.app.provider.drop_reply(Match::request("POST", CHARGES));
    let reply = api.app.send(wish.call()).await;
    // A client library may have tried again by itself.
    let _ = reply.expect_one_of(&[201, 502], "the provider's answer was lost");
    let did = format!("POST {PAYMENTS}, lost the provider's answer to its charge, and tried again");
    until_paid(&api, &api.app, &wish, &did).await;
    expect_once(&api, &wish, &did).await;
}

/// A card that was charged for what is written down nowhere is found by its owner, on the next
/// statement of the bank. What can be refused is refused before the money moves.
#[labkit::test]
async fn what_cannot_be_written_down_is_not_charged(mut api: Api) {
    let ann = api.person("Ann").await;
    let plain = wish(&mut api, &ann);
    let order = format!("{}\0", plain.order);
    let bad = wish_of(&mut api, &ann, &order, plain.cents);
    let reply = api.app.send(bad.call()).await;
    let _ = reply.expect_one_of(&[400, 422], "Postgres keeps no text with a NUL in it");
    let charges = api.provider.charges_for(&order);
    if charges > 0 {
        fail(
            format!("POST {PAYMENTS} of an order whose name ends with a NUL"),
            "it was refused, and the card was charged",
            "no charge: the payment was refused",
        );
    }
    paid(&api, api.app.send(plain.call()).await, &plain);
    expect_once(&api, &plain, "POST /payments of a sound order after it").await;
}

/// Deployments, machines and memory kill instances: also between the charge and the row that
/// says so. The client tries again, and meets another instance.
#[labkit::test]
async fn a_crash_at_any_message_charges_once(mut api: Api) {
    let ann = api.person("Ann").await;
    let rounds = api.mark();
    // 0: when the provider has charged, and its answer is not there yet.
    for nth in 0..=MOST_STATEMENTS {
        api.begin_round(rounds);
        let wish = wish(&mut api, &ann);
        let dying = api.another_app(&format!("app {}", nth + 2), &[]).await;
        let mut request = InFlight::of(async { dying.try_send(&wish.call()).await });
        let at = if nth == 0 {
            let gate = api.provider.door.gate_reply("POST", CHARGES);
            until_charging(&mut request, &gate).await;
            dying.app.kill().await;
            gate.open();
            "after the charge, before its answer was there,".to_owned()
        } else {
            let hold = dying.db.hold(Match::any().nth(nth));
            let message = match request.until(hold.reached()).await {
                Some(Ok(message)) => message,
                // It was answered, and had fewer messages than that.
                None => {
                    if let Some(reply) = request.answer().await {
                        paid(&api, reply, &wish);
                    }
                    return;
                }
                Some(Err(waiting)) => fail(
                    format!("POST {PAYMENTS}"),
                    format!("no answer, and no message {nth} to the database: {waiting}"),
                    "an answer",
                ),
            };
            dying.app.kill().await;
            hold.release();
            let words: String = message.to_string().chars().take(60).collect();
            format!("before its `{words}`")
        };
        let _ = request.answer().await;
        let did = format!("POST {PAYMENTS}; killed the instance {at} and tried again on another");
        until_paid(&api, &api.app, &wish, &did).await;
        expect_once(&api, &wish, &did).await;
    }
}

/// A connection that is cut between COMMIT and its reply leaves a client that cannot know. It
/// asks again, and the answer must be the truth.
#[labkit::test]
async fn a_lost_reply_of_the_database_charges_once(mut api: Api) {
    let ann = api.person("Ann").await;
    let rounds = api.mark();
    for nth in 1..=MOST_STATEMENTS {
        api.begin_round(rounds);
        let wish = wish(&mut api, &ann);
        // Whatever the last round still has to say, a ROLLBACK perhaps, is said by then.
        api.app.app.settle(20).await;
        let before = api.app.db.messages().len();
        api.app.db.drop_reply(Match::any().nth(nth));
        let reply = api.app.send(wish.call()).await;
        let messages = api.app.db.messages();
        if reply.status == 201 && messages.len() - before < nth {
            return;
        }
        let lost = messages.get(before + nth - 1).map(ToString::to_string);
        let lost: String = lost.unwrap_or_default().chars().take(60).collect();
        let did = format!("POST {PAYMENTS}, lost the reply to `{lost}`, and tried again");
        until_paid(&api, &api.app, &wish, &did).await;
        expect_once(&api, &wish, &did).await;
    }
}

/// A phone loses its network more often than an instance its life, and the future of its request
/// ends where it stands: what it has claimed must not stay claimed.
#[labkit::test]
async fn a_client_that_hangs_up_can_come_again(mut api: Api) {
    let ann = api.person("Ann").await;
    let other = at_work(&mut api, &ann).await;
    let wish = wish(&mut api, &ann);
    let gate = api.provider.door.gate("POST", CHARGES);
    let call = wish.call();
    let mut request = InFlight::of(api.app.try_send(&call));
    until_charging(&mut request, &gate).await;
    drop(request);
    // What its end leads to, a ROLLBACK perhaps, is said by then.
    api.app.app.settle(20).await;
    gate.open();
    let did = format!(
        "POST {PAYMENTS}, hung up while the provider was charging, and tried again on another \
         instance"
    );
    until_paid(&api, &other, &wish, &did).await;
    expect_once(&api, &wish, &did).await;
}

/// The document promises what a client can rely on, errors included.
#[labkit::test]
async fn the_document_and_the_service_agree(mut api: Api) {
    let ann = api.person("Ann").await;
    let wish = wish(&mut api, &ann);
    let keyed = || {
        Call::post(PAYMENTS)
            .header("idempotency-key", "k")
            .by(&ann.token)
    };
    let probes = vec![
        Probe::of(PAYMENTS, 201, wish.call()),
        Probe::of(
            PAYMENTS,
            400,
            Call::post(PAYMENTS).by(&ann.token).json(&wish.body()),
        ),
        Probe::of(PAYMENTS, 401, Call::post(PAYMENTS).json(&wish.body())),
        Probe::of(PAYMENTS, 415, keyed().raw("text/plain", "a")),
        Probe::of(
            PAYMENTS,
            422,
            wish.with(&json!({ "order": "another", "cents": 1 })),
        ),
    ];
    expect_agreement(&api.app, &[PAYMENTS], probes).await;
}
