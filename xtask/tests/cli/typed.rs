//! What was typed, and what stands in `labs/`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::support::{Ended, Run, bare};

fn in_bare(root: &Path, arguments: &[&str]) -> Ended {
    Run::new(arguments).in_folder(root).end()
}

fn bare_with(name: &str) -> tempfile::TempDir {
    let root = bare();
    assert_eq!(in_bare(root.path(), &["new-lab", name]).code, 0);
    root
}

#[test]
fn case_01_an_unknown_lab_is_answered_with_the_nearest() {
    let root = bare_with("caching");
    assert_snapshot!(
        "unknown_lab",
        in_bare(root.path(), &["check", "cachign"]).whole()
    );
    assert_snapshot!(
        "unknown_lab_like_none",
        in_bare(root.path(), &["list", "zzz"]).whole()
    );
}

#[test]
fn case_01_an_unknown_exercise_is_answered_with_the_nearest() {
    let root = bare_with("caching");
    assert_snapshot!(
        "unknown_exercise",
        in_bare(root.path(), &["check", "caching/greting"]).whole()
    );
    // The brief numbers them.
    in_bare(root.path(), &["check", "caching/1"]).says("did you mean `caching/greeting`?");
    assert_snapshot!(
        "unknown_exercise_like_none",
        in_bare(root.path(), &["hint", "caching/x"]).whole()
    );
}

#[test]
fn case_01_an_unknown_flag_is_answered_with_the_nearest() {
    let root = bare_with("caching");
    assert_snapshot!(
        "unknown_flag",
        in_bare(root.path(), &["check", "caching", "--soluton"]).whole()
    );
    assert_snapshot!(
        "unknown_verb",
        in_bare(root.path(), &["chekc", "caching"]).whole()
    );
}

#[test]
fn case_01_a_submission_that_is_not_there() {
    let root = bare_with("demo");
    let ended = in_bare(root.path(), &["check", "demo", "--submission", "nowhere"]);
    assert_snapshot!("no_submission", ended.whole());
}

#[test]
fn outside_of_a_checkout_it_says_where_to_be() {
    let ended = in_bare(Path::new("/"), &["list"]);
    assert_snapshot!("no_checkout", ended.whole());
}

#[test]
fn case_02_a_malformed_manifest_is_shown_with_file_line_and_what_was_expected() {
    let root = bare_with("demo");
    let manifest = root.path().join("labs/demo/lab.toml");
    let good = fs::read_to_string(&manifest).expect("a manifest");
    let with = |text: &str| {
        fs::write(&manifest, text).expect("written");
        in_bare(root.path(), &["check", "demo"]).whole()
    };
    assert_snapshot!(
        "manifest_unknown_key",
        with(&good.replace("skill ", "skil "))
    );
    assert_snapshot!(
        "manifest_wrong_type",
        with(&good.replace("level    = 1", "level    = \"one\""))
    );
    assert_snapshot!("manifest_no_toml", with("format_version = \n"));
    assert_snapshot!(
        "manifest_too_new",
        with("format_version = 2\nwhat = \"is this\"\n")
    );
    assert_snapshot!("manifest_empty", with("\n"));
    assert_snapshot!(
        "manifest_outside",
        with(&good.replace("src/greeting.rs", "../../greeting.rs"))
    );
    let configured = "config = \"src/greeting.rs\"\npoints ";
    assert_snapshot!(
        "manifest_config_for_no_service",
        with(&good.replacen("points ", configured, 1))
    );
}

#[test]
fn case_03_a_folder_that_is_no_lab_is_passed_over() {
    let root = bare_with("demo");
    fs::create_dir_all(root.path().join("labs/notes/drafts")).expect("a folder");
    fs::write(root.path().join("labs/README.md"), "mine").expect("written");
    assert_snapshot!(
        "list_beside_a_stray_folder",
        in_bare(root.path(), &["list"]).whole()
    );
    assert_snapshot!(
        "stray_folder",
        in_bare(root.path(), &["check", "notes"]).whole()
    );
}
