//! What the wire writes down.

use futures_util::StreamExt;
use labkit::wire::{ReplyKind, Value};

use crate::server::*;

#[tokio::test]
async fn commands_and_their_replies_are_on_the_timeline() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = client(&wire).await;
    let _: Option<String> = get("product:7").query_async(&mut app).await.unwrap();
    let _: () = set("product:7", &"x".repeat(100))
        .query_async(&mut app)
        .await
        .unwrap();
    let _: i64 = redis::cmd("DEL")
        .arg("product:7")
        .query_async(&mut app)
        .await
        .unwrap();
    assert_eq!(
        lines(&timeline),
        [
            "app → redis: GET product:7 = nil".to_owned(),
            format!("app → redis: SET product:7 {}… = OK", "x".repeat(60)),
            "app → redis: DEL product:7 = 1".to_owned(),
        ]
    );
    let said = said(&wire);
    assert_eq!(
        said[1].arg(2).as_deref(),
        Some("x".repeat(100).as_str()),
        "kept whole"
    );
    let reply = said[2].reply.as_ref().expect("a reply");
    assert_eq!(reply.kind, ReplyKind::Redis(Value::Integer(1)));
    assert!(reply.at_ms >= said[2].at_ms && said[2].at_ms >= said[1].at_ms);
}

#[tokio::test]
async fn pipelined_commands_each_get_their_own_reply() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$3\r\nGET\r\n").await;
    app.hears("+PONG\r\n:1\r\n:2\r\n-ERR wrong number of arguments for 'get' command\r\n")
        .await;
    assert_eq!(
        lines(&timeline),
        [
            "app → redis: PING = PONG",
            "app → redis: INCR n = 1",
            "app → redis: INCR n = 2",
            "app → redis: GET = ERR wrong number of arguments for 'get' command",
        ]
    );
}

#[tokio::test]
async fn a_transaction_and_a_script_are_seen_command_by_command() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = client(&wire).await;
    let _: (String, i64) = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg("a")
        .arg("1")
        .cmd("INCR")
        .arg("a")
        .query_async(&mut app)
        .await
        .unwrap();
    let _: i64 = redis::cmd("EVAL")
        .arg("return redis.call('DEL', KEYS[1])")
        .arg(1)
        .arg("a")
        .query_async(&mut app)
        .await
        .unwrap();
    assert_eq!(
        lines(&timeline),
        [
            "app → redis: MULTI = OK",
            "app → redis: SET a 1 = QUEUED",
            "app → redis: INCR a = QUEUED",
            "app → redis: EXEC = [OK, 2]",
            "app → redis: EVAL return redis.call('DEL', KEYS[1]) 1 a = 1",
        ]
    );
}

#[tokio::test]
async fn published_messages_are_told_from_replies() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("SUBSCRIBE a b\r\nPSUBSCRIBE c*\r\n").await;
    app.hears(
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
    )
    .await;
    app.hears("*3\r\n$10\r\npsubscribe\r\n$2\r\nc*\r\n:3\r\n")
        .await;
    let mut publisher = client(&wire).await;
    let heard: i64 = redis::cmd("PUBLISH")
        .arg("b")
        .arg("hi")
        .query_async(&mut publisher)
        .await
        .unwrap();
    assert_eq!(heard, 1);
    app.hears("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\nhi\r\n")
        .await;
    app.say("PING\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nGET a\r\n")
        .await;
    app.hears("*2\r\n$4\r\npong\r\n$0\r\n\r\n").await;
    // Two confirmations for one UNSUBSCRIBE, in whatever order, then one, then the miss.
    let both = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n".len() * 2;
    app.hears_some(both + "*3\r\n$12\r\npunsubscribe\r\n$2\r\nc*\r\n:0\r\n".len())
        .await;
    app.hears("$-1\r\n").await;
    let lines = lines(&timeline);
    assert_eq!(lines[0], "app → redis: SUBSCRIBE a b = [subscribe, a, 1]");
    assert_eq!(lines[1], "app → redis: PSUBSCRIBE c* = [psubscribe, c*, 3]");
    assert!(
        lines.contains(&"redis → app: [message, b, hi]".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"app → redis: PING = [pong, \"\"]".to_owned()),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap(), "app → redis: GET a = nil");
}

#[tokio::test]
async fn resp3_pushes_and_maps_are_understood() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = redis::Client::open(format!("redis://{}/?protocol=resp3", wire.address()))
        .unwrap()
        .get_async_pubsub()
        .await
        .unwrap();
    app.subscribe("news").await.unwrap();
    let mut other = client_with(&wire, "?protocol=resp3").await;
    let _: i64 = redis::cmd("HSET")
        .arg("h")
        .arg("f")
        .arg("v")
        .query_async(&mut other)
        .await
        .unwrap();
    let _: redis::Value = redis::cmd("HGETALL")
        .arg("h")
        .query_async(&mut other)
        .await
        .unwrap();
    let _: Option<String> = get("none").query_async(&mut other).await.unwrap();
    let _: i64 = redis::cmd("PUBLISH")
        .arg("news")
        .arg("hi")
        .query_async(&mut other)
        .await
        .unwrap();
    let message = tokio::time::timeout(LIMIT, app.on_message().next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(message.get_payload::<String>().unwrap(), "hi");
    let lines = lines(&timeline);
    for line in [
        "app → redis: SUBSCRIBE news = [subscribe, news, 1]",
        "app → redis: HGETALL h = {f: v}",
        "app → redis: GET none = nil",
        "app → redis: PUBLISH news hi = 1",
        "redis → app: [message, news, hi]",
    ] {
        assert!(
            lines.contains(&line.to_owned()),
            "{line} is not in {lines:#?}"
        );
    }
    assert!(timeline.events().iter().any(|event| {
        event.what.starts_with("HELLO 3")
            && event
                .reply
                .as_ref()
                .is_some_and(|reply| reply.starts_with("{server: redis"))
    }));
}

#[tokio::test]
async fn commands_without_a_reply_do_not_shift_the_others() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("CLIENT REPLY SKIP\r\nINCR n\r\nINCR n\r\nCLIENT REPLY OFF\r\nINCR n\r\nCLIENT REPLY ON\r\nGET n\r\n").await;
    app.hears(":2\r\n+OK\r\n$1\r\n3\r\n").await;
    assert_eq!(
        lines(&timeline),
        [
            "app → redis: CLIENT REPLY SKIP",
            "app → redis: INCR n",
            "app → redis: INCR n = 2",
            "app → redis: CLIENT REPLY OFF",
            "app → redis: INCR n",
            "app → redis: CLIENT REPLY ON = OK",
            "app → redis: GET n = 3",
        ]
    );
}

#[tokio::test]
async fn what_monitor_shows_is_no_reply() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("MONITOR\r\n").await;
    app.hears("+OK\r\n").await;
    let mut other = client(&wire).await;
    let _: Option<String> = get("k").query_async(&mut other).await.unwrap();
    let line = app.hears_line().await;
    assert!(
        line.contains("\"GET\" \"k\"") || line.contains("\"CLIENT\""),
        "{line}"
    );
    app.say("RESET\r\n").await;
    while app.hears_line().await != "+RESET" {}
    app.say("GET k\r\n").await;
    app.hears("$-1\r\n").await;
    let lines = lines(&timeline);
    assert!(
        lines.iter().any(|line| line.starts_with("redis → app: ")),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"app → redis: RESET = RESET".to_owned()),
        "{lines:#?}"
    );
    assert_eq!(lines.last().unwrap(), "app → redis: GET k = nil");
}
