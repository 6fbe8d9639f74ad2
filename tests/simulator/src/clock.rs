//! The simulator's clock: the system's, moved forward on request.

use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock that tests can advance. Token expiry, throttling and long-running
/// operations read the time from here only.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    advanced_ms: AtomicI64,
}

impl Clock {
    /// The simulated time.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.advanced_ms.load(Ordering::SeqCst));
        Timestamp::now()
            .checked_add(offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock forward by `milliseconds` and returns how far it stands
    /// ahead of the system's clock.
    pub(crate) fn advance(&self, milliseconds: u32) -> i64 {
        let step = i64::from(milliseconds);
        self.advanced_ms.fetch_add(step, Ordering::SeqCst) + step
    }
}

/// A point in time as ARM writes it: `2024-08-13T23:54:06.1234567Z`, cut to
/// whole seconds.
pub(crate) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
