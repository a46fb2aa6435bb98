//! Exercise 7: what the service takes on, and how it ends.

use std::process::ExitStatus;
use std::time::Duration;

use labkit::finding::fail;
use labkit::patience::{PATIENCE, timeout};
use labkit::upstream::Gate;
use rand::RngExt as _;
use rest_api_checks::{Call, Crowd, Instance, Probe, Raw, Reply, Rush, expect_agreement};

const ROUTE: &str = "/images/{name}";
const CAPTIONS: &str = "/captions/{name}";
/// `CONCURRENCY_LIMIT`, where a check does not say otherwise; stated in the brief.
const SLOTS: usize = 64;
/// The same where the number is of no interest.
const FEW: usize = 4;
/// `BODY_LIMIT`; stated in the brief.
const LONGEST: usize = 65_536;
/// `REQUEST_TIMEOUT_MS` and `DRAIN_MS` where the thing to see is that it ends.
const SHORT: u64 = 200;
/// `REQUEST_TIMEOUT_MS` where many bytes come in that time.
const LONGER: u64 = 1000;
/// More bytes than all buffers between a service and its client hold.
const HUGE: usize = 8 << 20;
/// How long a service that ends too early is given to do so. One that does not is none the
/// worse for it.
const AMPLE: Duration = Duration::from_millis(100);

/// Without a limit everybody is served, a little, until memory or the image store gives in;
/// in a queue everybody waits for longer than anybody does. Who is refused at once can go to
/// another instance.
#[labkit::test]
async fn the_sixty_fifth_request_is_refused_at_once(mut rush: Rush) {
    let app = rush.start(&[]).await;
    let picture = picture(&mut rush, "cat");
    let gate = rush.hold("cat");
    let crowd = rush.crowd(&app, SLOTS + 1, "cat", &gate).await;
    expect_one_refused(&crowd, 0, SLOTS);
    gate.open();
    for mut raw in crowd.held {
        let reply = raw
            .expect_answer("the picture: the store has sent it")
            .await;
        expect_picture(reply, &picture);
    }
}

/// The next machine is larger and the next store is slower: how much is too much is not for
/// the program to say.
#[labkit::test]
async fn the_limit_is_that_of_the_environment_again_and_again(mut rush: Rush) {
    let app = rush.start(&[("CONCURRENCY_LIMIT", FEW as u64)]).await;
    let picture = picture(&mut rush, "cat");
    // Whoever was served keeps the connection, and asks for nothing more.
    let mut idle = Vec::new();
    for _ in 0..3 {
        let gate = rush.hold("cat");
        let held = full(&rush, &app, "cat", &gate).await;
        gate.open();
        for mut raw in held {
            let reply = raw
                .expect_answer("the picture: the store has sent it")
                .await;
            expect_picture(reply, &picture);
            idle.push(raw);
        }
    }
}

/// Whoever starts the service asks it whether it is alive, and ends it if it hears nothing. A
/// service that is ended because it is busy makes its neighbours busier.
#[labkit::test]
async fn a_full_service_still_says_that_it_is_alive(rush: Rush) {
    let app = rush.start(&[("CONCURRENCY_LIMIT", FEW as u64)]).await;
    let gate = rush.hold("cat");
    let _held = full(&rush, &app, "cat", &gate).await;
    let alive = app.send(Call::get("/health")).await;
    let _ = alive.expect(204, "it is busy, and well");
    let put = Call::put("/images/dog").raw("image/png", "woof");
    let head = Call::new("HEAD", "/images/dog");
    // A picture like any other, whatever it is called.
    let health = Call::get("/images/health");
    for other in [Call::get("/openapi.json"), put, head, health] {
        let reply = app.send(other).await;
        let _ = reply.expect(503, "the limit is the service's, and not that of one route");
    }
}

/// A client that has waited too long hangs up and comes again. If each of them leaves a slot
/// behind, a slow minute is the end.
#[labkit::test]
async fn a_client_that_hangs_up_gives_its_slot_back(rush: Rush) {
    let app = rush.start(&[("CONCURRENCY_LIMIT", FEW as u64)]).await;
    let gate = rush.hold("cat");
    let held = full(&rush, &app, "cat", &gate).await;
    drop(held);
    expect_given_up(&gate, "hung up on the service").await;
    let other = rush.hold("dog");
    let _held = full(&rush, &app, "dog", &other).await;
}

/// A handler that panics is a bug. If it keeps its slot, the bug is an outage some hours later.
#[labkit::test]
async fn a_handler_that_panics_gives_its_slot_back(rush: Rush) {
    let app = rush.start(&[("CONCURRENCY_LIMIT", FEW as u64)]).await;
    rush.images.put_untyped("riddle", "?");
    for _ in 0..=FEW {
        let mut raw = app.connect().await;
        raw.get("/images/riddle").await;
        // The net answers for it, or somebody else, or nobody.
        let _ = timeout(PATIENCE, raw.answer()).await;
    }
    let gate = rush.hold("cat");
    let _held = full(&rush, &app, "cat", &gate).await;
}

/// Before it sends a long body, a client may ask: `Expect: 100-continue`. Whoever says "go on"
/// and refuses then has paid for all of it.
#[labkit::test]
async fn a_body_that_is_announced_as_too_long_is_not_asked_for(mut rush: Rush) {
    let app = rush.start(&[]).await;
    for length in [LONGEST + 1, 100 * LONGEST, 1 << 40] {
        let length = length.to_string();
        let head = [
            ("content-length", length.as_str()),
            ("expect", "100-continue"),
        ];
        for (method, path) in [
            ("PUT", "/images/cat"),
            ("POST", "/payments"),
            ("DELETE", "/items/1"),
            ("GET", "/images/cat"),
        ] {
            let mut raw = app.connect().await;
            raw.head(method, path, &head).await;
            let reply = raw.expect_answer("413: its length is in the head").await;
            let _ = reply.expect(413, "its length is in the head, and too much");
        }
    }
    expect_nothing_kept(&rush);
    let asked = rush.images.door.count("GET", "/images/*");
    if asked > 0 {
        fail(
            "",
            format!("the handler has asked the store for a picture, {asked} times"),
            "no handler runs for a body that is refused",
        );
    }
    let longest = letters(&mut rush, LONGEST);
    let put = app.send(Call::put("/images/dog").raw("image/png", longest.clone()));
    let _ = put.await.expect(204, "this is the longest that is allowed");
    expect_kept(&rush, "dog", &longest);
}

/// A chunked body does not say how long it is, and need not come to an end. Whoever waits for
/// the end before measuring has let the client choose how much memory it takes.
#[labkit::test]
async fn a_body_that_does_not_say_its_length_is_measured_as_it_comes(mut rush: Rush) {
    const LONGEST: usize = 1000;
    let app = rush.start(&[("BODY_LIMIT", LONGEST as u64)]).await;
    let chunked = [
        ("transfer-encoding", "chunked"),
        ("content-type", "text/plain"),
    ];
    // A body that is taken as bytes, and one that is taken as text.
    for (path, ends) in [
        ("/images/cat", true),
        ("/images/cat", false),
        ("/captions/cat", true),
        ("/captions/cat", false),
    ] {
        let bytes = letters(&mut rush, LONGEST + 1);
        let mut raw = app.connect().await;
        raw.head("PUT", path, &chunked).await;
        let (first, second) = bytes.split_at(LONGEST / 2);
        raw.chunk(first).await;
        raw.chunk(second).await;
        if ends {
            raw.chunk(&[]).await;
        }
        let words = "413: it has been too long since its last chunk";
        let reply = raw.expect_answer(words).await;
        let _ = reply.expect(413, "the body is longer than the limit");
        expect_nothing_kept(&rush);
    }
    let bytes = letters(&mut rush, LONGEST);
    let mut raw = app.connect().await;
    raw.head("PUT", "/images/dog", &chunked).await;
    raw.chunk(&bytes).await;
    raw.chunk(&[]).await;
    let reply = raw.expect_answer("204").await;
    let _ = reply.expect(204, "this is the longest that is allowed");
    expect_kept(&rush, "dog", &bytes);
}

/// A store that hangs makes everybody hang who asks it, and everybody who asks them.
#[labkit::test]
async fn a_request_that_takes_too_long_is_given_up(rush: Rush) {
    let changed = [("CONCURRENCY_LIMIT", 1), ("REQUEST_TIMEOUT_MS", SHORT)];
    let app = rush.start(&changed).await;
    let gate = rush.hold("cat");
    let mut raw = app.connect().await;
    raw.get("/images/cat").await;
    let late = "503 or 504: the request may take 200 ms";
    let reply = raw.expect_answer(late).await;
    let _ = reply.expect_one_of(&[503, 504], "the store has not answered");
    expect_given_up(&gate, "was answered").await;
    expect_a_slot(&rush, &app).await;
}

/// A client that sends a byte now and then holds a slot for as long as it likes, and 64 of them
/// hold all: no bandwidth is needed for that, and no malice, only a train in a tunnel.
#[labkit::test]
async fn a_client_that_stops_sending_is_not_waited_for(mut rush: Rush) {
    let changed = [("CONCURRENCY_LIMIT", 1), ("REQUEST_TIMEOUT_MS", SHORT)];
    let app = rush.start(&changed).await;
    let half = letters(&mut rush, LONGEST / 4);
    let length = (LONGEST / 2).to_string();
    let head = [
        ("content-length", length.as_str()),
        ("content-type", "text/plain"),
    ];
    for path in ["/images/cat", "/captions/cat"] {
        let mut raw = app.connect().await;
        raw.head("PUT", path, &head).await;
        raw.body(&half).await;
        let answer = timeout(PATIENCE, raw.answer()).await.ok();
        expect_out_of_time(answer, &raw, SHORT);
        expect_a_slot(&rush, &app).await;
        expect_nothing_kept(&rush);
    }
}

/// A patience that begins anew with each piece is as long as the client wants it to be: it has
/// only to send in small pieces.
#[labkit::test]
async fn a_byte_now_and_then_buys_no_time(rush: Rush) {
    let changed = [("CONCURRENCY_LIMIT", 1), ("REQUEST_TIMEOUT_MS", LONGER)];
    let app = rush.start(&changed).await;
    let length = (LONGEST / 2).to_string();
    let head = [
        ("content-length", length.as_str()),
        ("content-type", "text/plain"),
    ];
    for path in ["/images/cat", "/captions/cat"] {
        let mut raw = app.connect().await;
        raw.head("PUT", path, &head).await;
        let answer = timeout(PATIENCE, raw.drip()).await.ok();
        expect_out_of_time(answer, &raw, LONGER);
        expect_a_slot(&rush, &app).await;
        expect_nothing_kept(&rush);
    }
}

/// Whoever has been told to go on sends a body of any size over a line of any speed. All of that
/// is work, and a buffer: it counts from the start.
#[labkit::test]
async fn an_upload_has_its_slot_from_its_head_on(mut rush: Rush) {
    let app = rush.start(&[("CONCURRENCY_LIMIT", 1)]).await;
    let bytes = letters(&mut rush, LONGEST / 2);
    let mut raw = begun_upload(&app, bytes.len()).await;
    let other = app.send(Call::get("/images/dog")).await;
    let _ = other.expect(503, "the only slot is that of the upload, which has begun");
    raw.body(&bytes).await;
    let reply = raw.expect_answer("204: all of it has come").await;
    let _ = reply.expect(204, "all of it has come");
    expect_kept(&rush, "cat", &bytes);
}

/// Each deployment ends every instance. If that cuts what is under way, you deploy at night.
#[labkit::test]
async fn a_request_under_way_survives_sigterm(mut rush: Rush) {
    let app = rush.start(&[]).await;
    let picture = picture(&mut rush, "cat");
    let gate = rush.hold("cat");
    let mut held = held(&app, "/images/cat", &gate).await;
    let ending = app.terminate().await;
    app.closes_its_door().await;
    gate.open();
    let reply = held
        .expect_answer("its answer: it was asked before SIGTERM")
        .await;
    expect_picture(reply, &picture);
    expect_in_peace(ending.answer().await);
}

/// An upload is under way from its first byte on: whoever is halfway through it has asked.
#[labkit::test]
async fn an_upload_under_way_survives_sigterm(mut rush: Rush) {
    let app = rush.start(&[]).await;
    let bytes = letters(&mut rush, LONGEST / 2);
    let mut raw = begun_upload(&app, bytes.len()).await;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    raw.body(first).await;
    let ending = app.terminate().await;
    app.closes_its_door().await;
    raw.body(second).await;
    let reply = raw
        .expect_answer("its answer: it was begun before SIGTERM")
        .await;
    let _ = reply.expect(204, "all of it has come");
    expect_kept(&rush, "cat", &bytes);
    expect_in_peace(ending.answer().await);
}

/// A handler that is done has only handed its answer over: the last byte of it is with the
/// client some time later.
#[labkit::test]
async fn an_answer_is_sent_to_its_last_byte(mut rush: Rush) {
    let app = rush.start(&[]).await;
    // Drawn once and repeated: to draw each of its bytes takes longer than all the rest.
    let picture = letters(&mut rush, LONGEST).repeat(HUGE / LONGEST);
    rush.images.put("poster", picture.clone());
    let gate = rush.hold("poster");
    let mut held = held(&app, "/images/poster", &gate).await;
    let ending = app.terminate().await;
    app.closes_its_door().await;
    gate.open();
    held.begins_to_be_answered().await;
    tokio::time::sleep(AMPLE).await;
    let reply = held.expect_answer("its answer, to the last byte").await;
    expect_picture(reply, &picture);
    expect_in_peace(ending.answer().await);
}

/// Browsers and proxies keep their connections for minutes, in case there is more to ask. A
/// service that waits for them is killed in the end, and with it who really was under way.
#[labkit::test]
async fn nobody_waits_for_a_connection_that_asks_for_nothing(mut rush: Rush) {
    let app = rush.start(&[]).await;
    let picture = picture(&mut rush, "cat");
    // One that was of use, and one that was opened in advance.
    let mut used = app.connect().await;
    used.get("/images/cat").await;
    expect_picture(used.expect_answer("the picture").await, &picture);
    let _unused = app.connect().await;
    let gate = rush.hold("cat");
    let mut held = held(&app, "/images/cat", &gate).await;
    let ending = app.terminate().await;
    app.closes_its_door().await;
    gate.open();
    let reply = held
        .expect_answer("its answer: it was asked before SIGTERM")
        .await;
    expect_picture(reply, &picture);
    expect_in_peace(ending.answer().await);
}

/// Whoever sent SIGTERM sends SIGKILL some time later. What ends by itself before can still say
/// that it had to cut somebody.
#[labkit::test]
async fn the_end_is_not_put_off_for_ever(rush: Rush) {
    let app = rush.start(&[("DRAIN_MS", SHORT)]).await;
    tokio::time::sleep(Duration::from_millis(2 * SHORT)).await;
    let alive = app.send(Call::get("/health")).await;
    let _ = alive.expect(204, "nobody has asked for its end");
    let gate = rush.hold("cat");
    let _held = held(&app, "/images/cat", &gate).await;
    let status = app.terminate().await.answer().await;
    if status.success() {
        fail(
            "sent SIGTERM with DRAIN_MS=200, while the image store held a request",
            format!("your service ended with {status}, as if everybody had been served"),
            "another exit code than 0: somebody was not",
        );
    }
}

/// Of an answer that is half sent the handler has been done for long. Who counts handlers at the
/// end tells everybody that all was well, and nobody looks for the client who has half a picture.
#[labkit::test]
async fn an_answer_that_is_cut_is_no_peaceful_end(mut rush: Rush) {
    let app = rush.start(&[("DRAIN_MS", SHORT)]).await;
    let picture = letters(&mut rush, LONGEST).repeat(HUGE / LONGEST);
    rush.images.put("poster", picture);
    let mut slow = app.connect().await;
    slow.get("/images/poster").await;
    slow.begins_to_be_answered().await;
    let status = app.terminate().await.answer().await;
    if status.success() {
        fail(
            "sent SIGTERM with DRAIN_MS=200, while a client had read the beginning of 8 MiB",
            format!("your service ended with {status}, as if that client had all of it"),
            "another exit code than 0: somebody was cut",
        );
    }
}

/// What the document promises of pictures is what a client gets.
#[labkit::test]
async fn the_document_and_the_service_agree(mut rush: Rush) {
    const LONGEST: usize = 1000;
    let app = rush.start(&[("BODY_LIMIT", LONGEST as u64)]).await;
    picture(&mut rush, "cat");
    let put = |path: &str, bytes: Vec<u8>| Call::put(path).raw("image/png", bytes);
    let too_long = letters(&mut rush, LONGEST + 1);
    let no_text = "/images/%ff";
    let probes = vec![
        Probe::of(ROUTE, 200, Call::get("/images/cat")),
        Probe::of(ROUTE, 400, Call::get(no_text)),
        Probe::of(ROUTE, 404, Call::get("/images/nobody")),
        Probe::of(ROUTE, 204, put("/images/dog", letters(&mut rush, LONGEST))),
        Probe::of(ROUTE, 400, put(no_text, Vec::new())),
        Probe::of(ROUTE, 413, put("/images/dog", too_long.clone())),
        Probe::of(CAPTIONS, 204, put("/captions/dog", b"a dog".to_vec())),
        // No byte of a text in UTF-8.
        Probe::of(CAPTIONS, 400, put("/captions/dog", vec![0xff])),
        Probe::of(CAPTIONS, 413, put("/captions/dog", too_long)),
    ];
    expect_agreement(&app, &[ROUTE, CAPTIONS], probes).await;
}

/// A small picture that nobody has seen before.
fn picture(rush: &mut Rush, name: &str) -> Vec<u8> {
    let bytes = format!("<svg>{:032x}</svg>", rush.rng.random::<u128>()).into_bytes();
    rush.images.put(name, bytes.clone());
    bytes
}

fn letters(rush: &mut Rush, n: usize) -> Vec<u8> {
    (0..n).map(|_| rush.rng.random_range(b'a'..=b'z')).collect()
}

/// Takes all slots of a service that has few, and shows that there are no more.
async fn full(rush: &Rush, app: &Instance, name: &str, gate: &Gate) -> Vec<Raw> {
    let held = rush.fill(app, FEW, name, gate).await;
    let more = rush.crowd(app, 1, name, gate).await;
    expect_one_refused(&more, FEW, FEW);
    held
}

/// A request that the store holds.
async fn held(app: &Instance, path: &str, gate: &Gate) -> Raw {
    let mut raw = app.connect().await;
    raw.get(path).await;
    if let Err(waiting) = gate.parked(1).await {
        raw.refuse(waiting.to_string(), "the store is asked for the picture");
    }
    raw
}

/// An upload of a picture, which the service has asked to go on.
async fn begun_upload(app: &Instance, length: usize) -> Raw {
    let length = length.to_string();
    let head = [
        ("content-length", length.as_str()),
        ("expect", "100-continue"),
    ];
    let mut raw = app.connect().await;
    raw.head("PUT", "/images/cat", &head).await;
    let go_on = raw.expect_answer("100: the body may come").await;
    let _ = go_on.expect(100, "the body may come");
    raw
}

/// `before` were at the store already, a crowd came at once: now all `slots` are taken, and
/// one request is refused.
fn expect_one_refused(crowd: &Crowd, before: usize, slots: usize) {
    let came = crowd.held.len() + crowd.answered.len() + crowd.cut;
    if crowd.cut > 0 {
        fail(
            "",
            format!(
                "{} of {came} connections ended without an answer",
                crowd.cut
            ),
            "503: a client can read that, and go elsewhere",
        );
    }
    if let Some(other) = crowd.answered.iter().find(|reply| reply.status != 503) {
        other.refuse(
            "not 503",
            format!("{} of {came} at once was answered {other}", other.request),
            "503: the client has done nothing wrong, and the service has no room",
        );
    }
    if crowd.answered.len() != 1 {
        fail(
            "",
            format!(
                "{} requests were at the image store at the same time, and {} were refused",
                before + crowd.held.len(),
                crowd.answered.len()
            ),
            format!("{slots} at the image store, and one 503"),
        );
    }
}

fn expect_picture(reply: Reply, picture: &[u8]) {
    let reply = reply.expect(200, "the store has the picture, and has sent it");
    if reply.body.as_bytes() != picture {
        reply.refuse(
            "another picture",
            format!(
                "{} was answered with {} bytes of {}, or with others",
                reply.request,
                reply.body.len(),
                picture.len()
            ),
            "the picture, byte by byte",
        );
    }
}

fn expect_kept(rush: &Rush, name: &str, bytes: &[u8]) {
    if rush.images.picture(name).as_deref() != Some(bytes) {
        fail(
            "",
            format!("the image store has another picture of the {name}, or none"),
            "the one that was sent, byte by byte",
        );
    }
}

fn expect_nothing_kept(rush: &Rush) {
    let puts = rush.images.door.count("PUT", "/images/*");
    if puts > 0 {
        fail(
            "",
            format!("the handler sent a picture to the store, {puts} times"),
            "no handler runs for a body that is refused",
        );
    }
}

/// The store notices that nobody waits for its answer any more.
async fn expect_given_up(gate: &Gate, since: &str) {
    let given_up = async {
        while gate.parked_now() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(PATIENCE, given_up).await.is_err() {
        fail(
            "",
            format!(
                "{} requests were still at the image store {} s after their client {since}",
                gate.parked_now(),
                PATIENCE.as_secs()
            ),
            "none: nobody waits for what they bring",
        );
    }
}

/// Whoever does not send is told so, or hung up on, which says enough; `None`: nothing of the
/// sort came.
fn expect_out_of_time(answer: Option<Option<Reply>>, raw: &Raw, limit: u64) {
    match answer {
        Some(Some(reply)) => {
            let _ = reply.expect_one_of(&[408, 503, 504], "half of the body has not come");
        }
        Some(None) => {}
        None => raw.refuse(
            format!("half a body was waited on for {} s", PATIENCE.as_secs()),
            &format!("408, 503, 504 or the end of the connection: the request may take {limit} ms"),
        ),
    }
}

/// One request more gets through to the store, at the latest when it comes again: what was
/// there before may just be going.
async fn expect_a_slot(rush: &Rush, app: &Instance) {
    let before = rush.images.door.count("GET", "/images/dog");
    let came_through = async {
        while rush.images.door.count("GET", "/images/dog") == before {
            let mut raw = app.connect().await;
            raw.get("/images/dog").await;
            let _ = raw.answer().await;
        }
    };
    if timeout(PATIENCE, came_through).await.is_err() {
        fail(
            "",
            format!(
                "no other request reached the image store within {} s",
                PATIENCE.as_secs()
            ),
            "the slot is free again: its request is over",
        );
    }
}

fn expect_in_peace(status: ExitStatus) {
    if !status.success() {
        fail(
            "",
            format!("your service ended with {status}"),
            "exit code 0: everybody was served",
        );
    }
}
