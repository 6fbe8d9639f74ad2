//! How what is exposed is protected: settings of an `ApimInstance` below
//! `exposure.protection`. All of it is off unless it is set.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_default;

/// The program behind an ingress class: each has words of its own for what an
/// Ingress cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IngressController {
    /// ingress-nginx of the Kubernetes project.
    IngressNginx,
    /// Traefik 3, with its CRDs.
    Traefik,
    /// HAProxy Technologies' (`haproxy.org/…`).
    Haproxy,
    /// The community's HAProxy Ingress (`haproxy-ingress.github.io/…`).
    HaproxyIngress,
    /// Contour.
    Contour,
}

impl IngressController {
    /// As it is spelled.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IngressNginx => "ingress-nginx",
            Self::Traefik => "traefik",
            Self::Haproxy => "haproxy",
            Self::HaproxyIngress => "haproxy-ingress",
            Self::Contour => "contour",
        }
    }
}

/// How what is exposed is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProtectionSpec {
    /// A NetworkPolicy for the pods of each implementation; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,
    /// Only API Management's public addresses may call what is exposed; absent:
    /// any may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_list: Option<AllowListSpec>,
    /// Whoever calls an Ingress must show a client certificate; absent: nobody
    /// must.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificateSpec>,
    /// What Istio lets through to the pods; absent: what it does anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub istio: Option<MeshSpec>,
    /// Istio lets through to the pods only requests with a token that API
    /// Management added; absent: it asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenSpec>,
}

/// What NetworkPolicies are like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySpec {
    /// Who may connect: the ingress controller, the gateway's pods, or API
    /// Management's subnet. All others may not, at any port of the pods.
    pub from: Vec<Peer>,
}

/// Who may connect to pods: by `namespace`, by `subnet`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Peer {
    /// The pods of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of those, the pods with these labels; empty: all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// The addresses of a subnet, as `10.1.0.0/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The ports of the pods, by number or name; absent: that of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ports")]
    pub ports: Option<Vec<Value>>,
}

/// Whose addresses may call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AllowListSpec {
    /// Addresses and subnets besides the public addresses that API Management
    /// says it has. A service of tier Consumption, or of the second
    /// generation, says none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// Which client certificates are good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificateSpec {
    /// The Secret whose `ca.crt` signs them: `<name>` in the namespace of each
    /// API, or `<namespace>/<name>` where the ingress controller may read that.
    pub ca_secret: String,
}

/// What Istio lets through to the pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MeshSpec {
    /// A PeerAuthentication `STRICT`: nothing but mutual TLS of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub strict: bool,
    /// An AuthorizationPolicy for these identities of the mesh, such as
    /// `cluster.local/ns/istio-system/sa/istio-ingressgateway`; empty: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<String>,
}

/// Which tokens are good. Entra issues them to API Management's managed
/// identity; a policy of API Management adds them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenSpec {
    /// Whom they must be for: what the policy asks a token for, such as
    /// `api://orders`, and the application's id.
    pub audiences: Vec<String>,
    /// The object ids of the identities that may call; empty: all of the tenant
    /// that can get such a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// Who issues them; empty: both issuers of the instance's tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerSpec>,
    /// The header that holds the token, after `Bearer `; absent:
    /// `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerSpec {
    /// The tokens' `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
}

/// Numbers or names, as a NetworkPolicy has them.
fn ports(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "nullable": true,
        "items": {"x-kubernetes-int-or-string": true},
    })
}
