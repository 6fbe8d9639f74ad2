//! `quota-by-key`: <https://learn.microsoft.com/azure/api-management/quota-by-key-policy>.

use super::counting::{Amount, Count, Counted};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, PolicyValue, Reader, Value};
use crate::counters::{OutOf, Quota};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use jiff::Timestamp;
use policy_document::Element;

/// Where periods are counted from if the policy does not say: "Default:
/// 0001-01-01T00:00:00Z", in milliseconds.
const FIRST_START: i64 = -62_135_596_800_000;

struct QuotaByKey {
    limits: QuotaLimits,
    key: Value<String>,
    condition: Option<Value<bool>>,
    count: Option<Value<i64>>,
}

/// What `quota` and `quota-by-key` share.
#[derive(Clone)]
pub(super) struct QuotaLimits {
    calls: Option<Value<i64>>,
    /// In kilobytes.
    bandwidth: Option<Value<i64>>,
    period: Value<Period>,
    start: i64,
}

/// Seconds, or a duration of ISO 8601 such as `P30D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period(i64);

impl PolicyValue for Period {
    const EXPECTED: &'static str = "a number of seconds or a duration";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<i64>() {
            return (seconds >= 0).then_some(Self(seconds));
        }
        // A day has 24 hours here; months and years have no length.
        let span: jiff::Span = text.parse().ok()?;
        let relative = jiff::SpanRelativeTo::days_are_24_hours();
        let duration = span.to_duration(relative).ok()?;
        (duration.as_secs() > 0).then_some(Self(duration.as_secs()))
    }
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(QuotaByKey {
        limits: QuotaLimits::read(&reader, None)?,
        key: reader.required("counter-key")?,
        condition: reader.value("increment-condition")?,
        count: reader.value("increment-count")?,
    }))
}

impl QuotaLimits {
    /// A part of a quota has the period of the whole.
    pub(super) fn read(
        reader: &Reader<'_, '_, '_>,
        whole: Option<&Self>,
    ) -> Result<Self, CompileError> {
        let calls = reader.value("calls")?;
        let bandwidth = reader.value("bandwidth")?;
        if calls.is_none() && bandwidth.is_none() {
            return reader.fail("One of the attributes 'calls', 'bandwidth' must be specified.");
        }
        let start = match reader.text_of("first-period-start")? {
            None => whole.map_or(FIRST_START, |whole| whole.start),
            Some(text) => match text.trim().parse::<Timestamp>() {
                Ok(start) => start.as_millisecond(),
                Err(_) => {
                    return reader.fail(format!("The 'first-period-start' attribute is invalid - The value '{text}' is no time such as 2024-01-01T00:00:00Z."));
                }
            },
        };
        let period = match (reader.value("renewal-period")?, whole) {
            (Some(period), _) => period,
            (None, Some(whole)) => whole.period.clone(),
            (None, None) => reader.required("renewal-period")?,
        };
        Ok(Self {
            calls,
            bandwidth,
            period,
            start,
        })
    }

    /// Asks for a call and counts `calls`; gives the quota as it is now.
    pub(super) async fn take(
        &self,
        exchange: &mut Exchange,
        key: &str,
        calls: u64,
    ) -> Result<Quota, PolicyError> {
        let most = |value: Option<i64>| value.map(|most| u64::try_from(most).unwrap_or_default());
        let quota = Quota {
            calls: most(exchange.get_option(self.calls.as_ref()).await?),
            bandwidth: most(exchange.get_option(self.bandwidth.as_ref()).await?)
                .map(|kilobytes| kilobytes.saturating_mul(1024)),
            period: exchange.get(&self.period).await?.0.saturating_mul(1000),
            start: self.start,
        };
        let now = exchange.now().as_millisecond();
        let taken = exchange.shared.quotas.take(key, &quota, now, calls);
        let Err(out) = taken else {
            return Ok(quota);
        };
        let (what, wait) = match out {
            OutOf::Calls(wait) => ("call volume", wait),
            OutOf::Bandwidth(wait) => ("bandwidth", wait),
        };
        if quota.period == 0 {
            let message = format!("Out of {what} quota.");
            return Err(PolicyError::told(403, "QuotaExceeded", message));
        }
        let seconds = u64::try_from(wait).unwrap_or_default().div_ceil(1000);
        let message = format!(
            "Out of {what} quota. Quota will be replenished in {}.",
            clock_time(seconds)
        );
        Err(PolicyError::told(403, "QuotaExceeded", message)
            .with_header("Retry-After", seconds.to_string()))
    }
}

/// As .NET writes a `TimeSpan`: `00:00:12`, with days `1.02:03:04`.
fn clock_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days}.{clock}"),
    }
}

/// Lets the bytes of a response be counted, and its call where that waits.
pub(super) fn count_later(
    exchange: &mut Exchange,
    key: String,
    quota: Quota,
    condition: Option<Value<bool>>,
    amount: Amount,
) {
    exchange.afterwards.push(Count {
        key,
        what: Counted::Quota(quota),
        condition,
        amount,
    });
}

#[async_trait]
impl Policy for QuotaByKey {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let key = exchange.get(&self.key).await?;
        let key = format!("key:{}:{key}", exchange.service.configuration.name);
        // A condition may be about the response.
        let (calls, amount) = match (&self.condition, &self.count) {
            (Some(_), count) => (0, count.clone().into()),
            (None, None) => (1, Amount::Counted),
            (None, Some(count)) => {
                let count = exchange.get(count).await?;
                (u64::try_from(count).unwrap_or_default(), Amount::Counted)
            }
        };
        let quota = self.limits.take(exchange, &key, calls).await?;
        count_later(exchange, key, quota, self.condition.clone(), amount);
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_seconds_or_durations() {
        let cases = [
            ("300", Some(300)),
            ("0", Some(0)),
            ("P30D", Some(2_592_000)),
            ("PT5M", Some(300)),
            ("-1", None),
            ("P1M", None),
            ("soon", None),
        ];
        for (text, expected) in cases {
            let period = Period::from_text(text).map(|period| period.0);
            assert_eq!(period, expected, "{text}");
        }
        assert_eq!(clock_time(12), "00:00:12");
        assert_eq!(clock_time(93_784), "1.02:03:04");
    }
}
