//! What killed runs leave is told from what living ones use.

use super::*;
use crate::provider::leftovers::{Leftovers, find_in, remove};

#[tokio::test]
async fn only_the_folders_of_dead_runs_are_leftovers_with_the_processes_in_them() {
    let temp = open_folder("temp-", 0o755);
    let folder = |name: &str| {
        let path = temp.path().join(name);
        fs::create_dir(&path).expect("made");
        path
    };
    let (alive, dead) = (folder("backend-labs-alive"), folder("backend-labs-dead"));
    folder("backend-labs-new");
    folder("somebody-elses");
    // As in a container whose process numbers are not ours.
    let locked = folder("backend-labs-locked");
    fs::write(locked.join("owner"), "4194304:1").expect("named");
    let lock = fs::File::open(locked.join("owner")).expect("there");
    lock.try_lock().expect("free");
    owned_by(&alive, std::process::id());
    // The number is in use, but by a process that started at another time.
    fs::write(dead.join("owner"), format!("{}:1", std::process::id())).expect("named");
    let mut process = tokio::process::Command::new("sleep");
    process.arg("60").current_dir(&dead).kill_on_drop(true);
    let mut process = process.spawn().expect("sleeps");

    let found = find_in(&[temp.path().to_owned()]).await;
    let folders: Vec<_> = found.folders.iter().map(|left| left.path()).collect();
    assert_eq!(folders, [dead]);
    if cfg!(target_os = "linux") {
        let pid = process.id().expect("runs").cast_signed();
        assert_eq!(found.processes, [pid]);
    }
    // Containers are another test's; none of theirs may go here.
    let ours = Leftovers {
        containers: Vec::new(),
        ..found
    };
    remove(&ours).await.expect("removed");
    if cfg!(target_os = "linux") {
        assert!(!process.wait().await.expect("waited").success());
    }
    let left = names_in(temp.path());
    assert_eq!(
        left,
        [
            "backend-labs-alive",
            "backend-labs-locked",
            "backend-labs-new",
            "somebody-elses"
        ]
    );
}
