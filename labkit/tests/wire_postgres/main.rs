//! The wire in front of a real Postgres.

mod faults;
mod pieces;
mod recording;
mod robust;
mod server;
