//! How a stream may look: colour, width, whether it moves. Decided once per stream.

use std::env;
use std::io::IsTerminal;

use owo_colors::Style;
use terminal_size::{Width, terminal_size_of};

/// Narrower, and wrapping would break every word; wider, and lines are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=100;

/// The look of one stream. Styles are named by what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Columns to wrap at.
    pub(crate) width: usize,
    /// The most messages that a folded timeline shows, where there is room for so many only.
    pub(crate) messages: usize,
    /// Whether there are colours.
    pub(crate) colour: bool,
    /// Whether lines may be rewritten: a terminal that is not dumb.
    pub(crate) live: bool,
    /// Passed.
    pub(crate) good: Style,
    /// Failed.
    pub(crate) bad: Style,
    /// Of less weight.
    pub(crate) quiet: Style,
    /// A title.
    pub(crate) strong: Style,
    /// Something to type.
    pub(crate) command: Style,
}

impl Look {
    /// Looks at a stream and at what the environment asks for.
    pub(crate) fn of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Self {
        let terminal = stream.is_terminal();
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        // https://no-color.org: any value that is not empty.
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = terminal_size_of(stream).map_or(80, |(Width(columns), _)| columns.into());
        Self::new(terminal && !dumb && !no_colour, columns, terminal && !dumb)
    }

    /// A look with or without colour; no columns means that the width is not known.
    pub(crate) fn new(colour: bool, columns: usize, live: bool) -> Self {
        let style = |styled: Style| if colour { styled } else { Style::new() };
        let columns = if columns == 0 { 80 } else { columns };
        Self {
            width: columns.clamp(*WIDTHS.start(), *WIDTHS.end()),
            messages: usize::MAX,
            colour,
            live: live && columns > 0,
            good: style(Style::new().green()),
            bad: style(Style::new().red()),
            quiet: style(Style::new().dimmed()),
            strong: style(Style::new().bold()),
            command: style(Style::new().cyan()),
        }
    }

    /// The text with no line longer than a terminal is wide; elsewhere as it is.
    pub(crate) fn wrapped(&self, text: &str) -> String {
        if !self.live {
            return text.to_owned();
        }
        let lines = text.lines().map(|line| {
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            self.filled(line, &indent)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The same for a brief: its own line ends are not a terminal's.
    pub(crate) fn reflowed(&self, markdown: &str) -> String {
        if !self.live {
            return markdown.to_owned();
        }
        // Each with whether it stays as it is.
        let mut blocks: Vec<(String, bool)> = Vec::new();
        let (mut code, mut goes_on) = (false, false);
        for line in markdown.lines() {
            let fence = line.starts_with("```");
            let plain = !code && !fence && !line.starts_with(['|', '#']) && !line.is_empty();
            match blocks.last_mut() {
                Some((block, _)) if plain && goes_on && mark(line) == 0 => {
                    block.push(' ');
                    block.push_str(line.trim_start());
                }
                _ => blocks.push((line.to_owned(), !plain)),
            }
            code ^= fence;
            goes_on = plain;
        }
        let filled = blocks.iter().map(|(block, verbatim)| match verbatim {
            true => block.clone(),
            false => self.filled(block, &" ".repeat(mark(block))),
        });
        filled.collect::<Vec<_>>().join("\n")
    }

    fn filled(&self, line: &str, indent: &str) -> String {
        let options = textwrap::Options::new(self.width)
            .subsequent_indent(indent)
            // A path or a command is to be copied whole: only a space may end a line.
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        textwrap::fill(line, options)
    }
}

/// How wide the mark is that a line begins an item of a list with; 0 where it begins none.
fn mark(line: &str) -> usize {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = line.len() - rest.len();
    match rest {
        _ if line.starts_with("- ") => 2,
        rest if digits > 0 && rest.starts_with(". ") => digits + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_is_set_anew_for_a_narrow_terminal() {
        let brief = "### 1. Reads\n\nIt looks into Redis, and\nafter a miss it asks.\n\n\
                     - after a miss the product is\n  in Redis;\n- and it expires.\n\n```text\nfn ttl(base: \
                     Duration, rng: &mut StdRng) -> Duration\n```\n";
        let narrow = Look::new(false, 40, true).reflowed(brief);
        insta::assert_snapshot!(narrow, @r"
        ### 1. Reads

        It looks into Redis, and after a miss
        it asks.

        - after a miss the product is in Redis;
        - and it expires.

        ```text
        fn ttl(base: Duration, rng: &mut StdRng) -> Duration
        ```
        ");
        assert_eq!(Look::new(false, 40, false).reflowed(brief), brief);
    }

    #[test]
    fn a_command_is_never_broken() {
        let hint = "`cargo xtask watch caching/cache-aside` goes on with it, and so on\n  two in";
        let wrapped = Look::new(false, 40, true).wrapped(hint);
        insta::assert_snapshot!(wrapped, @r"
        `cargo xtask watch caching/cache-aside`
        goes on with it, and so on
          two in
        ");
    }
}
