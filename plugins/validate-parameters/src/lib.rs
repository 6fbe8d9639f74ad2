//! Checks headers, query and path of requests against the API's document.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `action` | what happens to a parameter that is wrong: `prevent` (refused), `detect` (noted) | `prevent` |
//! | `unspecifiedHeaders`, `unspecifiedQuery` | what happens to headers, to query parameters that the document does not name: `prevent`, `detect`, `ignore` | `ignore`, as `action` |
//! | `ignoredHeaders`, `ignoredQuery` | names that are never looked at | none |
//! | `cookies` | `prevent`: cookies that the document does not name are not wanted, which cannot be checked (a warning) | `ignore` |
//! | `errorsVariable` | the context variable that gets the errors | `parameterErrors` with `detect` |
//!
//! It reads the spec block `OASValidation`: `requestEnabled`,
//! `allowUnspecifiedHeaders`, `allowUnspecifiedQueryParams` and
//! `allowUnspecifiedCookies`.
//!
//! ```
//! # use plugin_validate_parameters::ValidateParametersPlugin;
//! let policy = policy_sdk::testing::Call::of::<ValidateParametersPlugin>().generate_text();
//! assert!(policy.contains(r#"<path specified-parameter-action="prevent" />"#));
//! ```
//!
//! It must never refuse every request: the headers that clients, proxies and
//! the gateway itself send are in no document.

#![forbid(unsafe_code)]

mod ignored;
mod spec;

use policy_sdk::prelude::*;
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct ValidateParametersPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    action: Check,
    unspecified_headers: Option<Action>,
    unspecified_query: Option<Action>,
    ignored_headers: Vec<String>,
    ignored_query: Vec<String>,
    cookies: Option<Cookies>,
    errors_variable: Option<String>,
}

/// What happens to what is wrong.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Check {
    #[default]
    Prevent,
    Detect,
}

/// What happens to what the document does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Prevent,
    Detect,
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cookies {
    Prevent,
    Ignore,
}

impl From<Check> for ValidationAction {
    fn from(check: Check) -> Self {
        match check {
            Check::Prevent => Self::Prevent,
            Check::Detect => Self::Detect,
        }
    }
}

impl From<Action> for ValidationAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Prevent => Self::Prevent,
            Action::Detect => Self::Detect,
            Action::Ignore => Self::Ignore,
        }
    }
}

impl Plugin for ValidateParametersPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "validate-parameters",
            env!("CARGO_PKG_VERSION"),
            "Checks headers, query and path of requests against the API's document.",
            Phase::Validation,
        )
        .writes([Section::Inbound])
        .reads_block("OASValidation")
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        spec::read(&request)
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for (index, name) in config.ignored_headers.iter().enumerate() {
            if !policy_sdk::text::is_token(name) {
                problems.push(Diagnostic::error(
                    format!("/ignoredHeaders/{index}"),
                    format!("`{name}` cannot be the name of a header: letters, digits and dashes"),
                ));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let action = ValidationAction::from(config.action);
        let headers = config.unspecified_headers.unwrap_or(Action::Ignore);
        let query = config.unspecified_query.map_or(action, Into::into);
        let mut validation =
            ValidateParameters::new(action.at("/action"), ValidationAction::Ignore);
        let noted = config.action == Check::Detect
            || [config.unspecified_headers, config.unspecified_query]
                .contains(&Some(Action::Detect));
        match &config.errors_variable {
            Some(name) => validation = validation.errors_variable(name.at("/errorsVariable")),
            // What is only noted must be noted somewhere.
            None if noted => validation = validation.errors_variable("parameterErrors"),
            None => {}
        }

        let mut group = ParameterGroup::headers(
            action.at("/action"),
            ValidationAction::from(headers).at("/unspecifiedHeaders"),
        );
        for name in each_at("/ignoredHeaders", &config.ignored_headers) {
            group = group.parameter(name, ValidationAction::Ignore);
        }
        if headers != Action::Ignore {
            for name in ignored::headers(context, &config.ignored_headers) {
                group = group.parameter(name, ValidationAction::Ignore);
            }
        }
        validation = validation.group(group);

        let mut group = ParameterGroup::query(action.at("/action"), query.at("/unspecifiedQuery"));
        for name in each_at("/ignoredQuery", &config.ignored_query) {
            group = group.parameter(name, ValidationAction::Ignore);
        }
        if query != ValidationAction::Ignore
            && !config
                .ignored_query
                .iter()
                .any(|name| name == ignored::KEY_PARAMETER)
        {
            group = group.parameter(ignored::KEY_PARAMETER, ValidationAction::Ignore);
        }
        validation = validation
            .group(group)
            .group(ParameterGroup::path(action.at("/action")));

        let mut policy = Policy::of(context);
        policy.inbound(validation);
        if config.cookies == Some(Cookies::Prevent) {
            policy.warn(
                "/cookies",
                "API Management does not look into cookies, so that cookies which the document does not \
                 name pass: set allowUnspecifiedCookies (cookies: ignore) to say that this is known",
            );
        }
        Ok(policy)
    }
}

policy_sdk::export_plugin!(ValidateParametersPlugin);
