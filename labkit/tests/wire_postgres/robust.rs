//! Whatever comes over the wire, and however it is cut into packets.

use labkit::timeline::Timeline;
use labkit::wire::{Address, Match, Target, Wire};
use sqlx::{Connection, Executor};
use tokio::io::AsyncReadExt;

use crate::server::*;

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::log_in(&server, &wire).await;
    app.0.set_nodelay(true).unwrap();
    let all = [
        query("SELECT 1"),
        parse("", "SELECT $1::int"),
        bind("", &["7"]),
        execute("", 0),
        sync(),
        query("COPY (SELECT 3) TO STDOUT"),
    ];
    for byte in all.concat() {
        app.say([byte]).await;
        tokio::task::yield_now().await;
    }
    app.hears("TDCZ12DCZHdcCZ").await;
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT 1 = SELECT 1",
            "app → postgres: SELECT $1::int [\"7\"] = SELECT 1",
            "app → postgres: COPY (SELECT 3) TO STDOUT = COPY 1",
        ]
    );
}

#[tokio::test]
async fn what_is_no_postgres_is_passed_through_and_said_so() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    // Before the login, and after it: words, a length that is none, and one that is huge.
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
        b"\0\0\0\x08\0\x02\0\0",
    ];
    for opening in openings {
        let mut app = Raw::connect(&wire).await;
        app.say(opening).await;
        app.hears_the_end().await;
    }
    let messages: [&[u8]; 4] = [
        b"*1\r\n$4\r\nPING\r\n",
        b"Q\0\0\0\x03",
        b"Q\xff\xff\xff\xff",
        b"P\x7f\xff\xff\xff",
    ];
    for message in messages {
        let mut app = Raw::log_in(&server, &wire).await;
        app.say(message).await;
        app.hears_the_end().await;
    }
    let events = timeline.events();
    let garbage = events.iter().filter(|event| {
        event.from == "app" && event.what == "bytes that are not the Postgres protocol"
    });
    assert_eq!(garbage.count(), openings.len() + messages.len());
    assert!(
        events.iter().any(|event| event.what.starts_with("08P01: ")),
        "{events:#?}"
    );
    // Messages that are whole and make no sense are the server's to refuse.
    let mut app = Raw::log_in(&server, &wire).await;
    for kind in *b"BCDEPFQ" {
        for body in [
            &b""[..],
            b"\xff",
            b"S",
            b"\0\0\xff\xff",
            b"a\0b\0\0\x01\0\x01\xff\xff\xff\xff",
        ] {
            app.say([message(kind, &[body]), sync(), query("SELECT 1")].concat())
                .await;
            let mut ready = 0;
            // A Query is ready by itself; the others are at their Sync.
            while ready < 2 + usize::from(b"QF".contains(&kind)) {
                ready += usize::from(app.hears_one().await.0 == 'Z');
            }
        }
    }
}

#[tokio::test]
async fn half_a_message_and_then_silence_is_not_waited_for() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::log_in(&server, &wire).await;
    app.say(query("CREATE TABLE t (id int)")).await;
    app.hears("CZ").await;
    drop(app);
    for half in [
        &b"Q"[..],
        b"Q\0\0\0\x10SELE",
        b"Q\x3f\xff\xff\xff",
        b"d\x3f\xff\xff\xffxx",
    ] {
        let mut app = Raw::log_in(&server, &wire).await;
        app.say(half).await;
        tokio::io::AsyncWriteExt::shutdown(&mut app.0)
            .await
            .unwrap();
        app.hears_the_end().await;
    }
    let mut half = Raw::connect(&wire).await;
    half.say(b"\0\0\0").await;
    drop(half);
    // Gone in the middle of an answer, of a transaction, of a COPY: the server gives all up.
    let mut app = Raw::log_in(&server, &wire).await;
    app.say(query(
        "SELECT repeat('x', 1000) FROM generate_series(1, 100000)",
    ))
    .await;
    app.hears("TD").await;
    drop(app);
    let mut app = Raw::log_in(&server, &wire).await;
    app.say(query("BEGIN; LOCK TABLE t")).await;
    app.hears("CCZ").await;
    drop(app);
    let mut app = Raw::log_in(&server, &wire).await;
    app.say(query("COPY t FROM STDIN")).await;
    app.hears("G").await;
    app.say(message(b'd', &[b"1\n"])).await;
    drop(app);
    let mut direct = server.direct().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let gone = async { while count(&mut direct, others).await > 0 {} };
    tokio::time::timeout(LIMIT, gone)
        .await
        .expect("no session is left");
    assert_eq!(count(&mut direct, "SELECT count(*) FROM t").await, 0);
}

/// Memory is a process's: other tests are not to be counted.
const ALONE: &str = "WIRE_POSTGRES_ALONE";

#[tokio::test]
async fn many_rows_and_a_long_one_pass_without_being_kept() {
    if std::env::var_os(ALONE).is_none() {
        let name = "robust::many_rows_and_a_long_one_pass_without_being_kept";
        let alone = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::log_in(&server, &wire).await;
    let before = memory();
    let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    app.say(query(&format!("{rows}; SELECT repeat('y', 100000000)")))
        .await;
    // An app that does not listen makes the server wait.
    let mut direct = server.direct().await;
    let stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND datname = current_database()";
    let waits = async { while count(&mut direct, stuck).await == 0 {} };
    tokio::time::timeout(LIMIT, waits)
        .await
        .expect("the server waits");
    let mut heard = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut end = Vec::new();
    while !end.ends_with(b"Z\0\0\0\x05I") {
        let read = app.0.read(&mut buffer);
        let read = tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        assert!(read > 0);
        heard += read;
        end.extend_from_slice(&buffer[read.saturating_sub(6)..read]);
    }
    assert!(heard > 200_000_000, "{heard}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more than before");
    let reply = wire.messages()[0].reply.clone().expect("a reply");
    assert_eq!(reply.kind.to_string(), "SELECT 100000; SELECT 1");
}

/// The most that this process has had in memory, in bytes; 0 where the system does not say.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[tokio::test]
async fn a_reply_too_long_to_keep_back_is_held_where_it_is() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let hold = wire.hold_reply(Match::statement("SELECT repeat"));
    let app = server.client(&wire).await;
    let rows = spawn(
        app,
        "SELECT repeat('x', 1000000) FROM generate_series(1, 100)",
    );
    let held = hold
        .reached()
        .await
        .expect("it is held though its end was not seen");
    assert!(held.reply.is_none());
    assert!(!rows.is_finished());
    hold.release();
    done(rows).await.1.unwrap();
}

#[tokio::test]
async fn a_statement_of_many_megabytes_is_one_line() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = server.client(&wire).await;
    let long = format!("SELECT length('{}')", "ä ".repeat(5_000_000));
    app.execute(sqlx::AssertSqlSafe(long.as_str()))
        .await
        .unwrap();
    sqlx::query("SELECT length($1)")
        .bind("ö".repeat(5_000_000))
        .execute(&mut app)
        .await
        .unwrap();
    let lines = lines(&timeline);
    assert!(lines[0].ends_with("ä ä… = SELECT 1"), "{}", lines[0]);
    assert!(lines[1].ends_with("öö…\"] = SELECT 1"), "{}", lines[1]);
    assert!(lines.iter().all(|line| line.chars().count() < 300));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_on_the_timeline() {
    let timeline = Timeline::new();
    let folder = tempfile::tempdir().unwrap();
    let target = Target::at(Address::Unix(folder.path().join("none.sock")));
    let wire = Wire::postgres(timeline.clone(), "app", "postgres", target)
        .await
        .unwrap();
    let mut app = Raw::connect(&wire).await;
    assert!(app.hears_the_end().await.is_empty());
    let lines = lines(&timeline);
    assert!(
        lines[0].starts_with("app → postgres: connect = No such file"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn many_connections_keep_their_replies_apart() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let apps = (0..40).map(|i| {
        let options = server.through(&wire);
        tokio::spawn(async move {
            let mut app = sqlx::PgConnection::connect_with(&options).await.unwrap();
            for n in 0..5_i64 {
                let rows = sqlx::query("SELECT generate_series(1, $1)")
                    .bind(i * 5 + n)
                    .fetch_all(&mut app)
                    .await
                    .unwrap();
                assert_eq!(rows.len() as i64, i * 5 + n);
            }
        })
    });
    for app in apps.collect::<Vec<_>>() {
        done(app).await;
    }
    let messages = wire.messages();
    assert_eq!(messages.len(), 200);
    for message in messages {
        let asked = message.param(0).unwrap().text().unwrap().to_owned();
        let reply = message.reply.expect("a reply").kind.to_string();
        assert_eq!(reply, format!("SELECT {asked}"));
    }
}
