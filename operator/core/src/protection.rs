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
use crate::exposure::{ClusterObject, ExposureFacts, KINDS, ObjectKind, Way, object_name, way};
use crate::instance::spec::IngressController;
use crate::instance::{Instance, InstanceContext};
use crate::problem::Problem;
use crate::status::reasons::Reason;
use crate::validate::Finding;

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
    /// The spec of that object, where it is needed; it may also change what
    /// exposes the API.
    protect: fn(&Guarded<'_>, &mut Exposure) -> Result<Option<Value>, Finding>,
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
    pub(crate) service: &'a str,
    pub(crate) annotations: &'a Annotations,
    pub(crate) instance: &'a Instance,
    pub(crate) context: Option<&'a InstanceContext>,
    pub(crate) facts: &'a ExposureFacts,
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
        match (protection.protect)(guarded, exposure) {
            Ok(Some(spec)) => made.push(DesiredProtection {
                kind: protection.kind,
                name: object_name(&guarded.api.key),
                spec,
            }),
            Ok(None) => {}
            Err(finding) if findings.contains(&finding) => {}
            Err(finding) => findings.push(finding),
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
    /// Where they listen: a number, or a name of theirs.
    port: Value,
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

    fn pods(&self, setting: &str) -> Result<Pods, Finding> {
        let service = self.service;
        let Some(known) = &self.facts.service else {
            if self.facts.assumed_origin.is_some() {
                // Without a cluster there is nothing to look at.
                return Ok(Pods {
                    labels: BTreeMap::new(),
                    port: json!(self.api.port),
                });
            }
            return Err(Finding::waiting(
                Reason::NoService,
                Problem::new(
                    "spec.implementation",
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
                    "spec.implementation",
                    format!(
                        "Service `{service}` selects no pods, and `exposure.{setting}` of instance `{}` protects pods; \
                         give the Service a selector",
                        self.instance.name
                    ),
                ),
            ));
        }
        let port = known.ports.iter().find(|port| port.port == self.api.port);
        Ok(Pods {
            labels: known.selector.clone(),
            port: port.map_or_else(|| json!(self.api.port), |port| port.target.clone()),
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
