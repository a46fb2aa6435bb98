//! `cargo xtask doctor [--sweep]`: what this machine has, and what a run would do with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::statvfs::statvfs;
use owo_colors::OwoColorize as _;
use tokio::process::Command;

use crate::checkout::Checkout;
use crate::keeper::folder;
use crate::provider::{self, Kind, NotFetched, Request, RunFolder, leftovers};
use crate::report::style::Look;
use crate::report::{say_notes, words};
use crate::services::{self, Service, Version};

/// A first build takes about this much; see the README.
const BUILD_MB: u64 = 2_000;

/// Binaries, logs and servers of one run.
const TEMP_MB: u64 = 300;

/// What was found on one subject.
struct Line {
    subject: String,
    state: State,
    text: String,
}

enum State {
    /// As it should be.
    Good,
    /// Worth knowing; nothing to do about it.
    Aside,
    /// A run would stumble over it.
    Bad,
}

impl Line {
    fn new(subject: &str, state: State, text: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            state,
            text: text.into(),
        }
    }
}

/// Looks at everything, says all of it, and removes leftovers if asked to.
pub(crate) async fn doctor(sweep: bool) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let run = RunFolder::from_env()?;
    let mut lines = vec![toolchain("rustc").await, toolchain("cargo").await];
    lines.push(docker().await);
    for service in services::ALL {
        lines.extend(providers(service, &run).await);
    }
    lines.push(disk("to build", &checkout.target, BUILD_MB));
    lines.push(disk("for runs", &folder::home(), TEMP_MB));
    lines.push(left_behind(sweep).await);
    let text = render(&lines, &Look::of(&std::io::stdout()));
    // Nobody is left to tell when stdout is gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let bad = lines.iter().any(|line| matches!(line.state, State::Bad));
    Ok(ExitCode::from(if bad { 2 } else { 0 }))
}

async fn toolchain(program: &str) -> Line {
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let said = Command::new(program).arg("--version").output().await;
    let said = match said {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => return Line::new(program, State::Bad, format!("does not start: {error}")),
    };
    let version = said.split(' ').nth(1).and_then(Version::parse);
    if version >= Version::parse(needed) {
        Line::new(program, State::Good, said)
    } else {
        let text = format!("{said}: {needed} or newer is needed; rustup update stable");
        Line::new(program, State::Bad, text)
    }
}

/// Docker is one of several ways, so its absence is no fault.
async fn docker() -> Line {
    match provider::engine().await {
        Ok(engine) => {
            let text = format!("engine {}, API {}", engine.version, engine.api);
            Line::new("docker", State::Good, text)
        }
        Err(error) => Line::new("docker", State::Aside, format!("{error:#}")),
    }
}

/// What each provider would say, and which one a run would take.
async fn providers(service: &'static Service, run: &RunFolder) -> Vec<Line> {
    let notes = say_notes();
    let request = Request {
        service,
        run,
        notes: &notes,
        forced: false,
        fetch: false,
    };
    let mut taken = None;
    let mut before = Vec::new();
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let (state, text) = match request.open(kind).await {
            Ok(provider) => {
                let text = format!("{} {}", service.name, provider.version());
                taken.get_or_insert_with(|| format!("{text} by {}", kind.name()));
                match provider.close().await {
                    Ok(()) => (State::Good, text),
                    Err(error) => (State::Bad, format!("{text}, but {error:#}")),
                }
            }
            Err(error) => {
                if taken.is_none() && error.is::<NotFetched>() {
                    before.push(kind.name());
                }
                (State::Aside, format!("{error:#}"))
            }
        };
        lines.push(Line::new(&format!("  {}", kind.name()), state, text));
    }
    lines.insert(0, conclusion(service, taken, &before));
    lines
}

/// What a run would use. It tries the downloads of those in `before` first.
fn conclusion(service: &'static Service, taken: Option<String>, before: &[&str]) -> Line {
    let (state, text) = match (taken, before) {
        (Some(taken), []) => (State::Good, taken),
        (Some(taken), before) => {
            let before = before.join(" and ");
            let text =
                format!("a run tries to download what {before} lacks; if it cannot, {taken}");
            (State::Good, text)
        }
        (None, []) => {
            let hint = provider::hint(service, provider::Choice::Auto);
            (State::Bad, format!("cannot be had; {hint}"))
        }
        (None, before) => {
            let text = format!("a run has to download what {} lacks", before.join(" or "));
            (State::Aside, text)
        }
    };
    Line::new(service.name, state, text)
}

fn disk(purpose: &str, folder: &Path, needed: u64) -> Line {
    // The folder may not have been made yet.
    let existing = folder.ancestors().find(|folder| folder.exists());
    let place = folder.display();
    let Ok(disk) = statvfs(existing.unwrap_or(folder)) else {
        return Line::new("disk", State::Bad, format!("cannot look at {place}"));
    };
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the fields' types differ between systems"
    )]
    let free = (disk.blocks_available() as u64).saturating_mul(disk.fragment_size() as u64);
    let free = free / 1_000_000;
    let text = format!("{free} MB free {purpose} ({place})");
    if free < needed {
        let text = format!("{text}: {needed} MB are needed");
        return Line::new("disk", State::Bad, text);
    }
    Line::new("disk", State::Good, text)
}

async fn left_behind(sweep: bool) -> Line {
    let found = leftovers::find().await;
    let what = [
        (found.containers.len(), "container"),
        (found.processes.len(), "process"),
        (found.folders.len(), "folder"),
    ];
    let what: Vec<_> = what
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, thing)| match (number, thing) {
            (2.., "process") => format!("{number} processes"),
            _ => words::count(number, thing),
        })
        .collect();
    let what = what.join(", ");
    if found.is_empty() {
        return Line::new("leftovers", State::Good, "none of runs that were killed");
    }
    if !sweep {
        let text = format!("{what}; cargo xtask doctor --sweep removes them");
        return Line::new("leftovers", State::Aside, text);
    }
    match leftovers::remove(&found).await {
        Ok(()) => Line::new("leftovers", State::Good, format!("removed {what}")),
        Err(error) => Line::new("leftovers", State::Bad, format!("{what}: {error:#}")),
    }
}

fn render(lines: &[Line], look: &Look) -> String {
    let mut text = String::new();
    for line in lines {
        let (sign, style) = match line.state {
            State::Good => ("✓", look.good),
            State::Aside => ("·", look.quiet),
            State::Bad => ("✗", look.bad),
        };
        let subject = format!("{:<11}", line.subject);
        // Continued lines start where the first one's text does.
        let said = line.text.replace('\n', "\n              ");
        let _ = writeln!(
            text,
            "{} {} {said}",
            sign.style(style),
            subject.style(look.strong)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_on_what_how_it_stands_and_what_was_seen() {
        let lines = [
            Line::new("redis", State::Good, "redis 7.0.15 by native"),
            Line::new("  docker", State::Aside, "no Docker here"),
            Line::new("disk", State::Bad, "1 MB free\n300 MB are needed"),
        ];
        let text = render(&lines, &Look::new(false, 80, false));
        insta::assert_snapshot!(text, @r"
        ✓ redis       redis 7.0.15 by native
        ·   docker    no Docker here
        ✗ disk        1 MB free
                      300 MB are needed
        ");
    }

    #[test]
    fn it_says_what_a_run_would_use_and_what_it_tries_first() {
        let said = |taken: Option<&str>, before: &[&str]| {
            conclusion(&services::redis::REDIS, taken.map(str::to_owned), before).text
        };
        let native = Some("redis 7.0.15 by native");
        assert_eq!(said(native, &[]), "redis 7.0.15 by native");
        assert_eq!(
            said(native, &["docker"]),
            "a run tries to download what docker lacks; if it cannot, redis 7.0.15 by native"
        );
        assert_eq!(
            said(None, &["docker", "bundle"]),
            "a run has to download what docker or bundle lacks"
        );
        assert!(said(None, &[]).starts_with("cannot be had; "));
    }

    #[test]
    fn a_disk_that_is_too_small_for_the_purpose_is_a_fault() {
        let temp = std::env::temp_dir().join("not/made/yet");
        assert!(matches!(disk("for runs", &temp, 0).state, State::Good));
        assert!(matches!(
            disk("for runs", &temp, u64::MAX).state,
            State::Bad
        ));
    }
}
