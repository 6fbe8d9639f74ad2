//! What calls are counted for: sliding windows and quotas, on a time that is
//! passed in, in bounded memory.

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};

const SHARDS: usize = 16;
/// Keys that one shard holds; beyond that, what ends first is forgotten.
const KEYS_PER_SHARD: usize = 65_536;

/// Makes room in a table that is full: what has ended goes, and of the rest what
/// ends first, until an eighth is free. So whoever sends ever new keys pays for
/// one look at all of them only now and then.
fn make_room<V>(all: &mut HashMap<String, V>, most: usize, now: i64, ends: impl Fn(&V) -> i64) {
    if all.len() < most {
        return;
    }
    all.retain(|_, one| ends(one) > now);
    let Some(more) = all.len().checked_sub(most - most / 8).filter(|n| *n > 0) else {
        return;
    };
    let mut moments: Vec<i64> = all.values().map(&ends).collect();
    let (before, last, _) = moments.select_nth_unstable(more - 1);
    let last = *last;
    // Of those that end at the same moment, any.
    let mut of_last = more - before.iter().filter(|moment| **moment < last).count();
    all.retain(|_, one| match ends(one).cmp(&last) {
        Ordering::Less => false,
        Ordering::Equal if of_last > 0 => {
            of_last -= 1;
            false
        }
        _ => true,
    });
}
/// A window is told apart into at most this many parts, so that a key costs
/// the same whatever its limit.
const PARTS: i64 = 64;

/// A key is held as it is up to this many bytes. What is longer, as what a
/// client sends may be, is held as its digest.
const LONGEST_KEY: usize = 256;

/// A key as it is held.
fn held(key: &str) -> Cow<'_, str> {
    if key.len() <= LONGEST_KEY {
        return Cow::Borrowed(key);
    }
    let digest = Sha256::digest(key.as_bytes());
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Cow::Owned(format!("sha256:{hex}"))
}

/// Calls of the last so many seconds, by key.
#[derive(Default)]
pub(crate) struct RateCounters {
    shards: [Mutex<HashMap<String, Window>>; SHARDS],
}

#[derive(Default)]
struct Window {
    marks: VecDeque<Mark>,
    /// The longest period that was asked about, in milliseconds.
    period: i64,
}

/// Calls close to each other, counted at the time of the last: a window is
/// never laxer than its limit.
struct Mark {
    first: i64,
    last: i64,
    calls: u64,
}

/// What a window says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// So many more may come.
    Admitted { remaining: u64 },
    /// Try again in so many milliseconds.
    Refused { wait: u64 },
}

impl RateCounters {
    fn shard(&self, key: &str) -> &Mutex<HashMap<String, Window>> {
        &self.shards[shard_of(key)]
    }

    /// Asks for a call and counts `amount` if it is admitted. A refused call is
    /// not counted (inferred).
    pub(crate) fn take(
        &self,
        key: &str,
        limit: u64,
        period: i64,
        now: i64,
        amount: u64,
    ) -> Admission {
        let key = &held(key);
        let mut shard = self.shard(key).lock();
        let window = Self::window(&mut shard, key, now);
        let admission = window.ask(limit, period, now);
        match admission {
            Admission::Admitted { remaining } => {
                window.add(now, amount);
                Admission::Admitted {
                    remaining: remaining.saturating_sub(amount),
                }
            }
            refused @ Admission::Refused { .. } => refused,
        }
    }

    /// Counts what is known only afterwards.
    pub(crate) fn add(&self, key: &str, period: i64, now: i64, amount: u64) {
        let key = &held(key);
        let mut shard = self.shard(key).lock();
        let window = Self::window(&mut shard, key, now);
        window.period = window.period.max(period);
        window.add(now, amount);
    }

    fn window<'w>(shard: &'w mut HashMap<String, Window>, key: &str, now: i64) -> &'w mut Window {
        if !shard.contains_key(key) {
            make_room(shard, KEYS_PER_SHARD, now, Window::ends);
        }
        shard.entry(key.to_owned()).or_default()
    }

    /// How many keys are held.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

fn shard_of(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or_default()
}

impl Window {
    fn ends(&self) -> i64 {
        self.marks
            .back()
            .map_or(0, |mark| mark.last.saturating_add(self.period))
    }

    fn ask(&mut self, limit: u64, period: i64, now: i64) -> Admission {
        self.period = self.period.max(period);
        let oldest = now.saturating_sub(self.period);
        while self.marks.front().is_some_and(|mark| mark.last <= oldest) {
            self.marks.pop_front();
        }
        let counted = |mark: &&Mark| mark.last > now.saturating_sub(period);
        let used: u64 = self
            .marks
            .iter()
            .filter(counted)
            .map(|mark| mark.calls)
            .sum();
        if used < limit {
            return Admission::Admitted {
                remaining: limit - used,
            };
        }
        // Enough has to leave the window for one more call.
        let mut left = used;
        let mut wait = period;
        for mark in self.marks.iter().filter(counted) {
            left -= mark.calls;
            if left < limit {
                wait = mark.last + period - now;
                break;
            }
        }
        Admission::Refused {
            wait: u64::try_from(wait).unwrap_or_default(),
        }
    }

    fn add(&mut self, now: i64, amount: u64) {
        if amount == 0 {
            return;
        }
        let part = (self.period / PARTS).max(0);
        match self.marks.back_mut() {
            Some(mark) if now - mark.first <= part => {
                mark.last = now.max(mark.last);
                mark.calls += amount;
            }
            _ => self.marks.push_back(Mark {
                first: now,
                last: now,
                calls: amount,
            }),
        }
    }
}

/// Calls and bytes of the current period, by key.
#[derive(Default)]
pub(crate) struct QuotaCounters {
    used: Mutex<HashMap<String, Used>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    /// The period's number, counted from its first start.
    period: i64,
    calls: u64,
    bytes: u64,
    ends: i64,
}

/// The limits of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) calls: Option<u64>,
    /// In bytes.
    pub(crate) bandwidth: Option<u64>,
    /// In milliseconds; 0 never ends.
    pub(crate) period: i64,
    /// When the first period began, in milliseconds.
    pub(crate) start: i64,
}

/// Which limit is used up, and for how many milliseconds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOf {
    Calls(i64),
    Bandwidth(i64),
}

impl QuotaCounters {
    /// Asks for a call and counts `calls` if it is admitted.
    pub(crate) fn take(&self, key: &str, quota: &Quota, now: i64, calls: u64) -> Result<(), OutOf> {
        let key = &held(key);
        let mut all = self.used.lock();
        let used = Self::entry(&mut all, key, quota, now);
        let wait = used.ends.saturating_sub(now);
        if quota.calls.is_some_and(|most| used.calls >= most) {
            return Err(OutOf::Calls(wait));
        }
        if quota.bandwidth.is_some_and(|most| used.bytes >= most) {
            return Err(OutOf::Bandwidth(wait));
        }
        used.calls += calls;
        Ok(())
    }

    /// Counts what is known only afterwards.
    pub(crate) fn add(&self, key: &str, quota: &Quota, now: i64, calls: u64, bytes: u64) {
        let key = &held(key);
        let mut all = self.used.lock();
        let used = Self::entry(&mut all, key, quota, now);
        used.calls += calls;
        used.bytes += bytes;
    }

    fn entry<'u>(
        all: &'u mut HashMap<String, Used>,
        key: &str,
        quota: &Quota,
        now: i64,
    ) -> &'u mut Used {
        if !all.contains_key(key) {
            make_room(all, KEYS_PER_SHARD * SHARDS, now, |used| used.ends);
        }
        let (period, ends) = if quota.period == 0 {
            (0, i64::MAX)
        } else {
            let number = (now - quota.start).div_euclid(quota.period);
            (number, quota.start + (number + 1) * quota.period)
        };
        let used = all.entry(key.to_owned()).or_default();
        if used.period != period {
            *used = Used::default();
        }
        used.period = period;
        used.ends = ends;
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_window_slides_and_says_when_to_come_back() {
        let counters = RateCounters::default();
        let take = |now| counters.take("k", 2, 60_000, now, 1);
        assert_eq!(take(0), Admission::Admitted { remaining: 1 });
        assert_eq!(take(30_000), Admission::Admitted { remaining: 0 });
        assert_eq!(take(34_000), Admission::Refused { wait: 26_000 });
        assert_eq!(take(60_000), Admission::Admitted { remaining: 0 });
        assert_eq!(take(60_001), Admission::Refused { wait: 29_999 });
    }

    #[test]
    fn a_long_key_costs_no_more_than_a_short_one_and_is_still_its_own() {
        let counters = RateCounters::default();
        let long = "x".repeat(60_000);
        let other = format!("{long}y");
        for key in [&long, &other] {
            assert_eq!(
                counters.take(key, 1, 60_000, 0, 1),
                Admission::Admitted { remaining: 0 }
            );
        }
        assert_eq!(
            counters.take(&long, 1, 60_000, 1, 1),
            Admission::Refused { wait: 59_999 }
        );
        let held = counters.shards.iter().flat_map(|shard| {
            let shard = shard.lock();
            shard.keys().map(String::len).collect::<Vec<_>>()
        });
        assert_eq!(held.collect::<Vec<_>>(), [71, 71]);
    }

    #[test]
    fn a_full_table_forgets_what_ended_and_then_what_ends_first() {
        let kept = |ends: &[i64], most| {
            let all = ends.iter().enumerate();
            let mut all: HashMap<String, i64> = all
                .map(|(key, ends)| (format!("k{key:02}"), *ends))
                .collect();
            make_room(&mut all, most, 10, |ends| *ends);
            let mut left: Vec<i64> = all.into_values().collect();
            left.sort_unstable();
            left
        };
        let many: Vec<i64> = (1..=16).collect();
        // Not full, and full of what has ended.
        assert_eq!(kept(&many, 17), many);
        assert_eq!(kept(&many, 16), [11, 12, 13, 14, 15, 16]);
        // Nothing has ended: an eighth goes, of equal ones as many as it takes.
        let later: Vec<i64> = (20..36).collect();
        assert_eq!(kept(&later, 16), later[2..]);
        assert_eq!(kept(&[20; 16], 16), [20; 14]);
        let mixed = [30, 30, 30, 20, 30, 30, 30, 30];
        assert_eq!(kept(&mixed, 8), [30; 7]);
        // One that ended makes no room for long.
        let mut one_ended = later.clone();
        one_ended[5] = 3;
        assert_eq!(kept(&one_ended, 16).len(), 14);
    }

    #[test]
    fn whoever_sends_ever_new_keys_fills_a_bounded_table() {
        let counters = RateCounters::default();
        let mut now = 0;
        for number in 0..SHARDS * KEYS_PER_SHARD + 200_000 {
            now += 1;
            counters.take(&number.to_string(), 1, 10_000_000, now, 1);
        }
        let (most, held) = (SHARDS * KEYS_PER_SHARD, counters.len());
        assert!((most / 8 * 7..=most).contains(&held), "{held} of {most}");
        // The last ones are known, the first ones were forgotten.
        let last = (SHARDS * KEYS_PER_SHARD + 199_999).to_string();
        let refused = counters.take(&last, 1, 10_000_000, now, 1);
        assert!(matches!(refused, Admission::Refused { .. }), "{refused:?}");
        let first = counters.take("0", 1, 10_000_000, now, 1);
        assert_eq!(first, Admission::Admitted { remaining: 0 });
    }

    #[test]
    fn a_quota_is_replenished_when_its_period_ends() {
        let counters = QuotaCounters::default();
        let quota = Quota {
            calls: Some(1),
            bandwidth: Some(10),
            period: 300_000,
            start: -60_000,
        };
        assert_eq!(counters.take("k", &quota, 0, 1), Ok(()));
        assert_eq!(
            counters.take("k", &quota, 228_000, 1),
            Err(OutOf::Calls(12_000))
        );
        assert_eq!(counters.take("k", &quota, 240_000, 0), Ok(()));
        counters.add("k", &quota, 240_000, 0, 10);
        assert_eq!(
            counters.take("k", &quota, 240_000, 0),
            Err(OutOf::Bandwidth(300_000))
        );
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_its_limit(
            steps in proptest::collection::vec(0_i64..3_000, 1..200),
            limit in 1_u64..20,
        ) {
            const PERIOD: i64 = 10_000;
            let counters = RateCounters::default();
            let mut now = 0;
            let mut admitted: Vec<i64> = Vec::new();
            for step in steps {
                now += step;
                match counters.take("k", limit, PERIOD, now, 1) {
                    Admission::Admitted { .. } => admitted.push(now),
                    Admission::Refused { wait } => {
                        let wait = i64::try_from(wait).unwrap();
                        prop_assert!(wait > 0 && wait <= PERIOD);
                    }
                }
                let inside = admitted.iter().filter(|at| **at > now - PERIOD).count();
                prop_assert!(inside as u64 <= limit);
            }
            let marks = counters.shards[shard_of("k")].lock()["k"].marks.len();
            prop_assert!(i64::try_from(marks).unwrap() <= PARTS + 1);
        }
    }
}
