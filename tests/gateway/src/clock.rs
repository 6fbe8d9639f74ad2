//! Time, passed in.

use async_trait::async_trait;
use jiff::Timestamp;
use std::time::Duration;

/// The gateway's only source of time for what policies count, expire and wait
/// for. Limits on slow clients and backends use the system's clock.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits, as between two attempts of `retry`.
    async fn sleep(&self, duration: Duration);
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands still until it is moved. Whoever sleeps moves it.
#[derive(Debug)]
pub struct ManualClock {
    milliseconds: std::sync::atomic::AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`, in whole milliseconds.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            milliseconds: start.as_millisecond().into(),
        }
    }

    /// Moves it forward.
    pub fn advance(&self, duration: Duration) {
        let step = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.milliseconds
            .fetch_add(step, std::sync::atomic::Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let now = self.milliseconds.load(std::sync::atomic::Ordering::SeqCst);
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
