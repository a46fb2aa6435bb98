//! An error with the two things that a person needs: whose fault, and what to do next.

use std::fmt;

/// Whose fault it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// What was typed.
    Usage,
    /// The machine: no service, no disk, no toolchain.
    Machine,
    /// The lab or the runner.
    Lab,
}

/// What happened, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whose it is.
    pub(crate) whose: Whose,
    /// A lowercase fragment without a full stop.
    pub(crate) what: String,
    /// A command or a place to read on.
    pub(crate) hint: String,
}

impl Fault {
    /// A fault of `whose`: what happened, and what to do next.
    pub(crate) fn new(whose: Whose, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            whose,
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// 2 for what was typed and for the machine, 3 for the lab.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.whose {
            Whose::Usage | Whose::Machine => 2,
            Whose::Lab => 3,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}
