//! Gives up on a slow backend in time, and tries again when it fails.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `timeout` | seconds to wait for the backend's response, 1 to 240 | 30 |
//! | `retry` | `{count, interval, delta, maxInterval, firstFast, statusCodes, methods}` | none |
//! | `retry.count` | how many more times, 1 to 50 | 3 |
//! | `retry.interval` | seconds between two tries | 1 |
//! | `retry.delta`, `retry.maxInterval` | seconds by which waits grow, and the longest wait; both: they double | none |
//! | `retry.firstFast` | whether the first repetition follows at once | `false` |
//! | `retry.statusCodes` | responses that count as a failure | 502, 503, 504 |
//! | `retry.methods` | requests that may be repeated | GET, HEAD, OPTIONS, PUT, DELETE |
//! | `followRedirects` | whether the gateway follows redirects of the backend | `false` |
//!
//! It reads no spec block. It fills the section `backend`, which no other
//! plugin of the chain may then do.
//!
//! ```
//! # use plugin_circuit::CircuitPlugin;
//! let policy = policy_sdk::testing::Call::of::<CircuitPlugin>()
//!     .config(serde_json::json!({"timeout": 5}))
//!     .generate_text();
//! assert_eq!(policy, "backend:\n  <forward-request timeout=\"5\" />\n");
//! ```
//!
//! It must never repeat a request that does something twice, unless its config
//! says so.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use policy_sdk::text;
use serde::Deserialize;

/// The longest that Azure's network keeps a connection without traffic, in
/// seconds (Azure's reference of `forward-request`).
const LONGEST_TIMEOUT: u32 = 240;
/// The policy's own limit (Azure's reference of `retry`).
const MOST_RETRIES: u32 = 50;
/// Methods that may be repeated without doing anything twice (RFC 9110,
/// 9.2.2).
const IDEMPOTENT: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/// The plugin.
#[derive(Debug)]
pub struct CircuitPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    timeout: Option<u32>,
    retry: Option<Attempts>,
    follow_redirects: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[serde(expecting = "an object with count, interval, …")]
struct Attempts {
    count: Option<u32>,
    interval: Option<u32>,
    delta: Option<u32>,
    max_interval: Option<u32>,
    first_fast: Option<bool>,
    status_codes: Option<Vec<u16>>,
    methods: Option<Vec<String>>,
}

impl Plugin for CircuitPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "circuit",
            env!("CARGO_PKG_VERSION"),
            "Gives up on a slow backend in time, and tries again when it fails.",
            Phase::Routing,
        )
        .writes([Section::Backend])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let timeout = config.timeout.unwrap_or(30);
        let mut problems = Vec::new();
        if !(1..=LONGEST_TIMEOUT).contains(&timeout) {
            problems.push(Diagnostic::error(
                "/timeout",
                format!(
                    "timeout is from 1 to {LONGEST_TIMEOUT} seconds (Azure's network drops connections \
                     that wait longer), and is {timeout}"
                ),
            ));
        }
        if let Some(retry) = &config.retry {
            problems.extend(retry.problems());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut forward = ForwardRequest::new().timeout(timeout.at("/timeout"));
        if let Some(follow) = config.follow_redirects {
            forward = forward.follow_redirects(follow.at("/followRedirects"));
        }
        let mut policy = Policy::of(context);
        match &config.retry {
            None => policy.backend(forward),
            // The body is read once: to send it again it must be kept.
            Some(retry) => policy.backend(retry.around(forward.buffer_request_body(true))),
        };
        Ok(policy)
    }
}

impl Attempts {
    fn problems(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        if let Some(count) = self.count
            && !(1..=MOST_RETRIES).contains(&count)
        {
            problems.push(Diagnostic::error(
                "/retry/count",
                format!("count is from 1 to {MOST_RETRIES}, and is {count}; for no repetition, leave retry out"),
            ));
        }
        for (field, seconds) in [("delta", self.delta), ("maxInterval", self.max_interval)] {
            if seconds == Some(0) {
                problems.push(Diagnostic::error(
                    format!("/retry/{field}"),
                    format!("{field} is at least 1 second; leave it out for waits of one length"),
                ));
            }
        }
        if let (Some(longest), Some(interval)) = (self.max_interval, self.interval)
            && longest < interval
        {
            problems.push(Diagnostic::error(
                "/retry/maxInterval",
                format!(
                    "the longest wait ({longest} s) is shorter than the first one ({interval} s)"
                ),
            ));
        }
        if self.max_interval.is_some() && self.delta.is_none() {
            problems.push(Diagnostic::error(
                "/retry/maxInterval",
                "without delta all waits are of one length: set delta, or leave maxInterval out",
            ));
        }
        if let Some(codes) = &self.status_codes {
            if codes.is_empty() {
                problems.push(Diagnostic::error(
                    "/retry/statusCodes",
                    "no response counts as a failure: list at least one status, or leave retry out",
                ));
            }
            for (index, code) in codes.iter().enumerate() {
                if !(400..=599).contains(code) {
                    problems.push(Diagnostic::error(
                        format!("/retry/statusCodes/{index}"),
                        format!("{code} is not the status of a failure: 400 to 599"),
                    ));
                }
            }
        }
        if let Some(methods) = &self.methods {
            if methods.is_empty() {
                problems.push(Diagnostic::error(
                    "/retry/methods",
                    "no request may be repeated: list at least one method, or leave retry out",
                ));
            }
            for (index, method) in methods.iter().enumerate() {
                if !text::is_token(method) {
                    problems.push(Diagnostic::error(
                        format!("/retry/methods/{index}"),
                        format!("`{method}` cannot be a method: write one as in GET"),
                    ));
                }
            }
        }
        problems
    }

    fn around(&self, forward: ForwardRequest) -> Retry<Backend> {
        let mut retry = Retry::new(
            self.condition(),
            self.count.unwrap_or(3).at("/retry/count"),
            self.interval.unwrap_or(1).at("/retry/interval"),
            Block::of(forward),
        );
        if let Some(longest) = self.max_interval {
            retry = retry.max_interval(longest.at("/retry/maxInterval"));
        }
        if let Some(delta) = self.delta {
            retry = retry.delta(delta.at("/retry/delta"));
        }
        if let Some(first_fast) = self.first_fast {
            retry = retry.first_fast(first_fast.at("/retry/firstFast"));
        }
        retry
    }

    /// Whether the request may be repeated, and the response asks for it.
    fn condition(&self) -> Expression {
        let codes = self.status_codes.as_deref().unwrap_or(&[502, 503, 504]);
        let codes: Vec<String> = codes
            .iter()
            .map(|code| format!("context.Response.StatusCode == {code}"))
            .collect();
        let methods: Vec<String> = match &self.methods {
            Some(methods) => methods.iter().map(|m| m.to_ascii_uppercase()).collect(),
            None => IDEMPOTENT.map(str::to_owned).to_vec(),
        };
        let methods: Vec<String> = methods
            .iter()
            .map(|method| format!("context.Request.Method == {}", csharp::string(method)))
            .collect();
        Expression::new(format!(
            "context.Response != null && ({}) && ({})",
            codes.join(" || "),
            methods.join(" || ")
        ))
    }
}

policy_sdk::export_plugin!(CircuitPlugin);
