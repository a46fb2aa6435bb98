//! Invariant 5: nothing is left behind, whoever dies and whenever.

mod kept;
mod slow_docker;
mod with_docker;

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use tempfile::TempDir;

use kept::{gone, keep, keep_in, run_folders, send, wait_for};

#[test]
fn the_exit_code_of_the_runner_passes_through() {
    for code in [0, 1, 2, 77] {
        let ended = keep(&format!("exit {code}")).end();
        assert_eq!(ended.code(), code);
        assert_eq!(ended.said, "");
        ended.leaves_no_folder();
    }
}

#[test]
fn the_runner_knows_its_folder_and_its_run() {
    let script = r#"
        [ "$(basename "$LABS_RUN_DIR")" = "$LABS_RUN_ID" ] || exit 10
        [ "$(stat -c %a "$LABS_RUN_DIR" || stat -f %Lp "$LABS_RUN_DIR")" = 711 ] || exit 11
        [ -s "$LABS_RUN_DIR/owner" ] || exit 12
        mkdir -p "$LABS_RUN_DIR/locked/inside" && chmod 0 "$LABS_RUN_DIR/locked"
        read line && exit 13
        exit 0"#;
    let ended = keep(script).end();
    assert_eq!(ended.code(), 0);
    ended.leaves_no_folder();
}

#[test]
#[cfg(target_os = "linux")]
fn a_daemon_that_left_its_parents_ends_with_the_run() {
    let kept = keep("(setsid sh -c 'sleep 600 & echo $! > $NOTES/daemon' &) ; sleep 0.2");
    let daemon = kept.noted("daemon");
    assert_eq!(kept.end().code(), 0);
    gone(daemon);
}

#[test]
fn fifty_processes_that_ignore_every_polite_signal_end_with_the_run() {
    let script = "trap '' INT TERM HUP
        for i in $(seq 50); do (trap '' INT TERM HUP; sleep 600) & echo $! > $NOTES/$i; done
        echo $$ > $NOTES/runner; wait";
    let kept = keep(script);
    let mut all = vec![kept.noted("runner")];
    all.extend((1..=50).map(|number| kept.noted(&number.to_string())));
    send(kept.front(), Signal::SIGTERM);
    let ended = kept.end();
    assert_eq!(ended.code(), 143);
    assert_eq!(ended.said, "interrupted: nothing is left running\n");
    all.into_iter().for_each(gone);
    ended.leaves_no_folder();
}

#[test]
fn ctrl_c_and_hangup_end_the_run_with_their_codes() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let kept = keep("echo $$ > $NOTES/runner; sleep 600");
        let runner = kept.noted("runner");
        send(kept.front(), signal);
        let ended = kept.end();
        assert_eq!(ended.code(), code);
        assert_eq!(ended.said, "interrupted: nothing is left running\n");
        gone(runner);
        ended.leaves_no_folder();
    }
}

#[test]
fn a_signal_to_keeper_alone_changes_nothing() {
    let kept = keep("echo $$ > $NOTES/runner; sleep 0.5; exit 5");
    kept.noted("runner");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        send(kept.keeper(), signal);
    }
    assert_eq!(kept.end().code(), 5);
}

#[test]
fn a_killed_front_takes_the_run_with_it() {
    let kept = keep("echo $$ > $NOTES/runner; sleep 600 & echo $! > $NOTES/child; wait");
    let (runner, child, keeper) = (kept.noted("runner"), kept.noted("child"), kept.keeper());
    send(kept.front(), Signal::SIGKILL);
    let ended = kept.end();
    [runner, child, keeper].into_iter().for_each(gone);
    ended.leaves_no_folder();
}

#[test]
#[cfg(target_os = "linux")]
fn a_job_killed_as_a_whole_leaves_nothing() {
    // `kill -9 %1`: front and runner at once; the keeper is outside that group.
    let kept = keep("echo $$ > $NOTES/runner; setsid sleep 600 & echo $! > $NOTES/child; wait");
    let (runner, child, keeper) = (kept.noted("runner"), kept.noted("child"), kept.keeper());
    killpg(kept.front(), Signal::SIGKILL).expect("it is there");
    let ended = kept.end();
    [runner, child, keeper].into_iter().for_each(gone);
    ended.leaves_no_folder();
}

#[test]
fn a_front_killed_while_it_starts_leaves_nothing() {
    // 0 to 12 ms: before, in and after the fork of the keeper and of the runner.
    for step in 0..60 {
        let kept = keep("sleep 600");
        std::thread::sleep(Duration::from_micros(200 * step));
        send(kept.front(), Signal::SIGKILL);
        // Ends when the last process that inherited the output has.
        kept.end().leaves_no_folder();
    }
}

#[test]
fn a_killed_runner_is_our_fault_and_leaves_nothing() {
    let kept = keep("echo $$ > $NOTES/runner; sleep 600 & echo $! > $NOTES/child; wait");
    let (runner, child) = (kept.noted("runner"), kept.noted("child"));
    send(runner, Signal::SIGKILL);
    let ended = kept.end();
    assert_eq!(ended.code(), 3);
    assert_eq!(
        ended.said,
        "our runner was ended by SIGKILL; that is our lab's fault\nnothing is left running\n"
    );
    [runner, child].into_iter().for_each(gone);
    ended.leaves_no_folder();
}

#[test]
fn a_runner_that_panics_is_our_fault() {
    let ended = keep("exit 101").end();
    assert_eq!(ended.code(), 3);
    assert!(
        ended.said.starts_with("our runner panicked"),
        "{}",
        ended.said
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_front_stands_in_for_a_killed_keeper() {
    let kept = keep("echo $$ > $NOTES/runner; sleep 600 & echo $! > $NOTES/child; wait");
    let (runner, child) = (kept.noted("runner"), kept.noted("child"));
    send(kept.keeper(), Signal::SIGKILL);
    let ended = kept.end();
    assert_eq!(ended.code(), 3);
    assert!(
        ended.said.contains("the keeper of this run is gone"),
        "{}",
        ended.said
    );
    [runner, child].into_iter().for_each(gone);
    ended.leaves_no_folder();
}

#[test]
#[cfg(target_os = "linux")]
fn shared_memory_that_a_killed_server_leaves_is_removed() {
    let script = r#"echo $$ > $NOTES/runner
        perl -e 'my $id = shmget(0, 4096, 0600 | 01000) // die;
            open my $note, ">", "$ENV{NOTES}/segment"; print $note $id; close $note; sleep 600'"#;
    let kept = keep(script);
    let segment = kept.noted("segment").to_string();
    let exists = || {
        let table = fs::read_to_string("/proc/sysvipc/shm").expect("a table");
        table
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(segment.as_str()))
    };
    assert!(exists());
    send(kept.front(), Signal::SIGKILL);
    wait_for("the segment to go", || (!exists()).then_some(()));
    kept.end().leaves_no_folder();
}

#[test]
fn the_next_run_sweeps_what_a_killed_front_and_keeper_left_and_nothing_else() {
    let kept = keep("echo $$ > $NOTES/runner; exec sleep 600");
    let (runner, keeper) = (kept.noted("runner"), kept.keeper());
    // Stopped, neither can clean up before both are dead.
    for pid in [kept.front(), keeper] {
        send(pid, Signal::SIGSTOP);
    }
    for pid in [kept.front(), keeper, runner] {
        send(pid, Signal::SIGKILL);
    }
    let place = kept.end().place;
    assert_eq!(run_folders(&place).len(), 1);

    let living = keep_in(&place, &[], "echo $$ > $NOTES/living; sleep 600");
    living.noted("living");
    fs::create_dir(place.path().join("backend-labs-in-the-making")).expect("a folder");
    assert_eq!(keep_in(&place, &[], "exit 0").end().code(), 0);
    wait_for("the sweep", || {
        let left = run_folders(&place);
        (left.len() == 2 && left.contains(&living.folder())).then_some(())
    });
    send(living.front(), Signal::SIGTERM);
    assert_eq!(living.end().code(), 143);
}

#[test]
fn the_output_ends_with_the_front() {
    let mut kept = keep("echo said");
    let mut said = String::new();
    let mut stdout = kept.front.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut said).expect("text");
    assert_eq!(said, "said\n");
}

#[test]
fn a_runner_that_asks_for_it_sees_our_stdin_end() {
    let place = Arc::new(TempDir::new().expect("a temp folder"));
    let script = "echo $$ > $NOTES/runner; cat; exit 9";
    let mut kept = keep_in(&place, &["--until-stdin-ends"], script);
    kept.noted("runner");
    std::thread::sleep(Duration::from_millis(50));
    assert!(
        kept.front.try_wait().expect("a state").is_none(),
        "it waits"
    );
    drop(kept.front.stdin.take());
    assert_eq!(kept.end().code(), 9);
}
