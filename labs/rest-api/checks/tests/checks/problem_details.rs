//! Exercise 2: an error that helps whoever made it, and nobody else.

use std::collections::BTreeSet;

use labkit::finding::fail;
use labkit::wire::{Match, ReplyKind, SqlReply};
use rand::RngExt as _;
use rest_api_checks::customers::{customer, in_words, short, spoil};
use rest_api_checks::{
    Api, Call, Interrupted, Probe, Reply, expect_agreement, expect_problem, pointers,
};
use serde_json::{Value, json};

const COLLECTION: &str = "/customers";
/// What a customer is, as JSON pointers.
const FIELDS: [&str; 6] = [
    "/name",
    "/email",
    "/birth_year",
    "/address/street",
    "/address/postcode",
    "/address/city",
];
/// How many bad bodies are sent; stated in the brief.
const BAD_BODIES: usize = 50;
/// More statements than a sign-up has.
const MOST_STATEMENTS: usize = 12;

/// A rule that refuses real people costs customers: names are not ASCII, postcodes begin with
/// a zero, and somebody is born in the first year that is allowed.
#[labkit::test]
async fn a_right_customer_is_created_and_found(mut api: Api) {
    let letters = format!(
        "ann{}@example.org",
        api.rng.random_range(0..1_000_000_000_u64)
    );
    for n in 0..9 {
        let mut new = customer(&mut api.rng);
        match n {
            0 => new["name"] = json!("ä".repeat(80)),
            1 => {
                new["birth_year"] = json!(1900);
                new["address"]["street"] = json!("ß".repeat(120));
                new["address"]["city"] = json!("é".repeat(80));
            }
            2 => new["email"] = json!(format!("a@{}", "b".repeat(252))),
            3 => new["email"] = json!(format!("a@{}", "ü".repeat(252))),
            // Letters of two UTF-16 units, and one that joins others and is no control character.
            7 => {
                new["name"] = json!("𠮷".repeat(80));
                new["email"] = json!(format!("a@{}", "𠮷".repeat(252)));
                new["address"]["city"] = json!("کرمان\u{200c}شاه");
            }
            // Nobody's business, wherever it stands and whatever it is called.
            8 => {
                new["newsletter"] = json!({ "weekly": [true, null] });
                new["id"] = json!(1);
                new["address"]["country"] = json!("DE");
            }
            // Two people, letter by letter.
            4 => new["email"] = json!(letters),
            5 => {
                new["email"] = json!(letters.replace("ann", "Ann"));
                new["name"] = json!("  Ann ");
                new["address"]["street"] = json!(" Lange Straße 7");
                new["address"]["city"] = json!("Köln ");
            }
            _ => {
                new["birth_year"] = json!(2026);
                new["address"]["postcode"] = json!("01067");
                new["address"]["street"] = json!("O'Connell \"Weg\" 7½; -- hinten".repeat(4));
            }
        }
        let created = api.app.send(Call::post(COLLECTION).json(&new)).await;
        let because = format!("each field holds to its rule: {}", in_words(&new));
        let created = created.expect(201, &because);
        let path = created.location(&api.app, COLLECTION);
        let found = api.app.send(Call::get(&path)).await;
        let found = found.expect(200, "the customer is there").json();
        let (id, said) = (&found["id"], &created.json()["id"]);
        if id != said || !id.is_i64() {
            created.refuse(
                "another customer",
                format!("created customer {said}; its Location shows customer {id}"),
                "the customer that was created, with the number that the database gave out",
            );
        }
        for (what, shown) in [("the 201", created.json()), (path.as_str(), found)] {
            for pointer in FIELDS {
                let (shown, sent) = (shown.pointer(pointer), new.pointer(pointer));
                if shown != sent {
                    let [shown, sent] = [shown, sent].map(|it| it.unwrap_or(&Value::Null));
                    fail(
                        "",
                        format!("{what} shows {shown} at {pointer}"),
                        format!("{sent}, to the last letter"),
                    );
                }
            }
        }
    }
}

/// Whoever fills in a form wants to know what is wrong with it: everything, and once.
#[labkit::test]
async fn each_wrong_field_is_pointed_at_and_no_other(mut api: Api) {
    let before = api.inside.snapshot().await;
    let rounds = api.mark();
    for n in 0..BAD_BODIES {
        api.begin_round(rounds);
        let mut body = customer(&mut api.rng);
        let wrong = spoil(&mut body, n, &mut api.rng);
        let reply = api.app.send(Call::post(COLLECTION).json(&body)).await;
        let because = format!(
            "it is JSON, and wrong at {}: {}",
            wrong.join(", "),
            in_words(&body)
        );
        let reply = expect_problem(reply, 422, &because);
        let told = pointers(&reply);
        let meets = |pointer: &str, wrong: &str| {
            pointer == wrong || pointer.starts_with(&format!("{wrong}/"))
        };
        let missed = wrong
            .iter()
            .find(|wrong| !told.iter().any(|pointer| meets(pointer, wrong)));
        let invented = told
            .iter()
            .find(|pointer| !wrong.iter().any(|wrong| meets(pointer, wrong)));
        let saw = match (missed, invented) {
            (Some(missed), _) => {
                let value = body.pointer(missed).map_or("missing".to_owned(), short);
                format!("nothing points at {missed}, which was {value}")
            }
            (None, Some(invented)) => {
                format!("it points at `{invented}`, where nothing is wrong")
            }
            (None, None) => continue,
        };
        let told: Vec<String> = told.into_iter().collect();
        reply.refuse(
            "not what is wrong",
            format!("{saw}; `errors` point at {}", told.join(", ")),
            format!(
                "one error for each field that is wrong: {}",
                wrong.join(", ")
            ),
        );
    }
    if let Some(rows) = before.changed_to(&api.inside.snapshot().await) {
        fail(
            "POST of bad bodies",
            format!("{rows} changed"),
            "nothing is stored of them",
        );
    }
}

/// "I cannot read this" and "I can read it, and it is wrong" are mended in different places:
/// one in the client's code, the other in the form.
#[labkit::test]
async fn what_cannot_be_read_is_a_400_or_a_415(mut api: Api) {
    let whole = customer(&mut api.rng).to_string();
    let half = whole[..whole.len() / 2].to_owned();
    let no_text = [b"{\"name\": \"", &[0xff, 0xfe][..], b"\"}"].concat();
    let broken: [(&str, Vec<u8>); 5] = [
        ("half of a body", half.into_bytes()),
        ("no body", Vec::new()),
        (
            "a body and something behind it",
            format!("{whole}}}").into_bytes(),
        ),
        ("bytes that are no text", no_text),
        ("a form", b"name=Ann&email=ann%40example.org".to_vec()),
    ];
    for (what, body) in broken {
        let call = Call::post(COLLECTION).raw("application/json", body);
        let reply = api.app.send(call).await;
        expect_problem(reply, 400, &format!("{what} is no JSON"));
    }
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json5",
    ] {
        let call = Call::post(COLLECTION).raw(media_type, whole.clone());
        let reply = api.app.send(call).await;
        expect_problem(reply, 415, &format!("{media_type} is not application/json"));
    }
    let fine = Call::post(COLLECTION).raw("application/json; charset=utf-8", whole);
    let _ = api
        .app
        .send(fine)
        .await
        .expect(201, "a parameter changes nothing");
    for id in ["0", "9223372036854775807"] {
        let reply = api.app.send(Call::get(format!("/customers/{id}"))).await;
        expect_problem(reply, 404, "there is no such customer");
    }
    let reply = api.app.send(Call::get("/customers/ann")).await;
    expect_problem(reply, 400, "this is no number of a customer");
}

/// Error pages are where attackers begin to read: the name of a table, a file, a version. And
/// the person who meets them can do nothing with any of it.
#[labkit::test]
async fn a_failing_database_is_a_500_that_tells_nothing(mut api: Api) {
    let created = api
        .app
        .send(Call::post(COLLECTION).json(&customer(&mut api.rng)))
        .await;
    let created = created.expect(201, "each field holds to its rule");
    let path = format!("/customers/{}", created.json()["id"]);
    let marker = format!("marker{}", api.rng.random_range(100_000..1_000_000));
    let raise = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'the {marker} of the ledger is out of order'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON customers EXECUTE FUNCTION refuse()"
    );
    let failures = [
        (raise.as_str(), "DROP TRIGGER refuse ON customers", false),
        (
            "ALTER TABLE customers RENAME TO ledger",
            "ALTER TABLE ledger RENAME TO customers",
            true,
        ),
    ];
    for (begin, end, reads_too) in failures {
        api.inside.run(begin).await;
        let mut calls = vec![Call::post(COLLECTION).json(&customer(&mut api.rng))];
        if reads_too {
            calls.push(Call::get(&path));
        }
        for call in calls {
            let reply = api.app.send(call).await;
            expect_silence(&api, reply, &[500, 503], &marker);
        }
        api.inside.run(end).await;
    }
    api.app.db.cut(Match::any());
    let reply = api.app.send(Call::get(&path)).await;
    // Who tries once more on another connection has nothing to hide.
    if reply.status != 200 {
        expect_silence(&api, reply, &[500, 503], &marker);
    }
    // The first connection that is tried may be one of those that were cut.
    let mut reply = api.app.send(Call::get(&path)).await;
    for _ in 0..5 {
        if reply.status == 200 {
            break;
        }
        reply = api.app.send(Call::get(&path)).await;
    }
    let _ = reply.expect(200, "the database is well again");
}

/// Between "is this email free?" and the INSERT there is time for somebody else's INSERT. The
/// database knows; a 500 is its answer, badly translated.
#[labkit::test]
async fn one_email_is_one_customer_and_the_second_is_a_409(mut api: Api) {
    let other = api.second_app().await;
    let rounds = api.mark();
    for nth in 1..=MOST_STATEMENTS {
        api.begin_round(rounds);
        let (first, mut second) = (customer(&mut api.rng), customer(&mut api.rng));
        second["email"] = first["email"].clone();
        let one = api.app.send(Call::post(COLLECTION).json(&first));
        let two = other.send(Call::post(COLLECTION).json(&second));
        let (answers, did, last) = match api.app.interrupted(&api.inside, nth, one, two).await {
            Interrupted::Over(one) => {
                let two = other.send(Call::post(COLLECTION).json(&second)).await;
                ([one, two], "POST twice with one email".to_owned(), true)
            }
            Interrupted::Both { held, other, at } => (
                [held, other],
                format!(
                    "POST on two instances with one email; the other one's while the first \
                     one's `{at}` was held"
                ),
                false,
            ),
        };
        expect_one_customer(&api, &first["email"], answers, &did).await;
        if last {
            return;
        }
    }
}

/// The document promises what a client can rely on, errors included.
#[labkit::test]
async fn the_document_and_the_service_agree(mut api: Api) {
    const ONE: &str = "/customers/{id}";
    let known = Call::post(COLLECTION).json(&customer(&mut api.rng));
    let known = api.app.send(known).await;
    let known = known.expect(201, "each field holds to its rule").json();
    let new = customer(&mut api.rng);
    let again = Call::post(COLLECTION);
    let probes = vec![
        Probe::of(COLLECTION, 201, again.clone().json(&new)),
        Probe::of(COLLECTION, 409, again.clone().json(&new)),
        Probe::of(
            COLLECTION,
            400,
            again.clone().raw("application/json", &b"{"[..]),
        ),
        Probe::of(
            COLLECTION,
            415,
            again.clone().raw("text/plain", new.to_string()),
        ),
        Probe::of(COLLECTION, 422, again.clone().json(&json!({ "name": "" }))),
        Probe::of(COLLECTION, 422, again.clone().json(&json!([]))),
        Probe::of(COLLECTION, 422, again.json(&json!("Ann"))),
        Probe::of(ONE, 200, Call::get(format!("/customers/{}", known["id"]))),
        Probe::of(ONE, 400, Call::get("/customers/ann")),
        Probe::of(ONE, 404, Call::get("/customers/0")),
    ];
    expect_agreement(&api.app, &[COLLECTION, ONE], probes).await;
}

/// One 201, one 409, one row.
async fn expect_one_customer(api: &Api, email: &Value, answers: [Reply; 2], did: &str) {
    let mut statuses = answers.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    if statuses != [201, 409] {
        answers[0].point("one email");
        answers[1].point("one email");
        fail(
            did,
            format!("{} and {}", answers[0], answers[1]),
            "201 for one and 409 for the other: two customers with one email, in whatever order",
        );
    }
    for answer in answers {
        if answer.status == 409 {
            expect_problem(answer, 409, "the email is registered already");
        }
    }
    let email = email.as_str().unwrap_or_default();
    let count = format!("SELECT count(*) FROM customers WHERE email = '{email}'");
    let rows = api.inside.number(&count).await;
    if rows != 1 {
        fail(did, format!("{rows} customers have that email"), "one");
    }
}

/// A problem without a word of what is behind it.
fn expect_silence(api: &Api, reply: Reply, statuses: &[u16], marker: &str) {
    const TALES: [&str; 12] = [
        "relation",
        "ledger",
        "sqlx",
        "postgres",
        "sqlstate",
        "constraint",
        "INSERT INTO",
        "SELECT ",
        "error returned from database",
        "error communicating",
        ".rs:",
        "src/",
    ];
    let reply = reply.expect_one_of(statuses, "the database failed, and that is our fault");
    let said = format!("{} {}", reply.head(), reply.body);
    let words = said.to_lowercase();
    let mut tales: BTreeSet<String> = TALES.iter().map(|tale| (*tale).to_owned()).collect();
    tales.insert(marker.to_owned());
    for message in api.app.db.messages() {
        if let Some(ReplyKind::Postgres(SqlReply::Failed { message, .. })) =
            message.reply.map(|reply| reply.kind)
        {
            tales.insert(message);
        }
    }
    if let Some(tale) = tales
        .iter()
        .find(|tale| words.contains(&tale.to_lowercase()))
    {
        reply.refuse(
            "it tells",
            format!("the answer contains `{tale}`: {reply}"),
            "a 500 that says that something failed here, and nothing of what",
        );
    }
    let status = reply.status;
    expect_problem(reply, status, "the database failed");
}
