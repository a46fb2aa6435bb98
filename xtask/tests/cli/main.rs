//! The command line as people use it, above all when something is wrong. A test whose name
//! begins with `case_NN` holds the case of that number:
//!
//! - what is typed and what lies in `labs/`: (1) an unknown lab, exercise or flag; (2) a
//!   malformed, too new or empty `lab.toml`; (3) a folder that is no lab
//! - a learner's code: (4) does not compile; its app (5) exits at once, (6) panics on
//!   start, (7) never prints its line, (8) prints 100 MB, (9) ignores SIGTERM, (10) never
//!   answers, (11) closes the connection; (12) a `todo!()` in the shell
//! - the machine: (13) Docker off, (14) Docker without images, (15) no provider at all,
//!   (16) disk full while writing progress, (17) a read-only checkout
//! - the run: (18) several checks of one lab at once, (19) Ctrl-C and (20) SIGTERM at any
//!   moment, (21) output piped, closed early, on 0 and 40 columns, `NO_COLOR`, `TERM=dumb`
//! - (22) an external Redis that is not empty, is too old, or is not on loopback
//!
//! What a machine cannot set up is a failure, unless `LABS_WITHOUT` names it: `docker`,
//! `mounts` (unshare), `users` (user namespaces), `tmux`.

mod broken_app;
mod exercise_files;
mod external;
mod machine;
mod report;
mod streams;
mod support;
mod together;
mod typed;
mod verbs;

// What these hold, or how they look at it, is Linux's own: Landlock, mount namespaces,
// process folders.
#[cfg(target_os = "linux")]
mod forgery;
#[cfg(target_os = "linux")]
mod guess;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod postgres;
#[cfg(target_os = "linux")]
mod screens;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod watch;
