//! Where the service is stricter than its schemas.
//!
//! Each rule names its source: "docs" is the policy's page in Azure's policy
//! reference, under "Attributes", "Elements" and "Usage notes". To update,
//! read those pages for the policies named here.

use crate::policy::canonical::duration_seconds;
use crate::policy::document::{PolicyDocument, PolicyError};
use crate::policy::literal::shown;
use crate::policy::model::{Element, Form, Node, Part, Section, Target, Value};
use crate::tier::Tier;

/// Something wrong with an element, or with one of its parts.
pub(super) struct Problem {
    /// The config pointer of the part, if it has one of its own.
    pub(super) pointer: Option<String>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn here(message: String) -> Self {
        Self {
            pointer: None,
            message,
        }
    }

    pub(super) fn at(element: &Element, message: String) -> Self {
        Self {
            pointer: element.pointer.clone(),
            message,
        }
    }

    fn value(value: &Value, message: String) -> Self {
        Self {
            pointer: value.pointer.clone(),
            message,
        }
    }
}

/// Whether the policy may be used at all in documents like ours.
pub(super) fn scope(policy: &str, tier: Tier) -> Option<String> {
    if let Some(missing) = tier.lacks(policy) {
        return Some(missing);
    }
    // Docs: "Policy scopes: product".
    (policy == "quota").then(|| {
        "'quota' is allowed in the policy of a product only; use 'quota-by-key' for an API or \
         operation"
            .to_owned()
    })
}

/// Attributes for which the docs say "Policy expressions aren't allowed"
/// though the schemas take any string. `rate-limit` and `quota` take none
/// anywhere.
pub(super) fn takes_no_expression(element: &str, attribute: &str) -> bool {
    match element {
        "rate-limit" | "quota" => true,
        "rate-limit-by-key" => {
            attribute.ends_with("-header-name") || attribute.ends_with("-variable-name")
        }
        "quota-by-key" => attribute == "renewal-period",
        "validate-jwt" | "validate-azure-ad-token" => attribute == "output-token-variable-name",
        "authentication-managed-identity" => {
            matches!(attribute, "client-id" | "output-token-variable-name")
        }
        "validate-content" | "validate-parameters" => attribute == "errors-variable-name",
        _ => attribute == "id",
    }
}

/// The longest window of a rate limit, in seconds (docs).
const MAX_RATE_PERIOD: i64 = 300;
/// How often `retry` may repeat at most (docs).
const MAX_RETRIES: i64 = 50;
/// The shortest period of a quota, in seconds; 0 means forever (docs).
const MIN_QUOTA_PERIOD: i64 = 300;

/// What else is wrong with an element.
pub(super) fn element(element: &Element) -> Vec<Problem> {
    match element.name.as_str() {
        "rate-limit" => rate_limit(element),
        "rate-limit-by-key" => rate(element),
        "quota-by-key" => quota(element, true),
        "quota" => quota_of_subscription(element),
        "validate-jwt" => validate_jwt(element),
        "validate-azure-ad-token" => [at_most_one_source(element)]
            .into_iter()
            .flatten()
            .collect(),
        "cors" => cors(element),
        "check-header" => required(element, &["failed-check-error-message", "ignore-case"]),
        "authentication-managed-identity" => required(element, &["resource"]),
        "ip-filter" => ip_filter(element).into_iter().collect(),
        "validate-client-certificate" => client_certificate(element),
        "retry" => retry(element).into_iter().collect(),
        "set-header" => header(element),
        _ => Vec::new(),
    }
}

/// The text of a value that has no expression or named value in it.
fn plain(value: &Value) -> Option<String> {
    if value.form != Form::Literal {
        return None;
    }
    value
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::NamedValue(_) => None,
        })
        .collect()
}

fn number(value: &Value) -> Option<i64> {
    plain(value)?.parse().ok()
}

fn required(element: &Element, names: &[&str]) -> Vec<Problem> {
    names
        .iter()
        .filter(|name| element.attribute(name).is_none())
        .map(|name| {
            Problem::here(format!(
                "'{}' lacks the attribute '{name}', which the service requires; add it",
                element.name
            ))
        })
        .collect()
}

/// Calls and period of a rate limit.
fn rate(element: &Element) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = &element.name;
    if let Some(value) = element.attribute("calls")
        && number(value).is_some_and(|calls| calls < 1)
    {
        problems.push(Problem::value(
            value,
            format!(
                "attribute 'calls' of '{name}' is '{}'; it must be at least 1",
                plain(value).unwrap_or_default()
            ),
        ));
    }
    if let Some(value) = element.attribute("renewal-period")
        && number(value).is_some_and(|seconds| !(1..=MAX_RATE_PERIOD).contains(&seconds))
    {
        problems.push(Problem::value(
            value,
            format!(
                "attribute 'renewal-period' of '{name}' is '{}'; it must be from 1 to \
                 {MAX_RATE_PERIOD} seconds",
                plain(value).unwrap_or_default()
            ),
        ));
    }
    problems
}

/// `rate-limit` and the `api` and `operation` elements in it.
fn rate_limit(element: &Element) -> Vec<Problem> {
    let mut problems = required(element, &["calls", "renewal-period"]);
    problems.extend(rate(element));
    for part in nested(element) {
        problems.extend(required(part, &["calls", "renewal-period"]));
        problems.extend(named(part));
        problems.extend(rate(part));
    }
    problems
}

/// The `api` and `operation` elements inside a limit.
fn nested(element: &Element) -> Vec<&Element> {
    element
        .elements()
        .flat_map(|part| std::iter::once(part).chain(part.elements()))
        .collect()
}

/// Docs: "Either name or id must be specified".
fn named(part: &Element) -> Option<Problem> {
    (part.attribute("name").is_none() && part.attribute("id").is_none()).then(|| {
        Problem::at(
            part,
            format!("'{}' has neither 'name' nor 'id'; add one", part.name),
        )
    })
}

fn quota(element: &Element, period: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = &element.name;
    if element.attribute("calls").is_none() && element.attribute("bandwidth").is_none() {
        problems.push(Problem::here(format!(
            "'{name}' has neither 'calls' nor 'bandwidth'; add at least one"
        )));
    }
    for attribute in ["calls", "bandwidth"] {
        if let Some(value) = element.attribute(attribute)
            && number(value).is_some_and(|n| n < 1)
        {
            problems.push(Problem::value(
                value,
                format!(
                    "attribute '{attribute}' of '{name}' is '{}'; it must be at least 1",
                    plain(value).unwrap_or_default()
                ),
            ));
        }
    }
    if period {
        problems.extend(required(element, &["renewal-period"]));
    }
    if let Some(value) = element.attribute("renewal-period")
        && let Some(text) = plain(value)
    {
        let seconds = text
            .parse::<i64>()
            .ok()
            .or_else(|| duration_seconds(&text).and_then(|seconds| i64::try_from(seconds).ok()));
        if seconds.is_none_or(|n| n != 0 && n < MIN_QUOTA_PERIOD) && !is_calendar(&text) {
            problems.push(Problem::value(
                value,
                format!(
                    "attribute 'renewal-period' of '{name}' is '{}'; it must be at least \
                     {MIN_QUOTA_PERIOD} seconds, or 0 for a quota that is never renewed",
                    shown(&text)
                ),
            ));
        }
    }
    problems
}

/// A duration of months or years, whose seconds are not fixed.
fn is_calendar(text: &str) -> bool {
    text.strip_prefix('P')
        .and_then(|rest| rest.strip_suffix(['M', 'Y']))
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn quota_of_subscription(element: &Element) -> Vec<Problem> {
    let mut problems = quota(element, true);
    for part in nested(element) {
        problems.extend(quota(part, false));
        problems.extend(named(part));
    }
    problems
}

const TOKEN_SOURCES: [&str; 3] = ["header-name", "query-parameter-name", "token-value"];

fn sources(element: &Element) -> Vec<&'static str> {
    TOKEN_SOURCES
        .into_iter()
        .filter(|name| element.attribute(name).is_some())
        .collect()
}

/// Docs: "One of header-name, query-parameter-name or token-value".
fn at_most_one_source(element: &Element) -> Option<Problem> {
    let sources = sources(element);
    (sources.len() > 1).then(|| {
        Problem::here(format!(
            "'{}' says in {} where the token is; keep one of them",
            element.name,
            sources
                .iter()
                .map(|s| format!("'{s}'"))
                .collect::<Vec<_>>()
                .join(" and ")
        ))
    })
}

fn validate_jwt(element: &Element) -> Vec<Problem> {
    let mut problems: Vec<_> = at_most_one_source(element).into_iter().collect();
    if sources(element).is_empty() {
        problems.push(Problem::here(
            "'validate-jwt' does not say where the token is; add one of 'header-name', \
             'query-parameter-name', 'token-value'"
                .to_owned(),
        ));
    }
    let unsigned = element
        .attribute("require-signed-tokens")
        .is_some_and(|value| plain(value).as_deref() != Some("true"));
    let keys = element.elements().any(|child| match child.name.as_str() {
        "openid-config" => true,
        "issuer-signing-keys" | "issuer-signing-tokens" => child.elements().next().is_some(),
        _ => false,
    });
    if !keys && !unsigned {
        problems.push(Problem::here(
            "'validate-jwt' has no key to check signatures with; add 'openid-config' or \
             'issuer-signing-keys'"
                .to_owned(),
        ));
    }
    problems
}

fn cors(element: &Element) -> Vec<Problem> {
    let mut problems = Vec::new();
    let child = |name: &str| element.elements().find(|child| child.name == name);
    if child("allowed-headers").is_none() {
        problems.push(Problem::here(
            "'cors' lacks the element 'allowed-headers', which the service requires; add it"
                .to_owned(),
        ));
    }
    let origins: Vec<(&Element, String)> = child("allowed-origins")
        .into_iter()
        .flat_map(Element::elements)
        .map(|origin| {
            let text = origin.children.iter().filter_map(|node| match node {
                Node::Text(value) => plain(value),
                _ => None,
            });
            (origin, text.collect::<String>())
        })
        .collect();
    let wildcard = origins.iter().find(|(_, text)| text.trim() == "*");
    if let Some((origin, _)) = wildcard
        && origins.len() > 1
    {
        problems.push(Problem::at(
            origin,
            "'allowed-origins' holds '*' beside other origins; '*' stands for all, so keep it \
             alone or remove it"
                .to_owned(),
        ));
    }
    if let Some((origin, _)) = wildcard
        && element
            .attribute("allow-credentials")
            .and_then(plain)
            .is_some_and(|value| matches!(value.as_str(), "true" | "1"))
    {
        problems.push(Problem::at(
            origin,
            "'cors' allows credentials for the origin '*', which browsers refuse; list the \
             origins or set 'allow-credentials' to false"
                .to_owned(),
        ));
    }
    problems
}

/// Docs: "At least one address or address-range element is required".
fn ip_filter(element: &Element) -> Option<Problem> {
    element.elements().next().is_none().then(|| {
        Problem::here(
            "'ip-filter' names no address; add 'address' or 'address-range' elements".to_owned(),
        )
    })
}

/// Docs: `issuer-certificate-id` is "mutually exclusive with other issuer
/// attributes".
fn client_certificate(element: &Element) -> Vec<Problem> {
    element
        .elements()
        .flat_map(Element::elements)
        .filter(|identity| {
            identity.attribute("issuer-certificate-id").is_some()
                && ["issuer-subject", "issuer-thumbprint"]
                    .iter()
                    .any(|name| identity.attribute(name).is_some())
        })
        .map(|identity| {
            Problem::at(
                identity,
                "'identity' says in 'issuer-certificate-id' and in another attribute who the \
                 issuer is; keep one of them"
                    .to_owned(),
            )
        })
        .collect()
}

/// Docs: "A positive number between 1 and 50".
fn retry(element: &Element) -> Option<Problem> {
    let value = element.attribute("count")?;
    number(value)
        .is_some_and(|count| count > MAX_RETRIES)
        .then(|| {
            Problem::value(
                value,
                format!(
                    "attribute 'count' of 'retry' is '{}'; it must be from 1 to {MAX_RETRIES}",
                    plain(value).unwrap_or_default()
                ),
            )
        })
}

/// What HTTP takes as a header (RFC 9110, 5.1 and 5.5): a name that is none is
/// not sent, and whoever wrote the policy would believe that it is.
fn header(element: &Element) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(value) = element.attribute("name")
        && let Some(name) = plain(value)
        && !is_token(&name)
    {
        problems.push(Problem::value(
            value,
            format!(
                "attribute 'name' of 'set-header' is '{}', which cannot be the name of a header; write \
                 letters, digits and dashes",
                shown(&name)
            ),
        ));
    }
    for value in element.elements().flat_map(|value| &value.children) {
        if let Node::Text(value) = value
            && let Some(text) = plain(value)
            && text
                .trim()
                .contains(|c: char| c.is_ascii_control() && c != '\t')
        {
            problems.push(Problem::value(
                value,
                format!(
                    "the text of 'value' is '{}', which holds a line break or another control \
                     character; a header has one line, remove it",
                    shown(text.trim())
                ),
            ));
        }
    }
    problems
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// How often a policy may stand in a document or section (docs: "Usage
/// notes").
pub(super) fn once(document: &PolicyDocument, target: &Target) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    for policy in ["rate-limit", "quota"] {
        errors.extend(repeated(document, target, policy, None));
    }
    for section in document.sections.keys() {
        for policy in ["cors", "cache-lookup", "validate-parameters"] {
            errors.extend(repeated(document, target, policy, Some(*section)));
        }
    }
    errors
}

fn repeated(
    document: &PolicyDocument,
    target: &Target,
    policy: &str,
    only: Option<Section>,
) -> Option<PolicyError> {
    let mut found: Vec<(Section, Option<&str>, Option<&str>)> = Vec::new();
    for (section, statements) in &document.sections {
        if only.is_some_and(|only| only != *section) {
            continue;
        }
        for statement in statements {
            let mut open: Vec<&Element> = statement.element().into_iter().collect();
            while let Some(element) = open.pop() {
                if element.name == policy {
                    found.push((
                        *section,
                        statement.plugin.as_deref(),
                        element.pointer.as_deref(),
                    ));
                }
                open.extend(element.elements());
            }
        }
    }
    let [(_, first, _), .., (section, last, pointer)] = found[..] else {
        return None;
    };
    let place = if only.is_some() {
        "section"
    } else {
        "document"
    };
    let who = match (first, last) {
        (Some(first), Some(last)) if first != last => {
            format!("plugins '{first}' and '{last}' both write it, so remove one of them")
        }
        _ => "keep one of them".to_owned(),
    };
    Some(PolicyError {
        plugin: last.map(str::to_owned),
        pointer: pointer.map(str::to_owned),
        document: target.clone(),
        section: Some(section),
        message: format!(
            "'{policy}' stands {} times, but may stand once in a {place}; {who}",
            found.len()
        ),
    })
}
