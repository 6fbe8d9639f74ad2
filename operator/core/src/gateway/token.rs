//! When a gateway's token is replaced, and by which of its two keys it is
//! signed.
//!
//! API Management gives tokens of 30 days at most. One is replaced when two
//! thirds of its time are over, so that a third is left for a service that does
//! not answer. A token says itself until when it is valid; nothing else is
//! believed.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::policy_plugin::parse_duration;
use crate::product::rotation::{self, KeyState, Slot};

/// What the setting `config.service.auth` begins with, before the token.
const SCHEME: &str = "GatewayKey ";
/// "Maximum token expiry time is set to 30 days."
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// A day less: clocks differ.
const USUAL: Duration = Duration::from_hours(29 * 24);
/// Shorter ones would be replaced, and pods started anew, all the time.
const SHORTEST: Duration = Duration::from_hours(1);

/// Reads how long a token is to be valid.
pub fn validity(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else {
        return Ok(USUAL);
    };
    let validity = parse_duration(text)?;
    if (SHORTEST..=LONGEST).contains(&validity) {
        Ok(validity)
    } else {
        Err(format!(
            "`{text}` is not between 1 hour and 30 days (`720h`)"
        ))
    }
}

/// The setting for a token.
#[must_use]
pub fn setting(token: &str) -> String {
    format!("{SCHEME}{token}")
}

/// Until when a setting is valid: `GatewayKey <id>&<yyyyMMddHHmm>&<signature>`.
/// Nothing where it is none of this gateway.
#[must_use]
pub fn expiry(setting: &str, id: &str) -> Option<Timestamp> {
    let mut parts = setting.strip_prefix(SCHEME)?.splitn(3, '&');
    let (of, until, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if !of.eq_ignore_ascii_case(id) || signature.is_empty() {
        return None;
    }
    let until = DateTime::strptime("%Y%m%d%H%M", until).ok()?;
    let until = until.to_zoned(TimeZone::UTC).ok()?;
    Some(until.timestamp())
}

/// What is known of a gateway's token and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    /// Until when the token is valid, and which key signed it; nothing where
    /// there is none.
    pub token: Option<(Timestamp, Slot)>,
    /// Which key signs; nothing before the first token.
    pub keys: Option<KeyState>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenTurn {
    /// Nothing for so long.
    Wait(Duration),
    /// A token signed by this key takes the place of the one that is there.
    Renew(Slot),
    /// This key is replaced, then signs a token.
    Replace(Slot),
}

/// When a token is due.
#[must_use]
pub fn due(expiry: Timestamp, validity: Duration) -> Timestamp {
    expiry.checked_sub(validity / 3).unwrap_or(Timestamp::MIN)
}

/// What is to be done now. `every`: between two replacements of a key.
#[must_use]
pub fn turn(
    state: &TokenState,
    validity: Duration,
    every: Option<Duration>,
    now: Timestamp,
) -> TokenTurn {
    let mut left = validity;
    let slot = state
        .keys
        .as_ref()
        .map_or_else(Slot::default, |keys| keys.current);
    if let Some(keys) = &state.keys {
        match rotation::turn(keys, every, now) {
            // It was begun: with a token signed by it, it was also done.
            rotation::Turn::Resume(slot) => {
                return match state.token {
                    Some((_, by)) if by == slot => TokenTurn::Renew(slot),
                    _ => TokenTurn::Replace(slot),
                };
            }
            rotation::Turn::Replace(slot) => return TokenTurn::Replace(slot),
            rotation::Turn::Wait(next) => left = next.unwrap_or(left).min(left),
        }
    }
    let Some((expiry, by)) = state.token else {
        return TokenTurn::Renew(slot);
    };
    let until = due(expiry, validity).duration_since(now);
    let until = Duration::try_from(until).unwrap_or_default();
    if until.is_zero() || by != slot {
        return TokenTurn::Renew(slot);
    }
    TokenTurn::Wait(until.min(left))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn keys(current: Slot, replacing: Option<Slot>) -> KeyState {
        KeyState {
            current,
            since: at("2026-03-01T00:00:00Z"),
            replacing,
        }
    }

    fn state(expiry: &str, by: Slot) -> TokenState {
        TokenState {
            token: Some((at(expiry), by)),
            keys: Some(keys(Slot::Primary, None)),
        }
    }

    #[test]
    fn a_token_says_of_which_gateway_it_is_and_until_when() {
        // The example of the ARM specification.
        let text = setting("gw1&201904210044&9A1GR1f5WIhFvFmzQG+xxx==");
        assert_eq!(text, "GatewayKey gw1&201904210044&9A1GR1f5WIhFvFmzQG+xxx==");
        assert_eq!(expiry(&text, "gw1"), Some(at("2019-04-21T00:44:00Z")));
        for (text, id) in [
            (text.as_str(), "gw2"),
            ("gw1&201904210044&x", "gw1"),
            ("GatewayKey gw1&2019&x", "gw1"),
            ("GatewayKey gw1&201904210044&", "gw1"),
            ("GatewayKey gw1", "gw1"),
        ] {
            assert_eq!(expiry(text, id), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_replaced_when_two_thirds_of_its_time_are_over() {
        let state = state("2026-03-31T00:00:00Z", Slot::Primary);
        let turn = |now: &str| turn(&state, 30 * DAY, None, at(now));
        assert_eq!(turn("2026-03-01T00:00:00Z"), TokenTurn::Wait(20 * DAY));
        assert_eq!(turn("2026-03-20T00:00:00Z"), TokenTurn::Wait(DAY));
        assert_eq!(
            turn("2026-03-21T00:00:00Z"),
            TokenTurn::Renew(Slot::Primary)
        );
        assert_eq!(
            turn("2027-01-01T00:00:00Z"),
            TokenTurn::Renew(Slot::Primary)
        );
    }

    #[test]
    fn the_first_token_is_signed_by_the_first_key_and_one_of_another_key_is_replaced() {
        let none = TokenState {
            token: None,
            keys: None,
        };
        let now = at("2026-03-02T00:00:00Z");
        assert_eq!(turn(&none, DAY, None, now), TokenTurn::Renew(Slot::Primary));
        let other = state("2026-03-31T00:00:00Z", Slot::Secondary);
        assert_eq!(
            turn(&other, 30 * DAY, None, now),
            TokenTurn::Renew(Slot::Primary)
        );
    }

    #[test]
    fn the_key_that_signs_nothing_is_replaced_and_what_was_begun_is_ended() {
        let mut state = state("2026-06-01T00:00:00Z", Slot::Primary);
        let every = Some(90 * DAY);
        let now = at("2026-05-30T00:00:00Z");
        assert_eq!(
            turn(&state, 30 * DAY, every, now),
            TokenTurn::Replace(Slot::Secondary)
        );
        state.keys = Some(keys(Slot::Primary, Some(Slot::Secondary)));
        assert_eq!(
            turn(&state, 30 * DAY, every, now),
            TokenTurn::Replace(Slot::Secondary)
        );
        // The token was written, what it is was not.
        state.token = Some((at("2026-06-29T00:00:00Z"), Slot::Secondary));
        assert_eq!(
            turn(&state, 30 * DAY, every, now),
            TokenTurn::Renew(Slot::Secondary)
        );
    }

    #[test]
    fn a_validity_that_api_management_does_not_give_is_refused() {
        assert_eq!(validity(None), Ok(29 * DAY));
        assert_eq!(validity(Some("720h")), Ok(30 * DAY));
        for text in ["721h", "59m"] {
            let refused = validity(Some(text)).unwrap_err();
            assert!(
                refused.contains("not between 1 hour and 30 days"),
                "{refused}"
            );
        }
        assert!(validity(Some("month")).is_err());
    }

    proptest! {
        /// Whoever does what is said, when it is said, never has a token that
        /// is over: not even where a service does not answer for a quarter of
        /// its time.
        #[test]
        fn a_token_is_always_valid(hours in 1_u32..=720, delays in prop::collection::vec(0.0_f64..0.25, 1..8)) {
            let validity = Duration::from_hours(u64::from(hours));
            let mut now = at("2026-03-01T00:00:00Z");
            let mut state = TokenState { token: None, keys: None };
            for delay in delays {
                prop_assert_eq!(turn(&state, validity, None, now), TokenTurn::Renew(Slot::Primary));
                let expiry = now.checked_add(validity).unwrap();
                state.token = Some((expiry, Slot::Primary));
                let TokenTurn::Wait(left) = turn(&state, validity, None, now) else {
                    return Err(TestCaseError::fail("a new token is good"));
                };
                now = now.checked_add(left + validity.mul_f64(delay)).unwrap();
                prop_assert!(now < expiry);
            }
        }
    }
}
