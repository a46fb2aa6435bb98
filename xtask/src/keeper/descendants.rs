//! Finding and ending every process below this one.
//!
//! Linux: a subreaper inherits whatever its descendants leave behind, daemons included, so
//! the tree below it is complete and "no child is left" means that nothing is. Elsewhere
//! (macOS) an orphan goes to process 1 and out of sight: what is still connected to us by
//! its parents is found and killed, a daemon that left its parents is not.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long the killed may take to die. It is the kernel that ends them: only a process
/// stuck in a system call (a dead network file system) takes more than milliseconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Makes orphaned descendants ours instead of process 1's.
#[cfg(target_os = "linux")]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Makes orphaned descendants ours instead of process 1's: this system cannot.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// What became of the children that ended since the last call, ours and adopted ones.
pub(crate) fn reap() -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return reaped,
            Ok(status) => reaped.ended.push(status),
            Err(Errno::EINTR) => {}
            // ECHILD: there is none.
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Reaped {
    pub(crate) ended: Vec<WaitStatus>,
    pub(crate) none_left: bool,
}

/// All that was killed, and what is still there.
#[derive(Debug, Default)]
pub(crate) struct Killed {
    pub(crate) seen: BTreeSet<i32>,
    pub(crate) left: Vec<i32>,
}

/// Kills everything below this process, again and again until nothing is left: between a
/// look and a kill, a process may have forked.
pub(crate) fn kill_all() -> Killed {
    let us = Pid::this().as_raw();
    let started = Instant::now();
    let mut killed = Killed::default();
    loop {
        let tree = below(us, &parents());
        for &pid in &tree {
            // A pid out of our own tree cannot be taken by a stranger in between: it stays
            // taken until its parent reaps it, and the parents are killed as well.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        killed.seen.extend(&tree);
        if reap().none_left {
            return killed;
        }
        if started.elapsed() > PATIENCE {
            killed.left = below(us, &parents());
            return killed;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a child of ours with everything below it. The child is stopped first, so that it
/// starts nothing between the look and the kill.
pub(crate) fn kill_tree(child: i32) {
    let signal = |pid, signal| {
        // One that has ended by itself is what we want.
        let _ = kill(Pid::from_raw(pid), signal);
    };
    signal(child, Signal::SIGSTOP);
    for pid in below(child, &parents()) {
        signal(pid, Signal::SIGKILL);
    }
    signal(child, Signal::SIGKILL);
}

/// Everything below a process, parents before their children.
fn below(root: i32, parents: &[(i32, i32)]) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for &(pid, parent) in parents {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Every process of the system with its parent.
#[cfg(target_os = "linux")]
fn parents() -> Vec<(i32, i32)> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // `PID (NAME) STATE PARENT …`, and the name may hold anything.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

/// Every process of the system with its parent.
#[cfg(not(target_os = "linux"))]
fn parents() -> Vec<(i32, i32)> {
    let Ok(ps) = std::process::Command::new("ps")
        .args(["-axo", "pid=,ppid="])
        .output()
    else {
        return Vec::new();
    };
    String::from_utf8_lossy(&ps.stdout)
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::{below, kill_tree};

    #[test]
    fn a_child_is_killed_with_what_it_started() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut output = child.stdout.take().expect("a pipe");
        let mut started = [0; 8];
        output.read_exact(&mut started).expect("it has begun");
        kill_tree(i32::try_from(child.id()).expect("a pid"));
        child.wait().expect("it has ended");
        // The pipe is at its end once nobody holds it any more, the grandchild included.
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("its end");
        assert_eq!((&started, rest.len()), (b"started\n", 0));
    }

    #[test]
    fn the_tree_holds_grandchildren_and_no_strangers() {
        let parents = [
            (2, 1),
            (10, 2),
            (11, 10),
            (12, 11),
            (13, 10),
            (20, 1),
            (21, 20),
        ];
        assert_eq!(below(2, &parents), [10, 11, 13, 12]);
    }

    #[test]
    fn a_tree_that_bites_its_tail_ends() {
        assert_eq!(below(2, &[(3, 2), (4, 3), (3, 4)]).len(), 3);
    }
}
