//! The containers of a run go with it. `LABS_WITHOUT=docker` leaves these tests out, aloud.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::kept::{Kept, gone, keep, send, wait_for};

/// Packs a program that waits, with its libraries, into an image: no registry is needed.
const MAKE_IMAGE: &str =
    "tar -chP /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') 2>/dev/null | docker import - ";

struct Image(String);

impl Image {
    /// `None` where the machine is said to have no Docker; a missing one is a failure.
    fn make(name: &str) -> Option<Self> {
        if std::env::var("LABS_WITHOUT").is_ok_and(|without| without.contains("docker")) {
            #[allow(clippy::print_stderr)] // a skip must be heard
            {
                eprintln!("NOT PROVED: containers go with their run (LABS_WITHOUT=docker)");
            }
            return None;
        }
        let name = format!("backend-labs-test-{name}");
        let made = Command::new("sh")
            .args(["-c", &format!("{MAKE_IMAGE} {name}")])
            .output()
            .expect("sh runs");
        assert!(
            made.status.success(),
            "no Docker (LABS_WITHOUT=docker leaves this out): {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(Self(name))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "--force", &self.0]);
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn label(run_id: &str) -> String {
    format!("org.backend-labs.run={run_id}")
}

fn containers(run_id: &str) -> String {
    let filter = format!("label={}", label(run_id));
    docker(&["ps", "--all", "--quiet", "--filter", &filter])
}

/// A runner with one running container.
fn with_container(image: &Image) -> (Kept, String) {
    let kept = keep(&format!(
        "touch $LABS_RUN_DIR/docker-used
         docker run --detach --label {} {} sleep 600 > $LABS_RUN_DIR/container
         echo $$ > $NOTES/runner; sleep 600",
        label("$LABS_RUN_ID"),
        image.0
    ));
    kept.noted("runner");
    let folder = kept.folder();
    let run_id = folder.file_name().and_then(|name| name.to_str());
    let run_id = run_id.expect("a name").to_owned();
    assert_ne!(containers(&run_id), "", "the container runs");
    (kept, run_id)
}

fn all_gone(run_id: &str) {
    wait_for("the containers to go", || {
        containers(run_id).is_empty().then_some(())
    });
}

#[test]
fn a_killed_front_takes_the_containers_with_it_also_those_that_come_late() {
    let Some(image) = Image::make("front") else {
        return;
    };
    let (kept, run_id) = with_container(&image);
    let keeper = kept.keeper();
    send(kept.front(), Signal::SIGKILL);
    all_gone(&run_id);
    // Docker finishes what a killed runner had asked it for, one and then another.
    for _ in 0..2 {
        docker(&[
            "create",
            "--label",
            &label(&run_id),
            &image.0,
            "sleep",
            "600",
        ]);
        all_gone(&run_id);
    }
    gone(keeper);
    kept.end().leaves_no_folder();
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_keeper_leaves_no_container() {
    let Some(image) = Image::make("keeper") else {
        return;
    };
    let (kept, run_id) = with_container(&image);
    send(kept.keeper(), Signal::SIGKILL);
    let ended = kept.end();
    assert_eq!(ended.code(), 3);
    assert_eq!(containers(&run_id), "");
    ended.leaves_no_folder();
}

#[test]
fn an_interrupted_run_leaves_no_container() {
    let Some(image) = Image::make("interrupt") else {
        return;
    };
    let (kept, run_id) = with_container(&image);
    send(kept.front(), Signal::SIGINT);
    let ended = kept.end();
    assert_eq!(ended.code(), 130);
    assert_eq!(containers(&run_id), "");
    ended.leaves_no_folder();
}
