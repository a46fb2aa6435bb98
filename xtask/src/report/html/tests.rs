//! The page reads without scripts, and says nothing that was not said.

use std::path::PathBuf;

use labkit::finding::Finding;
use labkit::timeline::Event;

use super::*;
use crate::lab::Manifest;
use crate::report::ExerciseReport;

const MANIFEST: &str = r#"
format_version = 1
title = "Shop"
skill = "s"
outcome = "o"
level = 1
services = []

[[exercise]]
id = "reads"
title = "Reads"
level = 1
files = ["src/reads.rs"]
points = 10
hints = ["a", "b", "c"]
"#;

fn lab() -> Lab {
    let manifest: Manifest = toml::from_str(MANIFEST).expect("a manifest");
    Lab {
        name: "shop".to_owned(),
        folder: PathBuf::new(),
        manifest,
    }
}

fn event(at_ms: f64, from: &str, to: &str, what: &str, reply: Option<(&str, f64)>) -> Event {
    Event {
        at_ms,
        from: from.to_owned(),
        to: to.to_owned(),
        what: what.to_owned(),
        reply: reply.map(|(text, _)| text.to_owned()),
        replied_at_ms: reply.map(|(_, at)| at),
        note: None,
    }
}

fn attempt(status: Status, finding: Option<Finding>, timeline: Vec<Event>) -> Attempt {
    let mut check = CheckReport::unrun("a_second_read_is_a_hit", status);
    check.finding = finding;
    check.timeline = timeline;
    Attempt {
        at: "2026-11-23T20:00:00Z".to_owned(),
        seed: 7,
        lab_hash: String::new(),
        commit: None,
        services: Vec::new(),
        exercise: ExerciseReport {
            id: "reads".to_owned(),
            title: "Reads".to_owned(),
            status,
            points: 10,
            compile_error: None,
            files: Vec::new(),
            prediction: None,
            checks: vec![check],
        },
    }
}

#[test]
fn a_page_shows_the_finding_and_both_attempts_and_runs_nothing() {
    let finding = Finding {
        did: "GET `/reads/1`".to_owned(),
        saw: "<script>alert(1)</script>".to_owned(),
        expected: "1".to_owned(),
        why: "because".to_owned(),
    };
    let wire = vec![event(
        1.0,
        "check",
        "app",
        "GET /reads/1",
        Some(("200", 2.0)),
    )];
    let attempts = Attempts {
        last: attempt(Status::Failed, Some(finding), wire.clone()),
        before: Some(attempt(Status::Passed, None, wire)),
    };
    let page = page(&lab(), &[attempts]);
    for words in [
        "a second read is a hit",
        "GET <code>/reads/1</code>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "was: passed",
        "The attempt before",
        "cargo xtask check shop/reads --seed 7",
        "<details open>",
    ] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    for never in ["<script", "http://", "https://", "onload"] {
        assert!(!page.contains(never), "{never} is in {page}");
    }
}

#[test]
fn an_exercise_without_an_attempt_is_not_started() {
    let page = page(&lab(), &[]);
    assert!(page.contains("not started"), "{page}");
}

#[test]
fn answers_stand_where_they_came_and_services_on_the_right() {
    let timeline = [
        event(0.0, "storefront", "redis", "GET 1", Some(("nil", 0.5))),
        event(1.0, "check", "app", "GET /1", Some(("200", 9.0))),
        event(2.0, "app", "catalogue", "GET /c", Some(("201", 3.0))),
        event(4.0, "app", "redis", "SET 1", None),
    ];
    let svg = diagram::sequence("it", &timeline).into_string();
    let order = |words: &[&str]| {
        let places: Vec<_> = words.iter().map(|word| svg.find(word)).collect();
        assert!(places.iter().all(Option::is_some), "{words:?} in {svg}");
        assert!(places.is_sorted(), "{words:?} in {svg}");
    };
    order(&[">check<", ">storefront<", ">app<", ">catalogue<", ">redis<"]);
    order(&[
        "GET 1", "nil", "GET /1", "GET /c", ">201<", "SET 1", ">200<",
    ]);
}

#[test]
fn a_long_timeline_is_cut_and_says_so() {
    let one = |n: u32| event(f64::from(n), "check", "app", "GET /", None);
    let svg = diagram::sequence("it", &(0..500).map(one).collect::<Vec<_>>()).into_string();
    assert!(svg.contains("… and 340 more"), "{svg}");
}
