//! What a gateway serves: a snapshot of one or more services, complete in
//! itself, as whoever holds the state writes it down.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Everything that a gateway serves. A request sees exactly one of these.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// The services. A request belongs to the one that names its host, or to
    /// the only one.
    pub services: Vec<Service>,
}

/// One API Management service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The hosts of its gateway, without port.
    pub hosts: Vec<String>,
    /// Its Azure region.
    pub region: String,
    /// The policy document at global scope, in the `rawxml` format. Without
    /// one, requests are forwarded and nothing else.
    pub policy: Option<String>,
    /// The products.
    pub products: Vec<Product>,
    /// Every revision of every API.
    pub apis: Vec<Api>,
    /// Policy fragments (`rawxml`) by id.
    pub fragments: BTreeMap<String, String>,
    /// Named values by display name.
    pub named_values: BTreeMap<String, String>,
    /// Backends by id.
    pub backends: BTreeMap<String, Backend>,
    /// Subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// Certificates by id.
    pub certificates: BTreeMap<String, Certificate>,
    /// Global schemas by id: JSON schemas as JSON, XML schemas as text.
    pub schemas: BTreeMap<String, serde_json::Value>,
}

/// A product.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// Whether its APIs can be called through it.
    pub published: bool,
    /// Whether a key is needed.
    pub subscription_required: bool,
    /// The ids of its APIs, without revision.
    pub apis: Vec<String>,
    /// Its policy document (`rawxml`).
    pub policy: Option<String>,
}

/// One revision of an API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Api {
    /// Its id, without revision.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// The revision's number.
    pub revision: u32,
    /// Whether requests without `;rev=N` go here.
    pub current: bool,
    /// The path below the gateway's host, without slashes around it.
    pub path: String,
    /// Its version, where it is one of a set.
    pub version: Option<ApiVersion>,
    /// The backend's address.
    pub service_url: Option<String>,
    /// `http`, `https`.
    pub protocols: Vec<String>,
    /// Whether a subscription key is needed.
    pub subscription_required: bool,
    /// The header in which a key is looked for.
    pub key_header: String,
    /// The query parameter in which a key is looked for.
    pub key_query: String,
    /// Its policy document (`rawxml`).
    pub policy: Option<String>,
    /// The operations.
    pub operations: Vec<Operation>,
    /// The documents of its schemas by id: JSON, or an XML schema as text.
    pub schemas: BTreeMap<String, serde_json::Value>,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            revision: 1,
            current: true,
            path: String::new(),
            version: None,
            service_url: None,
            protocols: vec!["https".to_owned()],
            subscription_required: false,
            key_header: "Ocp-Apim-Subscription-Key".to_owned(),
            key_query: "subscription-key".to_owned(),
            policy: None,
            operations: Vec::new(),
            schemas: BTreeMap::new(),
        }
    }
}

/// How a version of an API is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersion {
    /// The version's identifier; empty for the original, unversioned API.
    pub value: String,
    /// Where requests say it.
    pub scheme: VersionScheme,
}

/// Where requests say which version they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VersionScheme {
    /// The segment behind the API's path.
    Segment,
    /// This query parameter.
    Query(String),
    /// This header.
    Header(String),
}

/// An operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// Its method; `*` is any.
    pub method: String,
    /// Its template, as `/items/{id}`.
    pub url_template: String,
    /// Parameters of the template.
    pub template_parameters: Vec<Parameter>,
    /// Query parameters.
    pub query_parameters: Vec<Parameter>,
    /// Header parameters.
    pub header_parameters: Vec<Parameter>,
    /// Request bodies.
    pub request: Vec<Representation>,
    /// Responses by status.
    pub responses: Vec<Response>,
    /// Its policy document (`rawxml`).
    pub policy: Option<String>,
}

/// A parameter of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether a request must have it.
    pub required: bool,
    /// Its JSON type: `string`, `integer`, `number`, `boolean`, `array`, …
    pub kind: String,
    /// Its JSON schema, where there is one.
    pub schema: Option<serde_json::Value>,
}

/// A body of a request or response.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Representation {
    /// Its content type.
    pub content_type: String,
    /// Its JSON schema, `$ref`s into [`Api::schemas`] included.
    pub schema: Option<SchemaRef>,
    /// Examples, as text.
    pub examples: Vec<String>,
}

/// A type in one of the schemas of an API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaRef {
    /// The key in [`Api::schemas`].
    pub schema_id: String,
    /// The name below `components/schemas` or `definitions`; empty for the
    /// document itself.
    pub type_name: String,
}

/// A response of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its bodies.
    pub representations: Vec<Representation>,
}

/// A backend that policies name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// Its address.
    pub url: String,
    /// Headers that are set on what is sent there.
    pub headers: Vec<(String, String)>,
    /// Query parameters that are set on what is sent there.
    pub query: Vec<(String, String)>,
    /// The id of the certificate that it is shown.
    pub certificate: Option<String>,
    /// Those among which requests are shared, if it is a pool.
    pub pool: Vec<PoolMember>,
}

/// A backend in a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolMember {
    /// Its id.
    pub backend: String,
    /// Its share among those of one priority.
    pub weight: Option<u32>,
    /// The lower, the sooner.
    pub priority: Option<u32>,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// What its keys open.
    pub scope: SubscriptionScope,
    /// Whether its keys open anything.
    pub active: bool,
    /// The first key.
    pub primary_key: String,
    /// The second key.
    pub secondary_key: String,
    /// The id of its owner.
    pub user: Option<String>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            scope: SubscriptionScope::AllApis,
            active: true,
            primary_key: String::new(),
            secondary_key: String::new(),
            user: None,
        }
    }
}

/// What a subscription's keys open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubscriptionScope {
    /// Every API.
    AllApis,
    /// One API, by its id.
    Api(String),
    /// The APIs of a product, by its id.
    Product(String),
}

/// A certificate that the service holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// The certificate in PEM, its intermediates behind it.
    pub pem: String,
    /// Its private key, where it is one that the service shows to backends.
    #[serde(skip_serializing)]
    pub key: Option<PrivateKey>,
    /// Whether chains of client certificates may end here.
    pub trusted_root: bool,
    /// The list of what it has revoked, in PEM, where it is an authority that
    /// keeps one.
    pub revocations: Option<String>,
}

/// A private key in PEM, not encrypted. It is never written out: neither as
/// JSON nor for debugging.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(String);

impl PrivateKey {
    pub(crate) fn pem(&self) -> &str {
        &self.0
    }
}

impl From<String> for PrivateKey {
    fn from(pem: String) -> Self {
        Self(pem)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}
