//! What is tried, in which order, and what is said. Each case needs an environment of its
//! own, so it runs in a process of its own: this test binary, asked for one test.

use std::os::unix::fs::symlink;

use super::*;
use crate::provider::bundle::Bundle;

/// What [`in_this_environment`] is told and where it answers.
const ANSWER: &str = "LABS_TEST_ANSWER";
const CHOICE: &str = "LABS_TEST_CHOICE";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below"]
async fn in_this_environment() {
    let Some(answer) = std::env::var_os(ANSWER) else {
        return;
    };
    let choice = std::env::var(CHOICE).unwrap_or_default();
    let (_folder, run) = run_folder();
    let said = Said::default();
    let mut text = match choice.as_str() {
        "cache" => {
            let cache = open_folder("cache-", 0o755);
            let bundle = Bundle::below(cache.path(), &REDIS).expect("Debian");
            let error = bundle
                .obtain(&REDIS, true, &said)
                .await
                .expect_err("refused");
            format!("{error:#}\n")
        }
        choice => {
            let choice = <Choice as clap::ValueEnum>::from_str(choice, false).expect("one");
            match resolve(&REDIS, choice, &run, &said).await {
                Ok(provider) => {
                    let instance = provider
                        .start(None, None, &Said::default())
                        .await
                        .expect("started");
                    use_it(&instance).await;
                    instance.stop().await.expect("stopped");
                    let mut text = format!("by {}\n", provider.name());
                    for (_, line) in provider.passed_over() {
                        text.push_str(&format!("to be told once: {line}\n"));
                    }
                    provider.close().await.expect("closed");
                    text
                }
                Err(unresolved) => format!("{unresolved}\n"),
            }
        }
    };
    for line in said.lines() {
        text.push_str(&format!("said: {line}\n"));
    }
    fs::write(answer, text).expect("written");
}

async fn resolved(choice: &str, environment: &[(&str, &str)]) -> String {
    let folder = open_folder("answer-", 0o700);
    let answer = folder.path().join("answer");
    let mut test = tokio::process::Command::new(std::env::current_exe().expect("this binary"));
    test.args(["--ignored", "--exact"])
        .arg("provider::tests::resolution::in_this_environment")
        .env_remove("LABS_REDIS_URL")
        .env_remove("LABS_BUNDLE")
        .env(ANSWER, &answer)
        .env(CHOICE, choice)
        .envs(environment.iter().copied());
    let output = test.output().await.expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    fs::read_to_string(answer).expect("it answered")
}

/// Where nothing listens.
const NO_DOCKER: (&str, &str) = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");

/// A PATH that has apt but no server.
fn path_without_servers() -> (TempDir, String) {
    let folder = open_folder("path-", 0o755);
    for tool in ["apt-get", "dpkg"] {
        symlink(format!("/usr/bin/{tool}"), folder.path().join(tool)).expect("linked");
    }
    let path = folder.path().display().to_string();
    (folder, path)
}

#[tokio::test]
async fn case_13_with_docker_off_the_machines_own_server_is_taken_without_a_word() {
    let answer = resolved("auto", &[NO_DOCKER]).await;
    assert_eq!(answer, "by native\n");
}

#[tokio::test]
async fn case_13_docker_by_name_is_the_final_answer() {
    let answer = resolved("docker", &[NO_DOCKER]).await;
    assert!(
        answer.starts_with("no redis could be had\n  docker    no Docker here"),
        "{answer}"
    );
    assert!(answer.contains("\n\nhint: docker pull "), "{answer}");
}

#[tokio::test]
async fn case_14_docker_without_images_falls_through_with_one_line() {
    if is_without("docker") {
        return;
    }
    // Nothing listens there, so nothing can be pulled.
    let answer = resolved("auto", &[("LABS_IMAGE_PREFIX", "127.0.0.1:9/none/")]).await;
    let (first, said) = answer.split_once('\n').expect("two lines");
    assert_eq!(first, "by native");
    let expected = "to be told once: redis: not by docker: the image 127.0.0.1:9/none/redis:7 is not here \
                    and cannot be pulled (";
    assert!(said.starts_with(expected), "{answer}");
    assert_eq!(said.lines().count(), 1, "{answer}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn case_15_with_no_provider_it_says_what_was_tried_and_one_command() {
    let (_folder, path) = path_without_servers();
    let none = [NO_DOCKER, ("PATH", &path), ("LABS_BUNDLE", "never")];
    let answer = resolved("auto", &none).await;
    let sudo = if nix::unistd::geteuid().is_root() {
        ""
    } else {
        "sudo "
    };
    assert!(
        answer.starts_with(&format!(
            "no redis could be had\n  \
             docker    no Docker here: there is no /nonexistent/docker.sock\n  \
             native    no redis-server on this machine's PATH\n  \
             bundle    LABS_BUNDLE=never forbids Debian's redis-server, redis-tools\n\nhint: {sudo}apt-get install redis-server\n"
        )),
        "{answer}"
    );
    assert_eq!(
        answer.matches("said: redis: not by ").count(),
        3,
        "{answer}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_bundle_that_cannot_be_downloaded_says_why() {
    let nowhere = "http://127.0.0.1:9";
    let answer = resolved(
        "cache",
        &[("http_proxy", nowhere), ("https_proxy", nowhere)],
    )
    .await;
    let reason = answer.lines().next().expect("a reason");
    assert!(
        reason.starts_with("cannot download redis-server, redis-tools: "),
        "{answer}"
    );
    assert!(reason.contains("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn case_22_an_external_server_that_is_refused_falls_through_only_in_auto() {
    let server = OwnServer::start().await;
    tell(&server.target(0), &["SET", "theirs", "1"]).await;
    let url = format!("redis://127.0.0.1:{}", server.port);
    let environment = [NO_DOCKER, ("LABS_REDIS_URL", &url)];
    let answer = resolved("auto", &environment).await;
    assert!(
        answer.starts_with("by native\nsaid: redis: not by external: "),
        "{answer}"
    );
    assert!(
        answer.contains("is not empty: 1 key in database 0"),
        "{answer}"
    );
    let answer = resolved("external", &environment).await;
    assert!(
        answer.starts_with("no redis could be had\n  external  "),
        "{answer}"
    );
    assert_eq!(tell(&server.target(0), &["DBSIZE"]).await, "1");
}

#[tokio::test]
async fn an_external_server_comes_first_and_is_left_as_it_was() {
    let server = OwnServer::start().await;
    let url = format!("redis://127.0.0.1:{}", server.port);
    let answer = resolved("auto", &[("LABS_REDIS_URL", &url)]).await;
    assert_eq!(answer, "by external\n");
    assert_eq!(tell(&server.target(0), &["DBSIZE"]).await, "0");
}
