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

/// The buckets of all principals.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: Option<ThrottleLimits>,
    buckets: HashMap<(String, String, &'static str), Bucket>,
}

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
        let (name, burst, rate) = match kind {
            CallKind::Write => ("write", limits.writes_burst, limits.writes_per_second),
            CallKind::Delete => ("delete", limits.deletes_burst, limits.deletes_per_second),
            _ => ("read", limits.reads_burst, limits.reads_per_second),
        };
        let (burst, rate) = (f64::from(burst), f64::from(rate));
        let key = (principal.to_owned(), subscription.to_owned(), name);
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            tokens: burst,
            filled: now,
        });
        let elapsed = now.duration_since(bucket.filled).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + elapsed * rate).min(burst);
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
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the burst, which is a u32"
        )]
        let left = bucket.tokens as u32;
        Ok(Some((header, left)))
    }
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
    }
}
