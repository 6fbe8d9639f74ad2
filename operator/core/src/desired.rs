//! The desired state of one ExposedAPI as one value: what `render` prints,
//! what the controller applies, what tests compare.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::about::About;
use crate::annotations::{Adoption, SpecificationFrom};
use crate::apim::DesiredParts;
use crate::backend::DesiredBackend;
use crate::chain::Rendered;
use crate::exposure::{ExposureObject, ObjectKind};
use crate::instance::spec::GatewayRef;
use crate::names::{ApiId, ContentHash, InstanceName, ObjectKey, ProductId, VersionSetId};
use crate::oauth2::OAuth2Setting;
use crate::policy::{Documents, PolicyDocument, Section, Standing, Target};
use crate::problem::Problem;
use crate::profile::{self, ProfileRef, SecretSource};
use crate::rollout::{Rollback, Rollout};

/// Everything that should exist for one ExposedAPI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The object.
    pub key: ObjectKey,
    /// The APIM instance it is published in; absent for an API that is reached
    /// in the cluster only and whose namespace no instance serves.
    pub instance: Option<InstanceName>,
    /// How traffic enters the cluster.
    pub exposure: Exposure,
    /// What protects that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protections: Vec<DesiredProtection>,
    /// What is said to Prometheus; absent where the instance does not ask for
    /// it, and for everything but metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<DesiredMonitor>,
    /// Whether it is metrics.
    #[serde(skip)]
    pub metrics: bool,
    /// The API in APIM; absent for types that do not go there.
    pub api: Option<DesiredApi>,
    /// Its backends in APIM, where it needs any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<DesiredBackend>,
    /// Its policy documents; absent until they are rendered and where there is
    /// no API.
    pub policy: Option<DesiredPolicy>,
    /// The named values that its policy takes from profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_values: Vec<DesiredNamedValue>,
    /// What the owner should know although nothing is wrong.
    pub warnings: Vec<Problem>,
}

/// A named value that holds the secret of a profile, or names where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredNamedValue {
    /// Its id, which is its display name, too.
    pub id: String,
    /// What marks it as ours, as a tag.
    pub mark: String,
    /// The profile.
    #[serde(skip)]
    pub profile: ProfileRef,
    /// The profile's name for it.
    #[serde(skip)]
    pub secret: String,
    /// Where the secret is kept.
    pub source: SecretSource,
    /// What the policy puts around it; known once the policy is there.
    #[serde(skip)]
    pub standing: Standing,
    /// Which content it is to have, without a word of it; known once that was
    /// looked at.
    #[serde(skip)]
    pub version: Option<String>,
}

impl DesiredNamedValue {
    /// Where it is declared.
    #[must_use]
    pub fn place(&self) -> String {
        profile::place(&self.profile, &self.secret)
    }
}

impl Desired {
    /// Takes the policy that was made for it.
    pub fn take(&mut self, rendered: Rendered) {
        self.warnings.extend(rendered.warnings);
        self.policy = Some(rendered.policy);
        for value in &mut self.named_values {
            let standing = rendered.standings.get(&value.id).copied();
            value.standing = standing.unwrap_or_default();
        }
    }

    /// Whether API Management knows where to send requests, or need not: what
    /// exposed the API before is not needed any more.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.api
            .as_ref()
            .is_none_or(|api| api.service_url.is_some())
    }

    /// One hash for everything that is to exist. Warnings do not count: they
    /// are about the object, not about the world.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let hash = ContentHash::of_json(&(
            &self.key,
            &self.instance,
            &self.exposure,
            &self.monitor,
            &self.api,
            &self.policy,
        ));
        if self.protections.is_empty() && self.backends.is_empty() {
            hash
        } else if self.backends.is_empty() {
            ContentHash::of_json(&(hash, &self.protections))
        } else {
            ContentHash::of_json(&(hash, &self.protections, &self.backends))
        }
    }
}

/// How traffic reaches the implementation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Exposure {
    /// Through an Ingress that the operator makes.
    Ingress(DesiredIngress),
    /// Through an HTTPRoute that the operator makes.
    HttpRoute(DesiredHttpRoute),
    /// Through a VirtualService that the operator makes.
    VirtualService(DesiredVirtualService),
    /// Through a Service that the operator makes.
    Service(DesiredService),
    /// Through the implementation's own Service, which has a load balancer and
    /// stays its owner's.
    Balanced(BalancedService),
    /// Straight to the Service: the API is not published in APIM, or by a
    /// gateway that runs in the cluster.
    InCluster {
        /// `http://<svc>.<ns>.svc:<port><path>`.
        url: String,
    },
    /// The implementation runs elsewhere.
    External {
        /// The first https server of the OpenAPI document that the instance
        /// allows; absent when there is none.
        url: Option<String>,
    },
}

impl Exposure {
    /// The object that the operator makes for it, if it needs one.
    #[must_use]
    pub fn object(&self) -> Option<&dyn ExposureObject> {
        match self {
            Self::Ingress(object) => Some(object),
            Self::HttpRoute(object) => Some(object),
            Self::VirtualService(object) => Some(object),
            Self::Service(object) => Some(object),
            Self::Balanced(_) | Self::InCluster { .. } | Self::External { .. } => None,
        }
    }
}

/// An object that protects what is exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredProtection {
    /// Its kind.
    pub kind: &'static ObjectKind,
    /// `apim-api-<name>`.
    pub name: String,
    /// Its spec.
    pub spec: serde_json::Value,
}

/// A Service with a load balancer that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BalancedService {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// A ServiceMonitor of the Prometheus Operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredMonitor {
    /// The Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// The path that is scraped.
    pub path: String,
    /// By which Prometheus finds it.
    pub labels: BTreeMap<String, String>,
    /// Between two scrapes, as `30s`.
    pub interval: String,
}

/// An Ingress, with the fields that the operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredIngress {
    /// `apim-api-ingress-<name>`.
    pub name: String,
    /// `ingressClassName`.
    pub class: String,
    /// The rule's host.
    pub host: Option<String>,
    /// The Secret with the TLS certificate.
    pub tls_secret: Option<String>,
    /// Annotations, from instance and object.
    pub annotations: BTreeMap<String, String>,
    /// The path, matched as a prefix.
    pub path: String,
    /// The Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// What other Services answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<DesiredRoute>,
}

/// A part of what is exposed that another Service answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredRoute {
    /// The path below the API's own, with a leading `/`.
    pub path: String,
    /// Whether it is that path alone, and not what is below it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// The Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
}

/// An HTTPRoute of the Gateway API, with the fields that the operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredHttpRoute {
    /// `apim-api-<name>`.
    pub name: String,
    /// The Gateways that take it.
    pub parents: Vec<GatewayRef>,
    /// The host that it takes; absent: those of the Gateway.
    pub host: Option<String>,
    /// Annotations, from instance and object.
    pub annotations: BTreeMap<String, String>,
    /// The path, matched as a prefix.
    pub path: String,
    /// The Service.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// What other Services answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<DesiredRoute>,
}

/// A VirtualService of Istio, with the fields that the operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredVirtualService {
    /// `apim-api-<name>`.
    pub name: String,
    /// Istio's Gateways, as `<namespace>/<name>`.
    pub gateways: Vec<String>,
    /// The host that it takes.
    pub host: String,
    /// Whether the Gateways speak TLS there.
    pub tls: bool,
    /// Annotations, from instance and object.
    pub annotations: BTreeMap<String, String>,
    /// The path, matched as a prefix.
    pub path: String,
    /// The Service, with its namespace: the Gateway is in another.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// What other Services answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<DesiredRoute>,
}

/// A Service of our own beside the implementation's, with the fields that the
/// operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredService {
    /// `apim-api-<name>`.
    pub name: String,
    /// Annotations, from instance and object, and those that ask Azure for an
    /// internal load balancer.
    pub annotations: BTreeMap<String, String>,
    /// Where the nodes are reached, for a port of every node; absent: behind a
    /// load balancer.
    pub node_address: Option<String>,
    /// The labels of the pods.
    pub selector: BTreeMap<String, String>,
    /// The port.
    pub port: u16,
    /// Where the pods listen.
    pub target_port: serde_json::Value,
    /// What is spoken there.
    pub app_protocol: Option<String>,
    /// The subnets that the load balancer admits; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_ranges: Vec<String>,
    /// Whether pods see the address of whoever calls, and not a node's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keeps_source: bool,
}

/// An API in API Management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredApi {
    /// Its id.
    pub id: ApiId,
    /// What marks it as ours and this object's (`apiRevisionDescription`).
    pub mark: String,
    /// Settings other than the OpenAPI document.
    pub settings: ApiSettings,
    /// Where the gateway sends requests; absent while the Ingress has no
    /// address.
    pub service_url: Option<String>,
    /// The document that is imported.
    pub document: ApiDocument,
    /// The products that it is in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub products: BTreeSet<ProductId>,
    /// Its tags and diagnostics.
    #[serde(skip_serializing_if = "DesiredParts::is_empty")]
    pub parts: DesiredParts,
    /// What the ids of the namespace's own tags begin with.
    #[serde(skip)]
    pub own_prefix: String,
    /// What happens where an API of this id is there and does not carry the
    /// mark.
    #[serde(skip_serializing_if = "is_refuse")]
    pub adoption: Adoption,
    /// How changes reach callers; absent: in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The earlier revision that callers are to reach, whatever is desired
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// What is mandatory for it: see
    /// [`Chain::mandatory_hash`](crate::chain::Chain::mandatory_hash).
    #[serde(skip)]
    pub mandatory: Option<ContentHash>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_refuse(adoption: &Adoption) -> bool {
    *adoption == Adoption::Refuse
}

/// The settings of an API in API Management that the operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiSettings {
    /// Shown in the portal; 1 to 300 characters.
    pub display_name: String,
    /// Free text.
    pub description: String,
    /// The path below the gateway's URL, without a leading `/`.
    pub path: String,
    /// Which version of the path it is; absent where the path has one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The set of the versions; there where a version is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version_set: Option<VersionSetId>,
    /// `https`, `http`, `ws`, `wss`.
    pub protocols: Vec<String>,
    /// Whether callers need a subscription key.
    pub subscription_required: bool,
    /// Where the key is sent.
    pub subscription_key_names: SubscriptionKeyNames,
    /// The OpenID provider of the instance that the portal uses; absent where
    /// the instance has none.
    pub openid_provider: Option<String>,
    /// The OAuth 2.0 server that the portal uses instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Setting>,
    /// Terms, contact and licence.
    #[serde(flatten)]
    pub about: About,
}

impl ApiSettings {
    /// Where it is reached in the cluster, without a leading `/`: a version
    /// below the path, since no two can share it there.
    #[must_use]
    pub fn path_in_cluster(&self) -> String {
        let all = [Some(self.path.as_str()), self.api_version.as_deref()];
        let all = all.into_iter().flatten().filter(|part| !part.is_empty());
        all.collect::<Vec<_>>().join("/")
    }

    /// Which version of which set it is, in a line.
    #[must_use]
    pub fn version_line(&self) -> Option<String> {
        let set = self.api_version_set.as_ref()?;
        let version = self.api_version.as_deref().unwrap_or_default();
        Some(format!("{version} of version set {set}"))
    }

    /// Whether both are in one version set, or both in none. Ids have no case.
    #[must_use]
    pub fn is_in_set_of(&self, other: &Self) -> bool {
        match (&self.api_version_set, &other.api_version_set) {
            (Some(one), Some(other)) => one.as_str().eq_ignore_ascii_case(other.as_str()),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether both can hold one path: as two versions of one set.
    #[must_use]
    pub fn stands_beside(&self, other: &Self) -> bool {
        let text = |one: &Self| one.api_version.as_deref().map(str::to_ascii_lowercase);
        self.api_version_set.is_some() && self.is_in_set_of(other) && text(self) != text(other)
    }

    /// Where the portal's console gets tokens, in a line.
    #[must_use]
    pub fn console(&self) -> Option<String> {
        let oauth2 = self.oauth2.as_ref().map(|one| match &one.scope {
            Some(scope) => format!("OAuth 2.0 server {} with {scope}", one.server),
            None => format!("OAuth 2.0 server {}", one.server),
        });
        let all: Vec<String> = self.openid_provider.iter().cloned().chain(oauth2).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// Where a caller puts the subscription key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriptionKeyNames {
    /// The name of the header.
    pub header: String,
    /// The name of the query parameter.
    pub query: String,
}

impl Default for SubscriptionKeyNames {
    /// What APIM uses when nothing is said.
    fn default() -> Self {
        Self {
            header: "Ocp-Apim-Subscription-Key".into(),
            query: "subscription-key".into(),
        }
    }
}

/// The `format` of an import, as ARM spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ImportFormat {
    /// Swagger 2.0, JSON, inline.
    #[serde(rename = "swagger-json")]
    SwaggerJson,
    /// OpenAPI 3.0, YAML, inline.
    #[serde(rename = "openapi")]
    OpenApiYaml,
    /// OpenAPI 3.0, JSON, inline.
    #[serde(rename = "openapi+json")]
    OpenApiJson,
    /// Swagger 2.0, JSON, by URL.
    #[serde(rename = "swagger-link-json")]
    SwaggerLinkJson,
    /// OpenAPI 3.0, YAML, by URL.
    #[serde(rename = "openapi-link")]
    OpenApiLink,
    /// OpenAPI 3.0, JSON, by URL.
    #[serde(rename = "openapi+json-link")]
    OpenApiJsonLink,
}

impl ImportFormat {
    /// ARM's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SwaggerJson => "swagger-json",
            Self::OpenApiYaml => "openapi",
            Self::OpenApiJson => "openapi+json",
            Self::SwaggerLinkJson => "swagger-link-json",
            Self::OpenApiLink => "openapi-link",
            Self::OpenApiJsonLink => "openapi+json-link",
        }
    }
}

/// What is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiDocument {
    /// How ARM reads `value`.
    pub format: ImportFormat,
    /// The document, or its URL for the link formats.
    #[serde(skip)]
    pub value: String,
    /// The hash of what is imported: of the document where the operator has
    /// it, of the URL where APIM fetches it.
    pub hash: ContentHash,
    /// Where the document came from, for status and messages.
    pub origin: DocumentOrigin,
    /// The operations that the import makes; absent when the document is
    /// unknown to the operator.
    pub operations: Option<Vec<Operation>>,
}

/// Where an OpenAPI document came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum DocumentOrigin {
    /// It stands in the object.
    Inline,
    /// It was fetched.
    Url {
        /// From here.
        url: String,
    },
    /// It lies where the annotation `specification-from` says.
    From(SpecificationFrom),
    /// It was made of the operations that the object declares.
    Declared,
    /// The object names none: a catch-all was generated.
    Generated,
}

impl DocumentOrigin {
    /// Whether nothing of the document may be told in an error.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::From(from) if from.is_secret())
    }
}

/// An operation as the import makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id in API Management, as the import derives it.
    pub id: String,
    /// The document's `operationId`.
    pub operation_id: Option<String>,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The URL template.
    pub url_template: String,
}

/// The policy documents of one API, as they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredPolicy {
    /// The API's document.
    pub api: PolicyText,
    /// The documents of single operations, by operation id.
    pub operations: BTreeMap<String, PolicyText>,
    /// Which plugins made them.
    pub plugins: Vec<PluginUse>,
    /// Which plugin made which statement.
    #[serde(skip)]
    pub origins: Origins,
}

/// Which plugin made which statement of the documents of one API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<(Option<String>, Section), Vec<Option<String>>>);

impl Origins {
    /// Of composed documents.
    #[must_use]
    pub fn of(documents: &Documents) -> Self {
        let of = |(target, document): (Target, &PolicyDocument)| {
            let operation = match target {
                Target::Api => None,
                Target::Operation(id) => Some(id),
            };
            let sections = document.sections.iter();
            sections
                .map(|(section, statements)| {
                    let plugins = statements.iter().map(|s| s.plugin.clone()).collect();
                    ((operation.clone(), *section), plugins)
                })
                .collect::<Vec<_>>()
        };
        Self(documents.iter().flat_map(of).collect())
    }

    /// The plugin that made a statement of the document of the API, or of an
    /// operation; none for `<base/>`.
    #[must_use]
    pub fn plugin(
        &self,
        operation: Option<&str>,
        section: Section,
        statement: usize,
    ) -> Option<&str> {
        let key = (operation.map(str::to_owned), section);
        self.0.get(&key)?.get(statement)?.as_deref()
    }
}

impl DesiredPolicy {
    /// One hash for all documents.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let parts: Vec<(&str, &ContentHash)> = std::iter::once(("", &self.api.hash))
            .chain(
                self.operations
                    .iter()
                    .map(|(id, text)| (id.as_str(), &text.hash)),
            )
            .collect();
        ContentHash::of_json(&parts)
    }
}

/// A printed policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyText {
    /// The text, in format `rawxml`.
    pub text: String,
    /// The hash of the text.
    pub hash: ContentHash,
}

impl PolicyText {
    /// A document with its hash.
    #[must_use]
    pub fn new(text: String) -> Self {
        let hash = ContentHash::of(&text);
        Self { text, hash }
    }
}

/// A plugin that took part in a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PluginUse {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its code.
    pub digest: String,
}
