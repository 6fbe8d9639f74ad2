//! Through a VirtualService of Istio on Gateways of the platform:
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::GatewayFacts;
use super::object::{
    ANOTHER_WAY, ClusterObject, ExposureObject, ObjectFacts, ObjectKind, Origin, Waits,
};
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
    let matches = routes.flat_map(|route| route["match"].as_array().into_iter().flatten());
    // Each path stands there twice, see below.
    let paths = matches.filter_map(|found| found["uri"]["exact"].as_str());
    paths.map(str::to_owned).collect()
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
        let matches = std::iter::once(&self.path).chain(also).flat_map(|path| {
            let below = format!("{}/", path.trim_end_matches('/'));
            [
                json!({"uri": {"exact": path}}),
                json!({"uri": {"prefix": below}}),
            ]
        });
        let destination = json!({"host": self.service, "port": {"number": self.port}});
        json!({
            "hosts": [self.host],
            "gateways": self.gateways,
            "http": [{"match": matches.collect::<Vec<_>>(), "route": [{"destination": destination}]}],
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
