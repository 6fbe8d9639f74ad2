//! How traffic reaches an implementation, and the URL where API Management
//! finds it.

mod chosen;
mod http_route;
mod ingress;
pub mod object;
mod rules;
mod service;
#[cfg(test)]
mod tests;
mod virtual_service;
mod way;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use chosen::AZURE_INTERNAL;
pub use object::{ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits, covers};
pub use way::Way;

use chosen::Chosen;

use crate::annotations::Annotations;
use crate::desired::{BalancedService, Desired, Exposure};
use crate::exposed_api::{ApiPath, ExposedApi, Implementation};
use crate::gateway::select::Reach;
use crate::instance::Instance;
use crate::instance::pattern::any_matches;
use crate::mark;
use crate::names::{ContentHash, ObjectKey};
use crate::openapi::Document;
use crate::status::reasons::Reason;

/// Every kind of object that an exposure may be.
pub static KINDS: [&ObjectKind; 4] = [
    &ingress::KIND,
    &http_route::KIND,
    &virtual_service::KIND,
    &service::KIND,
];

/// What is known of the exposure by looking at the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExposureFacts {
    /// The objects that the operator made, by kind.
    pub objects: BTreeMap<&'static str, ObjectFacts>,
    /// The Gateways of the Gateway API.
    pub gateways: BTreeMap<ObjectKey, GatewayFacts>,
    /// Whether the Service exists.
    pub service_exists: bool,
    /// Whether the Service has a ready endpoint.
    pub ready_endpoints: bool,
    /// How the Services of routes are, as far as they are known.
    pub routed: BTreeMap<String, RoutedFacts>,
    /// What the Service is like; read only for exposures that depend on it.
    pub service: Option<ServiceFacts>,
    /// The self-hosted gateway at which the API is reached, where its way is
    /// `in-cluster` and there is one.
    pub gateway: Option<Box<Reach>>,
    /// Scheme and host that take the place of an address that is not known, for
    /// looking at an ExposedAPI without a cluster or before it is exposed.
    pub assumed_origin: Option<String>,
}

/// What is known of a Service that answers a part of an API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutedFacts {
    /// Whether it exists.
    pub exists: bool,
    /// Whether it has a ready endpoint.
    pub ready: bool,
    /// What it is like, where something depends on that.
    pub service: Option<ServiceFacts>,
}

impl ExposureFacts {
    /// What is known of an object, if it is there.
    #[must_use]
    pub fn object(&self, kind: &ObjectKind) -> Option<&ObjectFacts> {
        self.objects.get(kind.kind)
    }
}

/// What is known of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayFacts {
    /// The first of its addresses.
    pub address: Option<String>,
    /// Where it listens.
    pub listeners: Vec<Listener>,
}

/// A listener of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, which a route's `sectionName` names.
    pub name: String,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// The port.
    pub port: u16,
    /// The host that it takes; absent: any.
    pub hostname: Option<String>,
}

/// What is known of the Service of an implementation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFacts {
    /// Its UID.
    pub uid: String,
    /// The labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// What of it leads out of the cluster, or into it.
    pub reach: ServiceReach,
}

/// What kind of Service the implementation's is, as far as that makes a
/// difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServiceReach {
    /// Within the cluster, or at a port of its nodes.
    #[default]
    Cluster,
    /// It has a load balancer.
    Balanced {
        /// Within Azure's virtual network.
        internal: bool,
        /// Where that is reached; absent: it has no address yet.
        address: Option<String>,
    },
    /// It is another name for this host (type `ExternalName`).
    Named(String),
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Where callers call.
    pub port: u16,
    /// Where pods listen: a number, or a name of theirs.
    pub target: serde_json::Value,
    /// What is spoken there.
    pub app_protocol: Option<String>,
}

/// Why an API cannot be exposed in the way that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) path: String,
    pub(crate) message: String,
    /// It is waited for something that may come.
    pub(crate) waits: Option<Reason>,
}

/// The exposure of an API. `document` matters for implementations outside the
/// cluster only.
pub(crate) fn exposure(
    api: &ExposedApi,
    annotations: &Annotations,
    instance: Option<&Instance>,
    document: Option<&Document>,
    in_api_management: bool,
    facts: &ExposureFacts,
) -> Result<Exposure, Unfit> {
    let elsewhere = |instance: Option<&Instance>| Exposure::External {
        url: instance
            .and_then(|i| named_elsewhere(i, api, facts).or_else(|| external_url(i, document?))),
    };
    let (service, instance) = match (&api.implementation, instance) {
        (Implementation::External, instance) => return Ok(elsewhere(instance)),
        (Implementation::Service(service), Some(instance)) if in_api_management => {
            (service, instance)
        }
        (Implementation::Service(service), _) => return Ok(in_cluster(api, service)),
    };
    let chosen = Chosen {
        api,
        service,
        annotations,
        instance,
        facts,
    };
    match way(annotations, instance) {
        Way::Ingress => Ok(Exposure::Ingress(chosen.ingress())),
        Way::HttpRoute => chosen.http_route().map(Exposure::HttpRoute),
        Way::Istio => chosen.virtual_service().map(Exposure::VirtualService),
        Way::LoadBalancer => chosen.balanced(false),
        Way::InternalLoadBalancer => chosen.balanced(true),
        Way::NodePort => chosen.node_port().map(Exposure::Service),
        Way::InCluster => Ok(in_cluster(api, service)),
        Way::External => Ok(elsewhere(Some(instance))),
    }
}

/// The way that an object chose, else the instance's.
pub(crate) fn way(annotations: &Annotations, instance: &Instance) -> Way {
    annotations.exposure.unwrap_or(instance.spec.exposure.way)
}

fn in_cluster(api: &ExposedApi, service: &str) -> Exposure {
    Exposure::InCluster {
        url: in_cluster_url(&api.key, service, api.port, &api.path),
    }
}

/// The name of an object's HTTPRoute, VirtualService or Service.
#[must_use]
pub fn object_name(key: &ObjectKey) -> String {
    mark::object_name("apim-api-", key)
}

/// The name of what protects the pods of another Service than the
/// implementation's, for an object. The digits keep it from being that of
/// another object.
#[must_use]
pub fn routed_name(key: &ObjectKey, service: &str) -> String {
    let hash = ContentHash::of(format!("{key} {service}")).to_string();
    format!("apim-api-{service}-{}", &hash[..10])
}

/// The name of what the operator makes of a kind for an object.
#[must_use]
pub fn name_of(kind: &ObjectKind, key: &ObjectKey) -> String {
    if *kind == ingress::KIND {
        ingress_name(key)
    } else {
        object_name(key)
    }
}

/// A host that is a name and no pattern.
fn named(host: Option<&str>) -> Option<&str> {
    host.filter(|host| !host.is_empty() && !host.starts_with('*'))
}

/// The name of an object's Ingress.
#[must_use]
pub fn ingress_name(key: &ObjectKey) -> String {
    mark::object_name("apim-api-ingress-", key)
}

/// Where an API is reached within the cluster.
#[must_use]
pub fn in_cluster_url(key: &ObjectKey, service: &str, port: u16, path: &ApiPath) -> String {
    below(
        &format!("http://{service}.{}.svc:{port}", key.namespace),
        path,
    )
}

/// The first https server of the document, if the instance allows its host.
fn external_url(instance: &Instance, document: &Document) -> Option<String> {
    let url = document.first_https_server()?;
    any_matches(&instance.allow.backend_hosts, url.host_str()?)
        .then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// The host that the implementation's Service is another name for, if the
/// instance allows it. Always https: what goes there leaves the cluster, and a
/// token may be with it.
fn named_elsewhere(instance: &Instance, api: &ExposedApi, facts: &ExposureFacts) -> Option<String> {
    let ServiceReach::Named(host) = &facts.service.as_ref()?.reach else {
        return None;
    };
    let port = match api.port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    any_matches(&instance.allow.backend_hosts, host)
        .then(|| below(&format!("https://{host}{port}"), &api.path))
}

/// Where API Management sends requests; none while there is no address.
pub(crate) fn backend_url(
    exposure: &Exposure,
    path: &ApiPath,
    facts: &ExposureFacts,
    in_api_management: bool,
) -> Option<String> {
    match exposure {
        Exposure::External { url } => url.clone(),
        Exposure::InCluster { url } => in_api_management.then(|| url.clone()),
        _ => {
            let known = origin(exposure, facts)?.ok().map(|origin| origin.url);
            let origin = known.or_else(|| facts.assumed_origin.clone())?;
            Some(below(&origin, path))
        }
    }
}

/// Where the object of an exposure is reached, or what it waits for; none where
/// there is no object.
#[must_use]
pub fn origin(exposure: &Exposure, facts: &ExposureFacts) -> Option<Result<Origin, Waits>> {
    if let Exposure::Balanced(service) = exposure {
        return Some(balanced_origin(service, facts));
    }
    let object = exposure.object()?;
    let kind = object.kind();
    let Some(known) = facts.object(kind) else {
        return Some(Err(Waits {
            reason: Reason::NoAddress,
            message: format!("{} `{}` is not there yet", kind.kind, object.name()),
        }));
    };
    Some(object.origin(known, &facts.gateways))
}

fn balanced_origin(service: &BalancedService, facts: &ExposureFacts) -> Result<Origin, Waits> {
    let reach = facts.service.as_ref().map(|service| &service.reach);
    let Some(ServiceReach::Balanced {
        address: Some(address),
        ..
    }) = reach
    else {
        return Err(Waits::for_address(format!(
            "Service `{}` has no address: the cloud gives its load balancer one",
            service.name
        )));
    };
    let port = match service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    Ok(Origin {
        url: format!("http://{}{port}", in_url(address)),
        address: address.clone(),
    })
}

/// An address as the host of a URL: IPv6 in brackets.
pub(crate) fn in_url(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => address.to_owned(),
    }
}

/// A URL below an origin; the root path adds nothing.
pub(crate) fn below(origin: &str, path: &ApiPath) -> String {
    join(origin, path.as_api_management())
}

fn join(origin: &str, path: &str) -> String {
    let origin = origin.trim_end_matches('/');
    match path {
        "" => origin.to_owned(),
        path => format!("{origin}/{path}"),
    }
}

impl Desired {
    /// The exposure is in place: an object that has its address from the
    /// beginning says so only once, in the answer to the write that makes it.
    pub fn exposed(&mut self, facts: &ExposureFacts) {
        let Some(Ok(origin)) = origin(&self.exposure, facts) else {
            return;
        };
        if let Some(api) = self.api.as_mut().filter(|api| api.service_url.is_none()) {
            api.service_url = Some(join(&origin.url, &api.settings.path_in_cluster()));
        }
    }
}
