//! What owners write in a `SelfHostedGateway`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::selector::LabelSelector;
use crate::instance::spec::Peer;
use crate::product::policy::any_object;
use crate::product::spec::RotationSpec;

/// A gateway of API Management that runs in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SelfHostedGatewaySpec {
    /// The ApimInstance; absent: of those that serve the namespace, the one
    /// named `default`, else the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Where it runs, and for how many.
    pub mode: Mode,
    /// The APIs that it serves.
    pub apis: ApisSpec,
    /// Where it is, for people; absent: the object's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationSpec>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The image; absent: the official one of the version that this operator
    /// was made for. Another repository than the official one must be allowed
    /// by the instance (`allow.images`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where the container gets its configuration, as
    /// `<service>.configuration.azure-api.net`; absent: worked out of the
    /// service's own host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_endpoint: Option<String>,
    /// How many pods; absent: 2, the fewest that Microsoft recommends. Not
    /// beside `autoscaling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u16>,
    /// As many pods as the load asks for; absent: always `replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// `resources` of the container; absent: requests of 2 processors and 2 GiB,
    /// Microsoft's starting point.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub resources: Option<Value>,
    /// How callers reach it.
    pub service: ServiceSpec,
    /// Who may call it; absent: everybody who can reach its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,
    /// What it tells of itself.
    pub telemetry: TelemetrySpec,
    /// Other settings of the container, by their names, such as
    /// `net.client.tls.ciphers.allowed-suites`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The token with which the container asks for its configuration.
    pub token: TokenSpec,
    /// When the gateway's keys, which sign tokens, are replaced; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,
    /// Whose pods get the container, in mode `Sidecar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<SidecarSpec>,
    /// An implementation that is not there yet and is deployed with the gateway:
    /// beside it in mode `PrivateJet`, in the same pods in mode `Sidecar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendSpec>,
}

/// Where a gateway runs, and for how many APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// In pods of its own, for all APIs that are selected.
    #[default]
    Shared,
    /// In pods of its own, for one API.
    PrivateJet,
    /// In the pods of one API's implementation.
    Sidecar,
}

/// The APIs that a gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApisSpec {
    /// One ExposedAPI of this namespace, by its name. Needed in the modes
    /// `PrivateJet` and `Sidecar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The ExposedAPIs with these labels; `{}`: all. Needed in mode `Shared`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Of which other namespaces, by their labels; absent: of none. Each API
    /// needs a grant of kind `api` for this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocationSpec {
    /// Its name, of at most 256 characters.
    pub name: String,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// District, state or province.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<String>,
    /// Country or region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_or_region: Option<String>,
}

/// As many pods as the load asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalingSpec {
    /// At least; absent: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u16>,
    /// At most.
    pub max_replicas: u16,
    /// The share of the requested processor time, in percent, at which there
    /// are more; absent: 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u16>,
}

/// How callers reach a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceSpec {
    /// From where.
    #[serde(rename = "type")]
    pub kind: ServiceType,
}

/// From where callers reach a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    ClusterIP,
    /// From everywhere, by a load balancer with a public address.
    LoadBalancer,
    /// From Azure's virtual network, by an internal load balancer.
    InternalLoadBalancer,
}

/// Who may call a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySpec {
    /// Only these.
    pub from: Vec<Peer>,
}

/// What a gateway tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TelemetrySpec {
    /// What it logs to its standard output.
    pub logs: LogsSpec,
    /// Whether it sends metrics to Azure Monitor; absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_monitor: Option<bool>,
    /// Where it sends metrics by `StatsD`, as `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_d: Option<StatsDSpec>,
    /// Where it sends metrics by OpenTelemetry, as `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_telemetry: Option<OpenTelemetrySpec>,
}

/// What a gateway logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogsSpec {
    /// How it is written.
    pub format: LogFormat,
    /// From which level on.
    pub level: LogLevel,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Not at all.
    None,
    /// For people.
    Text,
    /// For machines.
    #[default]
    Json,
}

/// From which level on something is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    All,
    /// `debug`.
    Debug,
    /// `info`.
    #[default]
    Info,
    /// `warn`.
    Warn,
    /// `error`.
    Error,
    /// `fatal`.
    Fatal,
}

/// Metrics by `StatsD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatsDSpec {
    /// `host:port`.
    pub endpoint: String,
}

/// Metrics by OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenTelemetrySpec {
    /// The collector's URL.
    pub collector: String,
}

/// A gateway's token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TokenSpec {
    /// How long each is valid, at most `720h`; absent: `696h`. It is replaced
    /// when two thirds of that are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity: Option<String>,
}

/// An implementation that is deployed with a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// Its image, which the instance must allow (`allow.images`).
    pub image: String,
    /// The port at which it listens, and its Service, too.
    pub port: u16,
    /// The Service that is made for it, which the ExposedAPI names as its
    /// `implementation`.
    pub service: String,
    /// How many pods; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u16>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Whose pods get the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarSpec {
    /// A Deployment of this namespace with the label
    /// `apim.oda.tmforum.org/sidecar: allowed`.
    pub deployment: String,
}
