//! What the wire writes down, with a client as apps use it.

use futures_util::StreamExt;
use labkit::wire::{Match, MessageKind, ReplyKind, SqlReply};
use sqlx::postgres::{PgListener, PgPoolCopyExt, PgPoolOptions, PgSslMode};
use sqlx::{Connection, Executor, Row};

use crate::server::*;

#[tokio::test]
async fn statements_and_their_answers_are_on_the_timeline() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, price numeric)")
        .await
        .unwrap();
    let add = "INSERT INTO product\n    VALUES ($1, $2, 12.50) -- the price is a draft";
    for (id, name) in [(7, "spring"), (8, "a \"screw\"\n")] {
        // Prepared the first time, and executed under its name the second.
        sqlx::query(add)
            .bind(id)
            .bind(name)
            .execute(&mut app)
            .await
            .unwrap();
    }
    let twice = sqlx::query(add)
        .bind(7)
        .bind("spring")
        .execute(&mut app)
        .await;
    assert_eq!(sqlstate(&twice.unwrap_err()).as_deref(), Some("23505"));
    let names = "SELECT name FROM product WHERE id = ANY($1) AND name <> $2 ORDER BY id";
    let rows = sqlx::query(names)
        .bind(vec![7, 8, 9])
        .bind(Option::<String>::None)
        .fetch_all(&mut app)
        .await
        .unwrap();
    assert!(rows.is_empty());
    let failed = sqlx::query("SELECT nothing FROM product")
        .execute(&mut app)
        .await;
    assert_eq!(sqlstate(&failed.unwrap_err()).as_deref(), Some("42703"));
    let failed = app.execute("SELEC 1").await;
    assert_eq!(sqlstate(&failed.unwrap_err()).as_deref(), Some("42601"));
    let mut transaction = app.begin().await.unwrap();
    transaction
        .execute("UPDATE product SET price = price * 2; DELETE FROM product WHERE id = 8")
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let transaction = app.begin().await.unwrap();
    transaction.rollback().await.unwrap();
    app.execute("").await.unwrap();
    let long = format!("SELECT {} AS twelve", ["12"; 100].join(" + "));
    app.execute(sqlx::AssertSqlSafe(long.as_str()))
        .await
        .unwrap();
    app.close().await.unwrap();
    insta::assert_snapshot!(lines(&timeline).join("\n"));

    let messages = wire.messages();
    assert_eq!(messages[1].sql(), Some(add), "kept as it was written");
    assert_eq!(messages[1].verb(), "INSERT");
    assert_eq!(messages[1].param(1).unwrap().text(), Some("spring"));
    let long_kept = messages.iter().any(|message| message.sql() == Some(&long));
    assert!(long_kept);
    let reply = messages[1].reply.as_ref().expect("a reply");
    assert!(reply.at_ms >= messages[1].at_ms);
    let done = SqlReply::Done {
        tag: "INSERT 0 1".to_owned(),
        rows: 0,
    };
    assert_eq!(reply.kind, ReplyKind::Postgres(done));
}

#[tokio::test]
async fn parameters_are_read_whatever_their_type() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = server.client(&wire).await;
    // The client binds what it has, and the server says which types it takes.
    sqlx::query("SELECT $1, $2, $3, $4, $5, $6, $7")
        .bind(true)
        .bind(-2_i16)
        .bind(1_i64 << 40)
        .bind(1.5_f32)
        .bind(-0.25_f64)
        .bind(vec![0_u8, 1, 255])
        .bind(Option::<i32>::None)
        .execute(&mut app)
        .await
        .unwrap();
    sqlx::query("SELECT $1, $2, $3, $4")
        .bind(vec![true, false])
        .bind(vec!["a".to_owned(), String::new()])
        .bind(vec![Some(1_i64), None])
        .bind(vec![vec![1_u8], vec![2]])
        .execute(&mut app)
        .await
        .unwrap();
    assert_eq!(
        lines(&timeline),
        [
            r#"app → postgres: SELECT $1, $2, $3, $4, $5, $6, $7 [true, -2, 1099511627776, 1.5, -0.25, \x0001ff, NULL] = SELECT 1"#,
            r#"app → postgres: SELECT $1, $2, $3, $4 [[true, false], ["a", ""], [1, NULL], [\x01, \x02]] = SELECT 1"#,
        ]
    );
}

#[tokio::test]
async fn values_in_text_and_in_binary_are_written_as_postgres_writes_them() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut raw = Raw::log_in(&server, &wire).await;
    let values: &[(&str, &str)] = &[
        ("numeric", "-12345.670"),
        ("numeric", "0.00001234"),
        ("numeric", "100000000000000000000"),
        ("numeric", "NaN"),
        ("timestamptz", "2026-11-24 05:06:07.089+00"),
        ("timestamp", "1969-12-31 23:59:59.999999"),
        ("timestamp", "infinity"),
        ("date", "0044-03-15"),
        ("time", "23:59:00"),
        ("uuid", "3b241101-e2bb-4255-8caf-4136c566a962"),
        ("jsonb", "{\"a\": [1, null]}"),
        ("float8", "0.1"),
        ("int2", "-32768"),
        ("bool", "true"),
        ("text", "ä"),
        ("varchar", ""),
    ];
    raw.say(query("SET timezone = 'UTC'")).await;
    raw.hears("CSZ").await;
    let mut before = wire.messages().len();
    for (of, value) in values {
        // What the server makes of the text, in its binary format.
        let name = format!("to_{of}");
        let describe = message(b'D', &[b"S", name.as_bytes(), b"\0"]);
        let ask = [parse(&name, &format!("SELECT $1::{of}")), describe, sync()].concat();
        raw.say(&ask).await;
        // A name that is there already is an error; it is the same statement.
        while raw.hears_one().await.0 != 'Z' {}
        let bind_for_binary = [
            &b"\0"[..],
            name.as_bytes(),
            b"\0\0\0\0\x01",
            &u32::try_from(value.len()).unwrap().to_be_bytes(),
            value.as_bytes(),
            b"\0\x01\0\x01",
        ];
        raw.say([message(b'B', &bind_for_binary), execute("", 0), sync()].concat())
            .await;
        raw.hears("2").await;
        let (kind, row) = raw.hears_one().await;
        assert_eq!(kind, 'D', "{of} {value}");
        raw.hears("CZ").await;
        // Bound again as it came: after the column count, its length and the bytes.
        let bind_binary = [
            &b"\0"[..],
            name.as_bytes(),
            b"\0\0\x01\0\x01\0\x01",
            &row[2..],
            b"\0\0",
        ];
        raw.say([message(b'B', &bind_binary), execute("", 0), sync()].concat())
            .await;
        raw.hears("2DCZ").await;
        let messages = wire.messages();
        let said: Vec<_> = messages[before..]
            .iter()
            .filter_map(|message| Some(message.param(0)?.text()?.to_owned()))
            .collect();
        assert_eq!(said, [*value, *value], "{of}");
        before = messages.len();
    }
}

#[tokio::test]
async fn rows_are_counted_and_not_kept() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = server.client(&wire).await;
    let rows = sqlx::query("SELECT i, repeat('x', 100) FROM generate_series(1, $1) i")
        .bind(5000)
        .fetch_all(&mut app)
        .await
        .unwrap();
    assert_eq!(rows.len(), 5000);
    assert_eq!(rows[4999].get::<i32, _>(0), 5000);
    let reply = wire.messages()[0].reply.clone().expect("a reply").kind;
    let done = SqlReply::Done {
        tag: "SELECT 5000".to_owned(),
        rows: 5000,
    };
    assert_eq!(reply, ReplyKind::Postgres(done));
}

#[tokio::test]
async fn a_copy_is_one_statement_both_ways() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(server.through(&wire))
        .await
        .unwrap();
    pool.execute("CREATE TABLE t (id int)").await.unwrap();
    let mut copy = pool.copy_in_raw("COPY t FROM STDIN").await.unwrap();
    copy.send(&b"1\n2\n"[..]).await.unwrap();
    copy.send(&b"3\n"[..]).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 3);
    let mut copy = pool.copy_in_raw("COPY t FROM STDIN").await.unwrap();
    copy.send(&b"4\nfive\n"[..]).await.unwrap();
    assert_eq!(
        sqlstate(&copy.finish().await.unwrap_err()).as_deref(),
        Some("22P02")
    );
    let copy = pool.copy_in_raw("COPY t FROM STDIN").await.unwrap();
    copy.abort("no more").await.unwrap();
    let mut copy = pool.copy_out_raw("COPY t TO STDOUT").await.unwrap();
    let mut out = Vec::new();
    while let Some(piece) = copy.next().await {
        out.extend(piece.unwrap());
    }
    assert_eq!(out, b"1\n2\n3\n");
    drop(copy);
    pool.execute("SELECT 1").await.unwrap();
    assert_eq!(
        lines(&timeline)[1..],
        [
            "app → postgres: COPY t FROM STDIN = COPY 3",
            "app → postgres: COPY t FROM STDIN = 22P02: invalid input syntax for type integer: \"five\"",
            "app → postgres: COPY t FROM STDIN = 57014: COPY from stdin failed: no more",
            "app → postgres: COPY t TO STDOUT = COPY 3",
            "app → postgres: SELECT 1 = SELECT 1",
        ]
    );
}

#[tokio::test]
async fn notices_and_notifications_are_nobodys_answers() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = server.client(&wire).await;
    app.execute("DROP TABLE IF EXISTS nothing").await.unwrap();
    let mut listener = PgListener::connect_with(
        &PgPoolOptions::new()
            .connect_with(server.through(&wire))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    listener.listen("prices").await.unwrap();
    sqlx::query("SELECT pg_notify('prices', $1)")
        .bind("7")
        .execute(&mut app)
        .await
        .unwrap();
    let heard = tokio::time::timeout(LIMIT, listener.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((heard.channel(), heard.payload()), ("prices", "7"));
    let lines = lines(&timeline);
    let expected = [
        "postgres → app: NOTICE: table \"nothing\" does not exist, skipping",
        "app → postgres: DROP TABLE IF EXISTS nothing = DROP TABLE",
        "app → postgres: LISTEN \"prices\" = LISTEN",
        "app → postgres: SELECT pg_notify('prices', $1) [\"7\"] = SELECT 1",
        "postgres → app: NOTIFY prices 7",
    ];
    for line in expected {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
    }
}

#[tokio::test]
async fn an_error_at_the_end_of_its_transaction_is_the_statements() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    // The server says INSERT 0 2, and then that nothing came of it.
    let failed = sqlx::query("INSERT INTO t VALUES ($1), ($1)")
        .bind(1)
        .execute(&mut app)
        .await;
    assert_eq!(sqlstate(&failed.unwrap_err()).as_deref(), Some("23505"));
    let lines = lines(&timeline);
    assert!(
        lines[1].contains("VALUES ($1), ($1) [1] = 23505: duplicate key"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_refused_login_and_a_killed_session_are_said() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let wrong = server.through(&wire).password("wrong");
    let refused = sqlx::PgConnection::connect_with(&wrong).await;
    assert_eq!(sqlstate(&refused.unwrap_err()).as_deref(), Some("28P01"));
    let mut app = server.client(&wire).await;
    let pid = count(&mut app, "SELECT pg_backend_pid()::int8").await;
    let mut admin = server.direct().await;
    sqlx::query("SELECT pg_terminate_backend($1::int4)")
        .bind(pid)
        .execute(&mut admin)
        .await
        .unwrap();
    assert!(app.execute("SELECT 1").await.is_err());
    let lines = lines(&timeline);
    let expected = [
        format!(
            "postgres → app: 28P01: password authentication failed for user \"{}\"",
            server.role()
        ),
        "app → postgres: SELECT pg_backend_pid()::int8 = SELECT 1".to_owned(),
    ];
    assert_eq!(lines[..2], expected);
    let killed = "57P01: terminating connection due to administrator command";
    assert!(
        lines[2..].iter().any(|line| line.ends_with(killed)),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn an_app_may_ask_for_encryption_and_goes_on_without() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    // GSS, then SSL, as libpq asks.
    app.say(b"\0\0\0\x08\x04\xd2\x16\x30").await;
    assert_eq!(app.hears_some(1).await, b"N");
    app.say(b"\0\0\0\x08\x04\xd2\x16\x2f").await;
    assert_eq!(app.hears_some(1).await, b"N");
    app.start(&server).await;
    app.say(query("SELECT 1")).await;
    app.hears("TDCZ").await;
    assert_eq!(lines(&timeline), ["app → postgres: SELECT 1 = SELECT 1"]);
    // And a client that would rather have it connects.
    let prefers = server.through(&wire).ssl_mode(PgSslMode::Prefer);
    sqlx::PgConnection::connect_with(&prefers).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_statement_fails_and_the_demand_is_on_the_timeline() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::connect(&wire).await;
    let key = app.start(&server).await;
    app.say(query("SELECT pg_sleep(600)")).await;
    // The server has it: the demand would else come too soon.
    let mut admin = server.direct().await;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    let seen = async { while count(&mut admin, asleep).await == 0 {} };
    tokio::time::timeout(LIMIT, seen).await.expect("it sleeps");
    let mut other = Raw::connect(&wire).await;
    other
        .say([&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &key].concat())
        .await;
    assert!(other.hears_the_end().await.is_empty());
    app.hears("TEZ").await;
    let process = u32::from_be_bytes(key[..4].try_into().unwrap());
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT pg_sleep(600) = 57014: canceling statement due to user request"
                .to_owned(),
            format!("app → postgres: cancel what server process {process} does"),
        ]
    );
    assert_eq!(
        wire.messages()[1].kind,
        MessageKind::PostgresCancel { process }
    );
    assert!(Match::any().meets(&wire.messages()[1]));
}
