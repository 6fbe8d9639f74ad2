//! What API Management logs of the calls of an API, and where to.
//!
//! No key and no token is logged, whatever is asked for: headers that carry one
//! cannot be listed, and those, and the query parameters that do, are left out
//! by name of everything that is written. A body is logged as it is; so the
//! default is none of it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::annotations::{did_you_mean, nearest::shown, path};
use crate::apim::{DesiredPart, DesiredParts, PartId};
use crate::desired::SubscriptionKeyNames;
use crate::instance::Instance;
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;

/// Who takes what is logged.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum DiagnosticKind {
    /// Application Insights.
    ApplicationInsights,
    /// Azure Monitor.
    AzureMonitor,
}

impl DiagnosticKind {
    const ALL: [Self; 2] = [Self::ApplicationInsights, Self::AzureMonitor];

    /// The diagnostic's id: there is one of each kind.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::ApplicationInsights => "applicationinsights",
            Self::AzureMonitor => "azuremonitor",
        }
    }

    /// The kind of an id.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// How much is told of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Verbosity {
    /// Everything.
    Verbose,
    /// What happens.
    #[default]
    Information,
    /// What goes wrong.
    Error,
}

impl Verbosity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verbose => "verbose",
            Self::Information => "information",
            Self::Error => "error",
        }
    }
}

/// What is logged of the calls of an API. Keys and tokens never are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiagnosticSpec {
    /// Who takes it: `ApplicationInsights` or `AzureMonitor`.
    pub kind: DiagnosticKind,
    /// The id of a logger of that kind, which the platform made in API
    /// Management.
    pub logger: String,
    /// Of how many calls in a hundred; absent: of all.
    #[serde(default = "everything", skip_serializing_if = "is_everything")]
    pub sampling: f64,
    /// Whether every call that fails is logged, whatever `sampling` says;
    /// absent: yes.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub all_errors: bool,
    /// How much is told of traces; absent: `Information`.
    #[serde(default)]
    pub verbosity: Verbosity,
    /// The headers of requests and responses that are logged. One that carries
    /// a key or a token is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// How many bytes of each body are logged, at most 8192, as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub body_bytes: u32,
    /// Whether the caller's address is logged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_ip: bool,
}

const fn everything() -> f64 {
    100.0
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_everything(percentage: &f64) -> bool {
    (percentage - everything()).abs() < f64::EPSILON
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_zero(bytes: &u32) -> bool {
    *bytes == 0
}

/// The fields of a [`DiagnosticSpec`], for a typo.
const FIELDS: [&str; 8] = [
    "kind",
    "logger",
    "sampling",
    "allErrors",
    "verbosity",
    "headers",
    "bodyBytes",
    "clientIp",
];

/// The most of a body that API Management logs.
const MAX_BODY: u32 = 8192;

/// Headers that carry keys, tokens or what is as good as one.
const SECRET_HEADERS: [&str; 12] = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "Set-Cookie",
    "Ocp-Apim-Subscription-Key",
    "Apim-Debug-Authorization",
    "Ocp-Apim-Trace-Location",
    "X-Api-Key",
    "Api-Key",
    "X-Functions-Key",
    "X-Amz-Security-Token",
    "X-Zumo-Auth",
];

/// Query parameters that do.
const SECRET_PARAMETERS: [&str; 8] = [
    "subscription-key",
    "access_token",
    "id_token",
    "token",
    "code",
    "sig",
    "api_key",
    "client_secret",
];

/// Words of which one in a header's name says that it carries a secret.
const SECRET_WORDS: [&str; 6] = ["auth", "token", "secret", "password", "cookie", "apikey"];

fn is_secret_header(name: &str, keys: Option<&SubscriptionKeyNames>) -> bool {
    let bare: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let ends_in_key = name.to_ascii_lowercase().ends_with("-key");
    ends_in_key
        || SECRET_WORDS.iter().any(|word| bare.contains(word))
        || SECRET_HEADERS
            .iter()
            .any(|one| one.eq_ignore_ascii_case(name))
        || keys.is_some_and(|keys| keys.header.eq_ignore_ascii_case(name))
}

/// What is wrong with one: a place in it, and what.
fn problems(spec: &DiagnosticSpec, keys: Option<&SubscriptionKeyNames>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut say = |at: &str, what: String| out.push((at.to_owned(), what));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=256).contains(&spec.logger.len()) || !spec.logger.chars().all(allowed) {
        let message = format!(
            "`{}` is not the id of a logger: 1 to 256 letters, digits, `.`, `_` and `-`",
            shown(&spec.logger)
        );
        say("logger", message);
    }
    if !(0.0..=100.0).contains(&spec.sampling) {
        let message = format!("is {}; write a percentage from 0 to 100", spec.sampling);
        say("sampling", message);
    }
    if spec.body_bytes > MAX_BODY {
        let message = format!(
            "is {}; API Management logs at most {MAX_BODY} bytes of a body",
            spec.body_bytes
        );
        say("bodyBytes", message);
    }
    let mut seen = BTreeSet::new();
    for (index, header) in spec.headers.iter().enumerate() {
        let at = format!("headers[{index}]");
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if header.is_empty() || !header.chars().all(token) {
            say(
                &at,
                format!("`{}` is not the name of a header", shown(header)),
            );
        } else if is_secret_header(header, keys) {
            say(
                &at,
                format!(
                    "`{header}` carries a key or a token, which are never logged; take it off the list"
                ),
            );
        } else if !seen.insert(header.to_ascii_lowercase()) {
            say(
                &at,
                format!("lists `{header}` twice; remove one of the two"),
            );
        }
    }
    out
}

/// Two for one kind: API Management has one diagnostic of each.
fn twice(specs: &[DiagnosticSpec]) -> Option<DiagnosticKind> {
    let mut seen = BTreeSet::new();
    let again = specs.iter().find(|spec| !seen.insert(spec.kind));
    again.map(|spec| spec.kind)
}

/// What is wrong with the settings of an instance. A problem's path begins
/// below the instance's `spec`.
#[must_use]
pub fn check(specs: &[DiagnosticSpec]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = specs
        .iter()
        .enumerate()
        .flat_map(|(index, spec)| {
            let at = move |(field, what)| (format!("diagnostics[{index}].{field}"), what);
            problems(spec, None).into_iter().map(at)
        })
        .collect();
    if let Some(kind) = twice(specs) {
        let message = format!("has two for `{kind:?}`; API Management takes one, remove the other");
        out.push(("diagnostics".to_owned(), message));
    }
    out
}

/// Reads the annotation: a list as the instance's.
pub(crate) fn read(value: &Value) -> Result<Vec<DiagnosticSpec>, Vec<String>> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.clone(),
        Value::Object(_) => vec![value.clone()],
        _ => return Err(vec!["expected a list of `{kind, logger, …}`".to_owned()]),
    };
    let mut specs = Vec::new();
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let unknown = item
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys());
        let unknown: Vec<&String> = unknown.filter(|f| !FIELDS.contains(&f.as_str())).collect();
        if !unknown.is_empty() {
            out.extend(unknown.into_iter().map(|field| {
                let hint = did_you_mean(field, FIELDS);
                format!("[{index}] holds `{}`{hint}", shown(field))
            }));
            continue;
        }
        match serde_json::from_value::<DiagnosticSpec>(item.clone()) {
            Ok(spec) => {
                let found = problems(&spec, None).into_iter();
                out.extend(found.map(|(at, what)| format!("[{index}].{at}: {what}")));
                specs.push(spec);
            }
            Err(error) => out.push(format!("[{index}]: {error}")),
        }
    }
    if let Some(kind) = twice(&specs) {
        out.push(format!(
            "has two for `{kind:?}`; API Management takes one, remove the other"
        ));
    }
    if out.is_empty() { Ok(specs) } else { Err(out) }
}

/// A problem for each logger of an annotation that is not granted.
#[must_use]
pub fn forbidden(
    specs: &[DiagnosticSpec],
    namespace: &str,
    instance: &Instance,
    grants: &Grants,
) -> Vec<Problem> {
    specs
        .iter()
        .filter(|spec| !grants.allow(ReferenceKind::Logger, Some(&spec.logger)))
        .map(|spec| {
            Problem::new(
                path("diagnostics"),
                format!(
                    "instance `{}` does not grant logger `{}` to namespace `{namespace}`; name one that it grants, \
                     or ask the platform team for a grant of kind `logger`",
                    instance.name, spec.logger
                ),
            )
        })
        .collect()
}

/// The diagnostics of an API: what the object says, else what the instance
/// does. A header that carries this API's key is refused here, as only here it
/// is known.
pub fn desired(
    annotated: Option<&[DiagnosticSpec]>,
    instance: &Instance,
    keys: &SubscriptionKeyNames,
) -> Result<DesiredParts, Vec<Problem>> {
    let (specs, at) = match annotated {
        Some(specs) => (specs, path("diagnostics")),
        None => (
            instance.spec.diagnostics.as_slice(),
            format!("ApimInstance/{} spec.diagnostics", instance.name),
        ),
    };
    let found: Vec<Problem> = specs
        .iter()
        .enumerate()
        .flat_map(|(index, spec)| {
            let at = format!("{at}[{index}]");
            let told = problems(spec, Some(keys)).into_iter();
            told.map(move |(field, what)| Problem::new(format!("{at}.{field}"), what))
        })
        .collect();
    if !found.is_empty() {
        return Err(found);
    }
    Ok(specs
        .iter()
        .map(|spec| {
            let part = DesiredPart {
                content: content(spec, keys),
                made_as: None,
            };
            (PartId::Diagnostic(spec.kind), part)
        })
        .collect())
}

/// The diagnostic as ARM takes it. Every part of a call says what of it is left
/// out, so that what is added by hand in the portal shows as a difference.
fn content(spec: &DiagnosticSpec, keys: &SubscriptionKeyNames) -> Value {
    let hide = |name: &str| json!({"value": name, "mode": "Hide"});
    let distinct = |names: &[&str], own: &str| {
        let mut all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        if !all.iter().any(|name| name.eq_ignore_ascii_case(own)) {
            all.push(own.to_owned());
        }
        all
    };
    let headers = distinct(&SECRET_HEADERS, &keys.header);
    let parameters = distinct(&SECRET_PARAMETERS, &keys.query);
    let message = json!({
        "headers": spec.headers,
        "body": {"bytes": spec.body_bytes},
        "dataMasking": {
            "headers": headers.iter().map(|name| hide(name)).collect::<Vec<_>>(),
            "queryParams": parameters.iter().map(|name| hide(name)).collect::<Vec<_>>(),
        },
    });
    let both = json!({"request": message, "response": message});
    let mut content = json!({
        "loggerId": format!("/loggers/{}", spec.logger),
        "sampling": {"samplingType": "fixed", "percentage": spec.sampling},
        "frontend": both,
        "backend": both,
        "logClientIp": spec.client_ip,
        "verbosity": spec.verbosity.as_str(),
    });
    if spec.all_errors {
        content["alwaysLog"] = "allErrors".into();
    }
    if spec.kind == DiagnosticKind::ApplicationInsights {
        content["httpCorrelationProtocol"] = "W3C".into();
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceDefaults;
    use crate::names::InstanceName;

    fn instance(diagnostics: &Value) -> Result<Instance, Vec<Problem>> {
        let spec = json!({
            "subscriptionId": "s", "resourceGroup": "r", "serviceName": "a", "tenantId": "t", "clientId": "c",
            "diagnostics": diagnostics,
            "grants": [{"namespaceSelector": {}, "kind": "logger", "names": ["shop-*"]}],
        });
        let spec = serde_json::from_value(spec).unwrap();
        let name = InstanceName::parse("default").unwrap();
        Instance::new(name, spec, &InstanceDefaults::default())
    }

    #[test]
    fn keys_and_tokens_are_hidden_in_every_part_of_a_call() {
        let specs = read(&json!([{
            "kind": "ApplicationInsights", "logger": "insights", "sampling": 12.5, "headers": ["X-Request-Id"],
            "bodyBytes": 64,
        }]))
        .unwrap();
        let keys = SubscriptionKeyNames {
            header: "X-Shop".into(),
            query: "shop".into(),
        };
        let instance = instance(&json!([])).unwrap();
        let parts = desired(Some(&specs), &instance, &keys).unwrap();
        let id = PartId::Diagnostic(DiagnosticKind::ApplicationInsights);
        let content = &parts[&id].content;
        for side in ["frontend", "backend"] {
            for message in ["request", "response"] {
                let one = &content[side][message];
                assert_eq!(one["headers"], json!(["X-Request-Id"]));
                assert_eq!(one["body"]["bytes"], 64);
                for (list, name) in [
                    ("headers", "Authorization"),
                    ("headers", "Ocp-Apim-Subscription-Key"),
                    ("headers", "X-Shop"),
                    ("queryParams", "subscription-key"),
                    ("queryParams", "shop"),
                    ("queryParams", "access_token"),
                ] {
                    let masked = one["dataMasking"][list].as_array().unwrap();
                    assert!(
                        masked.contains(&json!({"value": name, "mode": "Hide"})),
                        "{name}"
                    );
                }
            }
        }
        assert_eq!(content["loggerId"], "/loggers/insights");
        assert_eq!(content["sampling"]["percentage"], 12.5);
        assert_eq!(content["alwaysLog"], "allErrors");
        assert_eq!(content["verbosity"], "information");
    }

    #[test]
    fn what_would_log_a_secret_or_cannot_be_is_refused_with_its_place() {
        let wrong = read(&json!([
            {"kind": "AzureMonitor", "logger": "a/b", "sampling": 101, "bodyBytes": 9000,
             "headers": ["authorization", "X-Auth-Token", "Accept", "accept", "a b", "X-My-Key"]},
            {"kind": "AzureMonitor", "logger": "m"},
            {"kind": "AzureMonitor", "loger": "m"},
            {"kind": "EventHub", "logger": "m"},
        ]));
        assert_eq!(
            wrong.unwrap_err(),
            [
                "[0].logger: `a/b` is not the id of a logger: 1 to 256 letters, digits, `.`, `_` and `-`",
                "[0].sampling: is 101; write a percentage from 0 to 100",
                "[0].bodyBytes: is 9000; API Management logs at most 8192 bytes of a body",
                "[0].headers[0]: `authorization` carries a key or a token, which are never logged; take it off the list",
                "[0].headers[1]: `X-Auth-Token` carries a key or a token, which are never logged; take it off the list",
                "[0].headers[3]: lists `accept` twice; remove one of the two",
                "[0].headers[4]: `a b` is not the name of a header",
                "[0].headers[5]: `X-My-Key` carries a key or a token, which are never logged; take it off the list",
                "[2] holds `loger`; did you mean `logger`?",
                "[3]: unknown variant `EventHub`, expected `ApplicationInsights` or `AzureMonitor`",
                "has two for `AzureMonitor`; API Management takes one, remove the other",
            ]
        );
        let refused =
            instance(&json!([{"kind": "AzureMonitor", "logger": "m", "headers": ["Cookie"]}]));
        assert_eq!(
            refused.unwrap_err()[0].to_string(),
            "ApimInstance/default spec.diagnostics[0].headers[0]: `Cookie` carries a key or a token, which are \
             never logged; take it off the list"
        );
    }

    #[test]
    fn the_header_of_an_apis_own_key_is_refused_where_it_is_known() {
        let logs = json!([{"kind": "AzureMonitor", "logger": "m", "headers": ["X-Shop"]}]);
        let instance = instance(&logs).unwrap();
        let keys = SubscriptionKeyNames {
            header: "x-shop".into(),
            query: "q".into(),
        };
        let refused = desired(None, &instance, &keys).unwrap_err();
        assert_eq!(
            refused[0].path,
            "ApimInstance/default spec.diagnostics[0].headers[0]"
        );
        assert!(desired(None, &instance, &SubscriptionKeyNames::default()).is_ok());
        assert_eq!(
            desired(Some(&[]), &instance, &keys),
            Ok(DesiredParts::new())
        );
    }

    #[test]
    fn an_owners_logger_must_be_granted() {
        let instance = instance(&json!([])).unwrap();
        let grants = instance.grants(&[].into());
        let of = |logger: &str| {
            let specs = read(&json!({"kind": "AzureMonitor", "logger": logger})).unwrap();
            forbidden(&specs, "shop", &instance, &grants)
        };
        assert_eq!(of("shop-a"), []);
        assert_eq!(
            of("platform")[0].to_string(),
            "metadata.annotations[apim.oda.tmforum.org/diagnostics]: instance `default` does not grant logger \
             `platform` to namespace `shop`; name one that it grants, or ask the platform team for a grant of \
             kind `logger`"
        );
    }
}
