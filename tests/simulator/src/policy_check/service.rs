//! What the service asks of single policies beyond the published schemas, by
//! their reference pages.

use super::{Sku, references};
use policy_document::Element;
use policy_document::expression;

/// The longest window of `rate-limit` and `rate-limit-by-key`, in seconds.
const LONGEST_RATE_LIMIT_PERIOD: i64 = 300;

/// The shortest window of `quota` and `quota-by-key` that is not the whole
/// lifetime (0), in seconds.
const SHORTEST_QUOTA_PERIOD: i64 = 300;

/// Whether the tier lacks it: Consumption has no gateway to count in, and what
/// concerns Dapr is done by self-hosted gateways.
pub(super) fn is_missing_on(sku: Sku, policy: &str) -> bool {
    match policy {
        "rate-limit-by-key" | "quota-by-key" | "azure-openai-token-limit" | "llm-token-limit" => {
            sku == Sku::Consumption
        }
        "invoke-dapr-binding" | "publish-to-dapr" => sku != Sku::SelfHosted,
        _ => false,
    }
}

/// The problems of one policy that its schema allows.
pub(super) fn check(policy: &Element) -> Vec<String> {
    let mut problems = Vec::new();
    match policy.name.as_str() {
        "rate-limit" => rate_limit(policy, &mut problems),
        "rate-limit-by-key" => rate_limit_numbers(policy, &mut problems),
        "quota" => quota(policy, &mut problems),
        "quota-by-key" => quota_numbers(policy, &mut problems),
        "azure-openai-token-limit" | "llm-token-limit" => {
            at_least_one(policy, &["tokens-per-minute", "token-quota"], &mut problems);
        }
        "validate-jwt" => validate_jwt(policy, &mut problems),
        "validate-azure-ad-token" => at_most_one(policy, &TOKEN_SOURCES, &mut problems),
        "set-backend-service" => {
            at_least_one(
                policy,
                &["base-url", "backend-id", "dapr-app-id"],
                &mut problems,
            );
            at_most_one(
                policy,
                &["base-url", "backend-id", "dapr-app-id"],
                &mut problems,
            );
        }
        "check-header" => {
            for name in ["failed-check-error-message", "ignore-case"] {
                required(policy, name, &mut problems);
            }
        }
        "send-request" | "send-one-way-request" => {
            let new = policy.attribute("mode").is_none_or(|mode| mode == "new");
            if new && !policy.elements().any(|child| child.name == "set-url") {
                problems.push("Element 'set-url' is required when 'mode' is 'new'.".to_owned());
            }
        }
        _ => {}
    }
    problems
}

const TOKEN_SOURCES: [&str; 3] = ["header-name", "query-parameter-name", "token-value"];

fn validate_jwt(policy: &Element, problems: &mut Vec<String>) {
    at_least_one(policy, &TOKEN_SOURCES, problems);
    at_most_one(policy, &TOKEN_SOURCES, problems);
    let has = |name: &str| policy.elements().any(|child| child.name == name);
    if !has("openid-config") && !has("issuer-signing-keys") && !has("issuer-signing-tokens") {
        problems.push(
            "Either 'openid-config' or 'issuer-signing-keys' must be specified to validate the token signature."
                .to_owned(),
        );
    }
    for config in policy
        .elements()
        .filter(|child| child.name == "openid-config")
    {
        if let Some(url) = config.attribute("url")
            && !references::is_dynamic(url)
            && !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            problems.push(format!(
                "OpenID configuration URL '{url}' is not a valid absolute URL."
            ));
        }
    }
}

fn rate_limit(policy: &Element, problems: &mut Vec<String>) {
    rate_limit_numbers(policy, problems);
    for part in nested(policy) {
        at_least_one(part, &["id", "name"], problems);
        rate_limit_numbers(part, problems);
    }
}

fn rate_limit_numbers(element: &Element, problems: &mut Vec<String>) {
    required(element, "calls", problems);
    required(element, "renewal-period", problems);
    in_range(element, "calls", 1, i64::from(i32::MAX), problems);
    in_range(
        element,
        "renewal-period",
        1,
        LONGEST_RATE_LIMIT_PERIOD,
        problems,
    );
}

fn quota(policy: &Element, problems: &mut Vec<String>) {
    quota_numbers(policy, problems);
    for part in nested(policy) {
        at_least_one(part, &["id", "name"], problems);
        at_least_one(part, &["calls", "bandwidth"], problems);
    }
}

fn quota_numbers(element: &Element, problems: &mut Vec<String>) {
    at_least_one(element, &["calls", "bandwidth"], problems);
    required(element, "renewal-period", problems);
    if let Some(period) = number(element, "renewal-period")
        && period != 0
        && period < SHORTEST_QUOTA_PERIOD
    {
        problems.push(format!(
            "The 'renewal-period' attribute must be 0 or at least {SHORTEST_QUOTA_PERIOD}, not {period}."
        ));
    }
}

/// The `api` and `operation` parts of a limit.
fn nested(policy: &Element) -> Vec<&Element> {
    policy
        .elements()
        .flat_map(|part| std::iter::once(part).chain(part.elements()))
        .filter(|part| matches!(part.name.as_str(), "api" | "operation"))
        .collect()
}

fn required(element: &Element, name: &str, problems: &mut Vec<String>) {
    // What the schema requires, the schema check has reported.
    let message = format!("The required attribute '{name}' is missing.");
    if element.attribute(name).is_none() && !problems.contains(&message) {
        problems.push(message);
    }
}

fn in_range(element: &Element, name: &str, low: i64, high: i64, problems: &mut Vec<String>) {
    if let Some(value) = number(element, name)
        && !(low..=high).contains(&value)
    {
        problems.push(format!(
            "The '{name}' attribute must be between {low} and {high}, not {value}."
        ));
    }
}

/// A literal number; anything else is the schema's to judge.
fn number(element: &Element, name: &str) -> Option<i64> {
    element
        .attribute(name)
        .filter(|value| !expression::is_expression(value))
        .and_then(|value| value.trim().parse().ok())
}

fn at_least_one(element: &Element, names: &[&str], problems: &mut Vec<String>) {
    if !names.iter().any(|name| element.attribute(name).is_some()) {
        problems.push(format!(
            "One of the attributes '{}' must be specified.",
            names.join("', '")
        ));
    }
}

fn at_most_one(element: &Element, names: &[&str], problems: &mut Vec<String>) {
    if names
        .iter()
        .filter(|name| element.attribute(name).is_some())
        .count()
        > 1
    {
        problems.push(format!(
            "Only one of the attributes '{}' can be specified.",
            names.join("', '")
        ));
    }
}
