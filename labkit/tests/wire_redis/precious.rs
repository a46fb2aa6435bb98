//! A server that is not the lab's own.

use labkit::wire::Target;

use crate::server::*;

/// A server with a password, of which database 3 may be used.
async fn precious() -> Server {
    let mut server = Server::with(&["--requirepass", "secret"]).await;
    server.target = Target {
        password: Some("secret".to_owned()),
        database: Some("3".to_owned()),
        ours: false,
        ..server.target
    };
    server
}

#[tokio::test]
async fn the_wire_logs_in_and_selects_before_the_app_is_heard() {
    let server = precious().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("SET k 1\r\nCLIENT INFO\r\n").await;
    app.hears("+OK\r\n").await;
    app.hears_line().await;
    let info = app.hears_line().await;
    assert!(info.contains(" db=3 "), "{info}");
    let lines = lines(&timeline);
    assert_eq!(
        lines[0], "app → redis: SET k 1 = OK",
        "the login is nobody's message"
    );
}

#[tokio::test]
async fn server_wide_commands_are_refused_in_their_turn() {
    let server = precious().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("SET k 1\r\nFLUSH\"ALL\"\r\nGET k\r\n").await;
    app.hears("+OK\r\n").await;
    let refusal = app.hears_line().await;
    assert!(
        refusal.starts_with("-ERR FLUSHALL is refused here: this Redis server is not"),
        "{refusal}"
    );
    app.hears("$1\r\n1\r\n").await;

    // A transaction with a refused command fails as a whole, as with any other error.
    app.say("MULTI\r\nSET k 2\r\nSELECT 0\r\nEXEC\r\nGET k\r\n")
        .await;
    app.hears("+OK\r\n+QUEUED\r\n").await;
    let refusal = app.hears_line().await;
    assert!(
        refusal.contains("the lab may use database 3 only"),
        "{refusal}"
    );
    app.hears("-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n")
        .await;
    let refused = wire.messages()[1]
        .reply
        .clone()
        .expect("a reply")
        .kind
        .to_string();
    assert!(
        refused.starts_with("ERR FLUSHALL is refused here"),
        "{refused}"
    );
}

#[tokio::test]
async fn bytes_that_nobody_understands_do_not_reach_it() {
    let server = precious().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    app.say("*1\r\n:4\r\nFLUSHALL\r\n").await;
    assert_eq!(app.hears_the_end().await, "");
    assert_eq!(
        lines(&timeline),
        ["app → redis: bytes that are not RESP = connection cut"]
    );
}

#[tokio::test]
async fn a_wrong_password_is_said_on_the_timeline() {
    let mut server = precious().await;
    server.target.password = Some("wrong".to_owned());
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    assert_eq!(app.hears_the_end().await, "");
    let lines = lines(&timeline);
    assert!(
        lines[0].starts_with("app → redis: connect = WRONGPASS"),
        "{lines:?}"
    );
}
