//! Whether a process has come to rest: whether none of its threads runs or waits for a core.
//!
//! On a busy machine one thread of an app may answer a hundred requests while another, which
//! has something to say, waits for its turn. That it answers is no sign of rest then; that
//! nobody in it wants to run is one.

use std::fs;

/// Whether all threads of a process sleep. Also where nobody can tell: it has ended, or the
/// system has no `/proc`.
pub(crate) fn is_at_rest(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        !is_busy(&stat)
    })
}

/// Whether the thread runs, wants to, or waits for a disk. proc(5): its state is the letter
/// behind its name, which stands in parentheses and may hold anything.
fn is_busy(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_some_and(|state| state.starts_with(['R', 'D']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_letter_behind_the_name() {
        assert!(is_busy("7 (app) R 1 7 7 0"));
        assert!(is_busy("7 (a) S (b) D 1 7 7 0"));
        assert!(!is_busy("7 (R) R) S 1 7 7 0"));
        assert!(!is_busy(""));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_spins_is_not_at_rest_and_who_waits_is() {
        use std::process::{Command, Stdio};

        let start = |script: &str| {
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", script]).stdin(Stdio::piped());
            shell.spawn().expect("a shell starts")
        };
        let mut spinning = start("while :; do :; done");
        let mut waiting = start("read line");
        let comes_to_rest = |process| {
            (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(2));
                is_at_rest(process)
            })
        };
        let (spins, waits) = (!comes_to_rest(spinning.id()), comes_to_rest(waiting.id()));
        for shell in [&mut spinning, &mut waiting] {
            shell.kill().expect("it is ours");
            shell.wait().expect("it ends");
        }
        assert!(spins && waits, "spins {spins}, waits {waits}");
    }
}
