//! Token buckets: no more calls than ARM lets a principal make.
//!
//! ARM counts per principal, subscription and region: writes and deletes refill
//! at 10 per second into a bucket of 200, reads at 25 per second into one of
//! 250. Staying below costs nothing; running into it costs every caller of the
//! principal a 429.

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
    size: BucketSize,
    state: Mutex<State>,
    /// Nobody is served before this moment; kept apart from the state, which
    /// a waiting caller holds.
    paused: std::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket. Sizes that would never serve anyone are raised to one
    /// call, and to one per hour.
    #[must_use]
    pub fn new(size: BucketSize) -> Self {
        let size = BucketSize {
            per_second: size.per_second.max(1.0 / 3600.0),
            burst: size.burst.max(1.0),
        };
        Self {
            size,
            state: Mutex::new(State {
                tokens: size.burst,
                at: Instant::now(),
            }),
            paused: std::sync::Mutex::new(None),
        }
    }

    /// Waits for a token and takes it.
    pub async fn take(&self) {
        let mut state = self.state.lock().await;
        loop {
            let now = Instant::now();
            if let Some(until) = self.paused_until().filter(|until| *until > now) {
                tokio::time::sleep_until(until).await;
                continue;
            }
            let gained = (now - state.at).as_secs_f64() * self.size.per_second;
            state.tokens = (state.tokens + gained).min(self.size.burst);
            state.at = now;
            if state.tokens >= 1.0 {
                state.tokens -= 1.0;
                return;
            }
            let missing = (1.0 - state.tokens) / self.size.per_second;
            // One millisecond more, the timer's grain, so that the token is
            // there after the sleep.
            tokio::time::sleep(Duration::from_secs_f64(missing) + Duration::from_millis(1)).await;
        }
    }

    /// Serves nobody for this long: the service has said when to come back.
    pub fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut paused = self.lock_paused();
        if paused.is_none_or(|before| before < until) {
            *paused = Some(until);
        }
    }

    fn paused_until(&self) -> Option<Instant> {
        *self.lock_paused()
    }

    fn lock_paused(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.paused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        Bucket::new(BucketSize {
            per_second: 10.0,
            burst: 3.0,
        })
    }

    async fn seconds(bucket: &Bucket, calls: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..calls {
            bucket.take().await;
        }
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
        let bucket = bucket();
        assert!(seconds(&bucket, 3).await < f64::EPSILON);
        let waited = seconds(&bucket, 20).await;
        assert!((2.0..2.1).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_refills_no_more_than_the_burst() {
        let bucket = bucket();
        seconds(&bucket, 3).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(seconds(&bucket, 3).await < f64::EPSILON);
        assert!(seconds(&bucket, 1).await > 0.09);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_served_before_the_service_said_so() {
        let bucket = bucket();
        bucket.pause(Duration::from_secs(7));
        bucket.pause(Duration::from_secs(2));
        let waited = seconds(&bucket, 1).await;
        assert!((7.0..7.1).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_served_in_order() {
        let bucket = std::sync::Arc::new(bucket());
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let (bucket, order) = (bucket.clone(), order.clone());
            tasks.spawn(async move {
                bucket.take().await;
                order.lock().unwrap().push(caller);
            });
            tokio::task::yield_now().await;
        }
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
    }
}
