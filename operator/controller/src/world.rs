//! What the operator knows of the cluster besides the ExposedAPIs: addresses of
//! what it made to expose them, readiness of Services, labels of namespaces.
//!
//! The world takes no part in I/O: watches feed it, and each change answers
//! which ExposedAPIs it concerns. A change that concerns nobody, such as the
//! echo of the operator's own write, triggers nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kube::api::DynamicObject;
use operator_core::exposure::{GatewayFacts, ObjectFacts, ObjectKind, RoutedFacts, name_of};
use operator_core::gateway::select::Hosted;
use operator_core::names::ObjectKey;
use parking_lot::RwLock;
use smol_str::SmolStr;

use crate::links::Links;

mod gateways;
mod seen;
mod services;

pub use seen::{News, Seen};
use services::Slice;
pub(crate) use services::{SERVICE_LABEL, is_ready};

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<(&'static str, ObjectKey), (Box<Seen>, ObjectKey)>,
    /// Those of a kind that an ExposedAPI has more than one of: with another
    /// name than the one that the kind has for it.
    more: BTreeMap<(&'static str, ObjectKey), BTreeSet<SmolStr>>,
    gateways: BTreeMap<ObjectKey, GatewayFacts>,
    /// The self-hosted gateways.
    hosted: BTreeMap<ObjectKey, Hosted>,
    /// The ExposedAPIs that are reached at a gateway in the cluster.
    at_gateways: BTreeSet<ObjectKey>,
    /// The kinds that may not be seen, with what was said.
    denied: BTreeMap<&'static str, String>,
    /// Those whose exposure depends on what their Service is like.
    readers: BTreeSet<ObjectKey>,
    /// Those whose document the running Service answers with.
    askers: BTreeSet<ObjectKey>,
    slices: HashMap<ObjectKey, Slice>,
    slices_of: Links<ObjectKey, ObjectKey>,
    services: BTreeSet<ObjectKey>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    implementations: Links<ObjectKey, SmolStr>,
    implementation_of: HashMap<ObjectKey, ObjectKey>,
    /// The Services to which routes lead, with the names of the ExposedAPIs.
    routed: Links<ObjectKey, SmolStr>,
    routed_of: HashMap<ObjectKey, BTreeSet<SmolStr>>,
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
        let service = implementation.map(|name| key.beside(name));
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

    /// Records to which Services the routes of an ExposedAPI lead.
    pub fn routes_to(&self, key: &ObjectKey, services: BTreeSet<&str>) {
        let is_known = |known: &BTreeSet<SmolStr>| {
            known.len() == services.len() && services.iter().all(|one| known.contains(*one))
        };
        let known = self.inner.read().routed_of.get(key).map(is_known);
        if known.unwrap_or(services.is_empty()) {
            return;
        }
        let mut inner = self.inner.write();
        inner.forget_routes(key);
        for service in &services {
            let service = key.beside(*service);
            inner.routed.insert(service, key.name.clone());
        }
        if !services.is_empty() {
            let services = services.into_iter().map(SmolStr::from).collect();
            inner.routed_of.insert(key.clone(), services);
        }
    }

    /// How the Services are to which the routes of an ExposedAPI lead.
    #[must_use]
    pub fn routed(&self, key: &ObjectKey) -> BTreeMap<String, RoutedFacts> {
        let inner = self.inner.read();
        let services = inner.routed_of.get(key).into_iter().flatten();
        let facts = services.map(|name| {
            let service = key.beside(name.clone());
            let facts = RoutedFacts {
                exists: inner.services.contains(&service),
                ready: inner.is_ready(&service),
                service: None,
            };
            (name.to_string(), facts)
        });
        facts.collect()
    }

    /// Forgets an ExposedAPI.
    pub fn exposed_api_gone(&self, key: &ObjectKey) {
        let mut inner = self.inner.write();
        inner.forget_implementation(key);
        inner.forget_routes(key);
        inner.readers.remove(key);
        inner.at_gateways.remove(key);
        inner.askers.remove(key);
    }

    /// Records an object of ours and answers the ExposedAPI that must look at
    /// it, and for what.
    pub fn object_seen(
        &self,
        kind: &'static ObjectKind,
        object: &DynamicObject,
    ) -> Option<(ObjectKey, News)> {
        let (key, owner) = seen::keys(object)?;
        let seen = Seen::of(kind, object);
        let before = self
            .inner
            .write()
            .put(kind, key, seen.clone(), owner.clone());
        let news = match before {
            Some((before, _)) => before.news(&seen)?,
            None => News::Content,
        };
        Some((owner, news))
    }

    /// Records what the operator is about to write, keeping the address that is
    /// known: the echo of the write may come before its answer.
    pub fn object_expected(&self, kind: &'static ObjectKind, object: &DynamicObject) {
        let Some((key, owner)) = seen::keys(object) else {
            return;
        };
        let mut expected = Seen::of(kind, object);
        let mut inner = self.inner.write();
        if let Some((before, _)) = inner.objects.get(&(kind.kind, key.clone())) {
            expected.facts = before.facts.clone();
        }
        inner.put(kind, key, expected, owner);
    }

    /// Records what the operator itself wrote, so that the echo of its own
    /// write is no news.
    pub fn object_written(&self, kind: &'static ObjectKind, object: &DynamicObject) -> Seen {
        let mut seen = Seen::of(kind, object);
        if let Some((key, owner)) = seen::keys(object) {
            let mut inner = self.inner.write();
            // The answer shows the object as it was when it was written; the
            // watch may have brought an address since.
            if let Some((before, _)) = inner.objects.get(&(kind.kind, key.clone()))
                && seen.facts.address().is_none()
                && seen.facts.accepted.is_none()
            {
                let uid = std::mem::take(&mut seen.facts.uid);
                let port = seen.facts.port;
                seen.facts = ObjectFacts {
                    uid,
                    port: port.or(before.facts.port),
                    ..before.facts.clone()
                };
            }
            inner.put(kind, key, seen.clone(), owner);
        }
        seen
    }

    /// Forgets an object of ours and answers the ExposedAPI that must look at
    /// it.
    pub fn object_gone(&self, kind: &ObjectKind, key: &ObjectKey) -> Option<ObjectKey> {
        let mut inner = self.inner.write();
        let (_, owner) = inner.objects.remove(&(kind.kind, key.clone()))?;
        let of = (kind.kind, owner);
        if let Some(more) = inner.more.get_mut(&of) {
            more.remove(&key.name);
            if more.is_empty() {
                inner.more.remove(&of);
            }
        }
        Some(of.1)
    }

    /// The names of the objects of a kind that an ExposedAPI has, or had under
    /// another UID.
    #[must_use]
    pub fn objects_of(&self, kind: &ObjectKind, owner: &ObjectKey) -> Vec<String> {
        let name = name_of(kind, owner);
        let inner = self.inner.read();
        let is_there = inner
            .objects
            .contains_key(&(kind.kind, owner.beside(&*name)));
        let more = inner.more.get(&(kind.kind, owner.clone()));
        let more = more.into_iter().flatten().map(ToString::to_string);
        is_there.then_some(name).into_iter().chain(more).collect()
    }

    /// An object of ours.
    #[must_use]
    pub fn object(&self, kind: &ObjectKind, namespace: &str, name: &str) -> Option<Seen> {
        let inner = self.inner.read();
        let key = (kind.kind, ObjectKey::new(namespace, name));
        inner.objects.get(&key).map(|(seen, _)| (**seen).clone())
    }

    /// All known objects of a kind.
    #[must_use]
    pub fn objects(&self, kind: &ObjectKind) -> Vec<ObjectKey> {
        let inner = self.inner.read();
        let keys = inner.objects.keys().filter(|(of, _)| *of == kind.kind);
        keys.map(|(_, key)| key.clone()).collect()
    }

    /// Records that a kind may not be seen, or may.
    pub fn deny(&self, kind: &'static str, message: Option<String>) {
        let mut inner = self.inner.write();
        match message {
            Some(message) => inner.denied.insert(kind, message),
            None => inner.denied.remove(kind),
        };
    }

    /// Why a kind may not be seen; nothing where it may.
    #[must_use]
    pub fn denied(&self, kind: &str) -> Option<String> {
        self.inner.read().denied.get(kind).cloned()
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
    /// Records an object and who owns it; what was known of it.
    fn put(
        &mut self,
        kind: &'static ObjectKind,
        key: ObjectKey,
        seen: Seen,
        owner: ObjectKey,
    ) -> Option<(Box<Seen>, ObjectKey)> {
        if name_of(kind, &owner) != key.name {
            let of = (kind.kind, owner.clone());
            self.more.entry(of).or_default().insert(key.name.clone());
        }
        self.objects
            .insert((kind.kind, key), (Box::new(seen), owner))
    }

    fn forget_implementation(&mut self, key: &ObjectKey) {
        if let Some(service) = self.implementation_of.remove(key) {
            self.implementations.remove(&service, &key.name);
        }
    }

    fn forget_routes(&mut self, key: &ObjectKey) {
        for service in self.routed_of.remove(key).into_iter().flatten() {
            self.routed.remove(&key.beside(service), &key.name);
        }
    }

    fn users_of(&self, service: &ObjectKey) -> Vec<ObjectKey> {
        let users = self.implementations.of(service);
        let users: BTreeSet<&SmolStr> = users.chain(self.routed.of(service)).collect();
        let users = users.into_iter();
        users.map(|name| service.beside(name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::{Value, json};

    use super::*;

    fn ingress(address: Option<&str>, path: &str) -> DynamicObject {
        let points: Vec<Value> = address.map(|ip| json!({"ip": ip})).into_iter().collect();
        serde_json::from_value(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "namespace": "shop", "name": "apim-api-ingress-catalog", "uid": "u-1",
                "ownerReferences": [{"apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": "catalog", "uid": "u-0"}],
            },
            "spec": {"rules": [{"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {}}]}}]},
            "status": {"loadBalancer": {"ingress": points}},
        }))
        .unwrap()
    }

    fn kind() -> &'static ObjectKind {
        operator_core::exposure::KINDS[0]
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
        world.object_written(kind(), &ingress(None, "/a"));
        assert_eq!(world.object_seen(kind(), &ingress(None, "/a")), None);
    }

    #[test]
    fn an_address_triggers_the_owner_once() {
        let world = World::default();
        world.object_written(kind(), &ingress(None, "/a"));
        let news = (ObjectKey::new("shop", "catalog"), News::Address);
        assert_eq!(
            world.object_seen(kind(), &ingress(Some("192.0.2.1"), "/a")),
            Some(news)
        );
        assert_eq!(
            world.object_seen(kind(), &ingress(Some("192.0.2.1"), "/a")),
            None
        );
        let seen = world
            .object(kind(), "shop", "apim-api-ingress-catalog")
            .unwrap();
        assert_eq!(seen.facts.ip.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_change_by_hand_and_a_deletion_trigger_the_owner() {
        let world = World::default();
        world.object_written(kind(), &ingress(None, "/a"));
        let owner = ObjectKey::new("shop", "catalog");
        let news = (owner.clone(), News::Content);
        let owner = Some(owner);
        assert_eq!(world.object_seen(kind(), &ingress(None, "/b")), Some(news));
        let key = ObjectKey::new("shop", "apim-api-ingress-catalog");
        assert_eq!(world.object_gone(kind(), &key), owner);
        assert_eq!(world.object_gone(kind(), &key), None);
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
    fn whose_document_a_service_answers_with_hears_of_other_endpoints_too() {
        let at = |address: &str| -> EndpointSlice {
            let mut slice = slice(true);
            slice.endpoints.as_mut().unwrap()[0].addresses = vec![address.into()];
            slice
        };
        let world = World::default();
        let asker = ObjectKey::new("shop", "catalog");
        world.exposed_api_seen(&asker, Some("catalog-svc"));
        world.exposed_api_seen(&ObjectKey::new("shop", "other"), Some("catalog-svc"));
        world.asks_service(&asker, true);
        assert_eq!(world.slice_seen(&at("10.0.0.1")).len(), 2);
        let before = world.endpoints("shop", "catalog-svc");
        assert_eq!(world.slice_seen(&at("10.0.0.1")), vec![]);
        assert_eq!(world.slice_seen(&at("10.0.0.2")), vec![asker.clone()]);
        assert_ne!(world.endpoints("shop", "catalog-svc"), before);
        world.asks_service(&asker, false);
        assert_eq!(world.slice_seen(&at("10.0.0.3")), vec![]);
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
