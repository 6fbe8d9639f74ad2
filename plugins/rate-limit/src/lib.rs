//! Limits how often an API may be called.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `calls` | calls that one caller may make in a period | 100 |
//! | `renewalPeriod` | length of the sliding period in seconds, 1 to 300 | 60 |
//! | `key` | who counts as one caller: `ip`, `subscription`, `jwt:<claim>`, `header:<name>`, `const:<text>` | `ip` |
//! | `retryAfterHeader`, `remainingCallsHeader`, `totalCallsHeader` | names of response headers with the seconds to wait, the calls that are left, the limit | none |
//!
//! It reads the spec block `rateLimit`: `limit`, `interval` (`ps`: per second,
//! `pm`: per minute), `period` (seconds) and `identifier`, which is a key as
//! above, or `IP`.
//!
//! The statement is `rate-limit-by-key`. The Consumption tier has no counters
//! by key; there it is `rate-limit`, which counts per subscription and lets
//! everybody through who has none. So an API that requires no subscription
//! key is refused there.
//!
//! It must never fail open: a key that a request lacks (no such header, no
//! such claim) falls back to the caller's address, so that leaving it out
//! wins nothing.

#![forbid(unsafe_code)]

mod spec;

use policy_sdk::Caller;
use policy_sdk::prelude::*;
use serde::Deserialize;

/// The longest period that API Management counts over, in seconds.
const LONGEST_PERIOD: i64 = 300;

/// The plugin.
#[derive(Debug)]
pub struct RateLimitPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    calls: i64,
    renewal_period: i64,
    key: String,
    retry_after_header: Option<String>,
    remaining_calls_header: Option<String>,
    total_calls_header: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            calls: 100,
            renewal_period: 60,
            key: "ip".to_owned(),
            retry_after_header: None,
            remaining_calls_header: None,
            total_calls_header: None,
        }
    }
}

impl Plugin for RateLimitPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "rate-limit",
            env!("CARGO_PKG_VERSION"),
            "Limits how often one caller may call the API.",
            Phase::Traffic,
        )
        .writes([Section::Inbound])
        .reads_block("rateLimit")
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        spec::read(&request)
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let calls = within(config.calls, i64::from(i32::MAX)).ok_or_else(|| {
            Diagnostic::error(
                "/calls",
                format!(
                    "calls must be from 1 to {}, and is {}; to allow any number, leave the plugin out",
                    i32::MAX,
                    config.calls
                ),
            )
        });
        let period = within(config.renewal_period, LONGEST_PERIOD).ok_or_else(|| {
            Diagnostic::error(
                "/renewalPeriod",
                format!(
                    "renewalPeriod must be from 1 to {LONGEST_PERIOD} seconds, the longest period that \
                     API Management counts over, and is {}",
                    config.renewal_period
                ),
            )
        });
        let key = Caller::parse(&config.key).map_err(|error| Diagnostic::error("/key", error));
        let mut keep = |result: Result<u32, Diagnostic>| result.map_err(|e| problems.push(e)).ok();
        let (calls, period) = (keep(calls), keep(period));
        let key = key.map_err(|e| problems.push(e)).ok();
        let (Some(calls), Some(period), Some(key)) = (calls, period, key) else {
            return Err(problems);
        };

        let mut policy = Policy::of(context);
        if context.instance.is_consumption() {
            policy.inbound(per_subscription(context, &config, calls, period, &key)?);
        } else {
            policy.inbound(by_key(context, &config, calls, period, &key));
        }
        Ok(policy)
    }
}

/// A number from 1 to `most`.
fn within(number: i64, most: i64) -> Option<u32> {
    (1..=most)
        .contains(&number)
        .then(|| u32::try_from(number).ok())
        .flatten()
}

fn by_key(
    context: &Context,
    config: &Config,
    calls: u32,
    period: u32,
    key: &Caller,
) -> RateLimitByKey {
    let mut limit = RateLimitByKey::new(
        calls.at("/calls"),
        period.at("/renewalPeriod"),
        // The limit of an operation comes on top of the API's: with one counter for
        // both, each call would count twice.
        key.counter_of("rate-limit", context).at("/key"),
    );
    if let Some(name) = &config.retry_after_header {
        limit = limit.retry_after_header(name.at("/retryAfterHeader"));
    }
    if let Some(name) = &config.remaining_calls_header {
        limit = limit.remaining_calls_header(name.at("/remainingCallsHeader"));
    }
    if let Some(name) = &config.total_calls_header {
        limit = limit.total_calls_header(name.at("/totalCallsHeader"));
    }
    limit
}

fn per_subscription(
    context: &Context,
    config: &Config,
    calls: u32,
    period: u32,
    key: &Caller,
) -> Result<RateLimit, Vec<Diagnostic>> {
    if !context.api.subscription_required {
        return Err(Diagnostic::error(
            "",
            "the Consumption tier can only count per subscription, and this API requires no \
             subscription key: set spec.apiKeyVerification.enabled to true, or use another tier",
        )
        .into());
    }
    // The default is not something that anybody asked for.
    if !matches!(key, Caller::Subscription | Caller::Ip) {
        return Err(Diagnostic::error(
            "/key",
            format!(
                "the Consumption tier can only count per subscription: write `subscription` in \
                 the place of `{}`, or use another tier",
                config.key
            ),
        )
        .into());
    }
    let mut limit = RateLimit::new(calls.at("/calls"), period.at("/renewalPeriod"));
    if let Some(name) = &config.retry_after_header {
        limit = limit.retry_after_header(name.at("/retryAfterHeader"));
    }
    if let Some(name) = &config.remaining_calls_header {
        limit = limit.remaining_calls_header(name.at("/remainingCallsHeader"));
    }
    if let Some(name) = &config.total_calls_header {
        limit = limit.total_calls_header(name.at("/totalCallsHeader"));
    }
    Ok(limit)
}

policy_sdk::export_plugin!(RateLimitPlugin);
