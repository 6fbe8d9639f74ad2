//! Through a VirtualService of Istio on Gateways of the platform:
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::GatewayFacts;
use super::object::{
    ANOTHER_WAY, ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits,
};
use super::rules::{Rule, To, rules, whole};
use crate::desired::DesiredVirtualService;
use crate::names::ObjectKey;

/// VirtualServices.
pub(super) static KIND: ObjectKind = ObjectKind {
    kind: "VirtualService",
    group: "networking.istio.io",
    version: "v1",
    plural: "virtualservices",
    comes_with: Some("Istio 1.22 or newer"),
    role: Some("apim-operator-istio"),
    reads: &[],
    instead: ANOTHER_WAY,
    facts: |_| ObjectFacts::default(),
    paths,
};

fn paths(spec: &Value) -> Vec<String> {
    let routes = spec["http"].as_array().into_iter().flatten();
    let paths = routes.flat_map(|route| {
        let matches = route["match"].as_array().into_iter().flatten();
        let to = route["route"].to_string();
        // Each path stands there twice, see below.
        let prefixes = matches.filter_map(|found| found["uri"]["prefix"].as_str());
        prefixes.map(move |prefix| {
            let path = prefix.strip_suffix('/').filter(|path| !path.is_empty());
            (path.unwrap_or("/").to_owned(), to.clone())
        })
    });
    whole(paths.collect())
}

impl ClusterObject for DesiredVirtualService {
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
        // Istio's prefixes are of characters, not of segments: `/shop` would
        // take `/shopping` too.
        let matches = |rule: &Rule<'_>| {
            let below = format!("{}/", rule.path.trim_end_matches('/'));
            let exact = json!({"uri": {"exact": rule.path}});
            let prefix = (!rule.exact).then(|| json!({"uri": {"prefix": below}}));
            std::iter::once(exact).chain(prefix)
        };
        let to = To {
            service: &self.service,
            port: self.port,
        };
        let mut rules = rules(&self.path, to, &self.routes, also);
        if !self.routes.is_empty() {
            // The first that matches wins.
            rules.sort_by_key(|rule| (!rule.exact, Reverse(rule.path.len())));
        }
        let http = rules.chunk_by(|one, next| one.to == next.to).map(|rules| {
            let matches = rules.iter().flat_map(matches).collect::<Vec<_>>();
            let To { service, port } = rules.first().map_or(to, |rule| rule.to);
            let destination = json!({"host": service, "port": {"number": port}});
            json!({"match": matches, "route": [{"destination": destination}]})
        });
        json!({
            "hosts": [self.host],
            "gateways": self.gateways,
            "http": http.collect::<Vec<_>>(),
        })
    }
}

impl ExposureObject for DesiredVirtualService {
    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }

    /// Istio says nothing about a VirtualService: the host is what callers
    /// know, and its Gateway is the platform's.
    fn origin(
        &self,
        facts: &ObjectFacts,
        _: &BTreeMap<ObjectKey, GatewayFacts>,
    ) -> Result<Origin, Waits> {
        if facts.uid.is_empty() {
            return Err(Waits::for_address(format!(
                "VirtualService `{}` is not there yet",
                self.name
            )));
        }
        let scheme = if self.tls { "https" } else { "http" };
        Ok(Origin {
            url: format!("{scheme}://{}", self.host),
            address: self.host.clone(),
        })
    }
}
