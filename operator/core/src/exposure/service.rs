//! Through a Service of its own: behind a load balancer, public or internal, or
//! at a port of every node.
//!
//! The Service that the implementation has stays as it is. Ours selects the
//! same pods, which is why it has to be told of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::object::{
    ANOTHER_WAY, ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits,
};
use super::{GatewayFacts, in_url};
use crate::desired::DesiredService;
use crate::names::ObjectKey;

/// Services.
pub(super) static KIND: ObjectKind = ObjectKind {
    kind: "Service",
    group: "",
    version: "v1",
    plural: "services",
    comes_with: None,
    role: Some("apim-operator-services"),
    reads: &[],
    instead: ANOTHER_WAY,
    facts,
    paths: |_| Vec::new(),
};

fn facts(object: &Value) -> ObjectFacts {
    let port = object["spec"]["ports"][0]["nodePort"].as_u64();
    ObjectFacts {
        port: port.and_then(|port| port.try_into().ok()),
        ..ObjectFacts::balanced(&object["status"])
    }
}

impl ClusterObject for DesiredService {
    fn kind(&self) -> &'static ObjectKind {
        &KIND
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    fn spec(&self, _: &BTreeSet<String>) -> Value {
        let is_node_port = self.node_address.is_some();
        let mut port = json!({
            "name": "api", "port": self.port, "targetPort": self.target_port, "protocol": "TCP",
        });
        if let Some(protocol) = &self.app_protocol {
            port["appProtocol"] = json!(protocol);
        }
        let kind = if is_node_port {
            "NodePort"
        } else {
            "LoadBalancer"
        };
        let mut spec = json!({"type": kind, "selector": self.selector, "ports": [port]});
        if !self.source_ranges.is_empty() {
            spec["loadBalancerSourceRanges"] = json!(self.source_ranges);
        }
        if self.keeps_source {
            spec["externalTrafficPolicy"] = json!("Local");
        }
        spec
    }
}

impl ExposureObject for DesiredService {
    fn path(&self) -> Option<&str> {
        None
    }

    fn origin(
        &self,
        facts: &ObjectFacts,
        _: &BTreeMap<ObjectKey, GatewayFacts>,
    ) -> Result<Origin, Waits> {
        let (address, port) = match &self.node_address {
            Some(address) => (Some(address.as_str()), facts.port),
            None => (facts.address(), Some(self.port)),
        };
        let (Some(address), Some(port)) = (address, port) else {
            let what = if self.node_address.is_some() {
                "port: the API server allocates it"
            } else {
                "address: the cloud gives its load balancer one"
            };
            return Err(Waits::for_address(format!(
                "Service `{}` has no {what}",
                self.name
            )));
        };
        let port = match port {
            80 => String::new(),
            port => format!(":{port}"),
        };
        Ok(Origin {
            url: format!("http://{}{port}", in_url(address)),
            address: address.to_owned(),
        })
    }
}
