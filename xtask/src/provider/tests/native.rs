//! The machine's own binary.

use super::*;

async fn native(run: &RunFolder) -> Provider {
    let said = Said::default();
    let provider = resolve(&REDIS, Choice::Native, run, &said).await;
    let provider = provider.expect("redis-server is installed");
    assert_eq!(provider.name(), "native");
    assert!(said.lines().is_empty());
    provider
}

#[tokio::test]
async fn native_gives_servers_that_are_used_emptied_and_ended() {
    let (folder, run) = run_folder();
    gives_servers_that_are_used_emptied_and_ended(native(&run).await, &folder).await;
}

#[tokio::test]
async fn native_takes_a_configuration_that_cannot_move_it() {
    let (folder, run) = run_folder();
    takes_a_configuration_that_cannot_move_it(native(&run).await, &folder).await;
}

#[tokio::test]
async fn native_gives_the_servers_own_words_for_a_refusal() {
    let (folder, run) = run_folder();
    gives_the_servers_own_words_for_a_refusal(native(&run).await, &folder).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn native_never_runs_as_root() {
    let (_folder, run) = run_folder();
    let provider = native(&run).await;
    let instance = provider
        .start(None, None, &Said::default())
        .await
        .expect("started");
    let info = tell(instance.target(), &["INFO", "server"]).await;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"));
    let status = fs::read_to_string(format!("/proc/{}/status", line.expect("told").trim()));
    let status = status.expect("it runs");
    let uid = status.lines().find(|line| line.starts_with("Uid:"));
    assert!(!uid.expect("told").contains("\t0"), "{uid:?}");
    instance.stop().await.expect("stopped");
    provider.close().await.expect("closed");
}
