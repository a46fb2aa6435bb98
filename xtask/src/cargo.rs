//! Calls cargo and reads what it says: executables, and which file an error is in.

use std::collections::{BTreeSet, VecDeque};
use std::io::BufReader;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::checkout::Checkout;
use crate::fault::{Fault, Whose};
use crate::provider::{Notes, RunFolder};

/// A compile error, in rustc's own words.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    /// As rustc would have printed it.
    pub(crate) rendered: String,
    /// Every file that it points at, relative to the workspace.
    pub(crate) files: BTreeSet<PathBuf>,
}

/// What a build gave.
#[derive(Debug)]
pub(crate) struct Output {
    /// Target name and file of everything that can be run.
    pub(crate) executables: Vec<(String, PathBuf)>,
    /// Errors; none after a success.
    pub(crate) errors: Vec<Diagnostic>,
    /// What stopped the build and points at no file: a linker's words, a full disk.
    elsewhere: Vec<String>,
}

impl Output {
    /// The executable of that target.
    pub(crate) fn executable(&self, target: &str) -> anyhow::Result<&Path> {
        self.executables
            .iter()
            .find(|(name, _)| name == target)
            .map(|(_, path)| path.as_path())
            .with_context(|| format!("cargo built no `{target}`"))
    }
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Diagnostic { message: RustcMessage },
    #[serde(rename = "compiler-artifact")]
    Artifact {
        target: Target,
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct RustcMessage {
    level: String,
    rendered: Option<String>,
    spans: Vec<Span>,
    children: Vec<RustcMessage>,
}

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    /// Where the macro was called that `file_name` defines: that place is the learner's.
    expansion: Option<Expansion>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Box<Span>,
}

/// Runs `cargo build` with `arguments` in the checkout. Compile errors are part of the
/// output; a build that fails for another reason is an error.
pub(crate) fn build(
    checkout: &Checkout,
    arguments: &[String],
    notes: &dyn Notes,
) -> anyhow::Result<Output> {
    let mut command = Command::new("cargo");
    if let Ok(run) = RunFolder::from_env() {
        // rustc and the linker that are killed leave their temporary files: they go with the run.
        command.env("TMPDIR", run.path());
    }
    let mut child = command
        .arg("build")
        .arg("--message-format=json")
        .arg("--target-dir")
        .arg(&checkout.target)
        .args(arguments)
        .current_dir(&checkout.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Not the terminal's job: Ctrl-C would have it fail aloud while the front ends all.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Fault::new(
                Whose::Machine,
                format!("cargo does not start: {error}"),
                "`cargo xtask doctor` looks at the toolchain",
            )
        })?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let stderr = child.stderr.take().context("cargo has no stderr")?;
    let (output, last_words) = std::thread::scope(|scope| {
        let telling = scope.spawn(|| tell(BufReader::new(stderr), notes));
        let output = read(BufReader::new(stdout));
        (output, telling.join().unwrap_or_default())
    });
    let output = output?;
    let status = child.wait().context("waiting for cargo")?;
    if !status.success() && output.errors.is_empty() {
        let words = [output.elsewhere.concat(), last_words].join("\n");
        bail!(Fault::new(
            Whose::Machine,
            format!("cargo could not build:\n{}", words.trim()),
            "`cargo xtask doctor` looks at the toolchain, the disk and the services"
        ));
    }
    Ok(output)
}

fn read(stdout: impl std::io::BufRead) -> anyhow::Result<Output> {
    let mut output = Output {
        executables: Vec::new(),
        errors: Vec::new(),
        elsewhere: Vec::new(),
    };
    for line in stdout.lines() {
        let line = line.context("reading from cargo")?;
        // A line that is not cargo's JSON comes from a build script: not ours to judge.
        let Ok(message) = serde_json::from_str(&line) else {
            continue;
        };
        match message {
            Message::Diagnostic { message } if message.level == "error" => {
                let mut files = BTreeSet::new();
                collect_files(&message, &mut files);
                let rendered = message.rendered.unwrap_or_default();
                match files.is_empty() {
                    false => output.errors.push(Diagnostic { rendered, files }),
                    // "aborting due to 2 previous errors" is among them, and adds nothing.
                    true => output.elsewhere.push(rendered),
                }
            }
            Message::Artifact {
                target,
                executable: Some(path),
            } => output.executables.push((target.name, path)),
            _ => {}
        }
    }
    Ok(output)
}

fn collect_files(message: &RustcMessage, files: &mut BTreeSet<PathBuf>) {
    for span in &message.spans {
        let mut span = Some(span);
        while let Some(here) = span {
            files.insert(here.file_name.clone());
            span = here.expansion.as_ref().map(|expansion| &*expansion.span);
        }
    }
    for child in &message.children {
        collect_files(child, files);
    }
}

/// Says what is being compiled; gives back the end of what cargo said.
fn tell(stderr: impl std::io::BufRead, notes: &dyn Notes) -> String {
    let mut last = VecDeque::new();
    let mut compiled = 0;
    for line in stderr.lines().map_while(Result::ok) {
        if let Some(rest) = line.trim_start().strip_prefix("Compiling ") {
            compiled += 1;
            let name = rest.split_whitespace().next().unwrap_or_default();
            // A learner knows the lab, not the folder that it is built in.
            let name = name.trim_end_matches("--staged");
            notes.progress(&format!("building: crate {compiled}, {name}"));
            // An edit compiles two or three crates; more is the wait that wants a word.
            if compiled == 8 {
                notes.note("cargo compiles the lab's libraries; that takes a minute or two, once");
            }
        } else if line.contains("Blocking waiting") && line.contains("package cache") {
            notes.progress("waiting for the package cache, which another cargo is using");
        } else if line.contains("Blocking waiting") {
            notes.progress("waiting for another cargo to finish");
        } else if line.trim_start().starts_with("Download") {
            notes.progress("cargo downloads crates");
        }
        last.push_back(line);
        if last.len() > 30 {
            last.pop_front();
        }
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;

    #[test]
    fn an_error_inside_a_macro_points_at_the_file_that_calls_it() {
        let line = r#"{"reason":"compiler-message","message":{"level":"error","rendered":"error: x",
            "children":[],"spans":[{"file_name":"/rustc/core/src/macros/mod.rs","expansion":
            {"span":{"file_name":"labs/caching/src/cache_aside.rs","expansion":null}}}]}}"#;
        let output = read(line.replace('\n', "").as_bytes()).unwrap();
        let file = Path::new("labs/caching/src/cache_aside.rs");
        assert!(output.errors[0].files.contains(file), "{output:?}");
    }

    #[test]
    fn what_points_at_no_file_is_kept_in_its_own_words() {
        let line = r#"{"reason":"compiler-message","message":{"level":"error",
            "rendered":"error: linking with `cc` failed","children":[],"spans":[]}}"#;
        let output = read(line.replace('\n', "").as_bytes()).unwrap();
        assert!(output.errors.is_empty(), "{output:?}");
        assert_eq!(output.elsewhere, ["error: linking with `cc` failed"]);
    }
}
