//! ARM's token buckets: per principal, subscription and kind of call.

use super::error::ArmError;
use crate::config::ThrottleLimits;
use crate::journal::CallKind;
use jiff::Timestamp;
use std::collections::HashMap;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

/// What is left of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) principal: String,
    pub(crate) subscription: String,
    /// `read`, `write` or `delete`.
    pub(crate) kind: &'static str,
    pub(crate) left: u32,
    pub(crate) burst: u32,
    pub(crate) per_second: u32,
}

/// The buckets of all principals.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: Option<ThrottleLimits>,
    buckets: HashMap<Key, Bucket>,
}

/// Principal, subscription and kind.
type Key = (String, String, &'static str);

impl Throttle {
    /// Full buckets.
    pub(crate) fn new(limits: Option<ThrottleLimits>) -> Self {
        Self {
            limits,
            buckets: HashMap::new(),
        }
    }

    /// Takes one token; returns the name of the header and how many are left,
    /// or the 429 that says when to try again.
    pub(crate) fn take(
        &mut self,
        principal: &str,
        subscription: &str,
        kind: CallKind,
        now: Timestamp,
    ) -> Result<Option<(&'static str, u32)>, ArmError> {
        let Some(limits) = self.limits else {
            return Ok(None);
        };
        let name = match kind {
            CallKind::Write => "write",
            CallKind::Delete => "delete",
            _ => "read",
        };
        let (burst, rate) = of(limits, name);
        let (burst, rate) = (f64::from(burst), f64::from(rate));
        let key = (principal.to_owned(), subscription.to_owned(), name);
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            tokens: burst,
            filled: now,
        });
        bucket.tokens = bucket.at(now, burst, rate);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            let wait = if rate > 0.0 {
                ((1.0 - bucket.tokens) / rate).ceil().max(1.0)
            } else {
                3600.0
            };
            return Err(ArmError::gateway(
                429,
                "SubscriptionRequestsThrottled",
                format!(
                    "Number of '{name}' requests for subscription '{subscription}' actor '{principal}' exceeded. Please try again after '{wait}' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information."
                ),
            )
            .with("Retry-After", wait.to_string()));
        }
        bucket.tokens -= 1.0;
        let header = match name {
            "write" => "x-ms-ratelimit-remaining-subscription-writes",
            "delete" => "x-ms-ratelimit-remaining-subscription-deletes",
            _ => "x-ms-ratelimit-remaining-subscription-reads",
        };
        Ok(Some((header, whole(bucket.tokens))))
    }

    /// What every bucket holds that was used, in order; `None` without limits.
    pub(crate) fn budgets(&self, now: Timestamp) -> Option<Vec<Budget>> {
        let limits = self.limits?;
        let budget = |((principal, subscription, kind), bucket): (&Key, &Bucket)| {
            let (burst, per_second) = of(limits, kind);
            let left = bucket.at(now, f64::from(burst), f64::from(per_second));
            Budget {
                principal: principal.clone(),
                subscription: subscription.clone(),
                kind,
                left: whole(left),
                burst,
                per_second,
            }
        };
        let mut budgets: Vec<Budget> = self.buckets.iter().map(budget).collect();
        budgets.sort_by(|a, b| {
            let key = |one: &Budget| (one.principal.clone(), one.subscription.clone(), one.kind);
            key(a).cmp(&key(b))
        });
        Some(budgets)
    }
}

/// Burst and rate of a kind of call.
fn of(limits: ThrottleLimits, kind: &str) -> (u32, u32) {
    match kind {
        "write" => (limits.writes_burst, limits.writes_per_second),
        "delete" => (limits.deletes_burst, limits.deletes_per_second),
        _ => (limits.reads_burst, limits.reads_per_second),
    }
}

impl Bucket {
    /// How many tokens there are then.
    fn at(&self, now: Timestamp, burst: f64, rate: f64) -> f64 {
        let elapsed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        (self.tokens + elapsed * rate).min(burst)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the burst, which is a u32"
)]
fn whole(tokens: f64) -> u32 {
    tokens as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn a_bucket_empties_refills_at_its_rate_and_is_one_principals_own() {
        let mut throttle = Throttle::new(Some(ThrottleLimits::default()));
        let now = Timestamp::UNIX_EPOCH;
        for left in (0..200).rev() {
            assert_eq!(
                throttle
                    .take("a", "s", CallKind::Write, now)
                    .expect("in the burst"),
                Some(("x-ms-ratelimit-remaining-subscription-writes", left))
            );
        }
        let refusal = throttle
            .take("a", "s", CallKind::Write, now)
            .expect_err("empty");
        assert_eq!(refusal.status, 429);
        assert_eq!(refusal.reply().header("retry-after"), Some("1"));
        throttle
            .take("a", "s", CallKind::Read, now)
            .expect("reads are apart");
        throttle
            .take("b", "s", CallKind::Write, now)
            .expect("another principal");
        let later = now + SignedDuration::from_millis(100);
        throttle
            .take("a", "s", CallKind::Write, later)
            .expect("one token came");
        throttle
            .take("a", "s", CallKind::Write, later)
            .expect_err("only one");
        let left: Vec<_> = throttle
            .budgets(later + SignedDuration::from_millis(500))
            .expect("limits")
            .into_iter()
            .map(|one| (one.principal, one.kind, one.left, one.burst))
            .collect();
        assert_eq!(
            left,
            [
                ("a".to_owned(), "read", 250, 250),
                ("a".to_owned(), "write", 5, 200),
                ("b".to_owned(), "write", 200, 200),
            ]
        );
    }
}
