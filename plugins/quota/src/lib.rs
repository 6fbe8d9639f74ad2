//! Limits how much of an API one caller may use over a long period.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `calls` | calls per period | none |
//! | `bandwidth` | kilobytes per period | none |
//! | `renewalPeriod` | length of the period in seconds, at least 300 | 86400 (a day) |
//! | `key` | who counts as one caller: `ip`, `subscription`, `jwt:<claim>`, `header:<name>`, `const:<text>` | `subscription` where the API requires a subscription key, else `ip` |
//!
//! At least one of `calls` and `bandwidth`. It reads the spec block `quota`:
//! `limit` (calls) and `identifier`, which is a key as above or the name of
//! one counter for everybody.
//!
//! The statement is `quota-by-key`, which the Consumption tier does not have:
//! there the plugin is refused.
//!
//! ```
//! # use plugin_quota::QuotaPlugin;
//! let policy = policy_sdk::testing::Call::of::<QuotaPlugin>()
//!     .config(serde_json::json!({"calls": 1000, "key": "ip"}))
//!     .generate_text();
//! assert!(policy.contains(r#"renewal-period="86400" calls="1000""#));
//! ```
//!
//! It must never fail open (a key that a request lacks falls back to the
//! caller's address), and never share a counter with another API.

#![forbid(unsafe_code)]

mod spec;

use policy_sdk::Caller;
use policy_sdk::prelude::*;
use serde::Deserialize;

/// The shortest period that API Management takes, in seconds.
const SHORTEST_PERIOD: i64 = 300;
/// A day.
const DEFAULT_PERIOD: i64 = 86_400;

/// The plugin.
#[derive(Debug)]
pub struct QuotaPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    calls: Option<i64>,
    bandwidth: Option<i64>,
    renewal_period: Option<i64>,
    key: Option<String>,
}

impl Plugin for QuotaPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "quota",
            env!("CARGO_PKG_VERSION"),
            "Limits how much of the API one caller may use over a long period.",
            Phase::Traffic,
        )
        .writes([Section::Inbound])
        .reads_block("quota")
        .needs_feature("quota-by-key")
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        spec::read(&request)
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        if context.instance.is_consumption() {
            return Err(Diagnostic::error(
                "",
                format!(
                    "the Consumption tier has no quotas by key, and the ApimInstance `{}` is of that \
                     tier: leave the plugin out (rate-limit works there, per subscription), or use an \
                     instance of another tier",
                    context.instance.name
                ),
            )
            .into());
        }
        let mut problems = Vec::new();
        if config.calls.is_none() && config.bandwidth.is_none() {
            problems.push(Diagnostic::error(
                "",
                "set calls, bandwidth or both: a quota without a limit limits nothing",
            ));
        }
        let calls = config
            .calls
            .and_then(|n| positive("/calls", "calls", n, &mut problems));
        let bandwidth = config
            .bandwidth
            .and_then(|n| positive("/bandwidth", "bandwidth", n, &mut problems));
        let period = config.renewal_period.unwrap_or(DEFAULT_PERIOD);
        let seconds = u32::try_from(period)
            .ok()
            .filter(|_| (SHORTEST_PERIOD..=i64::from(i32::MAX)).contains(&period));
        if seconds.is_none() {
            problems.push(Diagnostic::error(
                "/renewalPeriod",
                format!(
                    "renewalPeriod must be at least {SHORTEST_PERIOD} seconds, the shortest period that \
                     API Management takes, and is {period}; for shorter ones there is rate-limit"
                ),
            ));
        }
        let caller = match &config.key {
            Some(key) => Caller::parse(key)
                .map_err(|error| problems.push(Diagnostic::error("/key", error)))
                .ok(),
            None if context.api.subscription_required => Some(Caller::Subscription),
            None => Some(Caller::Ip),
        };
        let (Some(seconds), Some(caller), true) = (seconds, caller, problems.is_empty()) else {
            return Err(problems);
        };

        let mut quota = QuotaByKey::new(
            caller.counter_of("quota", context).at("/key"),
            seconds.at("/renewalPeriod"),
        );
        if let Some(calls) = calls {
            quota = quota.calls(calls.at("/calls"));
        }
        if let Some(bandwidth) = bandwidth {
            quota = quota.bandwidth(u64::from(bandwidth).at("/bandwidth"));
        }
        let mut policy = Policy::of(context);
        policy.inbound(quota);
        if let Some(sku) = &context.instance.sku
            && sku.to_ascii_lowercase().ends_with("v2")
        {
            policy.warn(
                "",
                format!(
                    "Azure's documentation lists quota-by-key for the classic tiers only, and the \
                     ApimInstance `{}` is of the tier {sku}: it may refuse the policy",
                    context.instance.name
                ),
            );
        }
        Ok(policy)
    }
}

fn positive(
    pointer: &str,
    field: &str,
    number: i64,
    problems: &mut Vec<Diagnostic>,
) -> Option<u32> {
    let fits = u32::try_from(number)
        .ok()
        .filter(|_| (1..=i64::from(i32::MAX)).contains(&number));
    if fits.is_none() {
        problems.push(Diagnostic::error(
            pointer,
            format!(
                "{field} must be from 1 to {}, and is {number}; for no such limit, leave it out",
                i32::MAX
            ),
        ));
    }
    fits
}

policy_sdk::export_plugin!(QuotaPlugin);
