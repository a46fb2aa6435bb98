//! What a check stands on: the learner's service as a process, the recording wire to the
//! real services behind it, counted upstreams, and findings.
//!
//! Knows nothing of containers, of starting services, or of any particular lab.

pub mod answer;
pub mod app;
pub mod assignment;
pub mod bench;
pub mod check;
mod confine;
pub mod finding;
mod output;
pub mod patience;
pub mod play;
pub mod sandbox;
pub mod sql;
mod stillness;
pub mod timeline;
pub mod upstream;
pub mod wire;

pub use app::App;
pub use check::{Check, Fixture};
pub use labkit_macros::test;
