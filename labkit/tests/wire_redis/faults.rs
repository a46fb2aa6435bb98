//! Faults happen at the message that they name, and nowhere else.

use std::time::{Duration, Instant};

use labkit::wire::{Match, ReplyKind, Value};

use crate::server::*;

#[tokio::test]
async fn a_held_command_reaches_the_server_when_it_is_released() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let (direct, _) = server.wire().await;
    let mut reader = client(&direct).await;
    let app = client(&wire).await;
    done(spawn(&app, set("k", "old"))).await.unwrap();

    let hold = wire.hold(Match::command("set").key("k"));
    let write = spawn(&app, set("k", "new"));
    let held = hold.reached().await.expect("the SET is held");
    assert_eq!(held.to_string(), "SET k new");
    // Behind it on the same connection everything waits, on another nothing does.
    let behind = spawn(&app, get("k"));
    let now: String = get("k").query_async(&mut reader).await.unwrap();
    assert_eq!(now, "old");
    assert!(!write.is_finished() && !behind.is_finished());

    hold.release();
    done(write).await.unwrap();
    assert_eq!(done(behind).await.unwrap().as_deref(), Some("new"));
    let noted: Vec<_> = timeline
        .events()
        .into_iter()
        .filter_map(|event| event.note.map(|note| format!("{}: {note}", event.what)))
        .collect();
    let [noted] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    // Its line stands where it was sent: until when it stood still is said beside it.
    let until = noted.strip_prefix("SET k new: held by the check until ");
    assert!(until.is_some_and(|until| until.ends_with(" ms")), "{noted}");
}

#[tokio::test]
async fn a_held_reply_belongs_to_a_command_that_was_done() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let (direct, _) = server.wire().await;
    let mut reader = client(&direct).await;
    let app = client(&wire).await;
    let hold = wire.hold_reply(Match::command("SET"));
    let write = spawn(&app, set("k", "new"));
    let held = hold.reached().await.expect("its reply is held");
    let reply = held.reply.expect("the reply is known").kind;
    assert_eq!(reply, ReplyKind::Redis(Value::Text("OK".into())));
    let now: String = get("k").query_async(&mut reader).await.unwrap();
    assert_eq!(now, "new");
    assert!(!write.is_finished());
    drop(hold);
    done(write).await.unwrap();
}

#[tokio::test]
async fn a_reply_whose_hold_was_dropped_before_it_came_passes_and_nobody_says_that_it_was_held() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let app = client(&wire).await;
    let hold_reply = wire.hold_reply(Match::command("SET"));
    let hold = wire.hold(Match::command("SET"));
    let write = spawn(&app, set("k", "new"));
    hold.reached().await.expect("the SET is held");
    drop(hold_reply);
    hold.release();
    done(write).await.unwrap();
    let notes: Vec<String> = timeline
        .events()
        .into_iter()
        .filter_map(|event| event.note)
        .collect();
    let [note] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    assert!(note.starts_with("held by the check until "), "{note}");
}

#[tokio::test]
async fn what_stands_before_a_held_message_in_the_same_packet_goes_on() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    let hold = wire.hold(Match::command("SET").key("b"));
    app.say("SET a 1\r\nSET b 2\r\nSET c 3\r\n").await;
    app.hears("+OK\r\n").await;
    hold.reached().await.expect("the second SET is held");
    let hold_reply = wire.hold_reply(Match::command("GET").key("b"));
    hold.release();
    app.hears("+OK\r\n+OK\r\n").await;

    app.say("GET a\r\nGET b\r\nGET c\r\n").await;
    app.hears("$1\r\n1\r\n").await;
    hold_reply
        .reached()
        .await
        .expect("the second reply is held");
    hold_reply.release();
    app.hears("$1\r\n2\r\n$1\r\n3\r\n").await;

    // And a cut takes nothing from those before it.
    wire.cut(Match::command("SET").key("e"));
    app.say("SET d 4\r\nSET e 5\r\nSET f 6\r\n").await;
    assert_eq!(app.hears_the_end().await, "+OK\r\n");
}

#[tokio::test]
async fn steps_let_one_command_through_at_a_time() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let (one, two) = (client(&wire).await, client(&wire).await);
    let mut steps = wire.hold_each(Match::any().where_(|message| message.verb() != "CLIENT"));
    let writes = [spawn(&one, set("k", "1")), spawn(&two, set("k", "2"))];
    let mut order = Vec::new();
    let mut held = vec![
        steps.next().await.expect("a step"),
        steps.next().await.expect("a step of the other connection"),
    ];
    // The one that came last goes first.
    while let Some(step) = held.pop() {
        order.push(step.message().arg(2).unwrap());
        step.release();
        let write = writes.iter().find(|write| !write.is_finished());
        assert!(write.is_some());
        // Until its reply is there, so that the order is the one that the server sees.
        while wire
            .messages()
            .iter()
            .filter(|m| m.verb() == "SET" && m.reply.is_some())
            .count()
            < order.len()
        {
            tokio::task::yield_now().await;
        }
    }
    for write in writes {
        done(write).await.unwrap();
    }
    drop(steps);
    let last = done(spawn(&one, get("k"))).await.unwrap();
    assert_eq!(
        last.as_ref(),
        order.last(),
        "and without steps nothing is held"
    );
}

#[tokio::test]
async fn a_cut_command_never_reaches_the_server_a_lost_reply_does() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let (direct, _) = server.wire().await;
    let mut reader = client(&direct).await;

    wire.cut(del("k").nth(2));
    let mut app = Raw::connect(&wire).await;
    app.say("SET k 1\r\nDEL other\r\nDEL k\r\nSET k 2\r\nDEL k\r\n")
        .await;
    assert_eq!(app.hears_the_end().await, "+OK\r\n:0\r\n:1\r\n+OK\r\n");
    let now: String = get("k").query_async(&mut reader).await.unwrap();
    assert_eq!(now, "2");

    wire.drop_reply(Match::command("INCR"));
    let mut app = Raw::connect(&wire).await;
    app.say("PING\r\nINCR k\r\nPING\r\n").await;
    assert_eq!(app.hears_the_end().await, "+PONG\r\n");
    let now: String = get("k").query_async(&mut reader).await.unwrap();
    assert_eq!(now, "3");

    let lines = lines(&timeline);
    assert!(
        lines.contains(&"app → redis: INCR k = 3".to_owned()),
        "{lines:#?}"
    );
    let mut app = Raw::connect(&wire).await;
    app.say("DEL k\r\nINCR k\r\n").await;
    app.hears(":1\r\n:1\r\n").await;
}

#[tokio::test]
async fn a_delayed_command_and_all_behind_it_take_longer() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    let time = Duration::from_millis(60);
    wire.delay(Match::command("GET").nth(2), time);
    app.say("GET a\r\n").await;
    app.hears("$-1\r\n").await;
    let begun = Instant::now();
    app.say("GET b\r\nPING\r\n").await;
    app.hears("$-1\r\n+PONG\r\n").await;
    assert!(begun.elapsed() >= time, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_service_that_is_down_refuses_and_comes_back_at_its_address() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("PING\r\n").await;
    app.hears("+PONG\r\n").await;
    for _ in 0..3 {
        wire.down();
        let error = tokio::net::TcpStream::connect(wire.address())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        // The write may still find an open socket; nothing is forwarded.
        use tokio::io::AsyncWriteExt;
        let _ = app.0.write_all(b"SET k 1\r\n").await;
        assert_eq!(app.hears_the_end().await, "");
        wire.up();
        wire.up();
        app = Raw::connect(&wire).await;
        app.say("GET k\r\n").await;
        app.hears("$-1\r\n").await;
    }
    assert!(said(&wire).iter().all(|message| message.verb() != "SET"));
}

#[tokio::test]
async fn a_command_held_while_the_service_goes_down_is_lost() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let hold = wire.hold(Match::command("SET"));
    let app = client(&wire).await;
    let write = spawn(&app, set("k", "1"));
    hold.reached().await.expect("the SET is held");
    wire.down();
    wire.up();
    hold.release();
    assert!(done(write).await.is_err());
    let app = client(&wire).await;
    assert_eq!(done(spawn(&app, get("k"))).await.unwrap(), None);
}

#[tokio::test]
async fn who_waits_in_vain_is_told_for_what() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let soon = Duration::from_millis(20);
    let hold = wire.hold(del("product:7"));
    let error = hold.reached_within(soon).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no DEL of product:7 was seen within 0.02 s"
    );
    let hold = wire.hold_reply(Match::any().nth(2));
    let error = hold.reached_within(soon).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no reply to message number 2 was seen within 0.02 s"
    );
    drop(wire);
    let error = hold.reached().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no reply to message number 2 was seen before the connection was closed"
    );
}
