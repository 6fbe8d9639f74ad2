//! The seam between a way into the cluster and everything else: what an object
//! that brings traffic to an implementation must say about itself.
//!
//! A new way is a file beside this one and a line in [`KINDS`](super::KINDS)
//! and [`Exposure::object`](crate::desired::Exposure::object): how it is
//! applied, watched, compared, planned and removed is the same for all.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::GatewayFacts;
use crate::names::ObjectKey;
use crate::status::reasons::Reason;

/// A kind of object in the cluster.
#[derive(Debug)]
pub struct ObjectKind {
    /// `Ingress`.
    pub kind: &'static str,
    /// `networking.k8s.io`; empty for the core group.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `ingresses`.
    pub plural: &'static str,
    /// What brings the kind, where not every cluster has it.
    pub comes_with: Option<&'static str>,
    /// The ClusterRole of `deploy/rbac-exposures.yaml` that lets the operator
    /// make it; absent: `deploy/rbac.yaml` does.
    pub role: Option<&'static str>,
    /// The kinds whose objects must be seen, too.
    pub reads: &'static [&'static str],
    /// What to do in a cluster without the kind, besides installing it.
    pub instead: &'static str,
    /// What matters of an object of the kind.
    pub facts: fn(&Value) -> ObjectFacts,
    /// The paths of a spec; empty where the kind knows none.
    pub paths: fn(&Value) -> Vec<String>,
}

/// A kind is its name.
impl PartialEq for ObjectKind {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.group == other.group
    }
}

impl Eq for ObjectKind {}

impl Serialize for ObjectKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.kind)
    }
}

/// What to do in a cluster without the kind of a way.
pub(super) const ANOTHER_WAY: &str =
    "choose another exposure (`exposure.way` of the instance, annotation `exposure`)";

impl ObjectKind {
    /// `networking.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// What is known of an object that the operator made for an exposure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectFacts {
    /// Its UID; empty until the API server has answered.
    pub uid: String,
    /// The host name at which it is reached.
    pub hostname: Option<String>,
    /// The address at which it is reached.
    pub ip: Option<String>,
    /// The port that was allocated to it.
    pub port: Option<u16>,
    /// Whether whoever serves it took it: nothing while it has not said so.
    pub accepted: Option<bool>,
    /// Why whoever serves it does not.
    pub refusal: Option<String>,
}

impl ObjectFacts {
    /// The host name, else the address.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        [&self.hostname, &self.ip]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .find(|text| !text.is_empty())
    }

    /// The first point of a `status.loadBalancer`, as Ingresses and Services
    /// have it.
    pub(super) fn balanced(status: &Value) -> Self {
        let point = &status["loadBalancer"]["ingress"][0];
        let text = |field: &str| {
            let text = point[field].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Self {
            hostname: text("hostname"),
            ip: text("ip"),
            ..Self::default()
        }
    }
}

/// Where an object is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Scheme, host and port, without a path.
    pub url: String,
    /// The address behind it, for people.
    pub address: String,
}

/// What an object waits for before it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// In a word.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
}

impl Waits {
    /// For an address, which somebody gives.
    pub(super) fn for_address(message: String) -> Self {
        Self {
            reason: Reason::NoAddress,
            message,
        }
    }
}

/// An object in the cluster, with the fields that the operator owns.
pub trait ClusterObject: Send + Sync {
    /// Its kind.
    fn kind(&self) -> &'static ObjectKind;

    /// Its name.
    fn name(&self) -> &str;

    /// Its annotations.
    fn annotations(&self) -> &BTreeMap<String, String>;

    /// Its spec, which also holds earlier paths to which API Management still
    /// sends callers.
    fn spec(&self, also: &BTreeSet<String>) -> Value;
}

/// An object that brings traffic to an implementation.
pub trait ExposureObject: ClusterObject {
    /// The path at which it takes requests; none where it takes all.
    fn path(&self) -> Option<&str>;

    /// Where it is reached.
    fn origin(
        &self,
        facts: &ObjectFacts,
        gateways: &BTreeMap<ObjectKey, GatewayFacts>,
    ) -> Result<Origin, Waits>;
}

/// Whether all that is wanted is there. What others, or the API server's
/// defaults, added to an object is not the operator's; a list is owned whole.
#[must_use]
pub fn covers(wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => wanted.iter().all(|(name, wanted)| {
            let there = there.get(name).unwrap_or(&Value::Null);
            wanted.is_null() && there.is_null() || covers(wanted, there)
        }),
        (Value::Array(wanted), Value::Array(there)) => {
            wanted.len() == there.len()
                && wanted
                    .iter()
                    .zip(there)
                    .all(|(wanted, there)| covers(wanted, there))
        }
        (wanted, there) => wanted == there,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_add_to_objects_is_theirs_and_a_list_is_owned_whole() {
        let wanted = json!({"class": "a", "paths": [{"path": "/a"}], "host": null});
        assert!(covers(
            &wanted,
            &json!({"class": "a", "paths": [{"path": "/a", "type": "x"}], "more": 1})
        ));
        for there in [
            json!({"class": "b", "paths": [{"path": "/a"}]}),
            json!({"class": "a", "paths": [{"path": "/a"}, {"path": "/b"}]}),
            json!({"class": "a", "paths": []}),
            json!({"class": "a", "paths": [{"path": "/a"}], "host": "h"}),
            json!({"paths": [{"path": "/a"}]}),
        ] {
            assert!(!covers(&wanted, &there), "{there}");
        }
    }
}
