//! `cargo xtask`: every lab with how far the learner is, and one next thing to do.

use std::io::Write as _;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;

use super::list;
use crate::checkout::Checkout;
use crate::report::style::Look;
use crate::report::{BEGINNING, say_notes};
use crate::{lab, progress};

/// Shows every lab and points at one exercise.
pub(crate) fn overview(checkout: &Checkout) -> anyhow::Result<ExitCode> {
    let look = Look::of(&std::io::stdout());
    let progress = progress::read(checkout, &say_notes());
    let mut text = String::new();
    let labs = lab::all(&checkout.root)?;
    for lab in &labs {
        let done = progress.labs.get(&lab.name).cloned().unwrap_or_default();
        text.push_str(&list::summary(lab, &done, &look));
    }
    match progress.open(&labs) {
        Some((lab, exercise)) => {
            text.push_str(&format!(
                "\nread  {}\nnext  {}\n",
                format!("labs/{}/README.md, \"{}\"", lab.name, exercise.title).style(look.strong),
                format!("cargo xtask check {}/{}", lab.name, exercise.id).style(look.command)
            ));
            if progress.beginning(lab) == Some(&exercise.id) {
                let start = format!("cargo xtask start {}", lab.name);
                text.push_str(&format!(
                    "or    {}  {}\n",
                    start.style(look.command),
                    BEGINNING.style(look.quiet)
                ));
            }
        }
        None => text.push_str("\nevery exercise passes\n"),
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
