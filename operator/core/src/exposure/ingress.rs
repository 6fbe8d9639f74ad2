//! Through an Ingress, whose controller gives it an address.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::object::{
    ANOTHER_WAY, ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits,
};
use super::rules::{To, rules, whole};
use super::{GatewayFacts, in_url, named};
use crate::desired::DesiredIngress;
use crate::names::ObjectKey;

/// Ingresses.
pub(super) static KIND: ObjectKind = ObjectKind {
    kind: "Ingress",
    group: "networking.k8s.io",
    version: "v1",
    plural: "ingresses",
    comes_with: None,
    role: None,
    reads: &[],
    instead: ANOTHER_WAY,
    facts: |object| ObjectFacts::balanced(&object["status"]),
    paths,
};

fn paths(spec: &Value) -> Vec<String> {
    let rules = spec["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten());
    // What others wrote may have no backend of this form.
    let paths = paths.filter_map(|path| {
        let at = path["path"].as_str()?.to_owned();
        let to = path["backend"]["service"].to_string();
        (path["pathType"] != "Exact").then_some((at, to))
    });
    whole(paths.collect())
}

impl ClusterObject for DesiredIngress {
    fn kind(&self) -> &'static ObjectKind {
        &KIND
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    fn spec(&self, also: &BTreeSet<String>) -> Value {
        let to = To {
            service: &self.service,
            port: self.port,
        };
        let rules = rules(&self.path, to, &self.routes, also);
        let paths = rules.iter().map(|rule| {
            let service = json!({"name": rule.to.service, "port": {"number": rule.to.port}});
            let kind = if rule.exact { "Exact" } else { "Prefix" };
            json!({"backend": {"service": service}, "path": rule.path, "pathType": kind})
        });
        let http = json!({"paths": paths.collect::<Vec<_>>()});
        let rule = match &self.host {
            Some(host) => json!({"host": host, "http": http}),
            None => json!({"http": http}),
        };
        let mut spec = json!({"ingressClassName": self.class, "rules": [rule]});
        if let Some(secret) = &self.tls_secret {
            let tls = match &self.host {
                Some(host) => json!({"hosts": [host], "secretName": secret}),
                None => json!({"secretName": secret}),
            };
            spec["tls"] = json!([tls]);
        }
        spec
    }
}

impl ExposureObject for DesiredIngress {
    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn origin(
        &self,
        facts: &ObjectFacts,
        _: &BTreeMap<ObjectKey, GatewayFacts>,
    ) -> Result<Origin, Waits> {
        // Without an address nobody answers, whatever the rule's host is.
        let Some(address) = facts.address() else {
            return Err(Waits::for_address(format!(
                "Ingress `{}` has no address yet: the controller of class `{}` gives it one",
                self.name, self.class
            )));
        };
        let scheme = if self.tls_secret.is_some() {
            "https"
        } else {
            "http"
        };
        let host = named(self.host.as_deref()).map_or_else(|| in_url(address), str::to_owned);
        Ok(Origin {
            url: format!("{scheme}://{host}"),
            address: address.to_owned(),
        })
    }
}
