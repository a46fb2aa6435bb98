//! How long to wait for what is bound to come, in this process's own measure of time.
//!
//! A machine that stands still for a minute (a laptop that is closed, a virtual machine that
//! is paused, a core that others keep) stops the app as well as the check. A clock on the
//! wall says that the app had a minute; it had none.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::error::Elapsed;

/// How long an app may stay silent before the check calls it stuck: design invariant 4.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The most that one stretch of time counts, however long it was on the wall.
const TICK: Duration = Duration::from_millis(100);

/// How many [`Pause`]s there are.
static PAUSES: AtomicUsize = AtomicUsize::new(0);

/// While it lives nobody's patience runs out in [`timeout`]: a check that is at something of
/// its own keeps an app's callers waiting, not the app.
#[derive(Debug)]
#[must_use = "dropping a pause ends it"]
pub struct Pause(());

impl Pause {
    /// Begins one; it has to have an end of its own.
    pub fn begin() -> Self {
        PAUSES.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        PAUSES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As [`tokio::time::timeout`], but time in which this process did not run counts as no more
/// than a tenth of a second, and time in which the check is at something of its own not at
/// all.
///
/// # Errors
///
/// When `limit` is over and the future is not.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let goes_by = || PAUSES.load(Ordering::Relaxed) == 0;
    wait(limit, future, goes_by).await
}

/// As [`timeout`], also in a [`Pause`]: for what the check is at then.
///
/// # Errors
///
/// When `limit` is over and the future is not.
pub(crate) async fn timeout_in_pause<F: Future>(
    limit: Duration,
    future: F,
) -> Result<F::Output, Elapsed> {
    wait(limit, future, || true).await
}

async fn wait<F: Future>(
    limit: Duration,
    future: F,
    goes_by: impl Fn() -> bool,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut left = limit;
    loop {
        let ended = tokio::time::timeout(left.min(TICK), &mut future).await;
        if ended.is_err() && !goes_by() {
            continue;
        }
        if ended.is_ok() || left <= TICK {
            return ended;
        }
        left -= TICK;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn what_does_not_come_is_waited_for_until_the_limit() {
        let began = Instant::now();
        let ended = timeout(LIMIT, std::future::pending::<()>()).await;
        assert!(ended.is_err() && began.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn what_keeps_the_check_busy_is_not_the_apps_time() {
        let began = Instant::now();
        let limit = TICK * 2;
        let busy = async {
            let _pause = Pause::begin();
            let ended = timeout_in_pause(LIMIT, std::future::pending::<()>()).await;
            assert!(ended.is_err(), "it has an end of its own");
        };
        let (ended, ()) = tokio::join!(timeout(limit, std::future::pending::<()>()), busy);
        assert!(ended.is_err() && began.elapsed() >= LIMIT + TICK);
    }

    #[tokio::test]
    async fn a_process_that_stood_still_has_its_time_before_it() {
        let (sender, receiver) = oneshot::channel();
        let still = LIMIT * 2;
        std::thread::spawn(move || {
            std::thread::sleep(still + TICK);
            sender.send(()).expect("somebody waits");
        });
        let waiting = timeout(LIMIT, receiver);
        // The only thread of this runtime: to what waits in it, the machine stands still.
        let standing = async { std::thread::sleep(still) };
        let (ended, ()) = tokio::join!(waiting, standing);
        assert_eq!(ended, Ok(Ok(())));
    }
}
