//! `rate-limit-by-key`:
//! <https://learn.microsoft.com/azure/api-management/rate-limit-by-key-policy>.

use super::counting::{Count, Counted};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::counters::Admission;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

struct RateLimitByKey {
    limit: Limit,
    key: Value<String>,
    condition: Option<Value<bool>>,
    count: Option<Value<i64>>,
    after_response: bool,
}

/// What `rate-limit` and `rate-limit-by-key` share.
pub(super) struct Limit {
    calls: Value<i64>,
    /// Seconds.
    period: Value<i64>,
    retry_after_header: String,
    retry_after_variable: Option<String>,
    remaining_header: Option<String>,
    remaining_variable: Option<String>,
    total_header: Option<String>,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    Ok(Box::new(RateLimitByKey {
        limit: Limit::read(&reader)?,
        key: reader.required("counter-key")?,
        condition: reader.value("increment-condition")?,
        count: reader.value("increment-count")?,
        after_response: reader.literal("increment-after-response")?.unwrap_or(false),
    }))
}

impl Limit {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        Ok(Self {
            calls: reader.required("calls")?,
            period: reader.required("renewal-period")?,
            retry_after_header: reader
                .text_of("retry-after-header-name")?
                .unwrap_or_else(|| "Retry-After".to_owned()),
            retry_after_variable: reader.text_of("retry-after-variable-name")?,
            remaining_header: reader.text_of("remaining-calls-header-name")?,
            remaining_variable: reader.text_of("remaining-calls-variable-name")?,
            total_header: reader.text_of("total-calls-header-name")?,
        })
    }

    /// Asks for a call and counts `amount`; gives the period in milliseconds.
    pub(super) async fn take(
        &self,
        exchange: &mut Exchange,
        key: &str,
        amount: u64,
    ) -> Result<i64, PolicyError> {
        let calls = exchange.get(&self.calls).await?;
        let limit = u64::try_from(calls).unwrap_or_default();
        let period = exchange.get(&self.period).await?.saturating_mul(1000);
        let now = exchange.now().as_millisecond();
        let admission = exchange.shared.rates.take(key, limit, period, now, amount);
        if let Some(header) = &self.total_header {
            set(exchange, header, calls.to_string());
        }
        let remaining = match admission {
            Admission::Admitted { remaining } => remaining,
            Admission::Refused { .. } => 0,
        };
        if let Some(header) = &self.remaining_header {
            set(exchange, header, remaining.to_string());
        }
        let number = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
        if let Some(variable) = &self.remaining_variable {
            let variables = &mut exchange.context.variables;
            variables.insert(variable.clone(), number(remaining).into());
        }
        if let Admission::Refused { wait } = admission {
            let seconds = wait.div_ceil(1000);
            if let Some(variable) = &self.retry_after_variable {
                let variables = &mut exchange.context.variables;
                variables.insert(variable.clone(), number(seconds).into());
            }
            let message = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
            return Err(PolicyError::told(429, "RateLimitExceeded", message)
                .with_header(&self.retry_after_header, seconds.to_string()));
        }
        Ok(period)
    }
}

/// Headers about the limit are on every answer, also where it is exceeded. Of
/// several limits with one header name the last that was asked is told.
fn set(exchange: &mut Exchange, name: &str, value: String) {
    let headers = &mut exchange.on_every_response;
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value));
}

#[async_trait]
impl Policy for RateLimitByKey {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let key = exchange.get(&self.key).await?;
        // One counter for a key in all scopes (documented).
        let key = format!("key:{}:{key}", exchange.service.configuration.name);
        let afterwards = self.condition.is_some() || self.after_response;
        let amount = match (&self.count, afterwards) {
            (_, true) => 0,
            (None, false) => 1,
            (Some(count), false) => u64::try_from(exchange.get(count).await?).unwrap_or_default(),
        };
        let period = self.limit.take(exchange, &key, amount).await?;
        if afterwards {
            exchange.afterwards.push(Count {
                key,
                what: Counted::Rate { period },
                condition: self.condition.clone(),
                amount: self.count.clone().into(),
            });
        }
        Ok(Flow::Continue)
    }
}
