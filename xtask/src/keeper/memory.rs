//! Removing System V shared memory that outlives its makers: a killed Postgres leaves its
//! segment. Linux; elsewhere the system does not say who made one.
//!
//! Files in `/dev/shm` carry no maker either: a service that uses them is told not to
//! (Postgres: `dynamic_shared_memory_type=mmap`, which keeps them in its own folder).

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A segment as `/proc/sysvipc/shm` lists it.
struct Segment {
    id: u64,
    maker: i32,
    attached: u64,
    /// Seconds since 1970.
    changed: u64,
}

/// Removes the segments that these processes made since then and that nobody uses.
pub(crate) fn remove_segments(made_by: &BTreeSet<i32>, since: SystemTime) {
    let Ok(table) = std::fs::read_to_string("/proc/sysvipc/shm") else {
        return;
    };
    // An older segment is that of another process, which had the same number.
    let since = since
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |age: Duration| age.as_secs());
    for segment in table.lines().skip(1).filter_map(parse) {
        if made_by.contains(&segment.maker) && segment.attached == 0 && segment.changed >= since {
            // Part of every Linux (util-linux); the call itself is open to unsafe code only.
            let _ = Command::new("ipcrm")
                .args(["-m", &segment.id.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime …`
fn parse(line: &str) -> Option<Segment> {
    let fields: Vec<_> = line.split_whitespace().collect();
    Some(Segment {
        id: fields.get(1)?.parse().ok()?,
        maker: fields.get(4)?.parse().ok()?,
        attached: fields.get(6)?.parse().ok()?,
        changed: fields.get(13)?.parse().ok()?,
    })
}
