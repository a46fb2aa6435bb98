//! What time it is, in a service that can be told that a minute has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The service's clock: it only goes forward. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Hands>);

#[derive(Debug)]
enum Hands {
    /// Those of the machine, since then.
    Machine(Instant),
    /// So many milliseconds: `CLOCK=told`, where time passes when a neighbour says so.
    Told(AtomicU64),
}

impl Clock {
    /// The machine's, unless `CLOCK` is `told`.
    pub fn from_environment() -> Self {
        let told = std::env::var("CLOCK").is_ok_and(|clock| clock == "told");
        Self(Arc::new(match told {
            true => Hands::Told(AtomicU64::new(0)),
            false => Hands::Machine(Instant::now()),
        }))
    }

    /// The time since the service began.
    pub fn now(&self) -> Duration {
        match &*self.0 {
            Hands::Machine(began) => began.elapsed(),
            Hands::Told(ms) => Duration::from_millis(ms.load(Ordering::SeqCst)),
        }
    }

    /// Puts a clock that is told forward.
    pub fn pass(&self, ms: u64) {
        if let Hands::Told(hand) = &*self.0 {
            hand.fetch_add(ms, Ordering::SeqCst);
        }
    }
}
