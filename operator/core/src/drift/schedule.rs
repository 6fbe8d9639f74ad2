//! When a sweep reads: a pure function of the interval, the budget and the
//! number of APIs.
//!
//! A cycle has two parts. The **fast** one reads the list of APIs, page by
//! page, and one ETag per policy document; it is spread over two thirds of the
//! interval, and takes longer only where the budget is too small for that. The
//! rest of the interval belongs to the **rotation**: operations, their policy
//! documents and revisions, a few APIs in each cycle, so that every API has its
//! turn after a period that [`Cycle::rotation_period`] says. Where the fast
//! part fills the interval, the rotation still gets a tenth of its reads.
//!
//! Reads have a budget of their own in Azure; writes are never touched.

use std::time::Duration;

/// APIs on one page of the list.
pub const PAGE: u64 = 100;
/// The part of an interval over which the fast part is spread.
const FAST_SHARE: f64 = 2.0 / 3.0;
/// The rotation of a small installation takes this many cycles: it is no more
/// urgent for being cheap.
const ROTATION_CYCLES: u64 = 6;
/// What the rotation gets at least, as a part of the fast reads.
const LEAST_SLOW: f64 = 0.1;
/// The part of the budget that is left after a service throttles again and
/// again.
const FLOOR: f64 = 1.0 / 32.0;
/// How much of the budget comes back with each read that went well.
const RECOVERY: f64 = 0.001;

/// How much there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// APIs in the service, those of others too: the list shows all.
    pub listed: u64,
    /// APIs of ours, each with a policy document.
    pub watched: u64,
    /// Reads of one whole rotation.
    pub rotation: u64,
}

impl Sizes {
    /// Reads of the fast part.
    #[must_use]
    pub const fn fast(&self) -> u64 {
        let pages = self.listed.div_ceil(PAGE);
        self.watched + if pages == 0 { 1 } else { pages }
    }
}

/// Reads that are spread evenly over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// How many.
    pub reads: u64,
    /// Between two of them.
    pub gap: Duration,
}

impl Stretch {
    const NONE: Self = Self {
        reads: 0,
        gap: Duration::ZERO,
    };

    fn over(reads: u64, time: f64) -> Self {
        if reads == 0 {
            return Self::NONE;
        }
        Self {
            reads,
            gap: Duration::from_secs_f64(time / count(reads)),
        }
    }

    /// From the first read to the gap after the last.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.gap
            .saturating_mul(u32::try_from(self.reads).unwrap_or(u32::MAX))
    }
}

/// One sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// The list and the policies.
    pub fast: Stretch,
    /// The part of the rotation that follows.
    pub slow: Stretch,
    /// From the start of this cycle to the next one's.
    pub length: Duration,
}

impl Cycle {
    /// The sweep that should take `interval`, at no more than `rate` reads per
    /// second.
    #[must_use]
    pub fn new(interval: Duration, rate: f64, sizes: Sizes) -> Self {
        let rate = rate.max(0.001);
        let interval = interval.as_secs_f64();
        let reads = sizes.fast();
        let fast_time = (interval * FAST_SHARE).max(count(reads) / rate);
        let rest = (interval - fast_time).max(0.0);
        let wanted = sizes.rotation.div_ceil(ROTATION_CYCLES);
        let possible = whole(rest * rate).max(whole(count(reads) * LEAST_SLOW).max(1));
        let slow_reads = wanted.min(possible);
        let slow_time = rest.max(count(slow_reads) / rate);
        Self {
            fast: Stretch::over(reads, fast_time),
            slow: Stretch::over(slow_reads, slow_time),
            length: Duration::from_secs_f64(fast_time + slow_time),
        }
    }

    /// The time after which every API has had its turn in the rotation.
    #[must_use]
    pub fn rotation_period(&self, sizes: Sizes) -> Duration {
        if self.slow.reads == 0 {
            return self.length;
        }
        let cycles = sizes.rotation.div_ceil(self.slow.reads).max(1);
        self.length
            .saturating_mul(u32::try_from(cycles).unwrap_or(u32::MAX))
    }
}

/// When the next read is due, while cycles go by.
///
/// Reads that were late because the budget was somebody else's are caught up
/// with, but for no more than a second's worth: a pause is not followed by a
/// burst.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    next: Duration,
}

impl Pacer {
    /// The first read is due at once. Times are since any fixed moment.
    #[must_use]
    pub const fn new(now: Duration) -> Self {
        Self { next: now }
    }

    /// The moment of the next read, at least `gap` after that of the last.
    pub fn due(&mut self, now: Duration, gap: Duration) -> Duration {
        let due = self.next.max(now.saturating_sub(Duration::from_secs(1)));
        self.next = due + gap;
        due
    }
}

/// How fast a sweep may read: halved when the service throttles, and slowly
/// back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Governor {
    ceiling: f64,
    rate: f64,
}

impl Governor {
    /// The whole budget, in reads per second.
    #[must_use]
    pub const fn new(ceiling: f64) -> Self {
        Self {
            ceiling,
            rate: ceiling,
        }
    }

    /// Reads per second now.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// The shortest time between two reads now.
    #[must_use]
    pub fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate.max(0.001))
    }

    /// A read went well.
    pub fn served(&mut self) {
        self.rate = (self.rate + self.ceiling * RECOVERY).min(self.ceiling);
    }

    /// The service said that it is too much.
    pub fn throttled(&mut self) {
        self.rate = (self.rate / 2.0).max(self.ceiling * FLOOR);
    }
}

/// The moment of the first sweep after a start: not before half an interval has
/// passed, since a start has work of its own, and spread over the other half, so
/// that several instances do not sweep at once. `jitter` is from 0 to 1.
#[must_use]
pub fn first(interval: Duration, jitter: f64) -> Duration {
    interval.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of reads are far below 2^52"
)]
const fn count(reads: u64) -> f64 {
    reads as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of reads: finite, positive and small"
)]
fn whole(reads: f64) -> u64 {
    reads.max(0.0).floor() as u64
}
