//! What API Management says to a backend to be let in: headers and query
//! parameters whose values are named values of the service. No secret is in a
//! setting, or comes by here.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::annotations::nearest::shown;
use crate::instance::spec::BackendCredentialsSpec;
use crate::problem::Problem;

/// The longest name of a named value (ARM specification 2024-05-01).
const MAX_NAME: usize = 256;
/// The longest scheme (ARM specification 2024-05-01).
const MAX_SCHEME: usize = 100;
const FIELD: &str = "exposure.backendCredentials";

/// What a backend is told, each by the named value that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The scheme and the parameter of `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<(String, String)>,
    /// By their names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
}

impl Credentials {
    /// Of settings that make sense.
    pub(super) fn of(spec: &BackendCredentialsSpec) -> Self {
        let authorization = spec.authorization.as_ref();
        let headers = spec.headers.iter();
        Self {
            authorization: authorization.map(|one| (one.scheme.clone(), one.named_value.clone())),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            query: spec.query.clone(),
        }
    }

    /// The named values that hold them.
    pub fn named_values(&self) -> impl Iterator<Item = &str> {
        let authorization = self.authorization.iter().map(|(_, value)| value);
        let others = self.headers.values().chain(self.query.values());
        authorization.chain(others).map(String::as_str)
    }
}

/// Every problem of the settings.
pub(super) fn check(spec: &BackendCredentialsSpec, problems: &mut Vec<Problem>) {
    let mut say = |field: &str, message: String| {
        problems.push(Problem::new(format!("{FIELD}{field}"), message));
    };
    if *spec == BackendCredentialsSpec::default() {
        say(
            "",
            "names no credential; write `authorization`, `headers` or `query`, or leave it out"
                .to_owned(),
        );
    }
    let token = |text: &str| {
        let special = "!#$%&'*+-.^_`|~";
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || special.contains(c))
    };
    let named = |value: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let whole = (1..=MAX_NAME).contains(&value.len()) && value.chars().all(fits);
        // What stands there may be the secret itself: it is not repeated.
        (!whole).then(|| {
            "is no name of a named value: letters, digits, `-`, `.` and `_`; the secret itself belongs into a named \
             value of the service, best from a key vault"
                .to_owned()
        })
    };
    if let Some(one) = &spec.authorization {
        if !token(&one.scheme) || one.scheme.len() > MAX_SCHEME {
            let message = format!(
                "`{}` is no scheme, such as `Basic` or `Bearer`",
                shown(&one.scheme)
            );
            say(".authorization.scheme", message);
        }
        if let Some(message) = named(&one.named_value) {
            say(".authorization.namedValue", message);
        }
    }
    let mut seen = BTreeMap::new();
    for (name, value) in &spec.headers {
        let field = format!(".headers[{}]", shown(name));
        if !token(name) {
            say(&field, "is no name of a header".to_owned());
        } else if name.eq_ignore_ascii_case("authorization") {
            let message = "is written as `authorization: {scheme, namedValue}`";
            say(&field, message.to_owned());
        } else if let Some(other) = seen.insert(name.to_ascii_lowercase(), name) {
            say(
                &field,
                format!("is the header `{other}`, too; write one of them"),
            );
        }
        if let Some(message) = named(value) {
            say(&field, message);
        }
    }
    for (name, value) in &spec.query {
        let field = format!(".query[{}]", shown(name));
        if name.is_empty() {
            say(&field, "is no name of a parameter".to_owned());
        }
        if let Some(message) = named(value) {
            say(&field, message);
        }
    }
}
