//! What time it is, in a shop that can be told that hours have passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// The shop's clock. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    forwarded_ms: Arc<AtomicU64>,
}

/// How far `PUT /clock` puts the clock forward.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Forward {
    /// So many milliseconds.
    forward_ms: u64,
}

impl Clock {
    /// The time since 1970: the machine's, and what the clock was put forward.
    pub fn now(&self) -> Duration {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH);
        let forwarded = Duration::from_millis(self.forwarded_ms.load(Ordering::Relaxed));
        machine.unwrap_or_default() + forwarded
    }

    /// Nobody has to wait for time to pass.
    pub fn forward(&self, by: Forward) {
        self.forwarded_ms
            .fetch_add(by.forward_ms, Ordering::Relaxed);
    }
}
