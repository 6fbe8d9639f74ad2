//! A plugin that adds a header to responses.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// The plugin.
#[derive(Debug)]
pub struct HeaderPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    header: String,
    text: String,
}

impl Plugin for HeaderPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "example-rust",
            "1.0.0",
            "Adds a header to responses.",
            Phase::Transformation,
        )
        .writes([Section::Outbound])
        .config_schema(json!({
            "type": "object",
            "required": ["header", "text"],
            "additionalProperties": false,
            "properties": {
                "header": { "type": "string", "minLength": 1, "maxLength": 64 },
                "text": { "type": "string", "maxLength": 200 },
            },
        }))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut policy = Policy::of(context);
        policy.outbound(
            SetHeader::new(config.header.at("/header"))
                .exists_action(ExistsAction::Override)
                .value(config.text.at("/text")),
        );
        Ok(policy)
    }
}

policy_sdk::export_plugin!(HeaderPlugin);

#[cfg(test)]
mod tests {
    use policy_sdk::testing::Call;
    use serde_json::json;

    use super::HeaderPlugin;

    #[test]
    fn the_header_has_name_and_text_of_the_config() {
        let text = Call::of::<HeaderPlugin>()
            .config(json!({ "header": "x-team", "text": "a & b" }))
            .generate_text();
        assert_eq!(
            text,
            "outbound:\n  <set-header name=\"x-team\" exists-action=\"override\">\n    \
             <value>a &amp; b</value>\n  </set-header>\n"
        );
    }
}
