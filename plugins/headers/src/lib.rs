//! Sets, adds and removes headers of requests and responses.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `request` | changes to the request that the backend gets (see below) | none |
//! | `response` | changes to the response that the caller gets | none |
//! | `security` | `true`, or an object that changes single ones of the security headers | `false` |
//!
//! Changes are `set: {name: value}`, `setIfAbsent: {name: value}`,
//! `append: {name: [values]}` and `delete: [names]`. A value is a text or
//! `{namedValue: <name>}`. It reads no spec block.
//!
//! ```
//! # use plugin_headers::HeadersPlugin;
//! let policy = policy_sdk::testing::Call::of::<HeadersPlugin>()
//!     .config(serde_json::json!({"response": {"delete": ["Server"]}}))
//!     .generate_text();
//! assert!(policy.contains(r#"<set-header name="Server" exists-action="delete" />"#));
//! ```
//!
//! It must never write a credential from its config into a request, and never
//! touch the headers that frame a message.

#![forbid(unsafe_code)]

mod security;

use policy_sdk::prelude::*;
use policy_sdk::{Change, Changes, TextOrSecret, text};
use serde::Deserialize;

use security::Security;

/// The plugin.
#[derive(Debug)]
pub struct HeadersPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    request: Changes,
    response: Changes,
    security: Security,
}

/// Headers that say where a message ends or how the connection is used
/// (RFC 9110, 7.6.1; RFC 9112, 6): the gateway writes them.
const FRAMING: [&str; 7] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Request headers whose values are secrets.
const CREDENTIALS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "ocp-apim-subscription-key",
];

impl Plugin for HeadersPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "headers",
            env!("CARGO_PKG_VERSION"),
            "Sets, adds and removes headers of requests and responses.",
            Phase::Transformation,
        )
        .writes([Section::Inbound, Section::Outbound, Section::OnError])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let request = config.request.list("/request");
        let response = config.response.list("/response");
        let security = config.security.headers();
        if request.is_empty() && response.is_empty() && security.is_empty() {
            return Err(Diagnostic::error(
                "",
                "nothing is changed: set request, response or security",
            )
            .into());
        }
        let mut problems = config.request.contradictions("/request", true);
        problems.extend(config.response.contradictions("/response", true));
        for change in request.iter().chain(&response) {
            problems.extend(wrong(change));
        }
        problems.extend(request.iter().flat_map(credentials));
        problems.extend(config.security.problems());
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut policy = Policy::of(context);
        for change in &request {
            policy.inbound(statement(change));
        }
        // What the config says of a header comes after the preset.
        for header in &security {
            policy.outbound(header.statement());
        }
        for change in &response {
            policy.outbound(statement(change));
        }
        // Answers of the gateway itself: refusals, errors.
        for header in &security {
            policy.on_error(header.statement());
        }
        for change in &response {
            for (value, pointer) in &change.values {
                if matches!(value, TextOrSecret::Secret(_)) {
                    policy.warn(
                        pointer,
                        format!(
                            "every caller sees the named value in the header {}",
                            change.name
                        ),
                    );
                }
            }
        }
        Ok(policy)
    }
}

fn statement(change: &Change<'_>) -> SetHeader {
    let header =
        SetHeader::new(change.name.as_str().at(&change.pointer)).exists_action(change.action);
    change
        .values
        .iter()
        .fold(header, |header, (value, pointer)| {
            header.value((*value).at(pointer))
        })
        .at(&change.pointer)
}

/// What cannot be a header.
fn wrong(change: &Change<'_>) -> Vec<Diagnostic> {
    let name = &change.name;
    let mut problems = Vec::new();
    if !text::is_token(name) {
        problems.push(Diagnostic::error(
            &change.pointer,
            format!("`{name}` cannot be the name of a header: letters, digits and dashes"),
        ));
    }
    if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
        problems.push(Diagnostic::error(
            &change.pointer,
            format!("the gateway itself writes the header {name}: leave it out"),
        ));
    }
    for (value, pointer) in &change.values {
        if let TextOrSecret::Text(value) = value
            && !text::is_header_value(value)
        {
            problems.push(Diagnostic::error(
                pointer,
                "the value of a header holds no line break or other control character, and no blank \
                 at its ends",
            ));
        }
    }
    problems
}

/// Secrets that are written out. They are not repeated in the message.
fn credentials(change: &Change<'_>) -> Vec<Diagnostic> {
    if !CREDENTIALS.contains(&change.name.to_ascii_lowercase().as_str()) {
        return Vec::new();
    }
    change
        .values
        .iter()
        .filter(|(value, _)| matches!(value, TextOrSecret::Text(_)))
        .map(|(_, pointer)| {
            Diagnostic::error(
                pointer,
                format!(
                    "what {} holds is a secret, and a secret is not written into a config: keep it in \
                     a named value of the API Management instance (which may take it from a Key Vault) \
                     and write {{namedValue: <its display name>}}",
                    change.name
                ),
            )
        })
        .collect()
}

policy_sdk::export_plugin!(HeadersPlugin);
