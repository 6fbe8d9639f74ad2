//! Gateways of the Gateway API, and API Management's own in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use operator_core::exposure::GatewayFacts;
use operator_core::gateway::select::{self, Candidate, Hosted, Reach};
use operator_core::names::{InstanceName, ObjectKey};
use smol_str::SmolStr;

use super::World;

/// What is routed through Gateways.
const ROUTE: &str = "HTTPRoute";

impl World {
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
}
