//! Keeps an app away from the files of the process that judges it.
//!
//! Another user id and closed descriptors do not stop an app that runs as the learner
//! from writing over the lab's own binaries. On Linux the kernel's Landlock does: the app
//! reads the system's folders and its own, writes its own folder only, and signals nobody
//! outside. Where the kernel has no Landlock (before 5.13, macOS) the app is not confined.

use std::io;
use std::path::Path;

use tokio::process::{Child, Command};

/// Spawns `command` so that it can write below `folder` only.
///
/// # Errors
/// When the process cannot be started.
#[cfg(target_os = "linux")]
pub(crate) fn spawn(mut command: Command, binary: &Path, folder: &Path) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    // Landlock binds a thread and what it starts: a thread of its own keeps the check free.
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let _inside = runtime.enter();
                restrict(binary, folder).map_err(io::Error::other)?;
                command.spawn()
            })
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")))
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn spawn(mut command: Command, _binary: &Path, _folder: &Path) -> io::Result<Child> {
    command.spawn()
}

#[cfg(target_os = "linux")]
fn restrict(binary: &Path, folder: &Path) -> Result<(), landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
        Scope, path_beneath_rules,
    };

    /// What a program may read to run at all; missing ones are passed over.
    const SYSTEM: [&str; 12] = [
        "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/nix", "/proc",
        "/sys", "/run",
    ];
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules([binary], AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(
            [Path::new("/dev"), folder],
            AccessFs::from_all(abi),
        ))?
        .restrict_self()?;
    Ok(())
}
