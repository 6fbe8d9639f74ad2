//! What is made for the way that was chosen, of the object's annotations, the
//! instance's settings and what is known of the Service.

use std::collections::BTreeMap;

use super::{
    ExposureFacts, ServiceFacts, ServicePort, ServiceReach, Unfit, ingress_name, named,
    object_name, way,
};
use crate::annotations::Annotations;
use crate::desired::{
    BalancedService, DesiredHttpRoute, DesiredIngress, DesiredService, DesiredVirtualService,
    Exposure,
};
use crate::exposed_api::ExposedApi;
use crate::instance::Instance;
use crate::status::reasons::Reason;

/// Asks Azure for a load balancer within the virtual network:
/// <https://learn.microsoft.com/azure/aks/internal-lb>.
pub const AZURE_INTERNAL: &str = "service.beta.kubernetes.io/azure-load-balancer-internal";
/// The subnet of its address, from the same page.
const AZURE_SUBNET: &str = "service.beta.kubernetes.io/azure-load-balancer-internal-subnet";

/// A way into the cluster that needs an object.
pub(super) struct Chosen<'a> {
    pub(super) api: &'a ExposedApi,
    pub(super) service: &'a str,
    pub(super) annotations: &'a Annotations,
    pub(super) instance: &'a Instance,
    pub(super) facts: &'a ExposureFacts,
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

    pub(super) fn ingress(&self) -> DesiredIngress {
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
            routes: Vec::new(),
        }
    }

    pub(super) fn http_route(&self) -> Result<DesiredHttpRoute, Unfit> {
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
            routes: Vec::new(),
        })
    }

    pub(super) fn virtual_service(&self) -> Result<DesiredVirtualService, Unfit> {
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
            routes: Vec::new(),
        })
    }

    pub(super) fn balanced(&self, internal: bool) -> Result<Exposure, Unfit> {
        let known = self.facts.service.as_ref();
        if let Some(known) = known
            && matches!(&known.reach, ServiceReach::Balanced { internal: is, .. } if *is == internal)
        {
            self.port_of(known)?;
            return Ok(Exposure::Balanced(BalancedService {
                name: self.service.to_owned(),
                port: self.api.port,
            }));
        }
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
        Ok(Exposure::Service(desired))
    }

    pub(super) fn node_port(&self) -> Result<DesiredService, Unfit> {
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
        let port = self.port_of(&known)?;
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
            source_ranges: Vec::new(),
            keeps_source: false,
        })
    }

    /// The port of the implementation's Service that the API names; none where
    /// its ports are not known.
    fn port_of<'s>(&self, known: &'s ServiceFacts) -> Result<Option<&'s ServicePort>, Unfit> {
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
        Ok(port)
    }
}
