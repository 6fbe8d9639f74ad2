//! What an ExposedAPI says.
//!
//! Objects come from several writers in two dialects, so values are read
//! leniently: numbers may be text, an empty text means absent, a
//! specification has six shapes. What they mean is strict: a value that cannot
//! be understood is one error that names its field, never a guess.

mod lenient;
mod path;
mod specification;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use path::ApiPath;
pub(crate) use specification::is_url;
pub use specification::{Specification, SpecificationSource};

use crate::annotations::nearest::{did_you_mean, shown};
use crate::descriptor::Dialect;
use crate::desired::SubscriptionKeyNames;
use crate::names::ObjectKey;
use crate::openapi::{Declared, declared};
use crate::problem::Problem;
use crate::routes::{self, Route};
use lenient::Fields;
pub(crate) use lenient::described;

/// What of an object's metadata is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectMeta {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; empty for an object that is not in a cluster.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its generation.
    pub generation: Option<i64>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl ObjectMeta {
    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.namespace, &self.name)
    }
}

/// The type of an API, which decides where it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiType {
    /// A REST API with an OpenAPI document.
    OpenApi,
    /// A Model Context Protocol server.
    Mcp,
    /// Metrics for Prometheus.
    Prometheus,
    /// Metrics in the `OpenMetrics` format.
    OpenMetrics,
}

impl ApiType {
    const ALL: [Self; 4] = [
        Self::OpenApi,
        Self::Mcp,
        Self::Prometheus,
        Self::OpenMetrics,
    ];

    /// As `spec.apiType` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenApi => "openapi",
            Self::Mcp => "mcp",
            Self::Prometheus => "prometheus",
            Self::OpenMetrics => "openmetrics",
        }
    }

    /// Whether it is something to scrape.
    #[must_use]
    pub const fn is_metrics(self) -> bool {
        matches!(self, Self::Prometheus | Self::OpenMetrics)
    }

    /// Whether it is published in API Management. Metrics are scraped from
    /// within the cluster.
    #[must_use]
    pub const fn in_api_management(self) -> bool {
        !self.is_metrics()
    }
}

/// The part of a Component that an API belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Segment {
    /// What the Component is for; also where an API says nothing.
    Core,
    /// What it is watched and managed by.
    Management,
    /// What its roles and permissions are managed by.
    Security,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Core, Self::Management, Self::Security];

    /// As `spec.segment` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "coreFunction",
            Self::Management => "managementFunction",
            Self::Security => "securityFunction",
        }
    }
}

/// The segment of a spec; what stands there where it is none.
pub(crate) fn segment(spec: &Value) -> Result<Segment, String> {
    let Some(value) = lenient::present(spec.get("segment")) else {
        return Ok(Segment::Core);
    };
    let text = value.as_str().map(str::trim);
    Segment::ALL
        .into_iter()
        .find(|segment| text.is_some_and(|text| text.eq_ignore_ascii_case(segment.as_str())))
        .ok_or_else(|| described(value))
}

/// What answers the API's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Implementation {
    /// A Service in the object's namespace.
    Service(String),
    /// Something outside the cluster: `<external>`.
    External,
}

/// The text of `spec.implementation` that means [`Implementation::External`].
const EXTERNAL: &str = "<external>";

/// Whether callers need a subscription key, and where they put it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionKey {
    /// `spec.apiKeyVerification.enabled`.
    pub required: bool,
    /// From `spec.apiKeyVerification.location`.
    pub names: SubscriptionKeyNames,
}

/// An ExposedAPI that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct ExposedApi {
    /// The object.
    pub key: ObjectKey,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.name`, or the object's name.
    pub name: String,
    /// Whose defaults hold.
    pub dialect: Dialect,
    /// What kind of API it is.
    pub api_type: ApiType,
    /// What answers.
    pub implementation: Implementation,
    /// The Service's port.
    pub port: u16,
    /// Where it is reached.
    pub path: ApiPath,
    /// Where its developer interface is: a path, or a URL.
    pub developer_ui: Option<String>,
    /// `coreFunction`, `managementFunction`, `securityFunction`.
    pub segment: Option<String>,
    /// Its document.
    pub specification: Option<Specification>,
    /// The operations that it declares instead of a document.
    pub operations: Option<Vec<Declared>>,
    /// The parts of it that other Services answer.
    pub routes: Option<Vec<Route>>,
    /// The subscription key.
    pub subscription: SubscriptionKey,
    /// The spec as it stands in the object.
    pub spec: Value,
    /// What is odd but understood.
    pub warnings: Vec<Problem>,
}

/// The fields of a spec that this crate reads itself, or that say something
/// about the API to others. All others are blocks that a plugin may read.
pub(crate) const OWN_FIELDS: [&str; 16] = [
    "name",
    "id",
    "description",
    "specification",
    "apiType",
    "apiSDO",
    "apiKeyVerification",
    "implementation",
    "path",
    "developerUI",
    "operations",
    "port",
    "resources",
    "required",
    "routes",
    "segment",
];

/// Whose dialect a spec is written in: TM Forum's has `apiType`.
#[must_use]
pub fn dialect(spec: &Value) -> Dialect {
    match lenient::present(spec.get("apiType")) {
        Some(_) => Dialect::Canonical,
        None => Dialect::Original,
    }
}

/// Whether an API of this spec goes to API Management, also where other parts
/// of the spec cannot be understood. A type that is not known counts as one
/// that does.
#[must_use]
pub fn in_api_management(spec: &Value) -> bool {
    let text = lenient::present(spec.get("apiType")).and_then(Value::as_str);
    ApiType::ALL
        .into_iter()
        .find(|t| text.is_some_and(|text| t.as_str().eq_ignore_ascii_case(text.trim())))
        .is_none_or(ApiType::in_api_management)
}

/// Reads an object. Every problem is reported, not only the first.
pub fn read(meta: &ObjectMeta, spec: &Value) -> Result<ExposedApi, Vec<Problem>> {
    let mut fields = Fields::new(spec);
    let mut warnings = Vec::new();
    check_names(meta, &mut fields);
    let api_type = fields
        .text("apiType")
        .map_or(Some(ApiType::OpenApi), |text| api_type(&text, &mut fields));
    let implementation = fields
        .required_text("implementation", "the name of the Service, or `<external>`")
        .and_then(|text| implementation(&text, &mut fields));
    let path = fields
        .required_text(
            "path",
            "the path below which the API is reached, such as `/catalog/v4`",
        )
        .and_then(|text| fields.check("path", ApiPath::parse(&text)));
    let port = fields.port("port");
    let name = fields.text("name").unwrap_or_else(|| meta.name.clone());
    let developer_ui = fields.text("developerUI");
    let segment = fields.text("segment");
    let subscription = subscription_key(&mut fields);
    let specification = specification::read(spec.get("specification"), &mut fields, &mut warnings);
    let mut problems = fields.into_problems();
    let operations = listed(spec, "operations", declared::read, &mut problems);
    let routes = listed(spec, "routes", routes::read, &mut problems);
    match (api_type, implementation, path, port) {
        (Some(api_type), Some(implementation), Some(path), Some(port)) if problems.is_empty() => {
            Ok(ExposedApi {
                key: meta.key(),
                uid: meta.uid.clone(),
                labels: meta.labels.clone(),
                name,
                dialect: dialect(spec),
                api_type,
                implementation,
                port,
                path,
                developer_ui,
                segment,
                specification,
                operations,
                routes,
                subscription,
                spec: spec.clone(),
                warnings,
            })
        }
        _ => Err(problems),
    }
}

/// A list of the spec that an annotation can hold, too.
fn listed<T>(
    spec: &Value,
    field: &str,
    read: impl Fn(&Value, &str) -> Result<Vec<T>, Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<T>> {
    let list = lenient::present(spec.get(field))?;
    match read(list, &format!("spec.{field}")) {
        Ok(list) => Some(list),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

fn check_names(meta: &ObjectMeta, fields: &mut Fields<'_>) {
    if !is_dns_subdomain(&meta.name) {
        fields.problem_at(
            "metadata.name",
            format!(
                "`{}` is not a name: write at most 253 lowercase letters, digits, `-` and `.`, \
                 beginning and ending with a letter or digit",
                shown(&meta.name)
            ),
        );
    }
    if !is_dns_label(&meta.namespace) {
        fields.problem_at(
            "metadata.namespace",
            format!(
                "`{}` is not a namespace: write at most 63 lowercase letters, digits and `-`, \
                 beginning and ending with a letter or digit",
                shown(&meta.namespace)
            ),
        );
    }
}

fn api_type(text: &str, fields: &mut Fields<'_>) -> Option<ApiType> {
    let known = ApiType::ALL
        .into_iter()
        .find(|t| t.as_str().eq_ignore_ascii_case(text));
    if known.is_none() {
        let names = ApiType::ALL.map(ApiType::as_str);
        fields.problem(
            "apiType",
            format!(
                "`{}` is not an API type{}; write one of `openapi`, `mcp`, `prometheus`, `openmetrics`",
                shown(text),
                did_you_mean(text, names).trim_end_matches('?'),
            ),
        );
    }
    known
}

/// The Service that `spec.implementation` names, where what stands there can be
/// the name of one.
#[must_use]
pub fn service_named(implementation: &str) -> Option<&str> {
    is_dns_label(implementation).then_some(implementation)
}

fn implementation(text: &str, fields: &mut Fields<'_>) -> Option<Implementation> {
    if text == EXTERNAL {
        return Some(Implementation::External);
    }
    if let Some(name) = service_named(text) {
        return Some(Implementation::Service(name.to_owned()));
    }
    fields.problem(
        "implementation",
        format!(
            "`{}` is not the name of a Service: write at most 63 lowercase letters, digits and `-`, \
             beginning and ending with a letter or digit, or `{EXTERNAL}`",
            shown(text)
        ),
    );
    None
}

fn subscription_key(fields: &mut Fields<'_>) -> SubscriptionKey {
    let required = fields.flag("apiKeyVerification.enabled").unwrap_or(false);
    let mut names = SubscriptionKeyNames::default();
    if let Some(location) = fields.text("apiKeyVerification.location")
        && !location.eq_ignore_ascii_case("header")
        && !location.eq_ignore_ascii_case("query")
    {
        if is_header_name(&location) {
            names.header = location;
        } else {
            fields.problem(
                "apiKeyVerification.location",
                format!(
                    "`{}` is neither `header` nor `query` nor the name of a header",
                    shown(&location)
                ),
            );
        }
    }
    SubscriptionKey { required, names }
}

/// A token of RFC 9110, as names of headers are.
fn is_header_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A label of RFC 1123, as Kubernetes has them.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A subdomain of RFC 1123, as the names of most Kubernetes objects are.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}
