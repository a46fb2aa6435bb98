//! The keeper's side of the run folder: made first, removed last, and found by a later
//! keeper when this one was killed.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use crate::provider::run::{OWNER_FILE, Owner};

const PREFIX: &str = "backend-labs-";

/// Left by the runner before its first container.
const DOCKER_MARK: &str = "docker-used";

/// A folder without an owner is one that is being made, or whose maker was killed.
const MAKING: Duration = Duration::from_secs(60);

/// A name that no folder has yet, for the one of a run that begins. The front draws it: then it
/// knows it also of a keeper that was killed before the folder had an owner.
pub(crate) fn draw_name() -> PathBuf {
    // Short: servers listen on sockets below it, and a socket's path may not be long.
    let name = format!("{PREFIX}{:06x}", rand::random::<u32>() >> 8);
    home().join(name)
}

/// Where a run's folder is made. In memory where there is plenty: a database is some 300 files,
/// and a disk's file system takes longer to make them than Postgres to be used.
pub(crate) fn home() -> PathBuf {
    match memory() {
        Some(memory) if is_roomy(&memory) => memory,
        _ => std::env::temp_dir(),
    }
}

/// Where folders of runs may be.
pub(crate) fn homes() -> Vec<PathBuf> {
    let mut homes = vec![std::env::temp_dir()];
    homes.extend(memory());
    homes
}

/// The system's file system in memory, unless the user has said where temporary files go.
fn memory() -> Option<PathBuf> {
    let said = std::env::var_os("TMPDIR").is_some_and(|place| !place.is_empty());
    (cfg!(target_os = "linux") && !said).then(|| PathBuf::from("/dev/shm"))
}

/// Whether a run and all its services fit in there, and may be started from there.
#[cfg(target_os = "linux")]
fn is_roomy(memory: &Path) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    use nix::sys::statvfs::{FsFlags, statvfs};

    /// Twice what the largest lab needs with eight checks at once.
    const ROOM: u64 = 4 << 30;

    let (Ok(about), Ok(flags)) = (statfs(memory), statvfs(memory)) else {
        return false;
    };
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the fields' types differ between systems"
    )]
    let free = (about.blocks_available() as u64).saturating_mul(about.block_size() as u64);
    about.filesystem_type() == TMPFS_MAGIC
        && !flags.flags().contains(FsFlags::ST_NOEXEC)
        && free >= ROOM
        && nix::unistd::access(memory, nix::unistd::AccessFlags::W_OK).is_ok()
}

/// Whether a run and all its services fit in there, and may be started from there.
#[cfg(not(target_os = "linux"))]
fn is_roomy(_memory: &Path) -> bool {
    false
}

/// The folder of a run that goes on. It lives as long as this value's lock is held.
pub(crate) struct KeptFolder {
    folder: Leftover,
    /// Locked, not only written: the kernel lets go of the lock with the keeper's death,
    /// and the answer holds also for who shares the folder but not our process numbers.
    _owner: File,
}

impl KeptFolder {
    /// Makes the folder that a run's front has named. Open to others for passing through only:
    /// services and apps run as other users.
    pub(crate) fn make(path: PathBuf) -> Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| {
            let temp = path.parent().unwrap_or(&path);
            format!("cannot make a folder in {}", temp.display())
        })?;
        let mut owner = File::create(path.join(OWNER_FILE))?;
        owner.try_lock().context("cannot lock the run folder")?;
        let us = Owner::of(std::process::id()).context("cannot tell when we started")?;
        write!(owner, "{us}")?;
        fs::set_permissions(&path, Permissions::from_mode(0o711))?;
        Ok(Self {
            folder: Leftover { path },
            _owner: owner,
        })
    }

    pub(crate) fn folder(&self) -> &Leftover {
        &self.folder
    }
}

/// The folder of a run that is over.
#[derive(Debug)]
pub(crate) struct Leftover {
    path: PathBuf,
}

impl Leftover {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name, as containers carry it.
    pub(crate) fn run_id(&self) -> &str {
        // Ours begins with the prefix and goes on in letters and digits; others are left out.
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// What still lives in it: servers and apps are started in a folder of their own below
    /// the run's. Linux; elsewhere nothing is found.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let folder = fs::read_link(entry.path().join("cwd")).ok()?;
                folder.starts_with(&self.path).then_some(pid)
            })
            .collect()
    }

    pub(crate) fn used_docker(&self) -> bool {
        self.path.join(DOCKER_MARK).exists()
    }

    /// Removes all but the marks by which a later keeper knows what is left to do.
    pub(crate) fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == OWNER_FILE || name == DOCKER_MARK {
                continue;
            }
            if entry.file_type()?.is_dir() {
                remove_tree(&entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.path)
    }
}

/// The folder `own` of a keeper that is known to be dead, and those in `homes` of others that
/// were killed.
pub(crate) fn leftovers_with(own: &Path, homes: &[PathBuf]) -> Vec<Leftover> {
    let mut folders = leftovers(homes);
    folders.retain(|folder| folder.path != own);
    if is_abandoned(own, Duration::ZERO) {
        let path = own.to_owned();
        folders.push(Leftover { path });
    }
    folders
}

/// The folders in `homes` of runs whose keepers were killed.
pub(crate) fn leftovers(homes: &[PathBuf]) -> Vec<Leftover> {
    homes
        .iter()
        .filter_map(|home| fs::read_dir(home).ok())
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PREFIX.as_bytes())
        })
        .map(|entry| entry.path())
        .filter(|path| is_abandoned(path, MAKING))
        .map(|path| Leftover { path })
        .collect()
}

/// Whether nobody keeps a folder; one without an owner may be in the making for so long.
fn is_abandoned(path: &Path, making: Duration) -> bool {
    // Not followed: a link is none of ours. Another user's folder is theirs to sweep.
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return false;
    };
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return false;
    }
    let owner = path.join(OWNER_FILE);
    let locked = File::open(&owner)
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    if locked {
        return false;
    }
    let owner = fs::read_to_string(owner).ok();
    match owner.and_then(|text| text.parse::<Owner>().ok()) {
        Some(owner) => !owner.is_alive(),
        None => metadata
            .modified()
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age >= making)),
    }
}

/// Removes a folder, also where somebody took the right to enter a part of it away.
fn remove_tree(path: &Path) -> io::Result<()> {
    let first = fs::remove_dir_all(path);
    match first {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(path);
            ignore_missing(fs::remove_dir_all(path))
        }
        other => ignore_missing(other),
    }
}

fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_an_owner_is_left_to_its_maker_unless_that_is_known_to_be_dead() {
        let temp = tempfile::tempdir().expect("a folder");
        let [own, other] = ["1", "2"].map(|n| temp.path().join(format!("{PREFIX}{n}")));
        for folder in [&own, &other] {
            fs::create_dir(folder).expect("a folder");
        }
        let homes = [temp.path().to_owned()];
        assert!(leftovers(&homes).is_empty());
        let left = leftovers_with(&own, &homes);
        let left: Vec<_> = left.iter().map(Leftover::path).collect();
        assert_eq!(left, [own.as_path()]);
    }

    #[test]
    fn a_folder_that_is_kept_is_nobodys_to_remove() {
        let temp = tempfile::tempdir().expect("a folder");
        let own = temp.path().join(format!("{PREFIX}1"));
        let kept = KeptFolder::make(own.clone()).expect("a folder");
        assert!(leftovers_with(&own, &[temp.path().to_owned()]).is_empty());
        drop(kept);
    }
}
