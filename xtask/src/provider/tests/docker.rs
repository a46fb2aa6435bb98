//! Containers. The image is made by `ci/images/build`.

use super::*;
use crate::keeper::containers::{self, RUN_LABEL};
use crate::provider::docker;

async fn containers_of(run: &RunFolder) -> Vec<String> {
    let docker = docker::connect().await.expect("Docker answers");
    let label = format!("{}={}", RUN_LABEL, run.id());
    docker::list(&docker, &label, |_| true)
        .await
        .expect("asked")
}

async fn remove_containers(run: &RunFolder) -> usize {
    let before = containers_of(run).await.len();
    containers::remove_containers(run.id())
        .await
        .expect("removed");
    before - containers_of(run).await.len()
}

async fn docker(run: &RunFolder) -> Option<Provider> {
    if is_without("docker") {
        return None;
    }
    let said = Said::default();
    match resolve(&REDIS, Choice::Docker, run, &said).await {
        Ok(provider) => Some(provider),
        Err(unresolved) => {
            panic!("{unresolved}\n\nrun ci/images/build, or set LABS_WITHOUT=docker to go without")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_gives_servers_that_are_used_emptied_and_ended() {
    let (folder, run) = run_folder();
    let Some(provider) = docker(&run).await else {
        return;
    };
    assert!(folder.path().join("docker-used").exists());
    gives_servers_that_are_used_emptied_and_ended(provider, &folder).await;
    assert_eq!(remove_containers(&run).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_takes_a_configuration_that_cannot_move_it() {
    let (folder, run) = run_folder();
    let Some(provider) = docker(&run).await else {
        return;
    };
    takes_a_configuration_that_cannot_move_it(provider, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_gives_the_servers_own_words_for_a_refusal() {
    let (folder, run) = run_folder();
    let Some(provider) = docker(&run).await else {
        return;
    };
    gives_the_servers_own_words_for_a_refusal(provider, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_containers_of_a_run_are_found_by_its_name_alone() {
    let (_folder, run) = run_folder();
    let Some(provider) = docker(&run).await else {
        return;
    };
    let instance = provider
        .start(None, None, &Said::default())
        .await
        .expect("started");
    let (_other_folder, other) = run_folder();
    assert_eq!(remove_containers(&other).await, 0);
    use_it(&instance).await;
    assert_eq!(remove_containers(&run).await, 1);
    assert!(instance.empty().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_container_of_a_dead_keeper_is_a_leftover() {
    let (folder, _) = run_folder();
    if is_without("docker") {
        return;
    }
    let mut keeper = tokio::process::Command::new("sleep");
    let mut keeper = keeper.arg("60").kill_on_drop(true).spawn().expect("sleeps");
    let pid = keeper.id().expect("it runs");
    let run = owned_by(folder.path(), pid);
    let provider = docker(&run).await.expect("asked for");
    let mine = async || {
        let dead = docker::dead_containers().await.expect("asked");
        containers_of(&run).await.iter().any(|id| dead.contains(id))
    };
    assert!(!mine().await, "its keeper lives");
    keeper.kill().await.expect("killed");
    assert!(mine().await, "its keeper is dead");
    assert_eq!(remove_containers(&run).await, 1);
    drop(provider);
}
