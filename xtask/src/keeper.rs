//! The process that outlives a run's other processes and leaves nothing of them behind.
//!
//! The front starts it, it starts the runner, and everything that a run starts lies below
//! it. It waits for the runner's end, for a signal's number from the front, or for the
//! front's death; then it kills all that is left, removes the run's containers and the run
//! folder, and answers the exit code. It prints nothing and takes no part in the run.
//!
//! Linux: in full, whoever is killed, one at a time; when front and keeper are killed at
//! once, the runner is killed by the kernel ([`enter_runner`]) and the next run's keeper
//! removes the folder and the containers. Elsewhere (macOS): what [`descendants`] says is
//! not found, and of a runner that was killed, its children stay.

pub(crate) mod containers;
pub(crate) mod descendants;
pub(crate) mod folder;
pub(crate) mod link;
pub(crate) mod memory;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use descendants::{kill_all, reap};
use folder::{KeptFolder, Leftover, homes, leftovers, leftovers_with};
use link::{End, Link, Stdin, ToFront, ToKeeper};

/// The exit code of a run that ended by our own lab's fault.
pub(crate) const EXIT_OUR_FAULT: u8 = 3;

/// The exit code of a run that the machine did not let start.
pub(crate) const EXIT_MACHINE: u8 = 2;

/// What Rust's runtime exits with after a panic.
const EXIT_PANICKED: i32 = 101;

/// When a runner is killed while Docker creates a container for it, the container appears
/// a little later all the same: so long after the end of a run it is looked for.
const LATE_CONTAINERS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(7),
];

/// Keeps `xtask runner ARGS`. Only the front starts this: its stdin is their link.
pub(crate) fn run(runner_args: &[String]) -> ExitCode {
    match runtime().and_then(|runtime| runtime.block_on(keep(runner_args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_OUR_FAULT),
    }
}

/// What a runner does before anything else: no process of the same user may look into it,
/// it does not outlive its keeper, and it leaves Ctrl-C to the front. A handler, not
/// "ignore": what is ignored stays so in every program it starts.
pub(crate) fn enter_runner() -> io::Result<()> {
    runtime()?.block_on(async { leave_signals_to_the_front() })?;
    close_to_others()?;
    // The signal comes with the end of the thread that started us: the keeper's only one.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    Ok(())
}

/// Kills and removes what a keeper that is gone has left: for the front, which adopts the
/// keeper's processes and has named its folder. Names what could not be removed.
pub(crate) async fn clean_up_without_keeper(folder: &Path, since: SystemTime) -> Vec<String> {
    let mut left = kill_everything(since);
    let folders = leftovers_with(folder, &homes());
    if folders.iter().any(Leftover::used_docker) {
        let _ = remove_late_containers(&folders.iter().collect::<Vec<_>>()).await;
    }
    left.extend(sweep(folders).await);
    left
}

/// Removes the folders, and the containers of their runs first: the folder is how we know
/// of them. Names what could not be removed.
///
/// A folder that somebody is in stays: it may be a person who looks for what went wrong.
/// `doctor` shows it, and sweeps it when told to.
async fn sweep(folders: Vec<Leftover>) -> Vec<String> {
    let mut left = Vec::new();
    for folder in folders {
        if !folder.processes().is_empty() {
            continue;
        }
        let containers = remove_containers(&folder).await;
        let removed = if containers.is_ok() {
            folder.remove()
        } else {
            folder.empty()
        };
        left.extend(containers.err());
        left.extend(could_not_remove(&folder, removed));
    }
    left
}

/// One thread: the kernel kills the runner when the thread that started it ends.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn keep(runner_args: &[String]) -> io::Result<()> {
    let mut front = Link::from_stdin()?;
    leave_signals_to_the_front()?;
    close_to_others()?;
    descendants::adopt_orphans()?;
    let Some(ToKeeper::Start {
        group,
        stdin,
        folder,
    }) = front.next().await
    else {
        return Ok(()); // the front died before there was anything to keep
    };
    let folder = match KeptFolder::make(folder) {
        Ok(folder) => folder,
        Err(error) => {
            let end = End::Failed(format!(
                "{error:#}\n\nhint: TMPDIR has to name a folder that is yours to write to, with room in it"
            ));
            return front.send(&ToFront::Ended { end, left: vec![] }).await;
        }
    };
    let since = SystemTime::now();
    let older = tokio::spawn(sweep(leftovers(&homes())));

    let end = run_to_its_end(&mut front, folder.folder(), group, stdin, runner_args)
        .await
        .unwrap_or_else(|error| End::Failed(format!("{error:#}")));
    clean_up(&mut front, folder.folder(), since, end).await;
    // Bounded, and nobody waits for it: a failure here is the next run's to mend.
    let _ = older.await;
    Ok(())
}

/// Starts the runner and waits for whatever comes first.
async fn run_to_its_end(
    front: &mut Link,
    folder: &Leftover,
    group: i32,
    stdin: Stdin,
    runner_args: &[String],
) -> Result<End> {
    // Before the runner is there, or its end could come unnoticed.
    let mut child_ended = signal(SignalKind::child())?;
    let (runner, mut runner_stdin) = start_runner(folder, group, stdin, runner_args)?;
    loop {
        tokio::select! {
            _ = child_ended.recv() => {
                // Adopted orphans end here too; their state is of no interest.
                if let Some(end) = reap().ended.iter().find_map(|status| end_of(runner, status)) {
                    return Ok(end);
                }
            }
            message = front.next() => match message {
                Some(ToKeeper::Signal(number)) => return Ok(End::Interrupted(number)),
                Some(ToKeeper::StdinEnded) => runner_stdin = None,
                Some(ToKeeper::Start { .. }) | None => return Ok(End::FrontGone),
            },
        }
        // Held open until the user's own stdin ends.
        let _ = &runner_stdin;
    }
}

/// The runner joins the front's process group: it is what the terminal takes for the job,
/// so Ctrl-Z stops it and it may read keys.
fn start_runner(
    folder: &Leftover,
    group: i32,
    stdin: Stdin,
    runner_args: &[String],
) -> Result<(Pid, Option<ChildStdin>)> {
    let program = std::env::current_exe().context("cannot find our own program")?;
    let mut runner = Command::new(program)
        .arg("runner")
        .args(runner_args)
        .env("LABS_RUN_DIR", folder.path())
        .env("LABS_RUN_ID", folder.run_id())
        .stdin(match stdin {
            Stdin::Empty => Stdio::null(),
            Stdin::UntilOurs => Stdio::piped(),
        })
        .process_group(group)
        .spawn()
        .context("cannot start the runner")?;
    let pid = i32::try_from(runner.id()).context("a process number beyond all bounds")?;
    Ok((Pid::from_raw(pid), runner.stdin.take()))
}

fn end_of(runner: Pid, status: &WaitStatus) -> Option<End> {
    match *status {
        WaitStatus::Exited(pid, EXIT_PANICKED) if pid == runner => {
            Some(End::Died("panicked".to_owned()))
        }
        WaitStatus::Exited(pid, code) if pid == runner => {
            Some(End::Exited(u8::try_from(code).unwrap_or(EXIT_OUR_FAULT)))
        }
        WaitStatus::Signaled(pid, signal, _) if pid == runner => {
            Some(End::Died(format!("was ended by {signal}")))
        }
        _ => None,
    }
}

/// Everything goes; the front hears the end as soon as all is gone that can be gone now.
async fn clean_up(front: &mut Link, folder: &Leftover, since: SystemTime, end: End) {
    let mut left = kill_everything(since);
    left.extend(remove_containers(folder).await.err());
    let late = folder.used_docker() && (!end.is_orderly() || !left.is_empty());
    let removed = if late {
        folder.empty()
    } else {
        folder.remove()
    };
    left.extend(could_not_remove(folder, removed));

    let_go_of_output();
    // The front may be dead; the rest is done all the same.
    let _ = front.send(&ToFront::Ended { end, left }).await;
    if late && remove_late_containers(&[folder]).await.is_ok() {
        let _ = folder.remove();
    }
}

fn kill_everything(since: SystemTime) -> Vec<String> {
    let killed = kill_all();
    memory::remove_segments(&killed.seen, since);
    let left = killed.left.iter();
    left.map(|pid| format!("process {pid} does not end"))
        .collect()
}

async fn remove_containers(folder: &Leftover) -> Result<(), String> {
    if !folder.used_docker() {
        return Ok(());
    }
    containers::remove_containers(folder.run_id())
        .await
        .map_err(|error| format!("containers of {}: {error:#}", folder.run_id()))
}

/// Removes what Docker finishes creating for a runner that is dead; says how the last look
/// ended.
async fn remove_late_containers(folders: &[&Leftover]) -> Result<(), String> {
    let began = Instant::now();
    let mut last = Ok(());
    for moment in LATE_CONTAINERS {
        sleep_until(began + moment).await;
        last = Ok(());
        for folder in folders {
            last = last.and(remove_containers(folder).await);
        }
    }
    last
}

fn could_not_remove(folder: &Leftover, removed: io::Result<()>) -> Option<String> {
    let error = removed.err()?;
    Some(format!("{}: {error}", folder.path().display()))
}

/// Whoever reads the run's output must see it end with the front, not with us.
fn let_go_of_output() {
    let Ok(null) = std::fs::File::options().write(true).open("/dev/null") else {
        return;
    };
    let _ = dup2_stdout(&null);
    let _ = dup2_stderr(&null);
}

/// The same user's processes may otherwise open our descriptors and memory under `/proc`.
fn close_to_others() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// Once caught, a signal stays caught, whether or not anybody asks for it.
fn leave_signals_to_the_front() -> io::Result<()> {
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        drop(signal(kind)?);
    }
    Ok(())
}
