//! A NetworkPolicy that lets only the ingress controller, the gateway's pods or
//! API Management's subnet connect to the pods:
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>.

use serde_json::{Value, json};

use super::{Before, Protection};
use crate::desired::Exposure;
use crate::exposure::{ObjectFacts, ObjectKind};
use crate::instance::spec::Peer;

static KIND: ObjectKind = ObjectKind {
    kind: "NetworkPolicy",
    group: "networking.k8s.io",
    version: "v1",
    plural: "networkpolicies",
    comes_with: None,
    role: Some("apim-operator-network-policies"),
    reads: &[],
    instead: "leave `exposure.protection.networkPolicy` out of the instance",
    facts: |_| ObjectFacts::default(),
    paths: |_| Vec::new(),
};

pub(super) static PROTECTION: Protection = Protection {
    kind: &KIND,
    before: Before::Pods,
    protect: |guarded, target, exposure| {
        let settings = &guarded.instance.spec.exposure.protection.network_policy;
        let Some(settings) = settings else {
            return Ok(None);
        };
        let pods = guarded.pods(target, "protection.networkPolicy")?;
        if let Exposure::Service(service) = exposure {
            // Else it is a node that connects, whoever calls.
            service.keeps_source = settings.from.iter().any(|peer| peer.subnet.is_some());
        }
        let rules = settings.from.iter().map(|peer| rule(peer, &pods.ports));
        Ok(Some(json!({
            "podSelector": {"matchLabels": pods.labels},
            "policyTypes": ["Ingress"],
            "ingress": rules.collect::<Vec<_>>(),
        })))
    },
};

/// Who may connect, as a NetworkPolicy says it.
pub(crate) fn peer(peer: &Peer) -> Value {
    match (&peer.subnet, &peer.namespace) {
        (Some(subnet), _) => json!({"ipBlock": {"cidr": subnet}}),
        (None, namespace) => {
            // Every namespace has this label, by the API server.
            let labels = json!({"kubernetes.io/metadata.name": namespace});
            let mut from = json!({"namespaceSelector": {"matchLabels": labels}});
            if !peer.pod_labels.is_empty() {
                from["podSelector"] = json!({"matchLabels": peer.pod_labels});
            }
            from
        }
    }
}

fn rule(one: &Peer, own: &Vec<Value>) -> Value {
    let ports = one.ports.as_ref().unwrap_or(own).iter();
    let ports = ports.map(|port| json!({"port": port, "protocol": "TCP"}));
    json!({"from": [peer(one)], "ports": ports.collect::<Vec<_>>()})
}
