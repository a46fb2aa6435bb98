//! How much the service takes on, and for how long: the environment decides.

use std::time::Duration;

use crate::shop::{number, required};

/// What exercise 7 holds the service to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most requests at the same time: `CONCURRENCY_LIMIT`.
    pub requests: usize,
    /// The most bytes of a request's body: `BODY_LIMIT`.
    pub body: usize,
    /// The longest that a request may take: `REQUEST_TIMEOUT_MS`.
    pub time: Duration,
    /// The longest that the end of the service may take: `DRAIN_MS`.
    pub drain: Duration,
}

impl Limits {
    /// What the environment says; nothing where it sets no `CONCURRENCY_LIMIT`.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        const REQUESTS: &str = "CONCURRENCY_LIMIT";
        if required(REQUESTS).is_err() {
            return Ok(None);
        }
        Ok(Some(Self {
            requests: number(REQUESTS, 64)?,
            body: number("BODY_LIMIT", 65_536)?,
            time: Duration::from_millis(number("REQUEST_TIMEOUT_MS", 30_000)?),
            drain: Duration::from_millis(number("DRAIN_MS", 20_000)?),
        }))
    }
}
