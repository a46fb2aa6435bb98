//! A lab's text: the part on one exercise, and what `verify` demands of it: every file and
//! link that the brief names exists, and the repository's exercise files are exactly the
//! starters.

use std::fs;

use anyhow::Context as _;

use crate::checkout::Checkout;
use crate::lab::Lab;
use crate::variant::starter_of;

/// Links and files that the brief names and that are not there.
pub(crate) fn faults(checkout: &Checkout, lab: &Lab) -> anyhow::Result<Vec<String>> {
    let path = lab.folder.join("README.md");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(vec!["there is no README.md".to_owned()]);
    };
    let mut faults = Vec::new();
    for link in links(&text) {
        let target = link.split('#').next().unwrap_or_default();
        let outside = link.contains("://") || link.starts_with("mailto:");
        if !outside && !target.is_empty() && !lab.folder.join(target).exists() {
            faults.push(format!("README.md links to `{link}`, which is not there"));
        }
    }
    for file in named_files(&text) {
        if !lab.folder.join(file).exists() && !checkout.root.join(file).exists() {
            faults.push(format!("README.md names `{file}`, which is not there"));
        }
    }
    Ok(faults)
}

/// Exercise files that differ from the starter of their reference.
pub(crate) fn starter_faults(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in lab
        .manifest
        .exercises
        .iter()
        .flat_map(|exercise| &exercise.files)
    {
        let own = lab.folder.join(file);
        let own = fs::read_to_string(&own).with_context(|| format!("reading {}", own.display()));
        if own.ok() != Some(starter_of(lab, file)?) {
            faults.push(format!(
                "{} is not the starter of its reference; `cargo xtask reset {} --yes` makes it so",
                file.display(),
                lab.name
            ));
        }
    }
    Ok(faults)
}

/// The part under the heading that ends with `title`, up to the next one of its level.
pub(crate) fn section<'a>(brief: &'a str, title: &str) -> Option<&'a str> {
    let level = |line: &str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        (hashes > 0 && line[hashes..].starts_with(' ')).then_some(hashes)
    };
    let mut begun: Option<(usize, usize)> = None;
    let (mut at, mut in_code) = (0, false);
    for line in brief.split_inclusive('\n') {
        in_code ^= line.starts_with("```");
        if let Some(own) = level(line).filter(|_| !in_code) {
            match begun {
                None if line.trim_end().ends_with(title) => begun = Some((at, own)),
                Some((from, of)) if own <= of => return Some(brief[from..at].trim_end()),
                _ => {}
            }
        }
        at += line.len();
    }
    begun.map(|(from, _)| brief[from..].trim_end())
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// Words in back quotes that can only be files: a path with an extension that we write.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    const KINDS: [&str; 6] = [".rs", ".toml", ".conf", ".md", ".sql", ".yml"];
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| !word.contains([' ', '*', '<', '{']) && word.contains('/'))
        .filter(|word| KINDS.iter().any(|kind| word.ends_with(kind)))
}

#[cfg(test)]
mod tests {
    use super::{links, named_files, section};

    #[test]
    fn a_section_ends_where_the_next_of_its_level_begins() {
        let brief = "# Lab\n## 1. Reads\na\n### Deeper\n```sh\n# 2. Writes\n```\n## 2. Writes\nb\n";
        let reads = "## 1. Reads\na\n### Deeper\n```sh\n# 2. Writes\n```";
        assert_eq!(section(brief, "Reads"), Some(reads));
        assert_eq!(section(brief, "Writes"), Some("## 2. Writes\nb"));
        assert_eq!(section(brief, "Nothing"), None);
    }

    #[test]
    fn links_and_files_are_found() {
        let text = "See [the API](#card), [x](../a.md) and `src/cache_aside.rs`, not `a b/c.rs`.";
        assert_eq!(links(text).collect::<Vec<_>>(), ["#card", "../a.md"]);
        assert_eq!(
            named_files(text).collect::<Vec<_>>(),
            ["src/cache_aside.rs"]
        );
    }
}
