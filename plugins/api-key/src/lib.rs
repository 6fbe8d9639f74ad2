//! Lets in callers that send a shared key in a header.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `keys` | the keys of which a request must send one, each `{namedValue: <name>}` | required |
//! | `header` | the header that holds the key | `X-API-Key` |
//! | `failureCode`, `failureMessage` | the answer to a request without a right key | 401 |
//! | `forward` | whether the backend sees the key | `false` |
//!
//! It reads no spec block: `apiKeyVerification` is about API Management's own
//! subscription keys.
//!
//! ```
//! # use plugin_api_key::ApiKeyPlugin;
//! let policy = policy_sdk::testing::Call::of::<ApiKeyPlugin>()
//!     .config(serde_json::json!({"keys": [{"namedValue": "partner-key"}]}))
//!     .generate_text();
//! assert!(policy.contains("<value>{{partner-key}}</value>"));
//! ```
//!
//! It must never take a key from its config: whoever may read the object would
//! have it.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use policy_sdk::{Secret, text};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct ApiKeyPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    keys: Vec<Secret>,
    header: Option<String>,
    failure_code: Option<u32>,
    failure_message: Option<String>,
    #[serde(default)]
    forward: bool,
}

impl Plugin for ApiKeyPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "api-key",
            env!("CARGO_PKG_VERSION"),
            "Lets in callers that send a shared key in a header.",
            Phase::Authentication,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let header = config.header.as_deref().unwrap_or("X-API-Key");
        if !text::is_token(header) {
            return Err(Diagnostic::error(
                "/header",
                format!("`{header}` cannot be the name of a header: letters, digits and dashes"),
            )
            .into());
        }
        // Without a value `check-header` lets every value through.
        if config.keys.is_empty() {
            return Err(Diagnostic::error(
                "/keys",
                "no key is named, so that any would do: list at least one {namedValue: <name>}",
            )
            .into());
        }
        let message = config
            .failure_message
            .as_deref()
            .unwrap_or("Unauthorized. The API key is missing or wrong.");
        let check = CheckHeader::new(
            header.at("/header"),
            config.failure_code.unwrap_or(401).at("/failureCode"),
            message.at("/failureMessage"),
            false,
        );
        let mut policy = Policy::of(context);
        policy.inbound(
            config
                .keys
                .iter()
                .enumerate()
                .fold(check, |check, (index, key)| {
                    check.value(key.value().at(format!("/keys/{index}")))
                }),
        );
        if !config.forward {
            policy
                .inbound(SetHeader::new(header.at("/header")).exists_action(ExistsAction::Delete));
        }
        Ok(policy)
    }
}

policy_sdk::export_plugin!(ApiKeyPlugin);
