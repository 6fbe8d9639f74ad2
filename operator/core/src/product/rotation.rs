//! When the keys of a subscription are replaced.
//!
//! A subscription has two keys. One is the one to use; each time, the other,
//! which is older, is replaced and becomes the one to use. The one that was used
//! until then stays valid until the next time: that is how long callers have to
//! notice.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy_plugin::parse_duration;

/// The shortest time between two replacements: both keys must reach their
/// callers.
pub const SHORTEST: Duration = Duration::from_mins(10);
/// The longest: ten years.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

/// One of the two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Slot {
    /// `primaryKey`.
    #[default]
    Primary,
    /// `secondaryKey`.
    Secondary,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// As ARM and the Secret spell it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Primary => "primaryKey",
            Self::Secondary => "secondaryKey",
        }
    }
}

/// What is remembered of the keys; never the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The one to use.
    pub current: Slot,
    /// Since when.
    pub since: Timestamp,
    /// The one that is being replaced: it was begun, and how it ended is not
    /// known.
    pub replacing: Option<Slot>,
}

/// What is to be done with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing; and when to look again, if ever.
    Wait(Option<Duration>),
    /// This one is replaced and becomes the one to use.
    Replace(Slot),
    /// The replacement of this one was begun: whether it has to be repeated is
    /// seen by comparing the key with the one that was written down before.
    Resume(Slot),
}

/// Reads a period.
pub fn period(text: &str) -> Result<Duration, String> {
    let period = parse_duration(text)?;
    if (SHORTEST..=LONGEST).contains(&period) {
        Ok(period)
    } else {
        Err(format!(
            "`{text}` is not between {} minutes and ten years",
            SHORTEST.as_secs() / 60
        ))
    }
}

/// When the next replacement is due.
#[must_use]
pub fn due(state: &KeyState, every: Duration) -> Timestamp {
    state.since.checked_add(every).unwrap_or(Timestamp::MAX)
}

/// What is to be done now. A clock that was set back delays a replacement by no
/// more than the period.
#[must_use]
pub fn turn(state: &KeyState, every: Option<Duration>, now: Timestamp) -> Turn {
    if let Some(slot) = state.replacing {
        return Turn::Resume(slot);
    }
    let Some(every) = every else {
        return Turn::Wait(None);
    };
    let left = Duration::try_from(due(state, every).duration_since(now)).unwrap_or_default();
    if left.is_zero() {
        Turn::Replace(state.current.other())
    } else {
        Turn::Wait(Some(left.min(every)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn state() -> KeyState {
        KeyState {
            current: Slot::Primary,
            since: at("2026-03-01T00:00:00Z"),
            replacing: None,
        }
    }

    #[test]
    fn the_older_key_is_replaced_when_the_period_is_over() {
        let every = Some(30 * DAY);
        assert_eq!(
            turn(&state(), every, at("2026-03-30T00:00:00Z")),
            Turn::Wait(Some(DAY))
        );
        assert_eq!(
            turn(&state(), every, at("2026-03-31T00:00:00Z")),
            Turn::Replace(Slot::Secondary)
        );
        assert_eq!(
            turn(&state(), None, at("2036-03-31T00:00:00Z")),
            Turn::Wait(None)
        );
        assert_eq!(due(&state(), 30 * DAY), at("2026-03-31T00:00:00Z"));
    }

    #[test]
    fn what_was_begun_is_ended_first_whatever_the_schedule_says() {
        let begun = KeyState {
            replacing: Some(Slot::Secondary),
            ..state()
        };
        assert_eq!(
            turn(&begun, None, at("2026-03-01T00:00:01Z")),
            Turn::Resume(Slot::Secondary)
        );
    }

    #[test]
    fn a_period_that_leaves_callers_no_time_is_refused() {
        assert_eq!(period("720h"), Ok(30 * DAY));
        assert_eq!(period("10m"), Ok(SHORTEST));
        assert_eq!(
            period("9m").unwrap_err(),
            "`9m` is not between 10 minutes and ten years"
        );
        assert!(period("monthly").unwrap_err().contains("is not a duration"));
    }

    proptest! {
        /// A key is valid for at least one whole period after it stopped being
        /// the one to use.
        #[test]
        fn two_replacements_are_a_period_apart(every in 600_u64..10_000_000, delays in prop::collection::vec(0_u64..100_000, 1..6)) {
            let every = Duration::from_secs(every);
            let mut state = state();
            let mut last = None;
            for delay in delays {
                let now = due(&state, every).checked_add(Duration::from_secs(delay)).unwrap();
                prop_assert_eq!(turn(&state, Some(every), now), Turn::Replace(state.current.other()));
                if let Some(last) = last {
                    prop_assert!(Duration::try_from(now.duration_since(last)).unwrap() >= every);
                }
                last = Some(now);
                state = KeyState { current: state.current.other(), since: now, replacing: None };
            }
        }
    }
}
