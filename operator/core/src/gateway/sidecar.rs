//! The gateway's container in the pods of somebody else's Deployment.
//!
//! It is applied by server-side apply with a field manager of its own, so that
//! the API server knows which fields are the operator's, and takes them out,
//! and nothing else, when nothing is applied any more.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::container::PORTS;
use super::objects::{self, Manifest};
use super::spec::ServiceSpec;
use crate::exposure::covers;
use crate::names::{ObjectKey, PREFIX};

/// The label by which the owner of a Deployment allows it, and its value.
#[must_use]
pub fn label() -> (String, &'static str) {
    (format!("{PREFIX}sidecar"), "allowed")
}

/// The container's name: `gateway` is a likely name for one of the owner's.
const CONTAINER: &str = "apim-gateway";

/// The field manager of what is added for a gateway.
#[must_use]
pub fn field_manager(key: &ObjectKey) -> String {
    // The API server takes 128 characters; a name has 40 at most.
    format!("apim-operator-gateway-{}", key.name)
}

/// Why a Deployment does not get the container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Its owner did not say so.
    #[error(
        "Deployment `{0}` does not carry the label `apim.oda.tmforum.org/sidecar: allowed`, with which its owner lets it have the container"
    )]
    Label(String),
    /// Another container is in the way.
    #[error(
        "container `{container}` of Deployment `{deployment}` listens at port {port}, which the gateway needs, and whose port cannot be changed; give that container another one"
    )]
    Port {
        /// The Deployment.
        deployment: String,
        /// The container.
        container: String,
        /// The port.
        port: u16,
    },
    /// A container of that name is there, and not ours.
    #[error(
        "Deployment `{0}` has a container `apim-gateway` that is not this operator's; give it another name"
    )]
    Name(String),
}

/// Whether a Deployment, as it is, may get the container. `ours`: whether this
/// operator put one there.
pub fn allowed(deployment: &Value, ours: bool) -> Result<(), NotAllowed> {
    let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
    let (label, value) = label();
    if deployment["metadata"]["labels"][&label] != value {
        return Err(NotAllowed::Label(name.to_owned()));
    }
    let spec = &deployment["spec"]["template"]["spec"];
    let containers = spec["containers"].as_array().into_iter().flatten();
    for container in containers {
        let called = container["name"].as_str().unwrap_or_default();
        if called == CONTAINER {
            if ours {
                continue;
            }
            return Err(NotAllowed::Name(name.to_owned()));
        }
        let ports = container["ports"].as_array().into_iter().flatten();
        let mut ports = ports.filter_map(|port| port["containerPort"].as_u64());
        let taken = ports.find_map(|port| {
            let port = u16::try_from(port).ok()?;
            PORTS.contains(&port).then_some(port)
        });
        if let Some(port) = taken {
            return Err(NotAllowed::Port {
                deployment: name.to_owned(),
                container: called.to_owned(),
                port,
            });
        }
    }
    Ok(())
}

/// Whether a field manager has anything in an object.
#[must_use]
pub fn manages(object: &Value, manager: &str) -> bool {
    let fields = object["metadata"]["managedFields"].as_array();
    let mut managers = fields.into_iter().flatten().map(|one| &one["manager"]);
    managers.any(|one| one == manager)
}

/// What is applied to a Deployment: the container, and when its token ends.
#[must_use]
pub fn addition(container: &Value, until: &str) -> Value {
    let mut container = container.clone();
    container["name"] = json!(CONTAINER);
    json!({"template": {
        "metadata": {"annotations": {(objects::token_annotation()): until}},
        "spec": {"containers": [container]},
    }})
}

/// Whether a Deployment has all that is added to it.
#[must_use]
pub fn holds(deployment: &Value, addition: &Value) -> bool {
    let there = &deployment["spec"]["template"];
    let wanted = &addition["template"];
    let containers = there["spec"]["containers"].as_array();
    let mut containers = containers.into_iter().flatten();
    let ours = containers.find(|one| one["name"] == CONTAINER);
    ours.is_some_and(|ours| covers(&wanted["spec"]["containers"][0], ours))
        && covers(&wanted["metadata"], &there["metadata"])
}

/// Whether a pod with the container is available.
#[must_use]
pub fn is_available(deployment: &Value) -> bool {
    let number = |field: &str| deployment["status"][field].as_u64().unwrap_or_default();
    let generation = deployment["metadata"]["generation"].as_u64();
    number("availableReplicas") > 0
        && number("updatedReplicas") > 0
        && generation.is_none_or(|now| number("observedGeneration") >= now)
}

/// The Service in front of the pods of a Deployment; none where it says not
/// which pods are its.
#[must_use]
pub fn service(spec: &ServiceSpec, key: &ObjectKey, deployment: &Value) -> Option<Manifest> {
    let pods = &deployment["spec"]["selector"]["matchLabels"];
    let labels: BTreeMap<String, String> = serde_json::from_value(pods.clone()).ok()?;
    if labels.is_empty() {
        return None;
    }
    Some(objects::service(spec, key, pods))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(labels: &Value, containers: &Value) -> Value {
        json!({
            "metadata": {"name": "stock", "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app": "stock"}},
                "template": {"spec": {"containers": containers}},
            },
        })
    }

    #[test]
    fn only_a_deployment_whose_owner_allows_it_and_whose_ports_are_free_gets_the_container() {
        let allows = json!({"apim.oda.tmforum.org/sidecar": "allowed"});
        let app = json!([{"name": "app", "ports": [{"containerPort": 3000}]}]);
        assert_eq!(allowed(&deployment(&allows, &app), false), Ok(()));
        let told = |labels: &Value, containers: &Value| {
            allowed(&deployment(labels, containers), false)
                .unwrap_err()
                .to_string()
        };
        assert!(told(&json!({}), &app).contains("does not carry the label"));
        let no = json!({"apim.oda.tmforum.org/sidecar": "no"});
        assert!(told(&no, &app).contains("does not carry the label"));
        let taken = json!([{"name": "app", "ports": [{"containerPort": 8081}]}]);
        assert!(
            told(&allows, &taken)
                .contains("container `app` of Deployment `stock` listens at port 8081")
        );
        let named = json!([{"name": "apim-gateway"}]);
        assert!(told(&allows, &named).contains("has a container `apim-gateway`"));
        let own = json!([{"name": "apim-gateway", "ports": [{"containerPort": 8080}]}]);
        assert_eq!(allowed(&deployment(&allows, &own), true), Ok(()));
    }
}
