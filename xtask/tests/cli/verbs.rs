//! The verbs beside `check`: what a learner is told by them.

use std::fs;
use std::process::Command;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::support::{Ended, Lab, Run, bare};

const WRONG: &str =
    "pub(crate) fn greeting(name: &str) -> String {\n    format!(\"bye, {name}\")\n}\n";

fn demo() -> TempDir {
    let root = bare();
    assert_eq!(run(&root, &["new-lab", "demo"]).code, 0);
    root
}

fn run(root: &TempDir, arguments: &[&str]) -> Ended {
    Run::new(arguments).in_folder(root.path()).end()
}

#[test]
fn the_solution_before_a_pass_says_what_it_would_show_and_how() {
    let root = demo();
    let solution = ["solution", "demo/greeting"];
    assert_snapshot!("solution_before_a_pass", run(&root, &solution).whole());
    let peeked = run(&root, &[&solution[..], &["--peek"]].concat());
    assert_eq!(peeked.code, 0, "{peeked:?}");
    assert!(
        peeked.out.starts_with("- yours, + the reference\n"),
        "{}",
        peeked.out
    );
    run(&root, &["list", "demo"]).says("solution seen");
}

#[test]
fn the_command_that_reset_names_takes_it_back() {
    let root = demo();
    let file = root.path().join("labs/demo/src/greeting.rs");
    fs::write(&file, WRONG).expect("written");
    let ended = run(&root, &["reset", "demo", "--yes"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let back = ended
        .out
        .lines()
        .find_map(|line| line.strip_prefix("back  "));
    let back = back.unwrap_or_else(|| panic!("no way back: {}", ended.out));
    assert_ne!(fs::read_to_string(&file).expect("there"), WRONG);
    let done = Command::new("sh")
        .args(["-c", back])
        .current_dir(root.path())
        .status();
    assert!(done.expect("sh runs").success(), "{back}");
    assert_eq!(fs::read_to_string(&file).expect("there"), WRONG);
}

#[test]
fn next_shows_the_brief_of_what_is_open_and_how_to_begin() {
    let root = demo();
    assert_snapshot!("next", run(&root, &["next"]).whole());
    assert_eq!(run(&root, &["next", "demo"]).out, run(&root, &["next"]).out);
    run(&root, &["next", "dem"]).says("demo");
}

#[test]
fn the_overview_points_at_a_beginning_where_there_is_one() {
    let root = demo();
    let beginning = "or cargo xtask start demo (a guess first, then one call)";
    assert!(!run(&root, &[]).whole().contains("start demo"));
    let manifest = root.path().join("labs/demo/lab.toml");
    let text = fs::read_to_string(&manifest).expect("there");
    let start = "[start]\nexercise = \"greeting\"\nunfinished = \"start.rs\"\nstory = \"a\"\n\
                 call = \"b\"\nmoral = \"c\"\n\n[[exercise]]";
    fs::write(manifest, text.replacen("[[exercise]]", start, 1)).expect("written");
    run(&root, &[]).says(beginning);
}

#[test]
fn the_list_of_exercises_says_what_its_stars_are() {
    assert_snapshot!("list_of_exercises", run(&demo(), &["list", "demo"]).whole());
}

#[test]
fn up_says_how_to_look_into_a_service_and_what_the_app_needs() {
    let lab = Lab::solved_with_redis();
    // Its stdin is at its end: it says all this and goes.
    let ended = Run::new(&["up", &lab.name]).native().end();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    let [first, look, app] = lines[..] else {
        panic!("{ended:?}");
    };
    let socket = first.split_once("unix:").expect("a socket").1;
    assert_eq!(look, format!("look  redis-cli -s {socket}"));
    assert_eq!(app, format!("app   REDIS_URL=redis+unix://{socket}"));
    ended.says("labs/of-redis/README.md");
}

#[test]
fn a_lab_without_a_benchmark_or_a_beginning_says_so() {
    let lab = Lab::new("without-a-bench");
    let ended = Run::new(&["bench", &lab.name]).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("the lab `without-a-bench` has no benchmark");
    let ended = Run::new(&["start", &lab.name]).end();
    assert_eq!(ended.code, 2, "{ended:?}");
    ended.says("the lab `without-a-bench` has no beginning of its own");
}
