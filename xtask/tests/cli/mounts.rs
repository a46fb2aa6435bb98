//! Disks as a mount namespace of its own makes them: full, or read-only also for root.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::support::{Lab, Run, XTASK, scratch, without};

/// Runs the runner after `script` has changed what is mounted, which nobody else sees.
fn remounted(script: &str, lab: &Lab, arguments: &[&str]) -> Run {
    let script = format!("set -e; {script}; {AS_BEFORE}");
    let mut wrapper = vec!["unshare", "--mount"];
    if !geteuid().is_root() {
        wrapper.push("--map-root-user");
    }
    wrapper.extend(["sh", "-c", &script, "sh"]);
    let mut all = vec!["check", lab.name.as_str(), "--seed", "7"];
    all.extend(arguments);
    let (user, group) = (geteuid(), nix::unistd::getegid());
    Run::through(&wrapper, &all)
        .env("TEST_USER", user.to_string())
        .env("TEST_GROUP", group.to_string())
        .env("TEST_TARGET", target())
}

/// Whoever could only mount as the root of a namespace is an ordinary user again inside.
const AS_BEFORE: &str = r#"
    if [ "$TEST_USER" != 0 ]; then
        set -- unshare --user --map-user="$TEST_USER" --map-group="$TEST_GROUP" "$@"
    fi
    code=0; "$@" || code=$?
    if [ -f .labs/before ]; then cmp .labs/before .labs/progress.json || exit 99; fi
    exit $code"#;

fn target() -> PathBuf {
    let target = Path::new(XTASK).ancestors().nth(2);
    target.expect("target/PROFILE/xtask").to_owned()
}

#[test]
fn case_16_the_disk_is_full_while_progress_is_written() {
    if without("mounts", "a full disk costs neither verdict nor progress") {
        return;
    }
    let lab = Lab::new("case-16");
    lab.solve();
    fs::create_dir_all(scratch().join(".labs")).expect("a folder");
    let full = r#"mount -t tmpfs -o size=32k labs .labs
        echo '{"format_version":1,"labs":{"of-old":{"hints":{"first":2}}}}' > .labs/before
        cp .labs/before .labs/progress.json
        cat /dev/zero > .labs/filler 2>/dev/null || true"#;
    let ended = remounted(full, &lab, &[]).end();
    assert_eq!(
        ended.code, 0,
        "the verdict stands, the old progress too: {ended:?}"
    );
    ended.says("2 of 2 checks passed");
    ended.says("progress was not saved: ");
    ended.says("No space left on device");
    ended.says("hint: `cargo xtask doctor` looks at disk and rights");
}

#[test]
fn a_disk_that_is_full_below_postgres() {
    if without("mounts", "a full disk below a service is told as such") {
        return;
    }
    let lab = Lab::new("full-below-postgres");
    lab.change("lab.toml", "services = []", "services = [\"postgres\"]");
    lab.solve();
    assert_eq!(lab.check(&[]).native().end().code, 0);
    // Too small for the server's own files, and for the databases of the checks.
    for room in ["8m", "68m"] {
        let full = format!("mount -t tmpfs -o size={room},mode=711 temporary \"$TMPDIR\"");
        let ended = remounted(&full, &lab, &[]).native().end();
        assert_eq!(ended.code, 2, "{room}, it is the machine's: {ended:?}");
        ended.says("No space left on device");
    }
    assert_eq!(lab.check(&[]).native().end().code, 0);
}

#[test]
fn case_17_a_read_only_checkout() {
    if without("mounts", "a read-only checkout gives its verdict") {
        return;
    }
    let lab = Lab::new("case-17");
    lab.solve();
    // Cargo.lock takes in a new lab with the first build.
    assert_eq!(lab.check(&[]).end().code, 0);
    let read_only = r#"mount --bind "$PWD" "$PWD"
        mount -o remount,bind,ro "$PWD"
        cd "$PWD""#;
    let ended = remounted(read_only, &lab, &[]).end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.says("2 of 2 checks passed");
    ended.says("progress was not saved: ");
    ended.says("Read-only file system");
}

#[test]
fn case_17_a_read_only_checkout_with_its_target_folder() {
    if without("mounts", "a read-only target folder is told as such") {
        return;
    }
    let lab = Lab::new("case-17-target");
    lab.solve();
    assert_eq!(lab.check(&[]).end().code, 0);
    let read_only = r#"mount --bind "$TEST_TARGET" "$TEST_TARGET"
        mount -o remount,bind,ro "$TEST_TARGET"
        cd "$PWD""#;
    let ended = remounted(read_only, &lab, &[]).end();
    assert_eq!(ended.code, 2, "it is the machine's: {ended:?}");
    ended.says("Read-only file system");
    ended.says("hint: ");
}
