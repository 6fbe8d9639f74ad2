//! How traffic reaches an implementation, and the URL where API Management
//! finds it.

mod http_route;
mod ingress;
pub mod object;
mod service;
#[cfg(test)]
mod tests;
mod virtual_service;
mod way;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use object::{ExposureObject, ObjectFacts, ObjectKind, Origin, Waits, covers};
pub use way::Way;

use crate::annotations::Annotations;
use crate::desired::{
    Desired, DesiredHttpRoute, DesiredIngress, DesiredService, DesiredVirtualService, Exposure,
};
use crate::exposed_api::{ApiPath, ExposedApi, Implementation};
use crate::instance::Instance;
use crate::instance::pattern::any_matches;
use crate::mark;
use crate::names::ObjectKey;
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
    /// What the Service is like; read only for exposures that depend on it.
    pub service: Option<ServiceFacts>,
    /// Scheme and host that take the place of an address that is not known, for
    /// looking at an ExposedAPI without a cluster or before it is exposed.
    pub assumed_origin: Option<String>,
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
    /// The labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
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
        url: instance.and_then(|i| external_url(i, document?)),
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
        Way::LoadBalancer => chosen.balanced(false).map(Exposure::Service),
        Way::InternalLoadBalancer => chosen.balanced(true).map(Exposure::Service),
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

/// A way into the cluster that needs an object.
struct Chosen<'a> {
    api: &'a ExposedApi,
    service: &'a str,
    annotations: &'a Annotations,
    instance: &'a Instance,
    facts: &'a ExposureFacts,
}

impl Chosen<'_> {
    fn host(&self) -> Option<String> {
        let own = self.annotations.ingress_host.clone();
        own.or_else(|| self.instance.spec.exposure.host.clone())
    }

    fn tls_secret(&self) -> Option<String> {
        let own = self.annotations.ingress_tls_secret.clone();
        own.or_else(|| self.instance.spec.exposure.tls_secret.clone())
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = self.instance.spec.exposure.annotations.clone();
        all.extend(self.annotations.ingress_annotations.clone());
        all
    }

    fn unfit(&self, setting: &str, message: &str) -> Unfit {
        let path = if self.annotations.exposure.is_some() {
            crate::annotations::path("exposure")
        } else {
            "metadata.namespace".to_owned()
        };
        Unfit {
            path,
            message: format!(
                "exposure `{}` {message}: ask the platform team to set `{setting}` in instance `{}`",
                way(self.annotations, self.instance),
                self.instance.name
            ),
            waits: None,
        }
    }

    fn ingress(&self) -> DesiredIngress {
        let class = self.annotations.ingress_class.clone();
        DesiredIngress {
            name: ingress_name(&self.api.key),
            class: class.unwrap_or_else(|| self.instance.spec.exposure.ingress_class.clone()),
            host: self.host(),
            tls_secret: self.tls_secret(),
            annotations: self.annotations(),
            path: self.api.path.to_string(),
            service: self.service.to_owned(),
            port: self.api.port,
        }
    }

    fn http_route(&self) -> Result<DesiredHttpRoute, Unfit> {
        let parents = &self.instance.spec.exposure.http_route.parents;
        if parents.is_empty() {
            return Err(self.unfit(
                "exposure.httpRoute.parents",
                "needs the Gateways that take its routes",
            ));
        }
        Ok(DesiredHttpRoute {
            name: object_name(&self.api.key),
            parents: parents.clone(),
            host: self.host(),
            annotations: self.annotations(),
            path: self.api.path.to_string(),
            service: self.service.to_owned(),
            port: self.api.port,
        })
    }

    fn virtual_service(&self) -> Result<DesiredVirtualService, Unfit> {
        let istio = &self.instance.spec.exposure.istio;
        if istio.gateways.is_empty() {
            return Err(self.unfit("exposure.istio.gateways", "needs a Gateway of Istio"));
        }
        let host = self.host();
        let Some(host) = named(host.as_deref()) else {
            return Err(self.unfit(
                "exposure.host",
                "needs a host name at which callers reach the Gateway",
            ));
        };
        Ok(DesiredVirtualService {
            name: object_name(&self.api.key),
            gateways: istio.gateways.clone(),
            host: host.to_owned(),
            tls: istio.tls,
            annotations: self.annotations(),
            path: self.api.path.to_string(),
            service: format!(
                "{}.{}.svc.cluster.local",
                self.service, self.api.key.namespace
            ),
            port: self.api.port,
        })
    }

    fn balanced(&self, internal: bool) -> Result<DesiredService, Unfit> {
        let settings = &self.instance.spec.exposure.load_balancer;
        let mut desired = self.own_service()?;
        if internal {
            desired
                .annotations
                .insert(AZURE_INTERNAL.to_owned(), "true".to_owned());
            if let Some(subnet) = &settings.subnet {
                desired
                    .annotations
                    .insert(AZURE_SUBNET.to_owned(), subnet.clone());
            }
        }
        Ok(desired)
    }

    fn node_port(&self) -> Result<DesiredService, Unfit> {
        let Some(address) = &self.instance.spec.exposure.node_port.address else {
            return Err(self.unfit(
                "exposure.nodePort.address",
                "needs the address at which API Management reaches the nodes",
            ));
        };
        Ok(DesiredService {
            node_address: Some(address.clone()),
            ..self.own_service()?
        })
    }

    /// A Service of ours to the pods of the implementation's.
    fn own_service(&self) -> Result<DesiredService, Unfit> {
        let known = match &self.facts.service {
            Some(known) => known.clone(),
            // Without a cluster there is nothing to look at.
            None if self.facts.assumed_origin.is_some() => ServiceFacts::default(),
            None => {
                return Err(Unfit {
                    path: "spec.implementation".into(),
                    message: format!(
                        "Service `{}` does not exist in this namespace; a Service of its own leads to the same pods",
                        self.service
                    ),
                    waits: Some(Reason::NoService),
                });
            }
        };
        let port = known.ports.iter().find(|port| port.port == self.api.port);
        if let (false, None) = (known.ports.is_empty(), port) {
            let ports: Vec<String> = known.ports.iter().map(|p| p.port.to_string()).collect();
            return Err(Unfit {
                path: "spec.port".into(),
                message: format!(
                    "Service `{}` has no port {}; it has {}",
                    self.service,
                    self.api.port,
                    ports.join(", ")
                ),
                waits: None,
            });
        }
        if self.facts.service.is_some() && known.selector.is_empty() {
            return Err(Unfit {
                path: "spec.implementation".into(),
                message: format!(
                    "Service `{}` selects no pods, so that no Service of its own can lead to them; choose exposure `ingress`",
                    self.service
                ),
                waits: None,
            });
        }
        Ok(DesiredService {
            name: object_name(&self.api.key),
            annotations: self.annotations(),
            node_address: None,
            selector: known.selector.clone(),
            target_port: port.map_or_else(|| self.api.port.into(), |port| port.target.clone()),
            app_protocol: port.and_then(|port| port.app_protocol.clone()),
            port: self.api.port,
        })
    }
}

/// Asks Azure for a load balancer within the virtual network:
/// <https://learn.microsoft.com/azure/aks/internal-lb>.
const AZURE_INTERNAL: &str = "service.beta.kubernetes.io/azure-load-balancer-internal";
/// The subnet of its address, from the same page.
const AZURE_SUBNET: &str = "service.beta.kubernetes.io/azure-load-balancer-internal-subnet";

/// The name of an object's HTTPRoute, VirtualService or Service.
#[must_use]
pub fn object_name(key: &ObjectKey) -> String {
    mark::object_name("apim-api-", key)
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

/// An address as the host of a URL: IPv6 in brackets.
fn in_url(address: &str) -> String {
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
            api.service_url = Some(join(&origin.url, &api.settings.path));
        }
    }
}
