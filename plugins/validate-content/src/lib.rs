//! Checks the bodies of requests and responses against the API's document.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `request`, `response` | whether bodies of requests, of responses are checked | `true`, `false` |
//! | `action` | what happens to a body that is wrong: `prevent` (refused), `detect` (noted) | `prevent` |
//! | `unspecifiedContentType` | what happens to a media type that the document does not name: `prevent`, `detect`, `ignore` | as `action` |
//! | `maxSize` | the largest body in bytes, 1 to 4194304 | 102400 |
//! | `sizeExceeded` | what happens to a larger one: `prevent`, `detect`, `ignore` | as `action` |
//! | `content` | what is checked: `[{type, validateAs: json, xml or soap, schema, allowAdditionalProperties}]`; `schema` is the id of a schema of the instance | JSON: `application/json`, against the document |
//! | `errorsVariable` | the context variable that gets the errors | `contentErrors` with `detect` |
//!
//! It reads the spec block `OASValidation`: `requestEnabled` and
//! `responseEnabled`.
//!
//! ```
//! # use plugin_validate_content::ValidateContentPlugin;
//! let policy = policy_sdk::testing::Call::of::<ValidateContentPlugin>().generate_text();
//! assert!(policy.contains(r#"<content validate-as="json" action="prevent" type="application/json" />"#));
//! ```
//!
//! It must never look as if it checked what it does not check.

#![forbid(unsafe_code)]

mod spec;

use policy_sdk::prelude::*;
use policy_sdk::text;
use serde::Deserialize;

/// Up to here API Management takes any size; more is for Azure's support to
/// allow (Azure's reference of `validate-content`).
const USUAL_SIZE: u32 = 102_400;
/// The most that it can be raised to, in bytes.
const LARGEST_SIZE: u32 = 4 << 20;

/// The plugin.
#[derive(Debug)]
pub struct ValidateContentPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    request: Option<bool>,
    response: Option<bool>,
    action: Check,
    unspecified_content_type: Option<Action>,
    max_size: Option<u32>,
    size_exceeded: Option<Action>,
    content: Option<Vec<Body>>,
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

/// What happens to what cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Prevent,
    Detect,
    Ignore,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    r#type: String,
    validate_as: Language,
    schema: Option<String>,
    allow_additional_properties: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Json,
    Xml,
    Soap,
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

impl Plugin for ValidateContentPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "validate-content",
            env!("CARGO_PKG_VERSION"),
            "Checks the bodies of requests and responses against the API's document.",
            Phase::Validation,
        )
        .writes([Section::Inbound, Section::Outbound])
        .reads_block("OASValidation")
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        spec::read(&request)
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let (request, response) = (
            config.request.unwrap_or(true),
            config.response.unwrap_or(false),
        );
        let mut problems = Vec::new();
        if !request && !response {
            problems.push(Diagnostic::error(
                "/request",
                "neither requests nor responses are checked: set request or response to true, or leave \
                 the plugin out",
            ));
        }
        let size = config.max_size.unwrap_or(USUAL_SIZE);
        if !(1..=LARGEST_SIZE).contains(&size) {
            problems.push(Diagnostic::error(
                "/maxSize",
                format!("maxSize is from 1 to {LARGEST_SIZE} bytes, and is {size}"),
            ));
        }
        if config.content.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Diagnostic::error(
                "/content",
                "nothing is checked: list at least one media type",
            ));
        }
        for (index, body) in config.content.iter().flatten().enumerate() {
            problems.extend(body.problems(&format!("/content/{index}")));
        }
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut policy = Policy::of(context);
        for (index, body) in config.content.iter().flatten().enumerate() {
            if body.schema.is_none() && body.validate_as != Language::Json {
                policy.warn(
                    format!("/content/{index}/schema"),
                    format!(
                        "an OpenAPI document has no XML schema, and without one every body of {} is \
                         refused: name an XML schema of the instance with schema",
                        body.r#type
                    ),
                );
            }
        }
        if request {
            policy.inbound(validation(&config, size));
        }
        if response {
            policy.outbound(validation(&config, size));
        }
        if size > USUAL_SIZE {
            policy.warn(
                "/maxSize",
                format!(
                    "API Management checks bodies up to {USUAL_SIZE} bytes unless Azure's support \
                     raised that for the instance, and may refuse {size}"
                ),
            );
        }
        Ok(policy)
    }
}

fn validation(config: &Config, size: u32) -> ValidateContent {
    let usual = ValidationAction::from(config.action);
    let mut validation = ValidateContent::new(
        config
            .unspecified_content_type
            .map_or(usual, Into::into)
            .at("/unspecifiedContentType"),
        size.at("/maxSize"),
        config
            .size_exceeded
            .map_or(usual, Into::into)
            .at("/sizeExceeded"),
    );
    let noted = config.action == Check::Detect
        || [config.unspecified_content_type, config.size_exceeded].contains(&Some(Action::Detect));
    match &config.errors_variable {
        Some(name) => validation = validation.errors_variable(name.at("/errorsVariable")),
        // What is only noted must be noted somewhere.
        None if noted => validation = validation.errors_variable("contentErrors"),
        None => {}
    }
    match &config.content {
        None => {
            validation.content(Content::new(ValidateAs::Json, usual).media_type("application/json"))
        }
        Some(content) => {
            content
                .iter()
                .enumerate()
                .fold(validation, |validation, (index, body)| {
                    validation.content(body.statement(usual, &format!("/content/{index}")))
                })
        }
    }
}

impl Body {
    fn problems(&self, pointer: &str) -> Option<Diagnostic> {
        let is_type = self
            .r#type
            .split_once('/')
            .is_some_and(|(kind, subtype)| text::is_token(kind) && text::is_token(subtype));
        if !is_type {
            return Some(Diagnostic::error(
                format!("{pointer}/type"),
                format!(
                    "`{}` is not a media type without parameters: write one as in application/json",
                    self.r#type.escape_debug()
                ),
            ));
        }
        // Azure's reference: "set `type` to application/soap+xml … or text/xml".
        let soap = ["application/soap+xml", "text/xml"];
        if self.validate_as == Language::Soap && !soap.contains(&self.r#type.as_str()) {
            return Some(Diagnostic::error(
                format!("{pointer}/type"),
                format!(
                    "SOAP is sent as application/soap+xml (1.2) or text/xml (1.1), not as {}",
                    self.r#type
                ),
            ));
        }
        let letters = |id: &str| {
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if let Some(id) = &self.schema
            && (!(1..=80).contains(&id.len()) || !letters(id))
        {
            return Some(Diagnostic::error(
                format!("{pointer}/schema"),
                format!(
                    "`{}` is not the id of a schema: 1 to 80 letters, digits, dots, dashes and \
                     underscores",
                    id.escape_debug()
                ),
            ));
        }
        (self.allow_additional_properties.is_some() && self.validate_as != Language::Json).then(
            || {
                Diagnostic::error(
                    format!("{pointer}/allowAdditionalProperties"),
                    "only JSON has additional properties: leave it out",
                )
            },
        )
    }

    fn statement(&self, action: ValidationAction, pointer: &str) -> Content {
        let language = match self.validate_as {
            Language::Json => ValidateAs::Json,
            Language::Xml => ValidateAs::Xml,
            Language::Soap => ValidateAs::Soap,
        };
        let content = Content::new(language, action)
            .media_type(self.r#type.as_str().at(format!("{pointer}/type")))
            .at(pointer);
        let content = match &self.schema {
            Some(id) => content.schema_id(id.as_str().at(format!("{pointer}/schema"))),
            None => content,
        };
        match self.allow_additional_properties {
            Some(allow) => content.allow_additional_properties(
                allow.at(format!("{pointer}/allowAdditionalProperties")),
            ),
            None => content,
        }
    }
}

policy_sdk::export_plugin!(ValidateContentPlugin);
