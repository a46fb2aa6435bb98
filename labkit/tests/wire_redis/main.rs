//! The wire in front of a real Redis.

mod faults;
mod precious;
mod recording;
mod robust;
mod server;
