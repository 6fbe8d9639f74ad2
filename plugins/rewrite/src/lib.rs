//! Changes the URL on its way to the backend.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `prefix` | a path that comes before the operation's own, below the backend's URL | none |
//! | `template` | for one operation: the path that the backend gets, with the parameters of the operation's own template | none |
//! | `copyUnmatchedParams` | with `template`: whether query parameters that it does not name are kept | `true` |
//! | `query` | changes to the query: `set`, `setIfAbsent`, `append`, `delete` | none |
//!
//! It reads no spec block.
//!
//! ```
//! # use plugin_rewrite::RewritePlugin;
//! let policy = policy_sdk::testing::Call::of::<RewritePlugin>()
//!     .config(serde_json::json!({"query": {"set": {"version": "2"}}}))
//!     .generate_text();
//! assert!(policy.contains(r#"<set-query-parameter name="version" exists-action="override">"#));
//! ```
//!
//! It must never send a request to another host, nor all operations of an API
//! to one path.

#![forbid(unsafe_code)]

mod template;

use policy_sdk::prelude::*;
use policy_sdk::{Change, Changes};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct RewritePlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    prefix: Option<String>,
    template: Option<String>,
    copy_unmatched_params: Option<bool>,
    query: Changes,
}

impl Plugin for RewritePlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "rewrite",
            env!("CARGO_PKG_VERSION"),
            "Changes path and query on their way to the backend.",
            Phase::Transformation,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let query = config.query.list("/query");
        let mut problems = config.query.contradictions("/query", false);
        if config.prefix.is_none() && config.template.is_none() && query.is_empty() {
            problems.push(Diagnostic::error(
                "",
                "nothing is changed: set prefix, template or query",
            ));
        }
        if config.copy_unmatched_params.is_some() && config.template.is_none() {
            problems.push(Diagnostic::error(
                "/copyUnmatchedParams",
                "only a template can leave parameters out: set template, or leave it out",
            ));
        }
        let prefix = config
            .prefix
            .as_deref()
            .map(|prefix| prefixed(context, prefix));
        let template = config
            .template
            .as_deref()
            .map(|template| template::check(context, template));
        problems.extend(template.and_then(Result::err));
        let prefix = match prefix.transpose() {
            Ok(prefix) => prefix,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut policy = Policy::of(context);
        if let Some(url) = prefix {
            policy.inbound(SetBackendService::new().base_url(url.at("/prefix")));
        }
        if let Some(template) = &config.template {
            policy.inbound(
                RewriteUri::new(template.at("/template")).copy_unmatched_params(
                    config
                        .copy_unmatched_params
                        .unwrap_or(true)
                        .at("/copyUnmatchedParams"),
                ),
            );
        }
        for change in &query {
            policy.inbound(parameter(change));
        }
        Ok(policy)
    }
}

/// The backend's URL with a path after it.
fn prefixed(context: &Context, prefix: &str) -> Result<String, Diagnostic> {
    if !template::is_path(prefix) || prefix.contains(['{', '}']) {
        return Err(Diagnostic::error(
            "/prefix",
            format!(
                "`{}` is not a path: it begins with a slash and holds no blank, query, fragment or \
                 `..`, as in /v2",
                prefix.escape_debug()
            ),
        ));
    }
    match &context.api.backend_url {
        Some(url) => Ok(format!(
            "{}{}",
            url.trim_end_matches('/'),
            prefix.trim_end_matches('/')
        )),
        None => Err(Diagnostic::error(
            "/prefix",
            "the backend's URL is not known (yet), so that nothing can come after it: use `template` \
             for single operations where the API has no backend of its own",
        )),
    }
}

fn parameter(change: &Change<'_>) -> SetQueryParameter {
    let parameter = SetQueryParameter::new(change.name.as_str().at(&change.pointer))
        .exists_action(change.action);
    change
        .values
        .iter()
        .fold(parameter, |parameter, (value, pointer)| {
            parameter.value((*value).at(pointer))
        })
        .at(&change.pointer)
}

policy_sdk::export_plugin!(RewritePlugin);
