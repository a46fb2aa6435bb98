//! `cargo xtask reset LAB[/EXERCISE]`: back to the start, with a backup.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::checkout::Checkout;
use crate::cli;
use crate::fault::{Fault, Whose};
use crate::lab::{self, Exercise};
use crate::progress;
use crate::report::{Status, say_notes};
use crate::variant::starter_of;

/// Restores the starter of one exercise or of all of a lab.
pub(crate) fn reset(checkout: &Checkout, target: &str, yes: bool) -> anyhow::Result<ExitCode> {
    let (name, id) = cli::split(target);
    let lab = lab::find(&checkout.root, name)?;
    let exercises: Vec<&Exercise> = match id {
        Some(id) => vec![lab.exercise(id)?],
        None => lab.manifest.exercises.iter().collect(),
    };
    let mut changed: Vec<(&PathBuf, String)> = Vec::new();
    for file in exercises.iter().flat_map(|exercise| &exercise.files) {
        let starter = starter_of(&lab, file)?;
        if fs::read_to_string(lab.folder.join(file)).ok().as_ref() != Some(&starter) {
            changed.push((file, starter));
        }
    }
    let mut stdout = io::stdout().lock();
    if changed.is_empty() {
        let _ = writeln!(stdout, "{target} is at its start already");
        return Ok(ExitCode::SUCCESS);
    }
    for (file, _) in &changed {
        let _ = writeln!(stdout, "{}", lab.shown(file));
    }
    if !yes && !confirmed(&mut stdout)? {
        let _ = writeln!(stdout, "nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    let backup = backup_folder(checkout, &lab.name)?;
    for (file, starter) in &changed {
        let own = lab.folder.join(file);
        if own.exists() {
            let kept = backup.join(file);
            if let Some(parent) = kept.parent() {
                fs::create_dir_all(parent)
                    .with_context(|| format!("making {}", parent.display()))?;
            }
            fs::copy(&own, &kept).with_context(|| format!("keeping {}", own.display()))?;
        }
        // Written beside it and renamed: an editor never sees half a file.
        let fresh = own.with_extension("reset");
        fs::write(&fresh, starter).with_context(|| format!("writing {}", fresh.display()))?;
        fs::rename(&fresh, &own).with_context(|| format!("writing {}", own.display()))?;
    }
    progress::change(checkout, &say_notes(), |progress| {
        if let Some(lab) = progress.labs.get_mut(&lab.name) {
            for exercise in &exercises {
                lab.forget(&exercise.id, Some(Status::NotStarted));
            }
        }
    });
    let kept = lab::shown_below(&checkout.root, &backup);
    let _ = writeln!(
        stdout,
        "reset; your files are kept in {kept}\nback  cp -R {kept}/. labs/{}/",
        lab.name
    );
    Ok(ExitCode::SUCCESS)
}

fn confirmed(stdout: &mut impl io::Write) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(Fault::new(
            Whose::Usage,
            "nobody can be asked: stdin is no terminal",
            "--yes resets without asking"
        ));
    }
    let _ = write!(
        stdout,
        "put these back to their start? a backup is kept [y/N] "
    );
    let _ = stdout.flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A new folder below `.labs/backup`, numbered so that no backup replaces another.
fn backup_folder(checkout: &Checkout, lab: &str) -> anyhow::Result<PathBuf> {
    let all = checkout.state().join("backup");
    fs::create_dir_all(&all).with_context(|| format!("making {}", all.display()))?;
    for number in 1..100_000 {
        let folder = all.join(format!("{lab}-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context(format!("making {}", folder.display())),
        }
    }
    bail!("{} is full of backups", all.display())
}
