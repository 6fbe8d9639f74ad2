//! The ways in which traffic reaches an implementation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How traffic reaches an implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Through an Ingress.
    #[default]
    Ingress,
    /// Through an HTTPRoute of the Gateway API.
    HttpRoute,
    /// Through a VirtualService of Istio.
    Istio,
    /// Through a Service of its own with a public load balancer.
    LoadBalancer,
    /// Through a Service of its own with a load balancer within Azure's
    /// virtual network.
    InternalLoadBalancer,
    /// Through a Service of its own at a port of every node.
    NodePort,
    /// Not at all: API Management's gateway runs in the cluster.
    InCluster,
    /// At the first https server of the OpenAPI document whose host the
    /// instance allows.
    External,
}

impl Way {
    /// All of them, as they are spelled.
    pub const ALL: [(&'static str, Self); 8] = [
        ("ingress", Self::Ingress),
        ("http-route", Self::HttpRoute),
        ("istio", Self::Istio),
        ("load-balancer", Self::LoadBalancer),
        ("internal-load-balancer", Self::InternalLoadBalancer),
        ("node-port", Self::NodePort),
        ("in-cluster", Self::InCluster),
        ("external", Self::External),
    ];

    /// Whether it depends on what the implementation's Service is like: a
    /// Service of its own leads to the same pods, and one with a load balancer,
    /// or with another name, needs none.
    #[must_use]
    pub const fn reads_service(self) -> bool {
        matches!(
            self,
            Self::LoadBalancer | Self::InternalLoadBalancer | Self::NodePort | Self::External
        )
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, way)| way == self);
        f.write_str(found.map_or("ingress", |(name, _)| name))
    }
}
