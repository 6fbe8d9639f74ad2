//! The APIs that are to be rendered again after a change, so many in a time:
//! a profile that thousands use must not keep Azure's writes from everybody
//! else.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::names::ObjectKey;

/// How fast they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The time between two of them in the long run.
    pub every: Duration,
    /// How many go at once after a pause; at least one does.
    pub burst: u32,
}

/// Those who wait, each once, in the order in which they came.
#[derive(Debug)]
pub struct Line {
    rate: Rate,
    waiting: VecDeque<ObjectKey>,
    known: HashSet<ObjectKey>,
    /// When all that went would have gone, had they gone one by one.
    paid: Duration,
}

/// Who goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// This one, now.
    Now(ObjectKey),
    /// Somebody, at this time.
    At(Duration),
    /// Nobody waits.
    Nobody,
}

impl Line {
    /// Nobody yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            paid: Duration::ZERO,
        }
    }

    /// They wait, too. One that waits already keeps its place.
    pub fn join(&mut self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            if self.known.insert(key.clone()) {
                self.waiting.push_back(key);
            }
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who goes next; `now` is the time since any fixed moment.
    pub fn next(&mut self, now: Duration) -> Turn {
        if self.waiting.is_empty() {
            return Turn::Nobody;
        }
        let ahead = self.rate.every * self.rate.burst.saturating_sub(1);
        let paid = self.paid.max(now);
        if paid > now + ahead {
            return Turn::At(paid.saturating_sub(ahead));
        }
        self.paid = paid + self.rate.every;
        match self.waiting.pop_front() {
            Some(key) => {
                self.known.remove(&key);
                Turn::Now(key)
            }
            None => Turn::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        every: Duration::from_millis(200),
        burst: 3,
    };

    fn key(number: u32) -> ObjectKey {
        ObjectKey::new("shop", number.to_string())
    }

    /// When each goes, if whoever asks waits as long as he is told.
    fn times(line: &mut Line, mut now: Duration) -> Vec<(u128, String)> {
        let mut gone = Vec::new();
        loop {
            match line.next(now) {
                Turn::Now(key) => gone.push((now.as_millis(), key.name.to_string())),
                Turn::At(at) => now = at,
                Turn::Nobody => return gone,
            }
        }
    }

    fn plain(gone: &[(u128, String)]) -> Vec<(u128, &str)> {
        gone.iter().map(|(at, name)| (*at, name.as_str())).collect()
    }

    #[test]
    fn some_go_at_once_and_the_others_one_by_one_in_their_order() {
        let mut line = Line::new(RATE);
        line.join((0..6).map(key));
        assert_eq!(
            plain(&times(&mut line, Duration::ZERO)),
            [
                (0, "0"),
                (0, "1"),
                (0, "2"),
                (200, "3"),
                (400, "4"),
                (600, "5")
            ]
        );
        // After a pause as at the start.
        line.join((6..10).map(key));
        assert_eq!(
            plain(&times(&mut line, Duration::from_secs(9))),
            [(9000, "6"), (9000, "7"), (9000, "8"), (9200, "9")]
        );
    }

    #[test]
    fn who_waits_waits_once_and_may_come_again() {
        let mut line = Line::new(RATE);
        line.join([key(1), key(2), key(1)]);
        assert_eq!(line.len(), 2);
        assert_eq!(line.next(Duration::ZERO), Turn::Now(key(1)));
        line.join([key(2), key(1)]);
        assert_eq!(line.next(Duration::ZERO), Turn::Now(key(2)));
        assert_eq!(line.next(Duration::ZERO), Turn::Now(key(1)));
        assert_eq!(line.next(Duration::ZERO), Turn::Nobody);
    }

    proptest! {
        #[test]
        fn never_do_more_go_in_a_time_than_the_rate_says(
            joins in prop::collection::vec((0_u64..500, 0_u32..20), 1..20),
            burst in 1_u32..5,
        ) {
            let rate = Rate { every: Duration::from_millis(100), burst };
            let mut line = Line::new(rate);
            let (mut now, mut gone, mut joined) = (Duration::ZERO, Vec::new(), HashSet::new());
            for (pause, number) in joins {
                line.join([key(number)]);
                joined.insert(number.to_string());
                now += Duration::from_millis(pause);
                while let Turn::Now(key) = line.next(now) {
                    gone.push((now, key.name.to_string()));
                }
            }
            loop {
                match line.next(now) {
                    Turn::Now(key) => gone.push((now, key.name.to_string())),
                    Turn::At(at) => {
                        prop_assert!(at > now);
                        now = at;
                    }
                    Turn::Nobody => break,
                }
            }
            let seen: HashSet<String> = gone.iter().map(|(_, name)| name.clone()).collect();
            prop_assert_eq!(seen, joined);
            for (i, (start, _)) in gone.iter().enumerate() {
                let within = gone[i..].iter().filter(|(at, _)| *at < *start + rate.every).count();
                prop_assert!(within <= usize::try_from(burst).unwrap_or(usize::MAX) + 1);
            }
        }
    }
}
