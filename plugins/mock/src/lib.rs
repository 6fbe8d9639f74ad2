//! Answers in the place of the backend, with the examples of the API's document.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `statusCode` | the response of the document that is taken | 200 |
//! | `contentType` | its media type | the first that the document names |
//! | `index` | which of several examples, from 0 | the first |
//!
//! It reads no spec block.
//!
//! ```
//! # use plugin_mock::MockPlugin;
//! let policy = policy_sdk::testing::Call::of::<MockPlugin>().generate_text();
//! assert_eq!(policy, "inbound:\n  <mock-response status-code=\"200\" />\n");
//! ```
//!
//! It must never run before the plugins that say who may call: a mock is an
//! answer all the same.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct MockPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    status_code: Option<u32>,
    content_type: Option<String>,
    index: Option<u32>,
}

impl Plugin for MockPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "mock",
            env!("CARGO_PKG_VERSION"),
            "Answers in the place of the backend, with examples of the API's document.",
            Phase::Routing,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let status = config.status_code.unwrap_or(200);
        if !(200..=599).contains(&status) {
            return Err(Diagnostic::error(
                "/statusCode",
                format!("statusCode is the status of an answer, 200 to 599, and is {status}"),
            )
            .into());
        }
        let mut mock = MockResponse::new().status_code(status.at("/statusCode"));
        if let Some(media_type) = &config.content_type {
            if !is_media_type(media_type) {
                return Err(Diagnostic::error(
                    "/contentType",
                    format!("`{media_type}` is not a media type: write one as in application/json"),
                )
                .into());
            }
            mock = mock.content_type(media_type.at("/contentType"));
        }
        if let Some(index) = config.index {
            mock = mock.index(index.at("/index"));
        }
        let mut policy = Policy::of(context);
        policy.inbound(mock);
        Ok(policy)
    }
}

/// Type and subtype, perhaps with parameters (RFC 9110, 8.3.1).
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = policy_sdk::text::is_token;
    policy_sdk::text::is_header_value(text)
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

policy_sdk::export_plugin!(MockPlugin);
