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
            colour,
            live: live && columns > 0,
            good: style(Style::new().green()),
            bad: style(Style::new().red()),
            quiet: style(Style::new().dimmed()),
            strong: style(Style::new().bold()),
            command: style(Style::new().cyan()),
        }
    }
}
