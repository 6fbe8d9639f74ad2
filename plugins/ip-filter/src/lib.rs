//! Lets callers in, or keeps them out, by their address.
//!
//! | config | meaning |
//! |---|---|
//! | `allow` | only these addresses may call |
//! | `forbid` | these addresses may not call |
//!
//! One of the two, each a list of IPv4 addresses (`203.0.113.7`), networks
//! (`198.51.100.0/24`) and ranges (`192.0.2.10-192.0.2.20`). It reads no spec
//! block.
//!
//! ```
//! # use plugin_ip_filter::IpFilterPlugin;
//! let policy = policy_sdk::testing::Call::of::<IpFilterPlugin>()
//!     .config(serde_json::json!({"allow": ["198.51.100.0/24"]}))
//!     .generate_text();
//! assert!(policy.contains(r#"<address-range from="198.51.100.0" to="198.51.100.255" />"#));
//! ```
//!
//! It must never guess what an entry means: a filter that is wider than its
//! author thinks protects nothing.

#![forbid(unsafe_code)]

mod range;

use policy_sdk::prelude::*;
use serde::Deserialize;

use range::Range;

/// The plugin.
#[derive(Debug)]
pub struct IpFilterPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    allow: Option<Vec<String>>,
    forbid: Option<Vec<String>>,
}

impl Plugin for IpFilterPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "ip-filter",
            env!("CARGO_PKG_VERSION"),
            "Lets callers in, or keeps them out, by their address.",
            Phase::Authorization,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let (field, entries, filter) = match (&config.allow, &config.forbid) {
            (Some(allow), None) => ("allow", allow, IpFilter::allow()),
            (None, Some(forbid)) => ("forbid", forbid, IpFilter::forbid()),
            (Some(_), Some(_)) => {
                return Err(Diagnostic::error(
                    "/forbid",
                    "allow and forbid are both set: whoever is not in allow is kept out already, \
                     so leave forbid out",
                )
                .into());
            }
            (None, None) => {
                return Err(
                    Diagnostic::error("", "set allow or forbid: a list of addresses").into(),
                );
            }
        };
        if entries.is_empty() {
            return Err(Diagnostic::error(
                format!("/{field}"),
                "the list is empty: name at least one address, or leave the plugin out",
            )
            .into());
        }
        let mut problems = Vec::new();
        let mut filter = filter;
        for (index, entry) in entries.iter().enumerate() {
            let pointer = format!("/{field}/{index}");
            match Range::parse(entry) {
                Ok(Range { first, last }) if first == last => {
                    filter = filter.address(first.to_string().at(pointer));
                }
                Ok(Range { first, last }) => {
                    filter =
                        filter.range(first.to_string().at(&pointer), last.to_string().at(pointer));
                }
                Err(reason) => problems.push(Diagnostic::error(pointer, reason)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut policy = Policy::of(context);
        policy.inbound(filter);
        Ok(policy)
    }
}

policy_sdk::export_plugin!(IpFilterPlugin);
