//! Through an HTTPRoute of the Gateway API, which a Gateway of the platform
//! takes: <https://gateway-api.sigs.k8s.io/reference/spec/>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::object::{
    ANOTHER_WAY, ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits,
};
use super::rules::{To, by_destination, rules, whole};
use super::{GatewayFacts, in_url, named};
use crate::desired::DesiredHttpRoute;
use crate::names::ObjectKey;
use crate::status::reasons::Reason;

/// HTTPRoutes.
pub(super) static KIND: ObjectKind = ObjectKind {
    kind: "HTTPRoute",
    group: "gateway.networking.k8s.io",
    version: "v1",
    plural: "httproutes",
    comes_with: Some("the Gateway API (its standard channel)"),
    role: Some("apim-operator-http-route"),
    reads: &["Gateway"],
    instead: ANOTHER_WAY,
    facts,
    paths,
};

/// What the Gateways said of the route: one that takes it is enough.
fn facts(object: &Value) -> ObjectFacts {
    let parents = || object["status"]["parents"].as_array().into_iter().flatten();
    let verdict = |parent: &Value, name: &str| -> Option<(bool, String)> {
        let conditions = parent["conditions"].as_array()?;
        let found = conditions.iter().find(|found| found["type"] == name)?;
        let message = format!(
            "{}: {}",
            found["reason"].as_str().unwrap_or(name),
            found["message"].as_str().unwrap_or_default()
        );
        Some((found["status"] == "True", message))
    };
    let wrong = |parent: &Value| {
        ["Accepted", "ResolvedRefs"]
            .into_iter()
            .find_map(|name| verdict(parent, name).filter(|(holds, _)| !holds))
    };
    let taken = |parent: &Value| {
        verdict(parent, "Accepted").is_some_and(|(holds, _)| holds) && wrong(parent).is_none()
    };
    let refusal = parents().find_map(wrong);
    let accepted = if parents().any(taken) {
        Some(true)
    } else {
        refusal.as_ref().map(|_| false)
    };
    ObjectFacts {
        accepted,
        refusal: refusal
            .map(|(_, message)| message)
            .filter(|_| accepted == Some(false)),
        ..ObjectFacts::default()
    }
}

fn paths(spec: &Value) -> Vec<String> {
    let rules = spec["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| {
        let matches = rule["matches"].as_array().into_iter().flatten();
        let to = rule["backendRefs"].to_string();
        let prefixes = matches.filter(|found| found["path"]["type"] != "Exact");
        let paths = prefixes.filter_map(|found| found["path"]["value"].as_str());
        paths.map(move |path| (path.to_owned(), to.clone()))
    });
    whole(paths.collect())
}

impl ClusterObject for DesiredHttpRoute {
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
        // Defaults are written out: they are compared with what is there.
        let parents = self.parents.iter().map(|parent| {
            let mut reference = json!({
                "group": KIND.group, "kind": "Gateway",
                "namespace": parent.namespace, "name": parent.name,
            });
            if let Some(section) = &parent.section {
                reference["sectionName"] = json!(section);
            }
            reference
        });
        let to = To {
            service: &self.service,
            port: self.port,
        };
        // The longest path wins, whatever the order:
        // <https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule>.
        let all = rules(&self.path, to, &self.routes, also);
        let rules = by_destination(&all).into_iter().map(|(to, rules)| {
            let matches = rules.iter().map(|rule| {
                let kind = if rule.exact { "Exact" } else { "PathPrefix" };
                json!({"path": {"type": kind, "value": rule.path}})
            });
            let backend = json!({
                "group": "", "kind": "Service", "name": to.service, "port": to.port, "weight": 1,
            });
            json!({"matches": matches.collect::<Vec<_>>(), "backendRefs": [backend]})
        });
        let mut spec = json!({
            "parentRefs": parents.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        });
        if let Some(host) = &self.host {
            spec["hostnames"] = json!([host]);
        }
        spec
    }
}

impl ExposureObject for DesiredHttpRoute {
    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn origin(
        &self,
        facts: &ObjectFacts,
        gateways: &BTreeMap<ObjectKey, GatewayFacts>,
    ) -> Result<Origin, Waits> {
        let refused = |message: String| Waits {
            reason: Reason::NotAccepted,
            message,
        };
        let Some(parent) = self.parents.first() else {
            return Err(refused(
                "no Gateway is named in `exposure.httpRoute.parents`".into(),
            ));
        };
        let gateway = format!("Gateway `{}/{}`", parent.namespace, parent.name);
        match facts.accepted {
            Some(true) => {}
            Some(false) => {
                return Err(refused(format!(
                    "{gateway} does not take HTTPRoute `{}`: {}",
                    self.name,
                    facts.refusal.as_deref().unwrap_or("it does not say why")
                )));
            }
            None if !gateways.contains_key(&ObjectKey::new(&parent.namespace, &parent.name)) => {
                return Err(refused(format!(
                    "{gateway} does not exist; create it, or name another one in `exposure.httpRoute.parents`"
                )));
            }
            None => {
                return Err(refused(format!(
                    "no Gateway has taken HTTPRoute `{}` yet; {gateway} is asked to",
                    self.name
                )));
            }
        }
        let key = ObjectKey::new(&parent.namespace, &parent.name);
        let known = gateways.get(&key);
        let address = known.and_then(|known| known.address.as_deref());
        let (Some(known), Some(address)) = (known, address) else {
            return Err(Waits::for_address(format!("{gateway} has no address yet")));
        };
        let listener = known.listeners.iter().find(|listener| {
            parent
                .section
                .as_ref()
                .is_none_or(|section| *section == listener.name)
        });
        let Some(listener) = listener else {
            return Err(refused(format!(
                "{gateway} has no listener `{}`",
                parent.section.as_deref().unwrap_or_default()
            )));
        };
        let (scheme, usual) = match listener.protocol.as_str() {
            "HTTPS" | "TLS" => ("https", 443),
            _ => ("http", 80),
        };
        let host = named(self.host.as_deref())
            .or_else(|| named(listener.hostname.as_deref()))
            .map_or_else(|| in_url(address), str::to_owned);
        let port = match listener.port {
            port if port == usual => String::new(),
            port => format!(":{port}"),
        };
        Ok(Origin {
            url: format!("{scheme}://{host}{port}"),
            address: address.to_owned(),
        })
    }
}
