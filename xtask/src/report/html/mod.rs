//! The last attempt as one page: self-contained, readable offline and without scripts, in
//! light and dark, on a phone.

mod diagram;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{CheckReport, Status, words};
use crate::attempt::{Attempt, Attempts};
use crate::lab::Lab;

const STYLE: &str = include_str!("style.css");

/// The page of a lab.
pub(crate) fn page(lab: &Lab, attempts: &[Attempts]) -> String {
    let title = &lab.manifest.title;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · last attempt" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p { (lab.manifest.outcome) }
                }
                main {
                    (summary(lab, attempts))
                    @for attempts in attempts { (exercise(&lab.name, attempts)) }
                }
                footer {
                    p { "A line of a diagram stands where its message was sent or its answer came. "
                        "Where a text is cut, it is whole under the pointer." }
                }
            }
        }
    };
    page.into_string()
}

fn summary(lab: &Lab, attempts: &[Attempts]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "exercise" } th { "before" } th { "last" } th { "checks" } } }
                tbody {
                    @for exercise in &lab.manifest.exercises {
                        @let own = attempts.iter().find(|one| one.last.exercise.id == exercise.id);
                        tr {
                            th scope="row" {
                                @if own.is_some() { a href={ "#" (exercise.id) } { (exercise.title) } }
                                @else { (exercise.title) }
                            }
                            td { @if let Some(before) = own.and_then(|one| one.before.as_ref()) {
                                (badge(before.exercise.status))
                            } }
                            td { (badge(own.map_or(Status::NotStarted, |one| one.last.exercise.status))) }
                            td { @if let Some(own) = own { (passed(&own.last)) } }
                        }
                    }
                }
            }
        }
    }
}

fn exercise(lab: &str, attempts: &Attempts) -> Markup {
    let Attempts { last, before } = attempts;
    let exercise = &last.exercise;
    html! {
        section id=(exercise.id) {
            h2 { (exercise.title) " " (badge(exercise.status)) }
            p.facts {
                (passed(last)) " · " (last.at) " · seed " (last.seed)
                @for service in &last.services {
                    " · " (service.name) " " (service.version.as_deref().unwrap_or("not there"))
                    @if let Some(provider) = &service.provider { " by " (provider) }
                }
                @if let Some(commit) = &last.commit { " · commit " (commit.chars().take(10).collect::<String>()) }
            }
            p.facts {
                "Again: " code { "cargo xtask check " (lab) "/" (exercise.id) " --seed " (last.seed) }
            }
            @if let Some(guess) = &exercise.prediction {
                p.guess {
                    (guess.question) " You said " strong { (guess.guessed) } "; it was "
                    strong { (guess.measured) } "."
                }
            }
            @if let Some(words) = &exercise.compile_error { pre { (words) } }
            @for check in &exercise.checks {
                @let earlier = before.as_ref().and_then(|before| {
                    before.exercise.checks.iter().find(|earlier| earlier.name == check.name)
                });
                (self::check(check, earlier))
            }
        }
    }
}

/// A failure stands open; what passed is there for who wants to look.
fn check(check: &CheckReport, earlier: Option<&CheckReport>) -> Markup {
    let change = earlier.filter(|earlier| earlier.status != check.status);
    html! {
        details open[check.status != Status::Passed && check.finding.is_some()] {
            summary {
                (badge(check.status)) " " (words::sentence(&check.name))
                @if let Some(earlier) = change { span.was { "was: " (words::status(earlier.status)) } }
            }
            (seen(check))
            @if let Some(earlier) = change.filter(|earlier| !earlier.timeline.is_empty()) {
                h3 { "The attempt before" }
                (seen(earlier))
            }
        }
    }
}

fn seen(check: &CheckReport) -> Markup {
    html! {
        @if let Some(finding) = &check.finding {
            dl {
                @for (word, text) in [
                    ("did", &finding.did),
                    ("saw", &finding.saw),
                    ("expected", &finding.expected),
                    ("why", &finding.why),
                ] {
                    dt { (word) }
                    dd { (with_code(text)) }
                }
            }
        }
        @if let Some(reason) = &check.reason { p { (reason) } }
        @if let Some(todo) = &check.todo {
            p { "reached " code { "todo!()" } " in " (todo.file) ":" (todo.line) }
        }
        @if check.timeline.is_empty() { p.facts { "nothing was seen on the wire" } }
        @else { (diagram::sequence(&words::sentence(&check.name), &check.timeline)) }
        @for log in check.logs.iter().filter(|log| !log.stderr.trim().is_empty()) {
            p.facts { "stderr of " (log.name) }
            pre { (log.stderr) }
        }
    }
}

/// What stands between backticks is code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn passed(attempt: &Attempt) -> String {
    let checks = &attempt.exercise.checks;
    let passed = checks.iter().filter(|check| check.status == Status::Passed);
    format!(
        "{} of {}",
        passed.count(),
        words::count(checks.len(), "check")
    )
}

fn badge(status: Status) -> Markup {
    let kind = match status {
        Status::Passed => "good",
        Status::NotStarted => "quiet",
        _ => "bad",
    };
    html! { span.badge.(kind) { (words::sign(status)) " " (words::status(status)) } }
}

#[cfg(test)]
mod tests;
