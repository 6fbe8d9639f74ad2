//! A plugin that no operator has heard of, for tests: it adds a header with a
//! greeting to responses, and reads a spec block of its own, `greeting`.
//!
//! The text `panic` makes it panic, which no real plugin must ever do. Its
//! version and its default text can be set when it is built, so that tests have
//! several versions of it.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// The plugin.
#[derive(Debug)]
pub struct GreetingPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "hello")]
    text: String,
}

fn hello() -> String {
    option_env!("GREETING_TEXT").unwrap_or("hello").to_owned()
}

impl Plugin for GreetingPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "greeting",
            option_env!("GREETING_VERSION").unwrap_or(env!("CARGO_PKG_VERSION")),
            "Adds a header with a greeting to responses.",
            Phase::Transformation,
        )
        .writes([Section::Outbound])
        .reads_block("greeting")
        .config_schema(json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "text": { "type": "string", "maxLength": 100 } }
        }))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        let block = request.object()?;
        Ok(SpecReading::enabled(lenient::boolean(&block, "enabled")?)
            .set("text", lenient::text(&block, "text")?))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        policy_sdk::log::info(format!("greeting the callers of {}", context.api.name));
        assert!(config.text != "panic", "asked to panic");
        let mut policy = Policy::of(context);
        policy.outbound(
            SetHeader::new("x-greeting")
                .exists_action(ExistsAction::Override)
                .value(config.text.at("/text")),
        );
        Ok(policy)
    }
}

policy_sdk::export_plugin!(GreetingPlugin);
