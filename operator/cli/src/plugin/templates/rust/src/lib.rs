//! Tells callers which team answers: sets a header of every response.
#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct @TYPE@;

/// What can be set; `config.schema.json` says the same to the operator, which
/// checks a config before the plugin sees it. Defaults are the plugin's own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    team: String,
    #[serde(default = "default_header")]
    header: String,
}

fn default_header() -> String {
    "X-Team".to_owned()
}

impl Plugin for @TYPE@ {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_DESCRIPTION"),
            Phase::Transformation,
        )
        .writes([Section::Outbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        // Lines for you: `apim-operator plugin run --trace` shows them.
        policy_sdk::log::debug(format!("{} answers for {}", config.team, context.api.name));
        if config.header.to_ascii_lowercase().starts_with("ocp-apim-") {
            return Err(Diagnostic::error(
                "/header",
                format!("`{}` is a header of API Management's own; choose another name", config.header),
            )
            .into());
        }
        let mut policy = Policy::of(context);
        // `at` says which config value this is: errors about it will name it.
        policy.outbound(
            SetHeader::new(config.header.at("/header"))
                .exists_action(ExistsAction::Override)
                .value(config.team.at("/team")),
        );
        Ok(policy)
    }
}

export_plugin!(@TYPE@);

#[cfg(test)]
mod tests {
    use super::*;
    use policy_sdk::testing::{Call, run_cases};

    #[test]
    fn the_cases_give_what_they_expect() {
        run_cases::<@TYPE@>("cases");
    }

    #[test]
    fn the_header_is_there_on_every_tier() {
        for sku in ["Consumption", "Developer", "PremiumV2"] {
            let text = Call::of::<@TYPE@>()
                .with(|context| context.instance.sku = Some(sku.to_owned()))
                .config(serde_json::json!({ "team": "catalog" }))
                .generate_text();
            assert!(text.contains("<value>catalog</value>"), "{sku}: {text}");
        }
    }
}
