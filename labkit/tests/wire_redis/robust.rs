//! Whatever comes over the wire, and however it is cut into packets.

use std::time::{Duration, Instant};

use labkit::timeline::Timeline;
use labkit::wire::{Address, Target, Wire};
use tokio::io::AsyncWriteExt;

use crate::server::*;

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.0.set_nodelay(true).unwrap();
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n\r\nGET 'k'\r\n*0\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" {
        app.say([*byte]).await;
        tokio::task::yield_now().await;
    }
    app.hears("+OK\r\n$4\r\n\r\n\r\n\r\n$4\r\n\r\n\r\n\r\n")
        .await;
    assert_eq!(
        lines(&timeline),
        [
            "app → redis: SET k \\r\\n\\r\\n = OK",
            "app → redis: GET k = \\r\\n\\r\\n",
            "app → redis: GET k = \\r\\n\\r\\n",
        ]
    );
}

#[tokio::test]
async fn what_is_no_redis_is_passed_through_and_said_so() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("*1\r\n:4\r\nnonsense").await;
    let end = app.hears_the_end().await;
    assert_eq!(end, "-ERR Protocol error: expected '$', got ':'\r\n");
    let events = timeline.events();
    assert_eq!(events[0].what, "bytes that are not RESP");
    assert_eq!(
        events[0].note.as_deref(),
        Some("passed through unread from here on")
    );
    assert_eq!(
        lines(&timeline)[1],
        "redis → app: ERR Protocol error: expected '$', got ':'"
    );
}

#[tokio::test]
async fn a_huge_value_and_a_long_list_cost_no_more_than_their_length() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    let huge = "x".repeat(10_000_000);
    let begun = Instant::now();
    app.say(format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{huge}\r\n",
        huge.len()
    ))
    .await;
    app.hears("+OK\r\n").await;
    app.say("GET k\r\n").await;
    let back = format!("${}\r\n{huge}\r\n", huge.len());
    assert!(app.hears_some(back.len()).await == back.as_bytes());
    let shown = format!("app → redis: SET k {}… = OK", "x".repeat(60));
    assert_eq!(lines(&timeline)[0], shown);

    // Many small elements: parsed from the start for every packet they would take minutes.
    app.say("EVAL \"local t = {} for i = 1, 300000 do t[i] = i end return t\" 0\r\n")
        .await;
    app.hears("*300000\r\n:1\r\n:2\r\n").await;
    let rest: usize = (3..=300_000).map(|i: u32| format!(":{i}\r\n").len()).sum();
    app.hears_some(rest).await;
    // Generous: twenty times what it takes on a small machine, a fraction of the square.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_deep_nest_is_garbage_and_does_no_harm() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("*1\r\n".repeat(100_000)).await;
    assert!(app.hears_the_end().await.starts_with("-ERR Protocol error"));
    assert_eq!(timeline.events()[0].what, "bytes that are not RESP");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_on_the_timeline() {
    let timeline = Timeline::new();
    let folder = tempfile::tempdir().unwrap();
    let target = Target::at(Address::Unix(folder.path().join("none.sock")));
    let wire = Wire::redis(timeline.clone(), "app", "redis", target)
        .await
        .unwrap();
    let mut app = Raw::connect(&wire).await;
    assert_eq!(app.hears_the_end().await, "");
    let lines = lines(&timeline);
    assert!(
        lines[0].starts_with("app → redis: connect = No such file"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_app_that_has_said_all_still_hears_the_answers() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("PING\r\nPING\r\n").await;
    app.0.shutdown().await.unwrap();
    assert_eq!(app.hears_the_end().await, "+PONG\r\n+PONG\r\n");
}

#[tokio::test]
async fn what_an_app_sent_before_it_was_gone_still_reaches_the_server() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let (direct, _) = server.wire().await;
    let hold = wire.hold(labkit::wire::Match::command("INCR").nth(2));
    let mut app = Raw::connect(&wire).await;
    app.say("INCR k\r\nINCR k\r\n").await;
    hold.reached().await.unwrap();
    drop(app);
    let reply = wire.hold_reply(labkit::wire::Match::command("INCR"));
    hold.release();
    drop(reply);
    let mut reader = client(&direct).await;
    let last = tokio::time::timeout(LIMIT, async {
        while wire.messages()[1].reply.is_none() {
            tokio::task::yield_now().await;
        }
        get("k").query_async::<String>(&mut reader).await.unwrap()
    });
    assert_eq!(last.await.unwrap(), "2");
}

#[tokio::test]
async fn many_connections_keep_their_replies_apart() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut apps = Vec::new();
    for i in 0..100 {
        let mut app = Raw::connect(&wire).await;
        app.say(format!("ECHO {i}\r\nECHO again{i}\r\n")).await;
        apps.push(app);
    }
    for (i, app) in apps.iter_mut().enumerate() {
        let (first, again) = (i.to_string(), format!("again{i}"));
        app.hears(format!(
            "${}\r\n{first}\r\n${}\r\n{again}\r\n",
            first.len(),
            again.len()
        ))
        .await;
    }
    let messages = wire.messages();
    assert_eq!(messages.len(), 200);
    for message in messages {
        let reply = message.reply.as_ref().expect("a reply").kind.to_string();
        assert_eq!(Some(reply), message.arg(1));
    }
}

#[tokio::test]
async fn a_dropped_wire_closes_its_listener_and_its_connections() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let address = wire.address();
    // Keeps the port, which another test's wire could get once this one is gone.
    wire.down();
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind(address).unwrap();
    wire.up();
    let mut app = Raw::connect(&wire).await;
    app.say("PING\r\n").await;
    app.hears("+PONG\r\n").await;
    drop(wire);
    let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(app.hears_the_end().await, "");
}
