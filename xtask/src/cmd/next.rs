//! `cargo xtask next [LAB]`: the next exercise, as its brief puts it.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;

use crate::checkout::Checkout;
use crate::report::say_notes;
use crate::report::style::Look;
use crate::{brief, lab, progress};

/// Prints the brief of the first exercise that has not passed, and how to begin.
pub(crate) fn next(checkout: &Checkout, name: Option<&str>) -> anyhow::Result<ExitCode> {
    let look = Look::of(&std::io::stdout());
    let labs = match name {
        Some(name) => vec![lab::find(&checkout.root, name.trim_end_matches('/'))?],
        None => lab::all(&checkout.root)?,
    };
    let progress = progress::read(checkout, &say_notes());
    let text = match progress.open(&labs) {
        Some((lab, exercise)) => {
            let brief = fs::read_to_string(lab.folder.join("README.md")).unwrap_or_default();
            let section = brief::section(&brief, &exercise.title);
            let section = section.map_or_else(String::new, |section| {
                format!("{}\n\n", look.reflowed(section))
            });
            let files: Vec<_> = exercise.files.iter().map(|file| lab.shown(file)).collect();
            let target = format!("{}/{}", lab.name, exercise.id);
            let check = format!("cargo xtask check {target}");
            let watch = format!("cargo xtask watch {target}");
            format!(
                "{section}read  {}\nedit  {}\nnext  {}\nor    {}\n",
                format!("labs/{}/README.md, \"{}\"", lab.name, exercise.title).style(look.strong),
                files.join(", "),
                check.style(look.command),
                watch.style(look.command)
            )
        }
        None => "every exercise passes\n".to_owned(),
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
