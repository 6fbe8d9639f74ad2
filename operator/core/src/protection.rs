//! Who may call what is exposed: settings of the instance become objects beside
//! the one that exposes an API, or words in that one.
//!
//! A protection is a file below and a line in [`PROTECTIONS`]. What it makes is
//! applied before the object that exposes the API, and taken away after it: at
//! no moment is an API exposed without what its instance asks for. One that
//! cannot be had is an error and never left out in silence.

mod allow_list;
mod authorization_policy;
mod client_certificate;
mod network_policy;
mod peer_authentication;
mod request_authentication;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::annotations::{self, Annotations};
use crate::desired::{DesiredIngress, DesiredProtection, Exposure};
use crate::exposed_api::ExposedApi;
use crate::exposure::{
    ClusterObject, ExposureFacts, KINDS, ObjectKind, ServiceFacts, Way, object_name, routed_name,
    way,
};
use crate::instance::spec::IngressController;
use crate::instance::{Instance, InstanceContext};
use crate::problem::Problem;
use crate::status::reasons::Reason;
use crate::validate::{Finding, Routed};

pub(crate) use network_policy::peer;

/// Every protection.
pub(crate) static PROTECTIONS: [&Protection; 6] = [
    &network_policy::PROTECTION,
    &allow_list::PROTECTION,
    &client_certificate::PROTECTION,
    &peer_authentication::PROTECTION,
    &authorization_policy::PROTECTION,
    &request_authentication::PROTECTION,
];

/// One way to protect what is exposed.
pub(crate) struct Protection {
    /// The kind of the object that it may need.
    kind: &'static ObjectKind,
    /// What it stands before.
    before: Before,
    /// The spec of that object, where it is needed; it may also change what
    /// exposes the API.
    protect: fn(&Guarded<'_>, &Target<'_>, &mut Exposure) -> Result<Option<Value>, Finding>,
}

/// What a protection stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// What exposes the API, once.
    Exposure,
    /// The pods of each Service that answers a part of the API.
    Pods,
}

/// Every kind of object that the operator may make for an API: what exposes it,
/// and then what protects that.
pub fn kinds() -> impl Iterator<Item = &'static ObjectKind> {
    KINDS
        .into_iter()
        .chain(PROTECTIONS.iter().map(|one| one.kind))
}

/// Whether the objects depend on what the implementation's Service is like.
pub(crate) fn reads_service(instance: &Instance) -> bool {
    let protection = &instance.spec.exposure.protection;
    protection.network_policy.is_some() || protection.istio.is_some() || protection.token.is_some()
}

/// An API that is to be protected.
pub(crate) struct Guarded<'a> {
    pub(crate) api: &'a ExposedApi,
    /// The implementation's Service, and then those of routes.
    pub(crate) targets: Vec<Target<'a>>,
    pub(crate) annotations: &'a Annotations,
    pub(crate) instance: &'a Instance,
    pub(crate) context: Option<&'a InstanceContext>,
    pub(crate) facts: &'a ExposureFacts,
}

/// A Service whose pods are protected.
pub(crate) struct Target<'a> {
    service: &'a str,
    /// Where requests of the API come in.
    ports: BTreeSet<u16>,
    facts: Option<&'a ServiceFacts>,
    /// What names it.
    place: &'static str,
    /// The name of the objects.
    name: String,
}

/// The Services behind an API.
pub(crate) fn targets<'a>(
    api: &'a ExposedApi,
    implementation: &'a str,
    routed: &'a Routed,
    facts: &'a ExposureFacts,
) -> Vec<Target<'a>> {
    let mut targets = vec![Target {
        service: implementation,
        ports: [api.port].into(),
        facts: facts.service.as_ref(),
        place: "spec.implementation",
        name: object_name(&api.key),
    }];
    for to in &routed.destinations {
        let known = targets.iter_mut().find(|one| one.service == to.service);
        if let Some(known) = known {
            known.ports.insert(to.port);
            continue;
        }
        let facts = facts.routed.get(&to.service);
        targets.push(Target {
            service: &to.service,
            ports: [to.port].into(),
            facts: facts.and_then(|facts| facts.service.as_ref()),
            place: routed.place,
            name: routed_name(&api.key, &to.service),
        });
    }
    targets
}

/// The objects that protect what is exposed.
pub(crate) fn protect(
    guarded: &Guarded<'_>,
    exposure: &mut Exposure,
) -> Result<Vec<DesiredProtection>, Vec<Finding>> {
    if matches!(exposure, Exposure::External { .. }) {
        // It is not ours to protect.
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    let mut findings = Vec::new();
    for protection in PROTECTIONS {
        let targets = match protection.before {
            Before::Exposure => 1,
            Before::Pods => guarded.targets.len(),
        };
        for target in guarded.targets.iter().take(targets) {
            match (protection.protect)(guarded, target, exposure) {
                Ok(Some(spec)) => made.push(DesiredProtection {
                    kind: protection.kind,
                    name: target.name.clone(),
                    spec,
                }),
                Ok(None) => {}
                Err(finding) if findings.contains(&finding) => {}
                Err(finding) => findings.push(finding),
            }
        }
    }
    if findings.is_empty() {
        Ok(made)
    } else {
        Err(findings)
    }
}

impl ClusterObject for DesiredProtection {
    fn kind(&self) -> &'static ObjectKind {
        self.kind
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        &NONE
    }

    fn spec(&self, _: &BTreeSet<String>) -> Value {
        self.spec.clone()
    }
}

/// The pods of an implementation.
struct Pods {
    labels: BTreeMap<String, String>,
    /// Where they listen: numbers, or names of theirs.
    ports: Vec<Value>,
}

impl Guarded<'_> {
    fn way(&self) -> Way {
        way(self.annotations, self.instance)
    }

    /// A setting that cannot be had in the way that was chosen.
    fn cannot(&self, setting: &str, why: &str) -> Finding {
        let message = format!("cannot be had with exposure `{}`: {why}", self.way());
        self.wrong(setting, &message)
    }

    fn wrong(&self, setting: &str, message: &str) -> Finding {
        let path = format!(
            "ApimInstance/{} spec.exposure.{setting}",
            self.instance.name
        );
        Finding::invalid(Reason::InvalidInstance, Problem::new(path, message))
    }

    fn pods(&self, target: &Target<'_>, setting: &str) -> Result<Pods, Finding> {
        let (service, place) = (target.service, target.place);
        let Some(known) = target.facts else {
            if self.facts.assumed_origin.is_some() {
                // Without a cluster there is nothing to look at.
                return Ok(Pods {
                    labels: BTreeMap::new(),
                    ports: target.ports.iter().map(|port| json!(port)).collect(),
                });
            }
            return Err(Finding::waiting(
                Reason::NoService,
                Problem::new(
                    place,
                    format!(
                        "Service `{service}` does not exist in this namespace; `exposure.{setting}` protects its pods"
                    ),
                ),
            ));
        };
        if known.selector.is_empty() {
            return Err(Finding::invalid(
                Reason::InvalidSpec,
                Problem::new(
                    place,
                    format!(
                        "Service `{service}` selects no pods, and `exposure.{setting}` of instance `{}` protects pods; \
                         give the Service a selector",
                        self.instance.name
                    ),
                ),
            ));
        }
        let port_of_pods = |at: &u16| {
            let port = known.ports.iter().find(|port| port.port == *at);
            port.map_or_else(|| json!(at), |port| port.target.clone())
        };
        Ok(Pods {
            labels: known.selector.clone(),
            ports: target.ports.iter().map(port_of_pods).collect(),
        })
    }

    /// The ingress controller that a setting depends on.
    fn controller(&self, setting: &str) -> Result<IngressController, Finding> {
        self.instance.spec.exposure.ingress_controller.ok_or_else(|| {
            self.wrong(
                "ingressController",
                &format!(
                    "is not set, and `exposure.{setting}` is said in its words: write `ingress-nginx`, `traefik`, \
                     `haproxy`, `haproxy-ingress` or `contour`"
                ),
            )
        })
    }

    /// Writes an annotation that protects an Ingress. Nobody else's word counts
    /// for it.
    fn annotate(
        &self,
        ingress: &mut DesiredIngress,
        setting: &str,
        name: &str,
        value: String,
    ) -> Result<(), Finding> {
        let said = format!("`{name}` is what `exposure.{setting}` says it in; remove it here");
        if self.annotations.ingress_annotations.contains_key(name) {
            let problem = Problem::new(annotations::path("ingress-annotations"), said);
            return Err(Finding::invalid(Reason::Forbidden, problem));
        }
        if self.instance.spec.exposure.annotations.contains_key(name) {
            return Err(self.wrong("annotations", &said));
        }
        ingress.annotations.insert(name.to_owned(), value);
        Ok(())
    }

    /// How Traefik is told of an object of ours, from an Ingress.
    fn in_traefik(&self) -> String {
        let key = &self.api.key;
        format!("{}-{}@kubernetescrd", key.namespace, object_name(key))
    }
}
