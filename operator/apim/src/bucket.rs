//! Token buckets: no more calls than ARM lets a principal make.
//!
//! ARM counts per principal, subscription and region: writes and deletes refill
//! at 10 per second into a bucket of 200, reads at 25 per second into one of
//! 250. Staying below costs nothing; running into it costs every caller of the
//! principal a 429.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// How urgent a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for it.
    Foreground,
    /// Nobody does: it is served only when no foreground caller waits and half
    /// of the burst stays for those that may come.
    Background,
}

/// One bucket. Callers of a lane are served in the order in which they came.
#[derive(Debug)]
pub struct Bucket {
    /// The foreground caller that waits for its token.
    turn: Mutex<()>,
    /// The background caller that does.
    background: Mutex<()>,
    /// How many foreground callers wait.
    waiting: AtomicUsize,
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

    /// Takes a token where `reserve` others stay, or says how long to wait
    /// before asking again.
    fn take(&mut self, now: Instant, reserve: f64) -> Result<(), Duration> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        let gained = (now - self.at).as_secs_f64() * self.size.per_second;
        self.tokens = (self.tokens + gained).min(self.size.burst);
        self.at = now;
        let needed = 1.0 + reserve;
        if self.tokens >= needed {
            self.tokens -= 1.0;
            return Ok(());
        }
        let missing = (needed - self.tokens) / self.size.per_second;
        // One millisecond more, the timer's grain, so that the token is there
        // after the wait.
        Err(Duration::from_secs_f64(missing) + Duration::from_millis(1))
    }

    /// What background callers leave; a bucket that holds one call has nothing
    /// to leave.
    fn reserve(&self) -> f64 {
        (self.size.burst - 1.0) / 2.0
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
            background: Mutex::new(()),
            waiting: AtomicUsize::new(0),
            level: std::sync::Mutex::new(Level::full(size, Instant::now())),
        }
    }

    /// Waits for a token and takes it.
    pub async fn take(&self, lane: Lane) {
        match lane {
            Lane::Foreground => {
                let _waiting = Waiting::new(&self.waiting);
                let _turn = self.turn.lock().await;
                while let Err(wait) = self.try_take(0.0) {
                    tokio::time::sleep(wait).await;
                }
            }
            Lane::Background => {
                let _turn = self.background.lock().await;
                let reserve = self.level().reserve();
                loop {
                    let wait = if self.waiting.load(Ordering::SeqCst) > 0 {
                        BEHIND_OTHERS
                    } else {
                        match self.try_take(reserve) {
                            Ok(()) => return,
                            Err(wait) => wait,
                        }
                    };
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn try_take(&self, reserve: f64) -> Result<(), Duration> {
        self.level().take(Instant::now(), reserve)
    }

    /// Serves nobody for this long: the service has said when to come back.
    pub fn pause(&self, time: Duration) {
        self.level().pause(Instant::now(), time);
    }

    fn level(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a background caller waits before it looks again whether others
/// wait.
const BEHIND_OTHERS: Duration = Duration::from_millis(20);

/// Counts a caller for as long as it waits, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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
                while let Err(wait) = self.level.take(self.now, 0.0) {
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
        assert!(bucket.take(Lane::Foreground).now_or_never().is_some());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let calls = (0..8).map(|caller| {
            let (bucket, order) = (bucket.clone(), order.clone());
            async move {
                bucket.take(Lane::Foreground).await;
                order.lock().unwrap().push(caller);
            }
        });
        // Polled for the first time in this order, so they queue in it.
        futures::future::join_all(calls).await;
        assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
    }

    fn bucket(per_second: f64, burst: f64) -> Arc<Bucket> {
        Arc::new(Bucket::new(BucketSize { per_second, burst }))
    }

    #[tokio::test(start_paused = true)]
    async fn background_callers_leave_half_of_the_burst() {
        let bucket = bucket(10.0, 101.0);
        let mut at_once = 0;
        while bucket.take(Lane::Background).now_or_never().is_some() {
            at_once += 1;
        }
        assert_eq!(at_once, 51);
        for _ in 0..50 {
            assert!(bucket.take(Lane::Foreground).now_or_never().is_some());
        }
        assert!(bucket.take(Lane::Foreground).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn background_callers_have_the_whole_rate_when_they_are_alone() {
        let bucket = bucket(25.0, 250.0);
        let started = Instant::now();
        for _ in 0..10_100 {
            bucket.take(Lane::Background).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        // (10,100 - 125.5) / 25
        assert!((398.9..400.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn foreground_callers_wait_no_longer_because_of_background_ones() {
        let times = async |sweep: bool| {
            let bucket = bucket(25.0, 250.0);
            let other = bucket.clone();
            let sweep = sweep.then(|| {
                tokio::spawn(async move {
                    loop {
                        other.take(Lane::Background).await;
                    }
                })
            });
            if sweep.is_none() {
                // As full as the other leaves it.
                for _ in 0..125 {
                    bucket.take(Lane::Foreground).await;
                }
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let started = Instant::now();
            for _ in 0..500 {
                bucket.take(Lane::Foreground).await;
            }
            if let Some(sweep) = sweep {
                sweep.abort();
            }
            started.elapsed().as_secs_f64()
        };
        let (alone, together) = (times(false).await, times(true).await);
        assert!((together - alone).abs() < 0.2, "{alone} {together}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_of_one_serves_background_callers_too() {
        let bucket = bucket(1.0, 1.0);
        bucket.take(Lane::Background).await;
        bucket.take(Lane::Background).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_waits_no_more() {
        let bucket = bucket(1.0, 1.0);
        bucket.take(Lane::Foreground).await;
        assert!(bucket.take(Lane::Foreground).now_or_never().is_none());
        assert_eq!(bucket.waiting.load(Ordering::SeqCst), 0);
        bucket.take(Lane::Background).await;
    }
}
