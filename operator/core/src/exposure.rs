//! How traffic reaches an implementation, and the URL where API Management
//! finds it.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::annotations::Annotations;
use crate::desired::{DesiredIngress, Exposure};
use crate::exposed_api::{ApiPath, ExposedApi, Implementation};
use crate::instance::Instance;
use crate::instance::pattern::any_matches;
use crate::mark;
use crate::names::ObjectKey;
use crate::openapi::Document;

/// What is known of the exposure by looking at the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExposureFacts {
    /// The Ingress that the operator made, if it is there.
    pub ingress: Option<IngressFacts>,
    /// Whether the Service exists.
    pub service_exists: bool,
    /// Whether the Service has a ready endpoint.
    pub ready_endpoints: bool,
    /// Scheme and host that take the place of the Ingress's address, for
    /// looking at an object without a cluster.
    pub assumed_origin: Option<String>,
}

/// What is known of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressFacts {
    /// Its UID.
    pub uid: String,
    /// The load balancer's host name.
    pub hostname: Option<String>,
    /// The load balancer's address.
    pub ip: Option<String>,
}

impl IngressFacts {
    /// The load balancer's host name, else its address.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        [&self.hostname, &self.ip]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .find(|text| !text.is_empty())
    }
}

/// The exposure of an API. `document` matters for implementations outside the
/// cluster only.
pub(crate) fn exposure(
    api: &ExposedApi,
    annotations: &Annotations,
    instance: Option<&Instance>,
    document: Option<&Document>,
    in_api_management: bool,
) -> Exposure {
    match (&api.implementation, instance) {
        (Implementation::External, instance) => Exposure::External {
            url: instance.and_then(|i| external_url(i, document?)),
        },
        (Implementation::Service(service), Some(instance)) if in_api_management => {
            Exposure::Ingress(ingress(api, service, annotations, instance))
        }
        (Implementation::Service(service), _) => Exposure::InCluster {
            url: in_cluster_url(&api.key, service, api.port, &api.path),
        },
    }
}

fn ingress(
    api: &ExposedApi,
    service: &str,
    annotations: &Annotations,
    instance: &Instance,
) -> DesiredIngress {
    let settings = &instance.spec.exposure;
    let mut all = settings.annotations.clone();
    all.extend(annotations.ingress_annotations.clone());
    DesiredIngress {
        name: ingress_name(&api.key),
        class: annotations
            .ingress_class
            .clone()
            .unwrap_or_else(|| settings.ingress_class.clone()),
        host: annotations
            .ingress_host
            .clone()
            .or_else(|| settings.host.clone()),
        tls_secret: annotations
            .ingress_tls_secret
            .clone()
            .or_else(|| settings.tls_secret.clone()),
        annotations: all,
        path: api.path.to_string(),
        also: std::collections::BTreeSet::new(),
        service: service.to_owned(),
        port: api.port,
    }
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

/// Where API Management sends requests; none while the Ingress has no address.
pub(crate) fn backend_url(
    exposure: &Exposure,
    path: &ApiPath,
    facts: &ExposureFacts,
) -> Option<String> {
    match exposure {
        Exposure::External { url } => url.clone(),
        Exposure::InCluster { .. } => None,
        Exposure::Ingress(ingress) => {
            if let Some(origin) = &facts.assumed_origin {
                return Some(below(origin, path));
            }
            // Without an address nobody answers, whatever the rule's host is.
            let address = facts.ingress.as_ref()?.address()?;
            let scheme = if ingress.tls_secret.is_some() {
                "https"
            } else {
                "http"
            };
            let named = ingress
                .host
                .as_deref()
                .filter(|host| !host.starts_with("*."));
            let host = named.map_or_else(|| in_url(address), str::to_owned);
            Some(below(&format!("{scheme}://{host}"), path))
        }
    }
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
    let origin = origin.trim_end_matches('/');
    match path.as_api_management() {
        "" => origin.to_owned(),
        path => format!("{origin}/{path}"),
    }
}
