//! What a policy document refers to: named values, backends, fragments,
//! loggers and the parameters of the operation's URL template.

use super::PolicyEnvironment;
use policy_document::Element;
use policy_document::expression;
pub(super) use policy_document::named_values;

/// Whether a value is known only when the policy runs or named values are
/// filled in, so that nothing can be looked up for it.
pub(super) fn is_dynamic(value: &str) -> bool {
    expression::is_expression(value) || !named_values(value).is_empty()
}

/// The references of one policy element that lead nowhere.
pub(super) fn check(policy: &Element, env: &dyn PolicyEnvironment) -> Vec<String> {
    let mut problems = Vec::new();
    let literal = |name: &str| policy.attribute(name).filter(|value| !is_dynamic(value));
    for attribute in ["backend-id", "embeddings-backend-id"] {
        if let Some(id) = literal(attribute)
            && !env.backend_exists(id)
        {
            problems.push(format!("Backend with id '{id}' could not be found."));
        }
    }
    match policy.name.as_str() {
        "include-fragment" => {
            if let Some(id) = literal("fragment-id")
                && !env.fragment_exists(id)
            {
                problems.push(format!(
                    "Policy fragment with id '{id}' could not be found."
                ));
            }
        }
        "log-to-eventhub" => {
            if let Some(id) = literal("logger-id")
                && !env.logger_exists(id)
            {
                problems.push("Logger not found".to_owned());
            }
        }
        "rewrite-uri" => {
            if let Some(known) = env.url_template_parameters()
                && let Some(template) = literal("template")
                && template_parameters(template)
                    .iter()
                    .any(|used| !known.iter().any(|name| name == used))
            {
                problems.push(
                    "Only parameters specified in the original URL template can be used in the rewrite template"
                        .to_owned(),
                );
            }
        }
        _ => {}
    }
    problems
}

/// The names in `{…}` of a URL template; `{*rest}` names `rest`.
fn template_parameters(template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        names.push(rest[start + 1..start + length].trim_start_matches('*'));
        rest = &rest[start + length + 1..];
    }
    names
}
