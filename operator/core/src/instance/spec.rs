//! The settings of one API Management instance, as an `ApimInstance` has them.
//!
//! The CRD is generated from these types: their docs are what
//! `kubectl explain` shows.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::selector::LabelSelector;
use crate::diagnostics::DiagnosticSpec;
use crate::exposed_api::Segment;
use crate::exposure::Way;
use crate::oauth2::OAuth2ServerSpec;
use crate::rollout::RolloutSpec;

mod protection;

pub use protection::{
    AllowListSpec, ClientCertificateSpec, IngressController, IssuerSpec, MeshSpec,
    NetworkPolicySpec, Peer, ProtectionSpec, TokenSpec,
};

/// One API Management instance, and what API owners may do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApimInstanceSpec {
    /// The Azure subscription that holds the instance.
    pub subscription_id: String,
    /// The resource group that holds the instance.
    pub resource_group: String,
    /// The name of the API Management service.
    pub service_name: String,
    /// The Entra tenant whose users call the APIs.
    pub tenant_id: String,
    /// The application that callers' tokens are for: their audience, and the
    /// client of the OpenID provider.
    pub client_id: String,
    /// How the operator signs in to Azure. Absent: what the environment
    /// offers, in the order client secret, workload identity, managed
    /// identity, Azure CLI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The endpoints of a cloud other than the public one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cloud: Cloud,
    /// What the ids of all APIs begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_id_prefix: String,
    /// The id of the OpenID provider in API Management.
    #[serde(default = "default_oidc_provider")]
    pub oidc_provider_id: String,
    /// How callers reach the APIs: `https`, `http`, `ws`, `wss`.
    #[serde(default = "default_protocols")]
    pub protocols: Vec<String>,
    /// The plugins that run where an object does not list its own. Absent: the
    /// operator's default list. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<DefaultPluginSpec>>,
    /// What is logged of the calls of APIs whose objects do not say it. Keys and
    /// tokens never are. Absent: what the service itself logs of all its APIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<DiagnosticSpec>,
    /// How changes reach the callers of APIs whose objects do not say it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollout: RolloutSpec,
    /// OAuth 2.0 servers that the developer portal's console gets tokens from:
    /// the operator makes them in API Management.
    #[serde(
        default,
        rename = "oauth2Servers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub oauth2_servers: Vec<OAuth2ServerSpec>,
    /// How the implementations are exposed to API Management.
    #[serde(default)]
    pub exposure: ExposureSpec,
    /// How OpenAPI documents are fetched.
    #[serde(default, skip_serializing_if = "is_default")]
    pub specification: SpecificationSettings,
    /// The namespaces that the instance serves. Absent: none. `{}`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which namespaces may publish below which paths. A path below none of
    /// the prefixes is anybody's; of several that cover it, the longest counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path_ownership: Vec<PathOwnership>,
    /// The annotations that count from API owners, without the prefix; an
    /// entry may end in `*`. Absent: `plugins`, `plugin.*`,
    /// `operation-plugins`, `deletion-policy`, `paused`, `retry`,
    /// `ingress-tls-secret`. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_may: Option<Vec<String>>,
    /// What API owners may name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Allow,
    /// Which entities of the instance the policies of which namespaces may
    /// reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
}

/// How the operator signs in; exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// An application's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecret>,
    /// The pod's workload identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// A managed identity of the node or service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentity>,
    /// Whoever is signed in to the Azure CLI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<Cli>,
}

/// An application's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSecret {
    /// The tenant of the application.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// The Secret, in the operator's namespace, that holds the secret.
    pub secret_ref: SecretRef,
}

/// A key of a Secret in the operator's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// The name of the Secret.
    pub name: String,
    /// The key in it.
    #[serde(default = "default_secret_key")]
    pub key: String,
}

/// The pod's workload identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// The tenant; absent: what the pod's environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The application; absent: what the pod's environment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A managed identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedIdentity {
    /// The client id of a user-assigned identity; absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// The Azure CLI; it has no settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cli {}

/// The endpoints of a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cloud {
    /// Where Entra issues tokens; absent: `https://login.microsoftonline.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_host: Option<String>,
    /// Azure Resource Manager; absent: `https://management.azure.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_manager: Option<String>,
    /// The domain of Key Vaults; absent: `vault.azure.net`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_suffix: Option<String>,
    /// The version of API Management's interface; absent: `2024-05-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// A file with further certificate authorities that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// One entry of the default list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultPluginSpec {
    /// The plugin.
    pub name: String,
    /// When it runs.
    #[serde(default)]
    pub when: When,
    /// Its config; what an API says is merged over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub config: Option<Value>,
}

/// When a plugin of the default list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum When {
    /// For every API.
    #[default]
    Always,
    /// Unless the API's spec switches it off.
    UnlessDisabled,
    /// Only where the API's spec switches it on.
    WhenEnabled,
}

impl When {
    /// As it is spelled.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::UnlessDisabled => "UnlessDisabled",
            Self::WhenEnabled => "WhenEnabled",
        }
    }
}

/// How implementations are exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExposureSpec {
    /// How traffic enters the cluster, where an object does not choose
    /// (annotation `exposure`).
    #[serde(skip_serializing_if = "is_default")]
    pub way: Way,
    /// The class of the Ingresses.
    pub ingress_class: String,
    /// The program behind that class, where `protection` depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_controller: Option<IngressController>,
    /// The host of their rules; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The Secret, in the namespace of each API, that holds their certificate;
    /// absent: no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<String>,
    /// Their annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For the way `http-route`.
    #[serde(skip_serializing_if = "is_default")]
    pub http_route: HttpRouteSpec,
    /// For the way `istio`.
    #[serde(skip_serializing_if = "is_default")]
    pub istio: IstioSpec,
    /// For the way `internal-load-balancer`.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancer: LoadBalancerSpec,
    /// For the way `node-port`.
    #[serde(skip_serializing_if = "is_default")]
    pub node_port: NodePortSpec,
    /// Who may call what is exposed.
    #[serde(skip_serializing_if = "is_default")]
    pub protection: ProtectionSpec,
    /// When API Management gives up a backend for a while; absent: never. Each
    /// API then has a backend of its own there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreakerSpec>,
    /// The certificate that API Management shows to backends, by its id there;
    /// absent: none. Each API then has a backend of its own there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_certificate: Option<String>,
    /// What API Management says to backends to be let in; absent: nothing. Each
    /// API then has a backend of its own there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_credentials: Option<BackendCredentialsSpec>,
    /// The places that answer for the same APIs, this cluster among them; empty:
    /// this cluster alone. Each API then has a pool of backends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_pool: Vec<PoolMemberSpec>,
    /// How far the APIs of each segment are published.
    #[serde(skip_serializing_if = "is_default")]
    pub segments: Segments,
    /// Makes a `ServiceMonitor` of the Prometheus Operator for each ExposedAPI
    /// of type `prometheus` or `openmetrics`; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<ServiceMonitorSpec>,
}

/// When a backend is given up for a while: requests to it are answered with
/// 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CircuitBreakerSpec {
    /// After so many failures.
    pub failures: u32,
    /// In this time, such as `30s`, `1m`.
    pub interval: String,
    /// For this time.
    pub trip_duration: String,
    /// Which answers are failures, such as `500-599`.
    pub status_codes: Vec<String>,
    /// Whether the backend may say for how long, by `Retry-After`.
    pub accept_retry_after: bool,
}

impl Default for CircuitBreakerSpec {
    fn default() -> Self {
        Self {
            failures: 5,
            interval: "1m".to_owned(),
            trip_duration: "1m".to_owned(),
            status_codes: vec!["500-599".to_owned()],
            accept_retry_after: false,
        }
    }
}

/// What API Management says to backends. Every value is the name of a named
/// value of the service, which holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackendCredentialsSpec {
    /// What the header `Authorization` says; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<BackendAuthorizationSpec>,
    /// Other headers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
}

/// What the header `Authorization` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendAuthorizationSpec {
    /// Such as `Basic` or `Bearer`.
    pub scheme: String,
    /// The named value that holds what follows the scheme.
    pub named_value: String,
}

/// A place that answers for the APIs of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PoolMemberSpec {
    /// Where APIs are reached below their paths, such as
    /// `https://west.example.com`; absent: this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Its share of the requests among those of the same priority, from 0 to 100;
    /// absent: the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// From 0 to 100: those of a higher number get requests only while none of a
    /// lower one takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

/// What HTTPRoutes are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpRouteSpec {
    /// The Gateways that take them. API Management is sent to the first.
    pub parents: Vec<GatewayRef>,
}

/// A Gateway of the Gateway API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One of its listeners; absent: those that take the route, of which
    /// API Management is sent to the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

/// What VirtualServices are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IstioSpec {
    /// Istio's Gateways that take them, as `<namespace>/<name>`.
    pub gateways: Vec<String>,
    /// Whether those Gateways speak TLS at the host.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: bool,
}

/// What Services with an internal load balancer are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadBalancerSpec {
    /// The subnet of their addresses; absent: that of the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
}

/// What Services at a port of every node are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodePortSpec {
    /// The name or address at which API Management reaches the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What ServiceMonitors are like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceMonitorSpec {
    /// Labels by which Prometheus finds them (its `serviceMonitorSelector`),
    /// such as `release: kube-prometheus-stack`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Between two scrapes: `30s`, `1m`.
    pub interval: String,
}

impl Default for ServiceMonitorSpec {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            interval: "30s".to_owned(),
        }
    }
}

/// How far the APIs of each segment of a Component are published. An API that
/// names no segment belongs to `coreFunction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Segments {
    /// What the Component is for.
    #[serde(skip_serializing_if = "is_default")]
    pub core_function: Reach,
    /// What it is watched and managed by.
    #[serde(skip_serializing_if = "is_default")]
    pub management_function: Reach,
    /// What its roles and permissions are managed by.
    #[serde(skip_serializing_if = "is_default")]
    pub security_function: Reach,
}

impl Segments {
    /// How far the APIs of a segment are published.
    #[must_use]
    pub const fn reach(&self, segment: Segment) -> Reach {
        match segment {
            Segment::Core => self.core_function,
            Segment::Management => self.management_function,
            Segment::Security => self.security_function,
        }
    }
}

/// How far an API is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Reach {
    /// In API Management.
    #[default]
    ApiManagement,
    /// Not at all: its URL is the Service's.
    InCluster,
}

impl Default for ExposureSpec {
    /// The class of the original Azure operator, and nothing else.
    fn default() -> Self {
        Self {
            way: Way::default(),
            ingress_class: "istio".to_owned(),
            ingress_controller: None,
            host: None,
            tls_secret: None,
            annotations: BTreeMap::new(),
            http_route: HttpRouteSpec::default(),
            istio: IstioSpec::default(),
            load_balancer: LoadBalancerSpec::default(),
            node_port: NodePortSpec::default(),
            protection: ProtectionSpec::default(),
            circuit_breaker: None,
            backend_certificate: None,
            backend_credentials: None,
            backend_pool: Vec::new(),
            segments: Segments::default(),
            service_monitor: None,
        }
    }
}

/// How OpenAPI documents are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecificationSettings {
    /// Who fetches them.
    #[serde(default)]
    pub fetch: Fetch,
    /// Addresses or hosts in private networks from which documents may be
    /// fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_private: Vec<String>,
}

/// Who fetches a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Fetch {
    /// The operator, which then imports it inline.
    #[default]
    Operator,
    /// API Management, which is given the URL.
    Link,
}

/// What API owners may name; entries are exact or end in `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Allow {
    /// API ids beyond those that begin with prefix and namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_ids: Vec<String>,
    /// Hosts of Ingress rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Keys of Ingress annotations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress_annotations: Vec<String>,
    /// Hosts outside the cluster that implement APIs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_hosts: Vec<String>,
    /// Images of self-hosted gateways besides the official one, with registry,
    /// repository and tag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// Paths that belong to some namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathOwnership {
    /// The path, such as `/shop`, and all below it.
    pub prefix: String,
    /// The namespaces; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Entities that policies may reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// The namespaces; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The kind: `namedValue`, `policyFragment`, `backend`, `certificate`,
    /// `managedIdentityResource`, `logger`, `schema`,
    /// and, of objects, `product`, `tag`, `authorizationServer`, `group` and `api`.
    pub kind: String,
    /// The names; an entry may end in `*`.
    pub names: Vec<String>,
}

fn default_oidc_provider() -> String {
    "AzureAD".to_owned()
}

fn default_protocols() -> Vec<String> {
    vec!["https".to_owned()]
}

fn default_secret_key() -> String {
    "clientSecret".to_owned()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An object with any fields; Kubernetes keeps them all.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
