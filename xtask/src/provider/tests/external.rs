//! A server of the user's own, which is precious.

use super::*;
use crate::provider::external::{self, External, look_at};
use crate::services::Keeping;
use crate::services::redis::CLAIM;

async fn claim(target: Target, run: &RunFolder) -> anyhow::Result<External> {
    let Keeping::Servers(servers) = &lent(&REDIS).speech.keeping else {
        panic!("Redis lends whole servers");
    };
    external::claim(&REDIS, lent(&REDIS), servers, target, run).await
}

#[tokio::test]
async fn external_lends_an_empty_server_and_gives_it_back_as_it_was() {
    let server = OwnServer::start().await;
    let (_folder, run) = run_folder();
    let url = format!("redis://127.0.0.1:{}/3", server.port);
    let (target, version) = look_at(&REDIS, lent(&REDIS), &url, false)
        .await
        .expect("it would do");
    assert!(!target.ours);
    assert!(version.starts_with(char::is_numeric), "{version}");
    let external = claim(target, &run).await.expect("claimed");
    let (target, lease) = external.lease(false).await.expect("leased");
    assert_eq!(target.redis_database(), 3);
    assert!(tell(&target, &["GET", CLAIM]).await.starts_with(run.id()));
    tell(&target, &["MSET", "a", "1", "b\n\u{e4}", "2"]).await;
    tell(&server.target(0), &["SET", "theirs", "1"]).await;
    lease.clear(&target).await.expect("cleared");
    assert_eq!(tell(&target, &["DBSIZE"]).await, "1", "the claim stays");
    drop(lease);
    external.release().await.expect("released");
    assert_eq!(tell(&target, &["DBSIZE"]).await, "0");
    assert_eq!(tell(&server.target(0), &["GET", "theirs"]).await, "1");
}

#[tokio::test]
async fn external_is_one_lease_at_a_time() {
    let server = OwnServer::start().await;
    let (_folder, run) = run_folder();
    let external = claim(server.target(0), &run).await.expect("claimed");
    let (_, first) = external.lease(false).await.expect("leased");
    let soon = std::time::Duration::from_millis(50);
    let second = tokio::time::timeout(soon, external.lease(false)).await;
    assert!(second.is_err(), "it waits");
    drop(second);
    drop(first);
    external.lease(false).await.expect("leased");
    external.release().await.expect("released");
}

#[tokio::test]
async fn external_cannot_be_given_a_configuration() {
    let server = OwnServer::start().await;
    let (_folder, run) = run_folder();
    let external = claim(server.target(0), &run).await.expect("claimed");
    let Err(StartError::Unavailable(reason)) = external.lease(true).await else {
        panic!("it was given one");
    };
    assert!(reason.contains("a configuration of its own"), "{reason}");
    external.release().await.expect("released");
}

#[tokio::test]
async fn case_22_an_external_server_that_is_not_empty_is_refused_untouched() {
    let server = OwnServer::start().await;
    let (_folder, run) = run_folder();
    tell(&server.target(5), &["MSET", "a", "1", "b", "2"]).await;
    let refused = claim(server.target(0), &run).await;
    let reason = refused.expect_err("refused").to_string();
    assert!(
        reason.contains("not empty: 2 keys in database 5"),
        "{reason}"
    );
    assert_eq!(tell(&server.target(0), &["DBSIZE"]).await, "0");
    assert_eq!(tell(&server.target(5), &["GET", "b"]).await, "2");
}

#[tokio::test]
async fn an_external_server_that_another_run_uses_is_refused_until_that_run_is_dead() {
    let server = OwnServer::start().await;
    let (folder, _) = run_folder();
    let mut keeper = tokio::process::Command::new("sleep");
    let mut keeper = keeper.arg("60").kill_on_drop(true).spawn().expect("sleeps");
    let theirs = owned_by(folder.path(), keeper.id().expect("runs"));
    let abandoned = claim(server.target(0), &theirs).await.expect("claimed");
    tell(&server.target(0), &["SET", "left", "behind"]).await;

    let (_folder, run) = run_folder();
    let refused = claim(server.target(0), &run).await;
    let reason = refused.expect_err("refused").to_string();
    assert!(reason.contains("in use by another run"), "{reason}");
    keeper.kill().await.expect("killed");
    let external = claim(server.target(0), &run).await.expect("taken over");
    assert_eq!(tell(&server.target(0), &["EXISTS", "left"]).await, "0");
    assert!(abandoned.release().await.is_err(), "it is no longer theirs");
    external.release().await.expect("released");
    assert_eq!(tell(&server.target(0), &["DBSIZE"]).await, "0");
}

#[tokio::test]
async fn case_22_an_external_server_beyond_this_machine_needs_the_users_word() {
    let server = OwnServer::start().await;
    // Not a loopback address, but one that leads to this machine all the same.
    let url = format!("redis://0.0.0.0:{}", server.port);
    let refused = look_at(&REDIS, lent(&REDIS), &url, false).await;
    let reason = format!("{:#}", refused.expect_err("refused"));
    assert!(reason.contains("--services external"), "{reason}");
    look_at(&REDIS, lent(&REDIS), &url, true)
        .await
        .expect("the user said so");
}

#[tokio::test]
async fn case_22_an_external_server_that_is_too_old_is_refused() {
    // Only its greeting matters, so it need not be a server.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let info = b"$22\r\nredis_version:6.2.14\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, info)
                .await
                .ok();
        }
    });
    let refused = look_at(
        &REDIS,
        lent(&REDIS),
        &format!("redis://127.0.0.1:{port}"),
        true,
    )
    .await;
    let reason = format!("{:#}", refused.expect_err("refused"));
    assert!(
        reason.contains("redis 6.2.14 is too old: 7.0 or newer"),
        "{reason}"
    );
}

#[tokio::test]
async fn the_address_of_an_external_server_is_read_with_care() {
    let parse = lent(&REDIS).speech.parse;
    let url = parse("redis://ann:p%40ss@[::1]:7000/4").expect("well formed");
    assert_eq!((url.host.as_str(), url.port), ("::1", 7000));
    assert_eq!(url.database.as_deref(), Some("4"));
    assert_eq!(url.username.as_deref(), Some("ann"));
    assert_eq!(url.password.as_deref(), Some("p@ss"));
    let url = parse("redis://localhost").expect("well formed");
    assert_eq!((url.port, url.database, url.username), (6379, None, None));
    for (wrong, why) in [
        ("rediss://localhost", "TLS"),
        ("http://localhost", "no scheme of Redis"),
        ("redis://localhost/two", "'two' is no number"),
        ("redis:///0", "no host"),
        ("localhost:6379", "redis://"),
        ("", "redis://"),
        ("redis://localhost/0?tls=1", "nothing may follow"),
    ] {
        let reason = format!("{:#}", parse(wrong).expect_err(wrong));
        assert!(reason.contains(why), "{wrong}: {reason}");
    }
}
