//! Statements in pieces: the extended protocol, as no two clients use it in the same way.

use labkit::wire::{Match, ReplyKind, SqlReply};

use crate::server::*;

/// A connection whose wire has nothing on its timeline but what is said after.
async fn connected(server: &Server) -> (labkit::wire::Wire, labkit::timeline::Timeline, Raw) {
    let (wire, timeline) = server.wire().await;
    let raw = Raw::log_in(server, &wire).await;
    (wire, timeline, raw)
}

#[tokio::test]
async fn a_statement_is_its_name_and_its_parameters_at_the_time_it_is_executed() {
    let server = Server::start().await;
    let (_wire, timeline, mut app) = connected(&server).await;
    let one = |value| [bind("s", &[value]), execute("", 0), sync()].concat();
    app.say([parse("s", "SELECT $1::int"), sync()].concat())
        .await;
    app.hears("1Z").await;
    app.say(one("1")).await;
    app.hears("2DCZ").await;
    // A name that is taken stays what it was.
    app.say([parse("s", "SELECT 'wrong'"), sync()].concat())
        .await;
    app.hears("EZ").await;
    app.say(one("2")).await;
    app.hears("2DCZ").await;
    // Closed and prepared anew in one breath, and the answer to the Close comes last.
    let close = message(b'C', &[b"Ss\0"]);
    app.say([close, parse("s", "SELECT $1 || '!'"), one("3")].concat())
        .await;
    app.hears("312DCZ").await;
    app.say(one("4")).await;
    app.hears("2DCZ").await;
    // Unnamed, without any preparation, and one that another way was used to prepare.
    app.say([parse("", "SELECT 5"), bind("", &[]), execute("", 0), sync()].concat())
        .await;
    app.hears("12DCZ").await;
    app.say(query("PREPARE by_hand AS SELECT $1::int")).await;
    app.hears("CZ").await;
    app.say([bind("by_hand", &["6"]), execute("", 0), sync()].concat())
        .await;
    app.hears("2DCZ").await;
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT $1::int [\"1\"] = SELECT 1",
            "app → postgres: SELECT 'wrong' = 42P05: prepared statement \"s\" already exists",
            "app → postgres: SELECT $1::int [\"2\"] = SELECT 1",
            "app → postgres: SELECT $1 || '!' [\"3\"] = SELECT 1",
            "app → postgres: SELECT $1 || '!' [\"4\"] = SELECT 1",
            "app → postgres: SELECT 5 = SELECT 1",
            "app → postgres: PREPARE by_hand AS SELECT $1::int = PREPARE",
            "app → postgres: EXECUTE by_hand [\"6\"] = SELECT 1",
        ]
    );
}

#[tokio::test]
async fn rows_that_are_fetched_in_portions_are_one_statement() {
    let server = Server::start().await;
    let (wire, timeline, mut app) = connected(&server).await;
    let begun = [
        parse("", "SELECT generate_series(1, 5)"),
        bind_to("p", "", &[]),
        execute("p", 2),
        flush(),
    ];
    app.say(begun.concat()).await;
    app.hears("12DDs").await;
    app.say([execute("p", 2), execute("p", 2), sync()].concat())
        .await;
    app.hears("DDsDCZ").await;
    app.say(query(
        "BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 3)",
    ))
    .await;
    app.hears("CCZ").await;
    app.say([execute("c", 0), sync()].concat()).await;
    app.hears("DDDCZ").await;
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT generate_series(1, 5) = 2 rows, as many as asked for",
            "app → postgres: more of SELECT generate_series(1, 5) = 2 rows, as many as asked for",
            "app → postgres: more of SELECT generate_series(1, 5) = SELECT 1",
            "app → postgres: BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 3) = BEGIN; DECLARE CURSOR",
            "app → postgres: FETCH c = SELECT 3",
        ]
    );
    let select = Match::statement("select");
    let counted = wire
        .messages()
        .iter()
        .filter(|message| select.meets(message))
        .count();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn after_an_error_in_a_pipeline_the_rest_is_skipped_up_to_its_sync() {
    let server = Server::start().await;
    let (wire, timeline, mut app) = connected(&server).await;
    let one = |sql: &str| [parse("", sql), bind("", &[]), execute("", 0)].concat();
    let pipeline = [
        one("SELECT 1"),
        // Refused where it is bound: it is planned there.
        one("SELECT 1/0"),
        one("SELECT 2"),
        parse("named", "SELECT 3"),
        bind("named", &[]),
        execute("", 0),
        sync(),
        one("SELECT 4"),
        one("SELECT 5"),
        sync(),
        // What was skipped was not prepared either.
        bind("named", &[]),
        execute("", 0),
        sync(),
        query("SELECT 6"),
    ];
    app.say(pipeline.concat()).await;
    app.hears("12DC1EZ12DC12DCZEZTDCZ").await;
    let skipped = "skipped, a statement before it failed";
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT 1 = SELECT 1".to_owned(),
            "app → postgres: SELECT 1/0 = 22012: division by zero".to_owned(),
            format!("app → postgres: SELECT 2 = {skipped}"),
            format!("app → postgres: SELECT 3 = {skipped}"),
            "app → postgres: SELECT 4 = SELECT 1".to_owned(),
            "app → postgres: SELECT 5 = SELECT 1".to_owned(),
            // The wire had its text when it was sent.
            "app → postgres: SELECT 3 = 26000: prepared statement \"named\" does not exist"
                .to_owned(),
            "app → postgres: SELECT 6 = SELECT 1".to_owned(),
        ]
    );
    let replies = wire
        .messages()
        .into_iter()
        .map(|m| m.reply.expect("a reply").kind);
    assert_eq!(
        replies
            .filter(|r| *r == ReplyKind::Postgres(SqlReply::Skipped))
            .count(),
        2
    );

    // The same where the app hears of the error before it goes on.
    app.say([one("SELECT 1/0"), flush()].concat()).await;
    app.hears("1E").await;
    app.say([one("SELECT 7"), one("SELECT 8"), flush(), query("SELECT 9")].concat())
        .await;
    app.say(sync()).await;
    app.hears("Z").await;
    app.say(query("SELECT 10")).await;
    app.hears("TDCZ").await;
    let lines = lines(&timeline);
    assert_eq!(
        lines[9..],
        [
            format!("app → postgres: SELECT 7 = {skipped}"),
            format!("app → postgres: SELECT 8 = {skipped}"),
            format!("app → postgres: SELECT 9 = {skipped}"),
            "app → postgres: SELECT 10 = SELECT 1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_copy_in_pieces_takes_the_sync_behind_its_data() {
    let server = Server::start().await;
    let (_wire, timeline, mut app) = connected(&server).await;
    app.say(query("CREATE TABLE t (id int)")).await;
    app.hears("CZ").await;
    let copy = [
        parse("", "COPY t FROM STDIN"),
        bind("", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    app.say(&copy).await;
    app.hears("12G").await;
    app.say(
        [
            message(b'd', &[b"1\n2\n"]),
            message(b'c', &[]),
            sync(),
            query("SELECT 1"),
        ]
        .concat(),
    )
    .await;
    app.hears("CZTDCZ").await;
    app.say(&copy).await;
    app.hears("12G").await;
    app.say(
        [
            message(b'd', &[b"one\n"]),
            message(b'c', &[]),
            sync(),
            query("SELECT 2"),
        ]
        .concat(),
    )
    .await;
    app.hears("EZTDCZ").await;
    let copy = [
        parse("", "COPY t TO STDOUT"),
        bind("", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    app.say(&copy).await;
    app.hears("12HddcCZ").await;
    app.say(query("SELECT 3")).await;
    app.hears("TDCZ").await;
    assert_eq!(
        lines(&timeline)[1..],
        [
            "app → postgres: COPY t FROM STDIN = COPY 2",
            "app → postgres: SELECT 1 = SELECT 1",
            "app → postgres: COPY t FROM STDIN = 22P02: invalid input syntax for type integer: \"one\"",
            "app → postgres: SELECT 2 = SELECT 1",
            "app → postgres: COPY t TO STDOUT = COPY 2",
            "app → postgres: SELECT 3 = SELECT 1",
        ]
    );
}

#[tokio::test]
async fn what_fails_before_it_is_executed_is_a_line_with_its_error() {
    let server = Server::start().await;
    let (_wire, timeline, mut app) = connected(&server).await;
    let describe = message(b'D', &[b"S\0"]);
    app.say([parse("", "SELECT $1::int"), describe.clone(), sync()].concat())
        .await;
    app.hears("1tTZ").await;
    assert!(lines(&timeline).is_empty(), "nothing was executed");
    app.say([parse("", "SELECT nothing"), describe, sync()].concat())
        .await;
    app.hears("EZ").await;
    app.say(
        [
            parse("", "SELECT $1::int"),
            bind("", &["x"]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    )
    .await;
    app.hears("1EZ").await;
    app.say([bind("gone", &[]), sync()].concat()).await;
    app.hears("EZ").await;
    // Two are prepared at once, and it is the second that cannot be.
    app.say([parse("a", "SELECT 1"), parse("b", "SELEC 2"), sync()].concat())
        .await;
    app.hears("1EZ").await;
    app.say([bind("a", &[]), execute("", 0), sync()].concat())
        .await;
    app.hears("2DCZ").await;
    assert_eq!(
        lines(&timeline),
        [
            "app → postgres: SELECT nothing = 42703: column \"nothing\" does not exist",
            "app → postgres: SELECT $1::int [\"x\"] = 22P02: invalid input syntax for type integer: \"x\"",
            "app → postgres: EXECUTE gone = 26000: prepared statement \"gone\" does not exist",
            "app → postgres: SELEC 2 = 42601: syntax error at or near \"SELEC\"",
            "app → postgres: SELECT 1 = SELECT 1",
        ]
    );
}

#[tokio::test]
async fn a_pipeline_that_ends_without_a_sync_still_reaches_the_server() {
    let server = Server::start().await;
    let (wire, _timeline, mut app) = connected(&server).await;
    app.say(query("CREATE SEQUENCE seen")).await;
    app.hears("CZ").await;
    // A sequence does not roll back: it tells that this ran.
    app.say(
        [
            parse("", "SELECT nextval('seen')"),
            bind("", &[]),
            execute("", 0),
        ]
        .concat(),
    )
    .await;
    drop(app);
    let mut other = server.client(&wire).await;
    let ran = async {
        while count(
            &mut other,
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM seen",
        )
        .await
            == 0
        {}
    };
    tokio::time::timeout(LIMIT, ran).await.expect("it ran");
}
