//! Token buckets: no more calls than ARM lets a principal make.
//!
//! ARM counts per principal, subscription and region: writes and deletes refill
//! at 10 per second into a bucket of 200, reads at 25 per second into one of
//! 250. Staying below costs nothing; running into it costs every caller of the
//! principal a 429.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The size of one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketSize {
    /// Calls per second in the long run; above 0.
    pub per_second: f64,
    /// Calls at once after a pause; at least 1.
    pub burst: f64,
}

/// The sizes for one principal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// PUT, PATCH, POST and DELETE.
    pub writes: BucketSize,
    /// GET and HEAD.
    pub reads: BucketSize,
}

impl Default for Limits {
    /// ARM's own numbers. Deletes have a bucket of their own there and share
    /// the writes' here, which stays below both.
    fn default() -> Self {
        Self {
            writes: BucketSize {
                per_second: 10.0,
                burst: 200.0,
            },
            reads: BucketSize {
                per_second: 25.0,
                burst: 250.0,
            },
        }
    }
}

/// The buckets of one principal, shared by all its clients.
#[derive(Debug)]
pub struct Buckets {
    /// For PUT, PATCH, POST and DELETE.
    pub writes: Bucket,
    /// For GET and HEAD.
    pub reads: Bucket,
}

impl Buckets {
    /// Full buckets.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            writes: Bucket::new(limits.writes),
            reads: Bucket::new(limits.reads),
        }
    }
}

/// One bucket. Callers are served in the order in which they came.
#[derive(Debug)]
pub struct Bucket {
    /// The caller that waits for its token.
    turn: Mutex<()>,
    level: std::sync::Mutex<Level>,
}

/// How full a bucket is: a function of the moments that it is told.
#[derive(Debug)]
struct Level {
    size: BucketSize,
    tokens: f64,
    at: Instant,
    /// Nobody is served before this moment.
    paused_until: Option<Instant>,
}

impl Level {
    /// Full. Sizes that would never serve anyone are raised to one call, and
    /// to one per hour.
    fn full(size: BucketSize, now: Instant) -> Self {
        let size = BucketSize {
            per_second: size.per_second.max(1.0 / 3600.0),
            burst: size.burst.max(1.0),
        };
        Self {
            size,
            tokens: size.burst,
            at: now,
            paused_until: None,
        }
    }

    /// Takes a token, or says how long to wait before asking again.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        let gained = (now - self.at).as_secs_f64() * self.size.per_second;
        self.tokens = (self.tokens + gained).min(self.size.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.tokens) / self.size.per_second;
        // One millisecond more, the timer's grain, so that the token is there
        // after the wait.
        Err(Duration::from_secs_f64(missing) + Duration::from_millis(1))
    }

    fn pause(&mut self, now: Instant, time: Duration) {
        let until = now + time;
        if self.paused_until.is_none_or(|before| before < until) {
            self.paused_until = Some(until);
        }
    }
}

impl Bucket {
    /// A full bucket. Sizes that would never serve anyone are raised to one
    /// call, and to one per hour.
    #[must_use]
    pub fn new(size: BucketSize) -> Self {
        Self {
            turn: Mutex::new(()),
            level: std::sync::Mutex::new(Level::full(size, Instant::now())),
        }
    }

    /// Waits for a token and takes it.
    pub async fn take(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let taken = self.level().take(Instant::now());
            match taken {
                Ok(()) => return,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Serves nobody for this long: the service has said when to come back.
    pub fn pause(&self, time: Duration) {
        self.level().pause(Instant::now(), time);
    }

    fn level(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::sync::Arc;

    /// Calls one after the other; the time that passes is the waits' sum.
    struct Caller {
        level: Level,
        now: Instant,
    }

    impl Caller {
        fn new() -> Self {
            let now = Instant::now();
            let size = BucketSize {
                per_second: 10.0,
                burst: 3.0,
            };
            Self {
                level: Level::full(size, now),
                now,
            }
        }

        fn seconds_for(&mut self, calls: usize) -> f64 {
            let start = self.now;
            for _ in 0..calls {
                while let Err(wait) = self.level.take(self.now) {
                    self.now += wait;
                }
            }
            (self.now - start).as_secs_f64()
        }
    }

    #[test]
    fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
        let mut caller = Caller::new();
        assert!(caller.seconds_for(3) < f64::EPSILON);
        let waited = caller.seconds_for(20);
        assert!((1.98..2.1).contains(&waited), "{waited}");
    }

    #[test]
    fn a_long_rest_refills_no_more_than_the_burst() {
        let mut caller = Caller::new();
        caller.seconds_for(3);
        caller.now += Duration::from_mins(1);
        assert!(caller.seconds_for(3) < f64::EPSILON);
        assert!(caller.seconds_for(1) > 0.09);
    }

    #[test]
    fn nobody_is_served_before_the_service_said_so() {
        let mut caller = Caller::new();
        caller.level.pause(caller.now, Duration::from_secs(7));
        caller.level.pause(caller.now, Duration::from_secs(2));
        let waited = caller.seconds_for(1);
        assert!((7.0..7.1).contains(&waited), "{waited}");
    }

    #[test]
    fn azures_own_numbers_let_ten_writes_through_in_a_second_after_the_burst() {
        let now = Instant::now();
        let mut caller = Caller {
            level: Level::full(Limits::default().writes, now),
            now,
        };
        assert!(caller.seconds_for(200) < f64::EPSILON);
        let waited = caller.seconds_for(100);
        assert!((9.9..10.2).contains(&waited), "{waited}");
    }

    #[tokio::test]
    async fn callers_are_served_in_the_order_in_which_they_came() {
        let bucket = Arc::new(Bucket::new(BucketSize {
            per_second: 1000.0,
            burst: 1.0,
        }));
        assert!(bucket.take().now_or_never().is_some());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let calls = (0..8).map(|caller| {
            let (bucket, order) = (bucket.clone(), order.clone());
            async move {
                bucket.take().await;
                order.lock().unwrap().push(caller);
            }
        });
        // Polled for the first time in this order, so they queue in it.
        futures::future::join_all(calls).await;
        assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
    }
}
