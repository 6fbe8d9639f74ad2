//! What the operator knows of the cluster besides the ExposedAPIs: addresses of
//! what it made to expose them, readiness of Services, labels of namespaces.
//!
//! The world takes no part in I/O: watches feed it, and each change answers
//! which ExposedAPIs it concerns. A change that concerns nobody, such as the
//! echo of the operator's own write, triggers nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_core::exposure::{GatewayFacts, ObjectFacts, ObjectKind, RoutedFacts, name_of};
use operator_core::gateway::select::{self, Candidate, Hosted, Reach};
use operator_core::names::{InstanceName, ObjectKey};
use parking_lot::RwLock;
use smol_str::SmolStr;

use crate::links::Links;

mod seen;

pub use seen::{News, Seen};

/// What is routed through Gateways.
const ROUTE: &str = "HTTPRoute";

/// The label by which EndpointSlices name their Service.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

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

/// An EndpointSlice.
#[derive(Debug)]
struct Slice {
    service: ObjectKey,
    ready: bool,
    /// Of the endpoints that are ready, and their ports.
    endpoints: u64,
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

    /// Records a Gateway, or that it is gone, and answers the ExposedAPIs that
    /// are routed through Gateways, if it changed.
    pub fn gateway_seen(&self, key: &ObjectKey, now: Option<GatewayFacts>) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        let changed = match now {
            Some(now) => inner.gateways.insert(key.clone(), now.clone()) != Some(now),
            None => inner.gateways.remove(key).is_some(),
        };
        if !changed {
            return Vec::new();
        }
        let routes = inner.objects.iter().filter(|((kind, _), _)| *kind == ROUTE);
        routes.map(|(_, (_, owner))| owner.clone()).collect()
    }

    /// All known Gateways.
    #[must_use]
    pub fn gateways(&self) -> BTreeMap<ObjectKey, GatewayFacts> {
        self.inner.read().gateways.clone()
    }

    /// Records a self-hosted gateway, or that it is gone, and answers the
    /// ExposedAPIs that may be reached there, if it changed.
    pub fn hosted_seen(&self, key: &ObjectKey, now: Option<Hosted>) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        let before = inner.hosted.get(key).cloned();
        if before == now {
            return Vec::new();
        }
        let concerned = |api: &&ObjectKey| {
            let mut both = before.iter().chain(&now);
            both.any(|one| one.concerns(&api.namespace))
        };
        let apis = inner.at_gateways.iter().filter(concerned);
        let apis = apis.cloned().collect();
        match now {
            Some(now) => inner.hosted.insert(key.clone(), now),
            None => inner.hosted.remove(key),
        };
        apis
    }

    /// All known self-hosted gateways.
    #[must_use]
    pub fn hosted(&self) -> Vec<ObjectKey> {
        self.inner.read().hosted.keys().cloned().collect()
    }

    /// The self-hosted gateways of a namespace.
    #[must_use]
    pub fn hosting_in(&self, namespace: &str) -> Vec<ObjectKey> {
        let all = self.hosted();
        all.into_iter()
            .filter(|key| key.namespace == namespace)
            .collect()
    }

    /// The self-hosted gateways that may serve APIs of a namespace.
    #[must_use]
    pub fn hosting_for(&self, namespace: &str) -> Vec<ObjectKey> {
        let inner = self.inner.read();
        let all = inner.hosted.values();
        all.filter(|one| one.concerns(namespace))
            .map(|one| one.key.clone())
            .collect()
    }

    /// The namespaces with self-hosted gateways.
    #[must_use]
    pub fn hosting_namespaces(&self) -> BTreeSet<SmolStr> {
        let inner = self.inner.read();
        inner
            .hosted
            .keys()
            .map(|key| key.namespace.clone())
            .collect()
    }

    /// The self-hosted gateway at which an ExposedAPI is reached, of this id in
    /// this instance.
    #[must_use]
    pub fn serving(
        &self,
        api: Candidate<'_>,
        instance: &InstanceName,
        id: Option<&str>,
    ) -> Option<Reach> {
        let inner = self.inner.read();
        let found = select::serving(inner.hosted.values(), api, instance);
        found.map(|one| one.reach(id))
    }

    /// Records whether an ExposedAPI is reached at a gateway in the cluster.
    pub fn at_gateway(&self, key: &ObjectKey, is: bool) {
        let known = self.inner.read().at_gateways.contains(key);
        if known == is {
            return;
        }
        let mut inner = self.inner.write();
        if is {
            inner.at_gateways.insert(key.clone());
        } else {
            inner.at_gateways.remove(key);
        }
    }

    /// Records whether the exposure of an ExposedAPI depends on what its
    /// Service is like.
    pub fn reads_service(&self, key: &ObjectKey, reads: bool) {
        let known = self.inner.read().readers.contains(key);
        if known == reads {
            return;
        }
        let mut inner = self.inner.write();
        if reads {
            inner.readers.insert(key.clone());
        } else {
            inner.readers.remove(key);
        }
    }

    /// Records whether the document of an ExposedAPI comes from its running
    /// Service.
    pub fn asks_service(&self, key: &ObjectKey, asks: bool) {
        let known = self.inner.read().askers.contains(key);
        if known == asks {
            return;
        }
        let mut inner = self.inner.write();
        if asks {
            inner.askers.insert(key.clone());
        } else {
            inner.askers.remove(key);
        }
    }

    /// Another number where a Service has other endpoints.
    #[must_use]
    pub fn endpoints(&self, namespace: &str, service: &str) -> u64 {
        let inner = self.inner.read();
        inner.endpoints(&ObjectKey::new(namespace, service))
    }

    /// Records an EndpointSlice and answers the ExposedAPIs whose readiness
    /// changed with it, or whose document may have.
    pub fn slice_seen(&self, slice: &EndpointSlice) -> Vec<ObjectKey> {
        let Some((key, service)) = slice_keys(slice) else {
            return Vec::new();
        };
        let ready: Vec<&Endpoint> = slice
            .endpoints
            .iter()
            .flatten()
            .filter(|one| is_ready(one))
            .collect();
        let mut hasher = DefaultHasher::new();
        let mut addresses: Vec<&String> = ready.iter().flat_map(|one| &one.addresses).collect();
        addresses.sort_unstable();
        addresses.hash(&mut hasher);
        for port in slice.ports.iter().flatten() {
            (&port.name, port.port).hash(&mut hasher);
        }
        let now = Slice {
            service,
            ready: !ready.is_empty(),
            endpoints: hasher.finish(),
        };
        self.inner.write().change_slice(key, Some(now))
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

    /// Records a Service and answers the ExposedAPIs that waited for it, or
    /// that depend on what it is like.
    pub fn service_seen(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        let is_new = inner.services.insert(key.clone());
        let mut users = inner.users_of(key);
        if !is_new {
            users.retain(|user| inner.readers.contains(user));
        }
        users
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

    fn is_ready(&self, service: &ObjectKey) -> bool {
        let slices = self.slices_of.of(service);
        slices
            .filter_map(|slice| self.slices.get(slice))
            .any(|slice| slice.ready)
    }

    fn endpoints(&self, service: &ObjectKey) -> u64 {
        let mut hasher = DefaultHasher::new();
        for slice in self.slices_of.of(service) {
            self.slices
                .get(slice)
                .map(|slice| slice.endpoints)
                .hash(&mut hasher);
        }
        hasher.finish()
    }

    fn change_slice(&mut self, slice: ObjectKey, now: Option<Slice>) -> Vec<ObjectKey> {
        let before = self.slices.get(&slice).map(|slice| slice.service.clone());
        // A slice never moves to another Service in practice; if one does, both
        // Services are looked at.
        let services: BTreeSet<ObjectKey> = before
            .iter()
            .cloned()
            .chain(now.as_ref().map(|now| now.service.clone()))
            .collect();
        let was: Vec<(bool, u64)> = services
            .iter()
            .map(|service| (self.is_ready(service), self.endpoints(service)))
            .collect();
        if let Some(service) = before {
            self.slices_of.remove(&service, &slice);
        }
        match now {
            Some(now) => {
                self.slices_of.insert(now.service.clone(), slice.clone());
                self.slices.insert(slice, now);
            }
            None => {
                self.slices.remove(&slice);
            }
        }
        let mut concerned = Vec::new();
        for (service, (ready, endpoints)) in services.iter().zip(was) {
            let mut users = self.users_of(service);
            if self.is_ready(service) == ready {
                let other = self.endpoints(service) != endpoints;
                users.retain(|user| other && self.askers.contains(user));
            }
            concerned.extend(users);
        }
        concerned
    }

    fn users_of(&self, service: &ObjectKey) -> Vec<ObjectKey> {
        let users = self.implementations.of(service);
        let users: BTreeSet<&SmolStr> = users.chain(self.routed.of(service)).collect();
        let users = users.into_iter();
        users.map(|name| service.beside(name.clone())).collect()
    }
}

/// Kubernetes: "a nil value should be interpreted as true".
pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_none_or(|conditions| conditions.ready != Some(false))
        && !endpoint.addresses.is_empty()
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
