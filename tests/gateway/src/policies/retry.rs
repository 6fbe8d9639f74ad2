//! `retry`: <https://learn.microsoft.com/azure/api-management/retry-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Step, Value};
use crate::engine::{last_error, run_steps};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;
use rand::RngExt as _;
use std::time::Duration;

struct Retry {
    condition: Value<bool>,
    count: Value<i64>,
    /// Seconds, as the next two.
    interval: Value<i64>,
    delta: Option<Value<i64>>,
    longest: Option<Value<i64>>,
    first_fast: Value<bool>,
    steps: Vec<Step>,
}

/// "1-50"
const MOST: i64 = 50;

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let steps = compiler.steps(element)?;
    let reader = Reader::new(element, compiler);
    Ok(Box::new(Retry {
        condition: reader.required("condition")?,
        count: reader.required("count")?,
        interval: reader.required("interval")?,
        delta: reader.value("delta")?,
        longest: reader.value("max-interval")?,
        first_fast: reader
            .value("first-fast-retry")?
            .unwrap_or(Value::Literal(false)),
        steps,
    }))
}

/// The documented times between attempts: fixed with `interval` alone, growing
/// evenly with `delta`, doubling with some chance in it with `max-interval`.
fn wait(
    attempt: i64,
    interval: f64,
    delta: Option<f64>,
    longest: Option<f64>,
    random: impl FnOnce(f64, f64) -> f64,
) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 50")]
    let number = attempt as f64;
    match (delta, longest) {
        (None, None) => interval,
        (None, Some(longest)) => interval.min(longest),
        (Some(delta), None) => interval + (number - 1.0) * delta,
        (Some(delta), Some(longest)) => {
            let grown = (number.exp2() - 1.0) * random(delta * 0.8, delta * 1.2);
            (interval + grown).min(longest)
        }
    }
}

#[async_trait]
impl Policy for Retry {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let count = exchange.get(&self.count).await?.clamp(0, MOST);
        let mut attempt = 0;
        loop {
            let result = run_steps(exchange, self.steps.iter()).await;
            match &result {
                Ok(Flow::Continue) => {}
                Ok(_) => return result,
                // That the condition is asked after an error as well, with
                // LastError and without a response, is inferred.
                Err(error) => exchange.context.last_error = Some(last_error(error)),
            }
            if attempt >= count || !exchange.get(&self.condition).await? {
                return result;
            }
            attempt += 1;
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            let float = |value: i64| value.max(0) as f64;
            let interval = float(exchange.get(&self.interval).await?);
            let delta = exchange.get_option(self.delta.as_ref()).await?.map(float);
            let longest = exchange.get_option(self.longest.as_ref()).await?.map(float);
            let fast = attempt == 1 && exchange.get(&self.first_fast).await?;
            let seconds = wait(attempt, interval, delta, longest, |from, to| {
                if from < to {
                    rand::rng().random_range(from..to)
                } else {
                    from
                }
            });
            if !fast && seconds > 0.0 {
                let clock = std::sync::Arc::clone(&exchange.shared.clock);
                clock
                    .sleep(Duration::from_secs_f64(seconds.min(3600.0)))
                    .await;
            }
            exchange.context.last_error = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wait;

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
    fn times_between_attempts_are_fixed_even_or_doubling() {
        let waits = |delta, longest| [1, 2, 3].map(|n| wait(n, 2.0, delta, longest, |_, to| to));
        assert_eq!(waits(None, None), [2.0, 2.0, 2.0]);
        assert_eq!(waits(Some(3.0), None), [2.0, 5.0, 8.0]);
        assert_eq!(waits(Some(5.0), Some(21.0)), [8.0, 20.0, 21.0]);
    }
}
