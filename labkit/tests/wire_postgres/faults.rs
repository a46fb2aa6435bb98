//! Faults happen at the statement that they name, and nowhere else.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use labkit::wire::{Match, ReplyKind, SqlReply};
use sqlx::{Connection, Executor};

use crate::server::*;

const ROWS: &str = "SELECT count(*) FROM t";

#[tokio::test]
async fn a_commit_whose_reply_is_lost_was_done_though_the_client_got_an_error() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut direct = server.direct().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int)").await.unwrap();
    wire.drop_reply(Match::statement("COMMIT"));
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("INSERT INTO t VALUES ($1)")
        .bind(7)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(
        error.as_database_error().is_none(),
        "{error}: not the server's word"
    );
    assert_eq!(count(&mut direct, ROWS).await, 1);
    assert_eq!(
        lines(&timeline).last().unwrap(),
        "app → postgres: COMMIT = COMMIT"
    );
    let event = timeline.events().pop().unwrap();
    assert_eq!(event.note.as_deref(), Some("reply lost, connection cut"));

    // Cut on the way there, it was not done.
    let mut app = server.client(&wire).await;
    wire.cut(Match::statement("COMMIT"));
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("INSERT INTO t VALUES ($1)")
        .bind(8)
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert!(transaction.commit().await.is_err());
    assert_eq!(count(&mut direct, ROWS).await, 1);
    assert_eq!(
        wire.messages().last().unwrap().reply.as_ref().map(|_| ()),
        None
    );
}

#[tokio::test]
async fn what_the_server_says_of_itself_does_not_take_a_lost_reply_along() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut app = Raw::log_in(&server, &wire).await;
    app.say(query("LISTEN prices; BEGIN; NOTIFY prices, '7'"))
        .await;
    app.hears("CCCZ").await;
    wire.drop_reply(Match::statement("COMMIT"));
    // It tells of the notification and of the setting before it is ready again.
    app.say(query(
        "SET LOCAL lock_timeout = 1; COMMIT; SET application_name = 'shop'",
    ))
    .await;
    let heard = app.hears_the_end().await;
    assert!(
        !heard.contains(&b'C') && !heard.contains(&b'Z'),
        "{heard:?}"
    );
    let lines = lines(&timeline);
    assert!(
        lines.contains(&"postgres → app: NOTIFY prices 7".to_owned()),
        "{lines:#?}"
    );
    assert!(lines[1].ends_with(" = SET; COMMIT; SET"), "{lines:#?}");
}

#[tokio::test]
async fn without_a_transaction_a_lost_reply_is_that_of_a_change_that_stays() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut direct = server.direct().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int, filler text)")
        .await
        .unwrap();
    // More than a server keeps together, so that it answers before it has committed.
    wire.drop_reply(Match::statement("INSERT INTO t"));
    let sql =
        "INSERT INTO t SELECT $1, repeat('x', 1000) FROM generate_series(1, 1000) RETURNING filler";
    let lost = sqlx::query(sql).bind(7).fetch(&mut app).next().await;
    assert!(lost.unwrap().is_err(), "not even a row was heard");
    assert_eq!(count(&mut direct, ROWS).await, 1000);
}

#[tokio::test]
async fn the_second_statement_is_held_and_nothing_of_it_has_reached_the_server() {
    let server = Server::start().await;
    let (wire, timeline) = server.wire().await;
    let mut direct = server.direct().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let hold = wire.hold(Match::statement("select count(*) from t").nth(2));
    let reading = tokio::spawn(async move {
        let mut counts = Vec::new();
        for _ in 0..3 {
            counts.push(count(&mut app, "SELECT count(*)\nFROM t").await);
        }
        counts
    });
    let held = hold.reached().await.expect("the second is held");
    assert_eq!(held.to_string(), "SELECT count(*) FROM t");
    // It took neither locks nor a snapshot: the table can be changed, and it sees how.
    direct.execute("SET lock_timeout = '5s'").await.unwrap();
    direct
        .execute("ALTER TABLE t ADD COLUMN note text")
        .await
        .unwrap();
    direct.execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert!(!reading.is_finished());
    hold.release();
    assert_eq!(done(reading).await, [1, 2, 2]);
    let noted = timeline
        .events()
        .into_iter()
        .filter_map(|event| event.note)
        .collect::<Vec<_>>();
    let [noted] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    assert!(noted.starts_with("held by the check until "), "{noted}");
}

#[tokio::test]
async fn a_held_statement_of_a_pipeline_keeps_nothing_back_that_was_before_it() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut direct = server.direct().await;
    direct
        .execute("CREATE TABLE t (id int); GRANT ALL ON t TO PUBLIC")
        .await
        .unwrap();
    let mut app = Raw::log_in(&server, &wire).await;
    let one = |sql: &str| [parse("", sql), bind("", &[]), execute("", 0)].concat();
    let hold = wire.hold(Match::statement("SELECT … FROM t"));
    app.say([one("SELECT 1"), one("SELECT 2 FROM t"), sync()].concat())
        .await;
    // The server would say so at the Sync, which is held too.
    app.hears("12DC").await;
    hold.reached().await.expect("the second is held");
    direct.execute("SET lock_timeout = '5s'; DROP TABLE t; CREATE TABLE t (id int); GRANT ALL ON t TO PUBLIC").await.unwrap();
    hold.release();
    app.hears("12CZ").await;
    // And a cut takes nothing from those before it.
    wire.cut(Match::statement("SELECT 4"));
    app.say([one("SELECT 3"), one("SELECT 4"), sync()].concat())
        .await;
    app.hears("12DC").await;
    assert!(app.hears_the_end().await.is_empty());
}

#[tokio::test]
async fn a_held_reply_belongs_to_a_statement_that_was_done() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut direct = server.direct().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int)").await.unwrap();
    let hold = wire.hold_reply(Match::statement("INSERT"));
    let insert = spawn(app, "INSERT INTO t VALUES (1), (2)");
    let held = hold.reached().await.expect("its reply is held");
    let tag = SqlReply::Done {
        tag: "INSERT 0 2".to_owned(),
        rows: 0,
    };
    assert_eq!(held.reply.expect("a reply").kind, ReplyKind::Postgres(tag));
    assert_eq!(count(&mut direct, ROWS).await, 2);
    assert!(!insert.is_finished());
    drop(hold);
    let (mut app, inserted) = done(insert).await;
    assert_eq!(inserted.unwrap(), 2);

    // Prepared and with rows it is the same.
    let hold = wire.hold_reply(Match::statement("DELETE"));
    let delete = tokio::spawn(async move {
        sqlx::query_scalar::<_, i32>("DELETE FROM t WHERE id > $1 RETURNING id")
            .bind(0)
            .fetch_all(&mut app)
            .await
    });
    hold.reached().await.expect("its reply is held");
    assert_eq!(count(&mut direct, ROWS).await, 0);
    assert!(!delete.is_finished());
    hold.release();
    assert_eq!(done(delete).await.unwrap(), [1, 2]);

    // None of the rows is heard before, however many.
    let mut raw = Raw::log_in(&server, &wire).await;
    let hold = wire.hold_reply(Match::statement("SELECT generate_series"));
    raw.say(query("SELECT generate_series(1, 20000)")).await;
    hold.reached().await.expect("its reply is held");
    let nothing = raw.0.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    hold.release();
    raw.hears("TD").await;
}

#[tokio::test]
async fn steps_let_one_statement_through_at_a_time() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let (mut one, two) = (server.client(&wire).await, server.client(&wire).await);
    one.execute("CREATE TABLE t (id serial, by text)")
        .await
        .unwrap();
    let mut steps = wire.hold_each(Match::statement("INSERT INTO t"));
    let first = spawn(one, "INSERT INTO t (by) VALUES ('one')");
    let step_one = steps.next().await.expect("a step");
    let second = spawn(two, "INSERT INTO t (by) VALUES ('two')");
    let step_two = steps.next().await.expect("a step of the other connection");
    assert_ne!(step_one.message().connection, step_two.message().connection);
    // The one that came last goes first.
    step_two.release();
    done(second).await.1.unwrap();
    assert!(!first.is_finished());
    step_one.release();
    let (mut one, inserted) = done(first).await;
    inserted.unwrap();
    drop(steps);
    let order: String = sqlx::query_scalar("SELECT string_agg(by, ' ' ORDER BY id) FROM t")
        .fetch_one(&mut one)
        .await
        .unwrap();
    assert_eq!(order, "two one");
}

#[tokio::test]
async fn a_delayed_statement_takes_longer() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = server.client(&wire).await;
    let time = Duration::from_millis(60);
    wire.delay(Match::statement("SELECT 2"), time);
    app.execute("SELECT 1").await.unwrap();
    let begun = Instant::now();
    app.execute("SELECT 2").await.unwrap();
    assert!(begun.elapsed() >= time, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_service_that_is_down_refuses_and_comes_back_at_its_address() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = server.client(&wire).await;
    app.execute("CREATE TABLE t (id int)").await.unwrap();
    let hold = wire.hold(Match::statement("INSERT"));
    let insert = spawn(app, "INSERT INTO t VALUES (1)");
    hold.reached().await.expect("the INSERT is held");
    wire.down();
    let refused = sqlx::PgConnection::connect_with(&server.through(&wire))
        .await
        .unwrap_err();
    let sqlx::Error::Io(refused) = refused else {
        panic!("{refused}");
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    wire.up();
    hold.release();
    assert!(done(insert).await.1.is_err());
    let mut app = server.client(&wire).await;
    assert_eq!(count(&mut app, ROWS).await, 0);
}

#[tokio::test]
async fn a_reply_of_a_statement_that_is_skipped_or_refused_can_be_held_too() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let mut app = Raw::log_in(&server, &wire).await;
    let one = |sql: &str| [parse("", sql), bind("", &[]), execute("", 0)].concat();
    let refused = wire.hold_reply(Match::statement("SELECT 1/0"));
    let skipped = wire.hold_reply(Match::statement("SELECT 2"));
    app.say([one("SELECT 1/0"), one("SELECT 2"), sync()].concat())
        .await;
    let message = refused.reached().await.expect("its error is held");
    assert_eq!(
        message.reply.unwrap().kind.to_string(),
        "22012: division by zero"
    );
    refused.release();
    let message = skipped.reached().await.expect("it is known to be skipped");
    assert_eq!(
        message.reply.unwrap().kind,
        ReplyKind::Postgres(SqlReply::Skipped)
    );
    skipped.release();
    app.hears("1EZ").await;

    // Also where it is known before it is sent on.
    app.say([one("SELECT 1/0"), flush()].concat()).await;
    app.hears("1E").await;
    let skipped = wire.hold_reply(Match::statement("SELECT 3"));
    wire.drop_reply(Match::statement("SELECT 4"));
    app.say([one("SELECT 3"), one("SELECT 4"), flush()].concat())
        .await;
    let message = skipped.reached().await.expect("it is known to be skipped");
    assert_eq!(
        message.reply.unwrap().kind,
        ReplyKind::Postgres(SqlReply::Skipped)
    );
    skipped.release();
    assert!(app.hears_the_end().await.is_empty());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_for_what() {
    let server = Server::start().await;
    let (wire, _) = server.wire().await;
    let hold = wire.hold(Match::statement("select   ... for update").nth(2));
    let error = hold
        .reached_within(Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no select … for update number 2 was seen within 0.02 s"
    );
}
