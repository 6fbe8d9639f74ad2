//! Services, and whether somebody answers behind them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt as _;
use operator_core::names::ObjectKey;

use super::{Inner, World};

/// The label by which EndpointSlices name their Service.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// An EndpointSlice.
#[derive(Debug)]
pub(super) struct Slice {
    service: ObjectKey,
    ready: bool,
    /// Of the endpoints that are ready, and their ports.
    endpoints: u64,
}

impl World {
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
}

impl Inner {
    pub(super) fn is_ready(&self, service: &ObjectKey) -> bool {
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
