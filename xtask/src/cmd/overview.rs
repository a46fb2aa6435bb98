//! `cargo xtask`: every lab with how far the learner is, and one next thing to do.

use std::io::Write as _;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;

use super::list;
use crate::checkout::Checkout;
use crate::report::style::Look;
use crate::report::{Status, say_notes};
use crate::{lab, progress};

/// Shows every lab and points at one exercise.
pub(crate) fn overview(checkout: &Checkout) -> anyhow::Result<ExitCode> {
    let look = Look::of(&std::io::stdout());
    let progress = progress::read(checkout, &say_notes());
    let mut text = String::new();
    let mut next = None;
    for lab in lab::all(&checkout.root)? {
        let done = progress.labs.get(&lab.name).cloned().unwrap_or_default();
        text.push_str(&list::summary(&lab, &done, &look));
        let open = lab
            .manifest
            .exercises
            .iter()
            .find(|exercise| done.exercise(&exercise.id) != Some(Status::Passed));
        if let (None, Some(exercise)) = (&next, open) {
            next = Some(format!(
                "\nread  {}\nnext  {}\n",
                format!("labs/{}/README.md, \"{}\"", lab.name, exercise.title).style(look.strong),
                format!("cargo xtask check {}/{}", lab.name, exercise.id).style(look.command)
            ));
        }
    }
    text.push_str(&next.unwrap_or_else(|| "\nevery exercise passes\n".to_owned()));
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
