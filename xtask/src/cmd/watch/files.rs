//! Whether a learner has saved something.
//!
//! Asked again and again, not told: file events do not come through the mounts of WSL,
//! containers and network drives, and to look at a dozen files costs less than a tenth of a
//! millisecond.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use crate::lab::Lab;

/// Between two looks. A save is noticed after half of it on average, and believed after as
/// much again.
const PAUSE: Duration = Duration::from_millis(30);

/// How long a file may be gone: an editor that saves by renaming removes it first.
const GONE: Duration = Duration::from_secs(2);

/// What can be told of a file without reading it; none where it is not there.
type Seen = Option<(SystemTime, u64)>;

/// The files that decide a verdict, as they were when last looked at.
#[derive(Debug)]
pub(in crate::cmd) struct Files {
    roots: Vec<PathBuf>,
    seen: Vec<(PathBuf, Seen)>,
}

impl Files {
    /// What the learner edits, and the shell around it.
    pub(in crate::cmd) fn of(lab: &Lab) -> Self {
        let exercises = lab.manifest.exercises.iter();
        let mut roots: Vec<_> = exercises
            .flat_map(|exercise| &exercise.files)
            .map(|file| lab.folder.join(file))
            .collect();
        roots.push(lab.folder.join("src"));
        let seen = look(&roots);
        Self { roots, seen }
    }

    /// Comes back once something was saved and has stayed as it is for a moment.
    pub(in crate::cmd) async fn changed(&mut self) {
        while look(&self.roots) == self.seen {
            sleep(PAUSE).await;
        }
        let since = Instant::now();
        loop {
            let now = look(&self.roots);
            sleep(PAUSE).await;
            let missing = now.iter().any(|(_, seen)| seen.is_none());
            if now == look(&self.roots) && (!missing || since.elapsed() > GONE) {
                self.seen = now;
                return;
            }
        }
    }
}

fn look(roots: &[PathBuf]) -> Vec<(PathBuf, Seen)> {
    let mut seen = Vec::new();
    for root in roots {
        look_at(root, &mut seen);
    }
    seen.sort();
    seen
}

fn look_at(path: &Path, seen: &mut Vec<(PathBuf, Seen)>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries {
            look_at(&entry.path(), seen);
        }
        return;
    }
    // An editor's own files come and go beside what it edits.
    let name = path.file_name().and_then(|name| name.to_str());
    if name.is_none_or(|name| name.starts_with('.') || name.ends_with('~')) {
        return;
    }
    let metadata = fs::metadata(path).ok();
    let metadata = metadata.and_then(|data| Some((data.modified().ok()?, data.len())));
    seen.push((path.to_owned(), metadata));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn noticed(files: &mut Files) -> bool {
        let limit = Duration::from_millis(400);
        tokio::time::timeout(limit, files.changed()).await.is_ok()
    }

    fn watched(folder: &Path) -> Files {
        let roots = vec![folder.join("src"), folder.join("redis.conf")];
        let seen = look(&roots);
        Files { roots, seen }
    }

    #[tokio::test]
    async fn a_save_is_noticed_once_however_the_editor_does_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("src/deep/reads.rs");
        fs::create_dir_all(file.parent().expect("inside")).expect("made");
        fs::write(&file, "1").expect("written");
        fs::write(folder.path().join("redis.conf"), "").expect("written");
        let mut files = watched(folder.path());
        assert!(!noticed(&mut files).await, "nothing was saved");

        fs::write(&file, "12").expect("written");
        assert!(noticed(&mut files).await, "written in place");
        assert!(!noticed(&mut files).await, "it is known now");

        fs::write(file.with_extension("tmp"), "123").expect("written");
        fs::rename(file.with_extension("tmp"), &file).expect("renamed");
        assert!(noticed(&mut files).await, "renamed over it");

        fs::write(folder.path().join("src/.reads.rs.swp"), "").expect("written");
        fs::write(folder.path().join("src/reads.rs~"), "").expect("written");
        assert!(!noticed(&mut files).await, "the editor's own files");
    }

    #[tokio::test]
    async fn a_file_that_is_gone_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("src")).expect("made");
        let config = folder.path().join("redis.conf");
        fs::write(&config, "1").expect("written");
        let mut files = watched(folder.path());
        fs::remove_file(&config).expect("removed");
        assert!(!noticed(&mut files).await, "it may come back");
        fs::write(&config, "2 2").expect("written");
        assert!(noticed(&mut files).await, "it came back");
    }
}
