//! What the checks of the sql-indexing lab start from: a copy of the shop's database, the
//! learner's files run on it, and Postgres' own account of what a query did.
//!
//! Knows the brief's contract (tables, queries, routes) and nothing of how an exercise is
//! solved.

mod by_hand;
mod database;
mod deploy;
mod desk;
mod judge;
mod online;
mod plan;
mod question;
mod session;
mod state;

pub use by_hand::ByHand;
pub use database::Database;
pub use desk::{Desk, Item, Order, Page, Said, Slip};
pub use judge::Judged;
pub use plan::{Node, Plan};
pub use question::Question;
pub use session::{Refusal, Rows, Session};
pub use state::Index;

/// The calls of the brief's API card compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Brief;
