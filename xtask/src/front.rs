//! What the user's own process does for a verb that starts things: it starts the keeper,
//! hands on signals and answers with the exit code. It also stands in for a keeper that
//! was killed.
//!
//! Knows nothing of checks, services or verdicts. Whoever calls it must not hold child
//! processes of its own: when the keeper is gone, every child is taken for the run's.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::getpgrp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::keeper::link::{End, Link, Stdin, ToFront, ToKeeper};
use crate::keeper::{self, EXIT_MACHINE, EXIT_OUR_FAULT};

/// How long a keeper may take to clean up after a signal: it bounds each of its own
/// steps, and the sum of the bounds lies below this.
const CLEANING: Duration = Duration::from_secs(25);

/// Runs `xtask runner ARGS` under a keeper. The runner reads nothing.
pub(crate) fn run(runner_args: &[String]) -> Result<ExitCode> {
    run_with(runner_args, Stdin::Empty, &Terminal(None))
}

/// The same, for a runner that draws on the terminal and reads its keys.
pub(crate) fn run_on_terminal(runner_args: &[String]) -> Result<ExitCode> {
    run_with(runner_args, Stdin::Empty, &Terminal::remember())
}

/// The same, and the runner's stdin (on which nothing comes) ends when ours does.
pub(crate) fn run_until_stdin_ends(runner_args: &[String]) -> Result<ExitCode> {
    run_with(runner_args, Stdin::UntilOurs, &Terminal(None))
}

fn run_with(runner_args: &[String], stdin: Stdin, terminal: &Terminal) -> Result<ExitCode> {
    keeper::runtime()?.block_on(watch_keeper(runner_args, stdin, terminal))
}

async fn watch_keeper(
    runner_args: &[String],
    stdin: Stdin,
    terminal: &Terminal,
) -> Result<ExitCode> {
    let since = SystemTime::now();
    let folder = keeper::folder::draw_name();
    let mut signals = Signals::catch()?;
    keeper::descendants::adopt_orphans()?;
    let mut keeper = start_keeper(runner_args)?;
    let group = getpgrp().as_raw();
    // A keeper that is already dead is noticed below, as an end of its messages.
    let start = ToKeeper::Start {
        group,
        stdin,
        folder: folder.clone(),
    };
    let _ = keeper.send(&start).await;
    let mut our_stdin = (stdin == Stdin::UntilOurs).then(end_of_stdin);
    let mut interrupted = None;

    loop {
        let patience = interrupted.map(|(_, until)| until);
        tokio::select! {
            message = keeper.next() => {
                terminal.give_back();
                return match message {
                    Some(ToFront::Ended { end, left }) => {
                        let code = tell(&end, &left);
                        see_off_keeper().await;
                        Ok(code)
                    }
                    None => stand_in(&folder, since, interrupted.map(|(number, _)| number)).await,
                };
            }
            number = signals.next() => {
                if interrupted.is_none() {
                    interrupted = Some((number, Instant::now() + CLEANING));
                    let _ = keeper.send(&ToKeeper::Signal(number)).await;
                }
            }
            () = ended(&mut our_stdin) => {
                let _ = keeper.send(&ToKeeper::StdinEnded).await;
            }
            () = until(patience) => {
                terminal.give_back();
                return stand_in(&folder, since, interrupted.map(|(number, _)| number)).await;
            }
        }
    }
}

/// How the terminal was before the runner took it; nothing where it takes none.
struct Terminal(Option<Termios>);

impl Terminal {
    fn remember() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// A runner that was killed has left it without an echo, and on its second screen.
    fn give_back(&self) {
        let Some(before) = &self.0 else { return };
        if tcgetattr(io::stdin()).is_ok_and(|now| now == *before) {
            return;
        }
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        // Wrapping and the cursor are back, and the first screen
        // (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html).
        let _ = io::stdout().write_all(b"\x1b[?7h\x1b[?25h\x1b[?1049l");
        let _ = io::stdout().flush();
    }
}

/// The keeper leads a process group of its own, so that neither Ctrl-Z nor a signal to the
/// whole foreground job reaches the one process that cleans up.
fn start_keeper(runner_args: &[String]) -> Result<Link> {
    let program = std::env::current_exe().context("cannot find our own program")?;
    let (ours, theirs) = UnixStream::pair()?;
    Command::new(program)
        .arg("keeper")
        .args(runner_args)
        .stdin(OwnedFd::from(theirs))
        .process_group(0)
        .spawn()
        .context("cannot start the keeper")?;
    Ok(Link::new(ours)?)
}

/// Lets the keeper end before us: process 1 of a container is often no init, and an orphan
/// that it inherits stays a zombie. A keeper that waits for late containers is left alone.
async fn see_off_keeper() {
    for _ in 0..20 {
        if keeper::descendants::reap().none_left {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Says how the run ended where the runner itself could not, and gives the exit code.
fn tell(end: &End, left: &[String]) -> ExitCode {
    for thing in left {
        say(&format!("could not clean up: {thing}"));
    }
    let all_clean = left.is_empty();
    match end {
        End::Exited(code) => ExitCode::from(*code),
        End::Interrupted(number) => {
            if all_clean {
                say("interrupted: nothing is left running");
            }
            signal_code(*number)
        }
        End::FrontGone => ExitCode::from(EXIT_OUR_FAULT),
        End::Died(how) => {
            say(&format!("our runner {how}; that is our lab's fault"));
            if all_clean {
                say("nothing is left running");
            }
            ExitCode::from(EXIT_OUR_FAULT)
        }
        End::Failed(why) => {
            say(&format!("error: the run could not be started: {why}"));
            ExitCode::from(EXIT_MACHINE)
        }
    }
}

/// Cleans up in place of a keeper that died or that does not come to an end.
async fn stand_in(folder: &Path, since: SystemTime, interrupted: Option<i32>) -> Result<ExitCode> {
    say("the keeper of this run is gone; cleaning up without it");
    let left = keeper::clean_up_without_keeper(folder, since).await;
    Ok(match interrupted {
        Some(number) => tell(&End::Interrupted(number), &left),
        None => tell(&End::Died("lost its keeper".to_owned()), &left),
    })
}

fn signal_code(number: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + number).unwrap_or(EXIT_OUR_FAULT))
}

/// The one place that writes for the front. Whoever was reading may be gone by now.
fn say(line: &str) {
    let mut stderr = io::stderr();
    // A killed runner leaves its progress line half way.
    let draws = stderr.is_terminal() && std::env::var_os("TERM").is_some_and(|it| it != "dumb");
    let clear = if draws { "\r\x1b[2K" } else { "" };
    let _ = writeln!(stderr, "{clear}{line}");
}

/// The signals by which a user ends a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// Resolves when our stdin ends. A thread reads it, for tokio's own reader would keep this
/// process from ending while a terminal is silent.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while matches!(io::stdin().read(&mut buffer), Ok(1..)) {}
        let _ = sender.send(());
    });
    receiver
}

/// Waits for the end of stdin once; never resolves again, or where nobody reads it.
async fn ended(our_stdin: &mut Option<oneshot::Receiver<()>>) {
    match our_stdin {
        Some(receiver) => {
            let _ = receiver.await;
            *our_stdin = None;
        }
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
