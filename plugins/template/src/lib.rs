//! Makes policy of a text that the platform wrote: a Tera template of policy
//! XML.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `template` | `{configMap: {name, key}}`: a template of the platform's | what `spec.template` of the `PolicyPlugin` names |
//! | `inline` | the template itself; needs the capability `inlineTemplates` | none |
//! | `values` | an object that the template sees as `values` | `{}` |
//!
//! The template's result is XML with the sections that it writes:
//! `<inbound>…</inbound>` and so on, in `<policies>` or not. The template sees
//! `values`, `api`, `instance` and `operation` (see the README).
//!
//! What a template inserts with `{{ … }}` is a literal. Code and named values
//! come from the functions `expression`, `statements` and `named_value` alone,
//! whose code and names must be texts that stand in the template. So it must
//! never happen that a value of a config, or of an API, becomes either: see
//! [`functions`] for how that is kept.

#![forbid(unsafe_code)]

mod code;
mod data;
mod engine;
mod functions;
mod marks;
mod result;
mod strings;
mod values;

use policy_sdk::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The plugin.
#[derive(Debug)]
pub struct TemplatePlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The operator reads it; its text is in the context.
    #[serde(default)]
    template: Option<Json>,
    #[serde(default)]
    inline: Option<String>,
    #[serde(default)]
    values: Map<String, Json>,
}

/// Where the config names a template of the platform's.
const TEMPLATE: &str = "/template";
/// Where the config holds a template.
const INLINE: &str = "/inline";
/// What the platform must grant for that.
const INLINE_TEMPLATES: &str = "inline-templates";

impl Plugin for TemplatePlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "template",
            env!("CARGO_PKG_VERSION"),
            "Makes policy of a template that the platform wrote.",
            Phase::Transformation,
        )
        .writes([
            Section::Inbound,
            Section::Backend,
            Section::Outbound,
            Section::OnError,
        ])
        .document(TEMPLATE)
        .inline_template(INLINE)
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, mut config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let values = std::mem::take(&mut config.values);
        let (template, pointer) = source(context, &config)?;
        let error = |message: String| Diagnostic::error(pointer, message);
        let data = data::Data::of(context, values)?;
        let (text, codes) = engine::render(template, &data).map_err(error)?;
        let sections = result::parse(&text, &codes, &data, pointer)?;
        let mut policy = Policy::of(context);
        for (section, element) in sections {
            match section {
                Section::Inbound => policy.inbound(element),
                Section::Backend => policy.backend(element),
                Section::Outbound => policy.outbound(element),
                Section::OnError => policy.on_error(element),
            };
        }
        Ok(policy)
    }
}

/// The template, and the config value it comes from.
fn source<'a>(
    context: &'a Context,
    config: &'a Config,
) -> Result<(&'a str, &'static str), Diagnostic> {
    // What the platform fixed is not the config's to replace.
    if let Some(template) = &context.template {
        let written = [
            (TEMPLATE, config.template.is_some()),
            (INLINE, config.inline.is_some()),
        ];
        if let Some((pointer, _)) = written.iter().find(|(_, there)| *there) {
            return Err(Diagnostic::error(
                *pointer,
                "the PolicyPlugin's `spec.template` says which template is used: leave this out",
            ));
        }
        return Ok((template, ""));
    }
    match (&config.template, &config.inline) {
        (Some(_), Some(_)) => Err(Diagnostic::error(
            INLINE,
            "there is a `template` as well: write one of the two",
        )),
        (Some(_), None) => context
            .documents
            .get(TEMPLATE)
            .map(|text| (text.as_str(), TEMPLATE))
            .ok_or_else(|| {
                Diagnostic::error(
                    TEMPLATE,
                    "the operator did not pass on the text of this template",
                )
            }),
        (None, Some(_)) if !context.grants(INLINE_TEMPLATES) => Err(Diagnostic::error(
            INLINE,
            "a template in the config needs the capability `inlineTemplates` of the PolicyPlugin: ask the \
             platform for it, or for a ConfigMap with the template, and name that in `template`",
        )),
        (None, Some(inline)) => Ok((inline, INLINE)),
        (None, None) => Err(Diagnostic::error(
            "",
            "no template is named: write `template: {configMap: {name: …, key: …}}`, a key of a ConfigMap in \
             the operator's namespace",
        )),
    }
}

policy_sdk::export_plugin!(TemplatePlugin);
