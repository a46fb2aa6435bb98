//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::provider::Choice;

/// Hands-on backend labs: your service, real servers, and what the lab saw.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Cli {
    /// Without a command: every lab, how far you are, and one next thing to do.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// One verb, one file in `cmd/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Begin here: a guess, a measurement, one call, and the measurement again
    Start {
        /// A lab; without one, the first that has a beginning
        lab: Option<String>,
        /// Where services come from
        #[arg(long, value_enum, default_value_t)]
        services: Choice,
    },
    /// Run the checks of a lab, or of one exercise, against your code
    Check(Check),
    /// Check after every save, and keep the finding on the screen
    Watch {
        /// For example caching or caching/cache-aside
        #[arg(value_name = "LAB[/EXERCISE]")]
        target: String,
        /// Where services come from
        #[arg(long, value_enum, default_value_t)]
        services: Choice,
        /// Where random data comes from
        #[arg(long, value_name = "S")]
        seed: Option<u64>,
    },
    /// Start your service with everything around it, to play with, and show every message
    Run {
        /// A lab
        lab: String,
        /// The reference instead of your files
        #[arg(long)]
        solution: bool,
        /// Where services come from
        #[arg(long, value_enum, default_value_t)]
        services: Choice,
    },
    /// Show the next exercise that has not passed, as its brief puts it
    Next {
        /// A lab
        lab: Option<String>,
    },
    /// Show the labs, or one lab's exercises
    List {
        /// A lab
        lab: Option<String>,
    },
    /// Show one more hint for an exercise
    Hint {
        /// For example caching/cache-aside
        #[arg(value_name = "LAB/EXERCISE")]
        exercise: String,
    },
    /// Show how the reference differs from your files, once your exercise passes
    Solution {
        /// For example caching/cache-aside
        #[arg(value_name = "LAB/EXERCISE")]
        exercise: String,
        /// Look before it passes; this is recorded
        #[arg(long)]
        peek: bool,
    },
    /// Put an exercise, or a whole lab, back to its start; a backup is kept
    Reset {
        /// For example caching or caching/cache-aside
        #[arg(value_name = "LAB[/EXERCISE]")]
        target: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Measure your code against the reference and against doing without, with criterion
    Bench {
        /// A lab
        lab: String,
        /// Where services come from
        #[arg(long, value_enum, default_value_t)]
        services: Choice,
    },
    /// Write the last attempt at a lab as a page for a browser
    Report {
        /// A lab
        lab: String,
        /// As one self-contained page
        #[arg(long, required = true)]
        html: bool,
        /// Where the page goes [default: .labs/reports/LAB.html]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Prove that a lab accepts right answers and refuses known-wrong ones (for authors)
    Verify(Verify),
    /// Start a lab's services and leave them up until Ctrl-C or the end of stdin
    Up {
        /// A lab
        lab: String,
        /// Where services come from
        #[arg(long, value_enum, default_value_t)]
        services: Choice,
        /// Print one line of JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Look at the machine: toolchain, Docker, services, disk, leftovers
    Doctor {
        /// Remove what dead runs left behind
        #[arg(long)]
        sweep: bool,
    },
    /// Make a new lab that compiles, verifies and is listed (for authors)
    NewLab {
        /// a-z, 0-9 and `-`
        name: String,
    },
}

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Check {
    /// For example caching or caching/cache-aside
    #[arg(value_name = "LAB[/EXERCISE]")]
    pub(crate) target: String,
    /// Check the reference instead of your files
    #[arg(long, conflicts_with = "submission")]
    pub(crate) solution: bool,
    /// Check the exercise files in this folder: a checkout, or a lab's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) submission: Option<PathBuf>,
    /// Where services come from
    #[arg(long, value_enum, default_value_t)]
    pub(crate) services: Choice,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Run each check so many times; the worst counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,
    /// Where random data comes from; a report names its seed
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Checks at once [default: four a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Show every message on the wire, and more of long values
    #[arg(long)]
    pub(crate) wire: bool,
}

/// Arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Verify {
    /// A lab; without one, all
    pub(crate) lab: Option<String>,
    /// Run each check so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,
    /// Keep all cores busy meanwhile
    #[arg(long)]
    pub(crate) stress: bool,
    /// Repeat proofs that still hold
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Where random data comes from; a fault names its seed
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Where services come from
    #[arg(long, value_enum, default_value_t)]
    pub(crate) services: Choice,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    #[default]
    Human,
    /// One object, described in docs/report.md
    Json,
}

impl Verb {
    /// Whether it starts processes that must not outlive it.
    pub(crate) fn needs_keeper(&self) -> bool {
        matches!(
            self,
            Self::Check(_)
                | Self::Watch { .. }
                | Self::Start { .. }
                | Self::Bench { .. }
                | Self::Run { .. }
                | Self::Verify(_)
                | Self::Up { .. }
                | Self::Doctor { .. }
        )
    }
}

/// `LAB` or `LAB/EXERCISE` in its parts.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    // A shell's completion leaves a slash behind, and a path is a fair guess.
    let target = target.trim_end_matches('/');
    let target = target.strip_prefix("labs/").unwrap_or(target);
    match target.split_once('/') {
        Some((lab, exercise)) => (lab, Some(exercise)),
        None => (target, None),
    }
}
