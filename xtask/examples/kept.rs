//! The real front and keeper around any program: what the tests of invariant 5 kill.
//!
//! `kept [--until-stdin-ends] PROGRAM ARGS…` runs the program as if it were the runner.

#![allow(missing_docs)] // a test's tool

#[allow(dead_code)] // of the runner's modules, only a part is used
#[path = "../src"]
mod src {
    pub(crate) mod front;
    pub(crate) mod keeper;
    pub(crate) mod provider {
        pub(crate) mod run;
    }
}

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use src::{front, keeper, provider};

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let owned = |rest: &[&str]| rest.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    match arguments.as_slice() {
        ["keeper", rest @ ..] => Ok(keeper::run(&owned(rest))),
        ["runner", program, rest @ ..] => Err(Command::new(program).args(rest).exec().into()),
        ["--until-stdin-ends", rest @ ..] => front::run_until_stdin_ends(&owned(rest)),
        rest => front::run(&owned(rest)),
    }
}
