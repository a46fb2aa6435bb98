//! The starter of an exercise, derived from its reference.
//!
//! A reference marks its answer with the convention of nbgrader and otter-grader: what
//! stands between `BEGIN SOLUTION` and `END SOLUTION` is left out; what stands between
//! `BEGIN PROMPT` and `END PROMPT` is a comment in the reference and text in the starter.

use anyhow::bail;

/// How a line comment begins in the kinds of file that exercises have.
const COMMENTS: [&str; 3] = ["//", "#", "--"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Neither,
    Solution,
    Prompt,
}

/// What a learner starts from.
///
/// # Errors
/// When the markers do not pair up; the line is named.
pub(crate) fn derive(solution: &str) -> anyhow::Result<String> {
    let mut starter = String::with_capacity(solution.len());
    let mut inside = Inside::Neither;
    for (number, line) in (1..).zip(solution.lines()) {
        let marker = COMMENTS
            .iter()
            .find_map(|comment| line.trim_start().strip_prefix(comment))
            .map(str::trim);
        let next = match (inside, marker) {
            (Inside::Neither, Some("BEGIN SOLUTION")) => Inside::Solution,
            (Inside::Neither, Some("BEGIN PROMPT")) => Inside::Prompt,
            (Inside::Solution, Some("END SOLUTION")) | (Inside::Prompt, Some("END PROMPT")) => {
                Inside::Neither
            }
            (_, Some("BEGIN SOLUTION" | "END SOLUTION" | "BEGIN PROMPT" | "END PROMPT")) => {
                bail!("line {number}: `{}` does not fit here", line.trim())
            }
            _ => {
                match inside {
                    Inside::Neither => starter.push_str(line),
                    Inside::Solution => continue,
                    Inside::Prompt => starter.push_str(&uncommented(line)),
                }
                starter.push('\n');
                continue;
            }
        };
        inside = next;
    }
    if inside != Inside::Neither {
        bail!("the last marker is never closed");
    }
    Ok(starter)
}

/// The line without its comment token, its indentation kept.
fn uncommented(line: &str) -> String {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let bare = COMMENTS
        .iter()
        .find_map(|comment| text.strip_prefix(comment))
        .map_or(text, |rest| rest.strip_prefix(' ').unwrap_or(rest));
    format!("{indent}{bare}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn the_answer_goes_and_the_prompt_comes() {
        let solution = "fn f() -> u32 {\n    // BEGIN PROMPT\n    // todo!(\"how many?\")\n    \
                        // END PROMPT\n    // BEGIN SOLUTION\n    42\n    // END SOLUTION\n}\n";
        assert_eq!(
            derive(solution).unwrap(),
            "fn f() -> u32 {\n    todo!(\"how many?\")\n}\n"
        );
    }

    #[test]
    fn a_configuration_file_works_the_same() {
        let solution = "maxmemory 4mb\n# BEGIN PROMPT\n# # which policy?\n# END PROMPT\n\
                        # BEGIN SOLUTION\nmaxmemory-policy allkeys-lfu\n# END SOLUTION\n";
        assert_eq!(
            derive(solution).unwrap(),
            "maxmemory 4mb\n# which policy?\n"
        );
    }

    #[test]
    fn markers_that_do_not_pair_are_named() {
        let open = derive("// BEGIN SOLUTION\nx\n").unwrap_err().to_string();
        assert!(open.contains("never closed"), "{open}");
        let stray = derive("x\n// END PROMPT\n").unwrap_err().to_string();
        assert!(stray.contains("line 2"), "{stray}");
    }
}
