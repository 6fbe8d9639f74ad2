//! What the operator knows of the cluster besides the ExposedAPIs: addresses of
//! its Ingresses, readiness of Services, labels of namespaces.
//!
//! The world takes no part in I/O: watches feed it, and each change answers
//! which ExposedAPIs it concerns. A change that concerns nobody, such as the
//! echo of the operator's own write, triggers nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use operator_core::names::ObjectKey;
use parking_lot::RwLock;

use crate::links::Links;

/// The label by which EndpointSlices name their Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// An Ingress as last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct IngressSeen {
    /// Its uid; empty until the API server has answered.
    pub uid: String,
    /// The uid of the ExposedAPI that owns it.
    pub owner_uid: Option<String>,
    /// The load balancer's host name.
    pub hostname: Option<String>,
    /// The load balancer's IP address.
    pub ip: Option<String>,
    /// As JSON, which takes a fraction of the tree.
    spec: Option<Box<str>>,
    annotations: BTreeMap<String, String>,
}

fn text(spec: Option<&IngressSpec>) -> Option<Box<str>> {
    // A type of names and texts always serializes.
    spec.and_then(|spec| serde_json::to_string(spec).ok())
        .map(Into::into)
}

impl IngressSeen {
    /// Reads what matters of an Ingress.
    #[must_use]
    pub fn of(ingress: &Ingress) -> Self {
        let point = ingress
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref())
            .and_then(|balancer| balancer.ingress.as_ref())
            .and_then(|points| points.first());
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            uid: ingress.uid().unwrap_or_default(),
            owner_uid: owner(ingress).map(|owner| owner.uid.clone()),
            hostname: point.and_then(|point| filled(&point.hostname)),
            ip: point.and_then(|point| filled(&point.ip)),
            spec: text(ingress.spec.as_ref()),
            annotations: ingress.annotations().clone(),
        }
    }

    /// Its spec.
    #[must_use]
    pub fn spec(&self) -> Option<IngressSpec> {
        let text = self.spec.as_deref()?;
        serde_json::from_str(text).ok()
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&String> {
        self.annotations.get(name)
    }

    /// The paths of its rules.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let spec = self.spec().unwrap_or_default();
        let rules = spec.rules.iter().flatten();
        let paths = rules.flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths));
        paths.filter_map(|path| path.path.clone()).collect()
    }

    /// Whether all that the operator wants of the Ingress is there. Others may
    /// have added annotations.
    #[must_use]
    pub fn has(&self, wanted: &Ingress) -> bool {
        self.spec == text(wanted.spec.as_ref())
            && wanted
                .annotations()
                .iter()
                .all(|(name, value)| self.annotations.get(name) == Some(value))
    }

    /// Whether a change from `self` to `now` is worth a reconcile: an address,
    /// or something that the operator wrote. Annotations of others are not.
    fn news(&self, now: &Self) -> Option<IngressNews> {
        let lost = |name: &String, value: &String| now.annotations.get(name) != Some(value);
        let content = self.spec != now.spec
            || self.owner_uid != now.owner_uid
            || self
                .annotations
                .iter()
                .any(|(name, value)| lost(name, value));
        let address = self.hostname != now.hostname || self.ip != now.ip;
        match (content, address) {
            (true, _) => Some(IngressNews::Content),
            (false, true) => Some(IngressNews::Address),
            (false, false) => None,
        }
    }
}

/// What is new about an Ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngressNews {
    /// Something that the operator wrote, or all of it.
    Content,
    /// Only the address that the ingress controller gave it.
    Address,
}

#[derive(Debug, Default)]
struct Inner {
    ingresses: HashMap<ObjectKey, (IngressSeen, ObjectKey)>,
    slices: HashMap<ObjectKey, (ObjectKey, bool)>,
    slices_of: Links<ObjectKey, ObjectKey>,
    services: BTreeSet<ObjectKey>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    implementations: Links<ObjectKey, String>,
    implementation_of: HashMap<ObjectKey, ObjectKey>,
}

/// The operator's view of the cluster.
#[derive(Debug, Default)]
pub struct World {
    inner: RwLock<Inner>,
}

impl World {
    /// Records that an ExposedAPI is implemented by a Service.
    pub fn exposed_api_seen(&self, key: &ObjectKey, implementation: Option<&str>) {
        let mut inner = self.inner.write();
        let service = implementation.map(|name| ObjectKey::new(&key.namespace, name));
        if inner.implementation_of.get(key) == service.as_ref() {
            return;
        }
        inner.forget_implementation(key);
        if let Some(service) = service {
            inner
                .implementations
                .insert(service.clone(), key.name.clone());
            inner.implementation_of.insert(key.clone(), service);
        }
    }

    /// Forgets an ExposedAPI.
    pub fn exposed_api_gone(&self, key: &ObjectKey) {
        self.inner.write().forget_implementation(key);
    }

    /// Records an Ingress and answers the ExposedAPI that must look at it, and
    /// for what.
    pub fn ingress_seen(&self, ingress: &Ingress) -> Option<(ObjectKey, IngressNews)> {
        let (key, owner) = ingress_keys(ingress)?;
        let seen = IngressSeen::of(ingress);
        let before = self
            .inner
            .write()
            .ingresses
            .insert(key, (seen.clone(), owner.clone()));
        let news = match before {
            Some((before, _)) => before.news(&seen)?,
            None => IngressNews::Content,
        };
        Some((owner, news))
    }

    /// Records what the operator is about to write, keeping the address that is
    /// known: the echo of the write may come before its answer.
    pub fn ingress_expected(&self, ingress: &Ingress) {
        let Some((key, owner)) = ingress_keys(ingress) else {
            return;
        };
        let mut expected = IngressSeen::of(ingress);
        let mut inner = self.inner.write();
        if let Some((before, _)) = inner.ingresses.get(&key) {
            expected.uid.clone_from(&before.uid);
            expected.hostname.clone_from(&before.hostname);
            expected.ip.clone_from(&before.ip);
        }
        inner.ingresses.insert(key, (expected, owner));
    }

    /// Records what the operator itself wrote, so that the echo of its own
    /// write is no news.
    pub fn ingress_written(&self, ingress: &Ingress) -> IngressSeen {
        let mut seen = IngressSeen::of(ingress);
        if let Some((key, owner)) = ingress_keys(ingress) {
            let mut inner = self.inner.write();
            // The answer shows the object as it was when it was written; the
            // watch may have brought an address since.
            if let Some((before, _)) = inner.ingresses.get(&key)
                && seen.hostname.is_none()
                && seen.ip.is_none()
            {
                seen.hostname.clone_from(&before.hostname);
                seen.ip.clone_from(&before.ip);
            }
            inner.ingresses.insert(key, (seen.clone(), owner));
        }
        seen
    }

    /// Forgets an Ingress and answers the ExposedAPI that must look at it.
    pub fn ingress_gone(&self, key: &ObjectKey) -> Option<ObjectKey> {
        self.inner
            .write()
            .ingresses
            .remove(key)
            .map(|(_, owner)| owner)
    }

    /// The Ingress of an ExposedAPI.
    #[must_use]
    pub fn ingress(&self, namespace: &str, ingress: &str) -> Option<IngressSeen> {
        let inner = self.inner.read();
        inner
            .ingresses
            .get(&ObjectKey::new(namespace, ingress))
            .map(|(seen, _)| seen.clone())
    }

    /// All known Ingresses.
    #[must_use]
    pub fn ingresses(&self) -> Vec<ObjectKey> {
        self.inner.read().ingresses.keys().cloned().collect()
    }

    /// Records an EndpointSlice and answers the ExposedAPIs whose readiness
    /// changed with it.
    pub fn slice_seen(&self, slice: &EndpointSlice) -> Vec<ObjectKey> {
        let Some((key, service)) = slice_keys(slice) else {
            return Vec::new();
        };
        let ready = slice
            .endpoints
            .as_deref()
            .unwrap_or_default()
            .iter()
            .any(|endpoint| {
                // Kubernetes: "a nil value should be interpreted as true".
                endpoint
                    .conditions
                    .as_ref()
                    .is_none_or(|conditions| conditions.ready != Some(false))
                    && !endpoint.addresses.is_empty()
            });
        self.inner.write().change_slice(key, Some((service, ready)))
    }

    /// Forgets an EndpointSlice and answers the ExposedAPIs whose readiness
    /// changed with it.
    pub fn slice_gone(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        self.inner.write().change_slice(key.clone(), None)
    }

    /// All known EndpointSlices.
    #[must_use]
    pub fn slices(&self) -> Vec<ObjectKey> {
        self.inner.read().slices.keys().cloned().collect()
    }

    /// Records a Service and answers the ExposedAPIs that waited for it.
    pub fn service_seen(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        if inner.services.insert(key.clone()) {
            inner.users_of(key)
        } else {
            Vec::new()
        }
    }

    /// Forgets a Service and answers the ExposedAPIs that lose it.
    pub fn service_gone(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        if inner.services.remove(key) {
            inner.users_of(key)
        } else {
            Vec::new()
        }
    }

    /// Whether a Service exists.
    #[must_use]
    pub fn has_service(&self, namespace: &str, service: &str) -> bool {
        self.inner
            .read()
            .services
            .contains(&ObjectKey::new(namespace, service))
    }

    /// All known Services.
    #[must_use]
    pub fn services(&self) -> Vec<ObjectKey> {
        self.inner.read().services.iter().cloned().collect()
    }

    /// Whether a Service has a ready endpoint.
    #[must_use]
    pub fn is_ready(&self, namespace: &str, service: &str) -> bool {
        self.inner
            .read()
            .is_ready(&ObjectKey::new(namespace, service))
    }

    /// Records a namespace's labels and answers whether they changed.
    pub fn namespace_seen(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let before = self
            .inner
            .write()
            .namespaces
            .insert(name.to_owned(), labels.clone());
        before.is_some_and(|before| before != *labels)
    }

    /// Forgets a namespace.
    pub fn namespace_gone(&self, name: &str) {
        self.inner.write().namespaces.remove(name);
    }

    /// All known namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.inner.read().namespaces.keys().cloned().collect()
    }

    /// A namespace's labels.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        self.inner
            .read()
            .namespaces
            .get(name)
            .cloned()
            .unwrap_or_default()
    }
}

impl Inner {
    fn forget_implementation(&mut self, key: &ObjectKey) {
        if let Some(service) = self.implementation_of.remove(key) {
            self.implementations.remove(&service, &key.name);
        }
    }

    fn is_ready(&self, service: &ObjectKey) -> bool {
        let slices = self.slices_of.of(service);
        slices
            .filter_map(|slice| self.slices.get(slice))
            .any(|(_, ready)| *ready)
    }

    fn change_slice(&mut self, slice: ObjectKey, now: Option<(ObjectKey, bool)>) -> Vec<ObjectKey> {
        let before = self.slices.get(&slice).map(|(service, _)| service.clone());
        // A slice never moves to another Service in practice; if one does, both
        // Services are looked at.
        let services: BTreeSet<ObjectKey> = before
            .iter()
            .cloned()
            .chain(now.as_ref().map(|(service, _)| service.clone()))
            .collect();
        let was: Vec<bool> = services
            .iter()
            .map(|service| self.is_ready(service))
            .collect();
        if let Some(service) = before {
            self.slices_of.remove(&service, &slice);
        }
        match now {
            Some((service, ready)) => {
                self.slices_of.insert(service.clone(), slice.clone());
                self.slices.insert(slice, (service, ready));
            }
            None => {
                self.slices.remove(&slice);
            }
        }
        let changed = services
            .iter()
            .zip(was)
            .filter(|(service, was)| self.is_ready(service) != *was);
        changed
            .flat_map(|(service, _)| self.users_of(service))
            .collect()
    }

    fn users_of(&self, service: &ObjectKey) -> Vec<ObjectKey> {
        let users = self.implementations.of(service);
        users
            .map(|name| ObjectKey::new(&service.namespace, name))
            .collect()
    }
}

/// The key of an Ingress of ours and of the ExposedAPI it belongs to.
fn ingress_keys(ingress: &Ingress) -> Option<(ObjectKey, ObjectKey)> {
    let namespace = ingress.namespace()?;
    let name = ingress.name_any();
    // The owner reference rather than the name: a long name is cut.
    Some((
        ObjectKey::new(&namespace, name),
        ObjectKey::new(&namespace, &owner(ingress)?.name),
    ))
}

fn owner(ingress: &Ingress) -> Option<&OwnerReference> {
    ingress
        .owner_references()
        .iter()
        .find(|owner| owner.kind == crate::crd::exposed_api::KIND)
}

fn slice_keys(slice: &EndpointSlice) -> Option<(ObjectKey, ObjectKey)> {
    let service = slice.labels().get(SERVICE_LABEL)?;
    let namespace = slice.namespace()?;
    Some((
        ObjectKey::new(&namespace, slice.name_any()),
        ObjectKey::new(&namespace, service),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ingress(address: Option<&str>, path: &str) -> Ingress {
        let points: Vec<Value> = address.map(|ip| json!({"ip": ip})).into_iter().collect();
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "shop", "name": "apim-api-ingress-catalog", "uid": "u-1",
                "ownerReferences": [{"apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": "catalog", "uid": "u-0"}],
            },
            "spec": {"rules": [{"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {}}]}}]},
            "status": {"loadBalancer": {"ingress": points}},
        }))
        .unwrap()
    }

    fn slice(ready: bool) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "catalog-abc", "labels": {SERVICE_LABEL: "catalog-svc"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
        }))
        .unwrap()
    }

    #[test]
    fn the_echo_of_an_own_write_triggers_nothing() {
        let world = World::default();
        world.ingress_written(&ingress(None, "/a"));
        assert_eq!(world.ingress_seen(&ingress(None, "/a")), None);
    }

    #[test]
    fn an_address_triggers_the_owner_once() {
        let world = World::default();
        world.ingress_written(&ingress(None, "/a"));
        let news = (ObjectKey::new("shop", "catalog"), IngressNews::Address);
        assert_eq!(
            world.ingress_seen(&ingress(Some("192.0.2.1"), "/a")),
            Some(news)
        );
        assert_eq!(world.ingress_seen(&ingress(Some("192.0.2.1"), "/a")), None);
        let seen = world.ingress("shop", "apim-api-ingress-catalog").unwrap();
        assert_eq!(seen.ip.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_change_by_hand_and_a_deletion_trigger_the_owner() {
        let world = World::default();
        world.ingress_written(&ingress(None, "/a"));
        let owner = ObjectKey::new("shop", "catalog");
        let news = (owner.clone(), IngressNews::Content);
        let owner = Some(owner);
        assert_eq!(world.ingress_seen(&ingress(None, "/b")), Some(news));
        let key = ObjectKey::new("shop", "apim-api-ingress-catalog");
        assert_eq!(world.ingress_gone(&key), owner);
        assert_eq!(world.ingress_gone(&key), None);
    }

    #[test]
    fn only_users_of_a_service_hear_of_it_and_only_when_its_readiness_changes() {
        let world = World::default();
        world.exposed_api_seen(&ObjectKey::new("shop", "catalog"), Some("catalog-svc"));
        world.exposed_api_seen(&ObjectKey::new("shop", "other"), Some("other-svc"));
        world.exposed_api_seen(&ObjectKey::new("office", "catalog"), Some("catalog-svc"));
        assert_eq!(world.slice_seen(&slice(false)), vec![]);
        assert_eq!(
            world.slice_seen(&slice(true)),
            vec![ObjectKey::new("shop", "catalog")]
        );
        assert_eq!(world.slice_seen(&slice(true)), vec![]);
        assert!(world.is_ready("shop", "catalog-svc"));
        assert_eq!(
            world.slice_gone(&ObjectKey::new("shop", "catalog-abc")),
            vec![ObjectKey::new("shop", "catalog")]
        );
        assert!(!world.is_ready("shop", "catalog-svc"));
    }

    #[test]
    fn an_api_that_changes_its_implementation_hears_of_the_new_one_only() {
        let world = World::default();
        let key = ObjectKey::new("shop", "catalog");
        world.exposed_api_seen(&key, Some("catalog-svc"));
        world.exposed_api_seen(&key, Some("next-svc"));
        assert_eq!(world.slice_seen(&slice(true)), vec![]);
        world.exposed_api_gone(&key);
        assert!(world.inner.read().implementations.is_empty());
    }
}
