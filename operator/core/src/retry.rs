//! When to try again: a pure function of what happened so far, what happened
//! now, and the time.
//!
//! The failure that shapes it is an import that cannot succeed: peers sent one
//! document eight hundred times in three days, and kept API Management too busy
//! to finish any. Here such an object costs ten attempts at most in that time,
//! whatever mixture of answers it meets, and says so.

use std::time::Duration;

use crate::class::ErrorClass;
use crate::pace::Pace;

/// A point in time, since an origin that the caller chooses and keeps. Only
/// differences count.
pub type Moment = Duration;

/// A random number from 0 up to, but not including, 1. It is passed in, so that
/// what follows from it can be tested.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// Takes the part of a number that lies between 0 and 1.
    #[must_use]
    pub fn new(random: f64) -> Self {
        if random.is_finite() {
            Self(random.clamp(0.0, 1.0 - f64::EPSILON))
        } else {
            Self(0.5)
        }
    }

    /// A share of `whole`, from nothing to all.
    pub(crate) fn of(self, whole: Duration) -> Duration {
        whole.mul_f64(self.0)
    }
}

/// What came of an attempt, or made the earlier ones void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Done,
    /// It failed.
    Failed(ErrorClass),
    /// The object, its settings or its `retry` annotation changed: what
    /// happened before says nothing any more.
    Changed,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something changes.
    AwaitChange,
    /// Try again after this time, or earlier when something changes.
    After(Duration),
    /// Try again at once.
    Now,
    /// Say so in the condition `Stalled`. A change or a new value of `retry`
    /// starts afresh; else one attempt after this long time, so that an outage
    /// that has passed needs nobody's hand.
    Stalled(Duration),
}

impl Next {
    /// The same, with its pause at this pace.
    #[must_use]
    pub fn at(self, pace: Pace) -> Self {
        match self {
            Self::After(pause) => Self::After(pace.of(pause)),
            Self::Stalled(pause) => Self::Stalled(pace.of(pause)),
            Self::AwaitChange | Self::Now => self,
        }
    }
}

/// What is remembered of one object between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Failures in a row that count towards stalling: conflicts, transient and
    /// denied ones. Having to wait neither counts nor forgives. Being throttled
    /// is nobody's failure, so the first [two](Backoff::patience) do not count
    /// either, unless the object fails anyway.
    pub failures: u32,
    /// How often in a row it was throttled.
    pub throttled: u32,
    /// How often in a row it had to wait for something else.
    pub waits: u32,
    /// The class of the last failure; absent when the last attempt was fine.
    pub class: Option<ErrorClass>,
    /// When the first failure of this row happened.
    pub since: Option<Moment>,
}

impl History {
    /// For how long attempts have failed.
    #[must_use]
    pub fn failing_for(&self, now: Moment) -> Option<Duration> {
        self.since.map(|since| now.saturating_sub(since))
    }
}

/// The times and counts of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first delay after a transient failure; it grows fourfold.
    pub base: Duration,
    /// The longest of these delays.
    pub cap: Duration,
    /// How many conflicts in a row are tried again at once.
    pub immediate: u32,
    /// After how many failures an object is stalled; `None`: never.
    pub stall_after: Option<u32>,
    /// The first delay of a stalled object; it grows sixfold.
    pub stalled_base: Duration,
    /// The longest delay of a stalled object, before jitter.
    pub stalled_cap: Duration,
    /// The first time between two looks at what an object waits for, where no
    /// watch tells; it doubles.
    pub waiting_base: Duration,
    /// The longest such time.
    pub waiting_cap: Duration,
    /// How often in a row an object may be throttled before that counts.
    pub patience: u32,
    /// The first delay after that; it grows threefold, up to `stalled_base`.
    pub throttled_base: Duration,
    /// The first delay where the operator is not allowed to do something; it
    /// doubles. A role assignment takes up to ten minutes to spread.
    pub denied_base: Duration,
    /// The longest of these delays.
    pub denied_cap: Duration,
    /// The longest time that a server's Retry-After is believed.
    pub throttled_cap: Duration,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// No retry comes sooner than this, also when the jitter is nothing.
const SHORTEST: Duration = Duration::from_millis(100);

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            cap: MINUTE.saturating_mul(5),
            immediate: 3,
            stall_after: Some(5),
            stalled_base: MINUTE.saturating_mul(30),
            stalled_cap: HOUR.saturating_mul(48),
            waiting_base: Duration::from_secs(30),
            waiting_cap: MINUTE.saturating_mul(10),
            patience: 2,
            throttled_base: Duration::from_secs(10),
            denied_base: MINUTE,
            denied_cap: MINUTE.saturating_mul(15),
            throttled_cap: HOUR,
        }
    }
}

impl Backoff {
    /// For deletions: they cost little, and giving up would leave an orphan,
    /// so they never stall.
    #[must_use]
    pub fn for_deletion() -> Self {
        Self {
            stall_after: None,
            ..Self::default()
        }
    }

    /// What to remember and what to do, after `outcome` at `now`.
    #[must_use]
    pub fn next(
        &self,
        history: History,
        outcome: Outcome,
        now: Moment,
        jitter: Jitter,
    ) -> (History, Next) {
        let class = match outcome {
            Outcome::Done => return (History::default(), Next::AwaitChange),
            Outcome::Changed => return (History::default(), Next::Now),
            Outcome::Failed(class) => class,
        };
        let throttled = match class {
            ErrorClass::Throttled(_) => history.throttled.saturating_add(1),
            _ => history.throttled,
        };
        let counts = match class {
            ErrorClass::Conflict | ErrorClass::Transient | ErrorClass::Denied => true,
            ErrorClass::Throttled(_) => history.failures > 0 || throttled > self.patience,
            ErrorClass::Invalid | ErrorClass::Waiting => false,
        };
        let waits = history
            .waits
            .saturating_add(u32::from(class == ErrorClass::Waiting));
        let history = History {
            failures: history.failures.saturating_add(u32::from(counts)),
            throttled,
            waits,
            class: Some(class),
            since: history.since.or(Some(now)),
        };
        (history, self.after(class, history, jitter))
    }

    fn after(&self, class: ErrorClass, history: History, jitter: Jitter) -> Next {
        let failures = history.failures;
        match class {
            ErrorClass::Invalid => Next::AwaitChange,
            ErrorClass::Waiting => {
                let ceiling = grown(self.waiting_base, 2, history.waits, self.waiting_cap);
                Next::After(three_quarters_up(ceiling, jitter))
            }
            // Never before the server said; spread over the next quarter, or
            // all who were sent away would return together.
            ErrorClass::Throttled(wait) => {
                let wait = wait.min(self.throttled_cap);
                let spread = (wait / 4).saturating_add(Duration::from_secs(1));
                let asked = wait.saturating_add(jitter.of(spread));
                if let Some(stalled) = self.stalled(failures, jitter) {
                    return Next::Stalled(stalled.max(asked));
                }
                let beyond = history.throttled.saturating_sub(self.patience);
                let own = if beyond == 0 {
                    Duration::ZERO
                } else {
                    grown(self.throttled_base, 3, beyond, self.stalled_base)
                };
                Next::After(three_quarters_up(own, jitter).max(asked))
            }
            ErrorClass::Denied => {
                let ceiling = grown(self.denied_base, 2, failures, self.denied_cap);
                Next::After(three_quarters_up(ceiling, jitter))
            }
            ErrorClass::Conflict if failures <= self.immediate => Next::Now,
            ErrorClass::Conflict | ErrorClass::Transient => {
                if let Some(stalled) = self.stalled(failures, jitter) {
                    return Next::Stalled(stalled);
                }
                let ceiling = grown(self.base, 4, failures, self.cap);
                Next::After(jitter.of(ceiling).max(SHORTEST))
            }
        }
    }

    /// The delay of an object that has failed too often; none of another.
    fn stalled(&self, failures: u32, jitter: Jitter) -> Option<Duration> {
        let limit = self.stall_after.filter(|limit| failures >= *limit)?;
        let beyond = failures.saturating_sub(limit).saturating_add(1);
        let wait = grown(self.stalled_base, 6, beyond, self.stalled_cap);
        Some(wait.saturating_add(jitter.of(wait / 4)))
    }
}

/// `base` after the first failure, `factor` times as much after each further
/// one, at most `cap`.
fn grown(base: Duration, factor: u32, failures: u32, cap: Duration) -> Duration {
    factor
        .checked_pow(failures.saturating_sub(1))
        .and_then(|factor| base.checked_mul(factor))
        .map_or(cap, |grown| grown.min(cap))
}

/// Slow delays need only be spread, not shortened to nothing.
fn three_quarters_up(whole: Duration, jitter: Jitter) -> Duration {
    let quarter = whole / 4;
    whole
        .saturating_sub(quarter)
        .saturating_add(jitter.of(quarter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Moment = Duration::from_secs(1_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What follows from each of a row of outcomes, with the longest jitter
    /// rounded up to whole seconds.
    fn run(backoff: &Backoff, outcomes: &[Outcome]) -> Vec<Next> {
        let mut history = History::default();
        let up = |d: Duration| seconds(d.as_millis().div_ceil(1000).try_into().unwrap());
        outcomes
            .iter()
            .map(|outcome| {
                let (next, what) = backoff.next(history, *outcome, NOW, Jitter::new(1.0));
                history = next;
                match what {
                    Next::After(wait) => Next::After(up(wait)),
                    Next::Stalled(wait) => Next::Stalled(up(wait)),
                    other => other,
                }
            })
            .collect()
    }

    #[test]
    fn a_transient_failure_is_retried_ever_later_and_then_stalls() {
        let outcomes = [Outcome::Failed(ErrorClass::Transient); 9];
        assert_eq!(
            run(&Backoff::default(), &outcomes),
            [
                Next::After(seconds(5)),
                Next::After(seconds(20)),
                Next::After(seconds(80)),
                Next::After(seconds(300)),
                Next::Stalled(seconds(30 * 60 * 5 / 4)),
                Next::Stalled(seconds(3 * 3600 * 5 / 4)),
                Next::Stalled(seconds(18 * 3600 * 5 / 4)),
                Next::Stalled(seconds(48 * 3600 * 5 / 4)),
                Next::Stalled(seconds(48 * 3600 * 5 / 4)),
            ]
        );
    }

    /// How many attempts 69 hours see, when `outcome` says how each ends.
    fn attempts(mut outcome: impl FnMut(u32) -> ErrorClass, jitter: f64) -> u32 {
        let (mut history, mut now, mut attempts) = (History::default(), NOW, 0);
        while now < NOW + HOUR * 69 {
            let failed = Outcome::Failed(outcome(attempts));
            attempts += 1;
            let (after, next) = Backoff::default().next(history, failed, now, Jitter::new(jitter));
            history = after;
            now += match next {
                Next::Now => Duration::ZERO,
                Next::After(wait) | Next::Stalled(wait) => wait,
                Next::AwaitChange => panic!("{next:?}"),
            };
        }
        assert_eq!(history.failing_for(now), now.checked_sub(NOW));
        attempts
    }

    #[test]
    fn an_import_that_never_succeeds_costs_eight_attempts_in_69_hours() {
        assert_eq!(attempts(|_| ErrorClass::Transient, 0.0), 8);
        assert_eq!(attempts(|_| ErrorClass::Conflict, 0.0), 8);
        assert_eq!(attempts(|_| ErrorClass::Throttled(Duration::ZERO), 0.0), 10);
    }

    #[test]
    fn a_deletion_is_tried_every_five_minutes_for_ever() {
        let outcomes = [Outcome::Failed(ErrorClass::Transient); 500];
        let last = run(&Backoff::for_deletion(), &outcomes).pop();
        assert_eq!(last, Some(Next::After(seconds(300))));
    }

    #[test]
    fn a_conflict_is_retried_at_once_three_times() {
        let outcomes = [Outcome::Failed(ErrorClass::Conflict); 6];
        assert_eq!(
            run(&Backoff::default(), &outcomes),
            [
                Next::Now,
                Next::Now,
                Next::Now,
                Next::After(seconds(300)),
                Next::Stalled(seconds(2250)),
                Next::Stalled(seconds(13_500)),
            ]
        );
    }

    #[test]
    fn what_is_waited_for_is_looked_at_ever_later_and_never_given_up() {
        let outcomes = [Outcome::Failed(ErrorClass::Waiting); 50];
        let all = run(&Backoff::default(), &outcomes);
        let first = [30, 60, 120, 240, 480, 600, 600].map(|wait| Next::After(seconds(wait)));
        assert_eq!(all[..7], first);
        assert_eq!(all.last(), Some(&Next::After(seconds(600))));
    }

    #[test]
    fn throttling_is_believed_twice_and_then_counts() {
        let throttled = |wait| Outcome::Failed(ErrorClass::Throttled(seconds(wait)));
        assert_eq!(
            run(
                &Backoff::default(),
                &[
                    throttled(20),
                    throttled(1_000_000),
                    throttled(0),
                    throttled(0),
                    throttled(0),
                    throttled(1000),
                    throttled(0),
                    throttled(1_000_000),
                ]
            ),
            [
                Next::After(seconds(26)),
                Next::After(seconds(4501)),
                Next::After(seconds(10)),
                Next::After(seconds(30)),
                Next::After(seconds(90)),
                Next::After(seconds(1251)),
                Next::Stalled(seconds(2250)),
                Next::Stalled(seconds(13_500)),
            ]
        );
    }

    #[test]
    fn throttling_counts_at_once_where_the_object_fails_anyway() {
        let outcomes = [
            ErrorClass::Transient,
            ErrorClass::Throttled(seconds(1)),
            ErrorClass::Transient,
            ErrorClass::Throttled(seconds(1)),
            ErrorClass::Throttled(seconds(1)),
        ];
        let last = run(&Backoff::default(), &outcomes.map(Outcome::Failed)).pop();
        assert_eq!(last, Some(Next::Stalled(seconds(2250))));
    }

    #[test]
    fn each_other_class_has_its_own_pace() {
        let failed = Outcome::Failed;
        assert_eq!(
            run(
                &Backoff::default(),
                &[
                    failed(ErrorClass::Invalid),
                    failed(ErrorClass::Denied),
                    failed(ErrorClass::Denied),
                    Outcome::Changed,
                    failed(ErrorClass::Transient),
                    Outcome::Done,
                    failed(ErrorClass::Transient),
                ]
            ),
            [
                Next::AwaitChange,
                Next::After(seconds(60)),
                Next::After(seconds(120)),
                Next::Now,
                Next::After(seconds(5)),
                Next::AwaitChange,
                Next::After(seconds(5)),
            ]
        );
    }

    #[test]
    fn success_and_change_forget_everything() {
        let history = History {
            failures: 40,
            throttled: 3,
            waits: 2,
            class: Some(ErrorClass::Transient),
            since: Some(NOW),
        };
        for outcome in [Outcome::Done, Outcome::Changed] {
            let (after, _) = Backoff::default().next(history, outcome, NOW, Jitter::new(0.3));
            assert_eq!(after, History::default());
        }
    }

    fn class() -> impl Strategy<Value = ErrorClass> {
        prop_oneof![
            Just(ErrorClass::Waiting),
            Just(ErrorClass::Conflict),
            (0u64..u64::MAX).prop_map(|s| ErrorClass::Throttled(Duration::from_secs(s))),
            Just(ErrorClass::Transient),
            Just(ErrorClass::Denied),
        ]
    }

    fn delay(class: ErrorClass, failures: u32, jitter: f64) -> Duration {
        let history = History {
            failures,
            ..History::default()
        };
        let outcome = Outcome::Failed(class);
        let (_, next) = Backoff::default().next(history, outcome, NOW, Jitter::new(jitter));
        match next {
            Next::After(wait) | Next::Stalled(wait) => wait,
            Next::Now => Duration::ZERO,
            Next::AwaitChange => Duration::MAX,
        }
    }

    proptest! {
        #[test]
        fn no_mixture_of_failures_costs_more_than_ten_attempts_in_69_hours(
            classes in proptest::collection::vec(prop_oneof![
                Just(ErrorClass::Conflict),
                Just(ErrorClass::Transient),
                (0u64..7200).prop_map(|s| ErrorClass::Throttled(Duration::from_secs(s))),
            ], 16),
            jitter in 0.0f64..1.0,
        ) {
            let of = |attempt: u32| classes[usize::try_from(attempt).unwrap() % classes.len()];
            prop_assert!(attempts(of, jitter) <= 10);
        }

        #[test]
        fn every_delay_has_bounds(class in class(), failures: u32, jitter: f64) {
            let wait = delay(class, failures, jitter);
            prop_assert!(wait <= HOUR * 60);
            prop_assert!(wait >= SHORTEST || class == ErrorClass::Conflict || matches!(class, ErrorClass::Throttled(_)));
            if let ErrorClass::Throttled(asked) = class {
                prop_assert!(wait >= asked.min(HOUR));
            }
            if failures < 4 && class == ErrorClass::Transient {
                prop_assert!(wait <= MINUTE * 5);
            }
        }

        #[test]
        fn a_further_failure_never_shortens_the_delay(
            class in class(), failures in 0u32..u32::MAX, jitter in 0.0f64..1.0,
        ) {
            prop_assert!(delay(class, failures, jitter) <= delay(class, failures + 1, jitter));
        }

        #[test]
        fn more_jitter_never_shortens_the_delay(
            class in class(), failures: u32, a in 0.0f64..1.0, b in 0.0f64..1.0,
        ) {
            prop_assert!(delay(class, failures, a.min(b)) <= delay(class, failures, a.max(b)));
        }
    }
}
