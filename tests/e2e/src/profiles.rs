//! `PolicyProfile`s and `ClusterPolicyProfile`s.

use anyhow::{Context as _, Result};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::{PATIENCE, Stage, status_of};

/// A profile of the namespace of the tests' APIs.
#[must_use]
pub fn profile(name: &str, plugins: &Value) -> Value {
    json!({
        "apiVersion": "apim.oda.tmforum.org/v1alpha1",
        "kind": "PolicyProfile",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"plugins": plugins},
    })
}

/// A profile that the APIs of all namespaces may name.
#[must_use]
pub fn cluster_profile(name: &str, plugins: &Value) -> Value {
    json!({
        "apiVersion": "apim.oda.tmforum.org/v1alpha1",
        "kind": "ClusterPolicyProfile",
        "metadata": {"name": name},
        "spec": {"namespaceSelector": {}, "plugins": plugins},
    })
}

/// What tests do with profiles.
#[expect(async_fn_in_trait, reason = "tests await it where they call it")]
pub trait Profiles {
    /// The API of those of the namespace `shop`.
    fn profiles(&self) -> Api<DynamicObject>;
    /// The API of those of the cluster.
    fn cluster_profiles(&self) -> Api<DynamicObject>;
    /// Waits until the condition `Ready` of one has this reason and so many
    /// APIs name it.
    async fn until_profile(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        reason: &str,
        users: u32,
    ) -> Result<Value>;
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", kind);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

impl Profiles for Stage {
    fn profiles(&self) -> Api<DynamicObject> {
        let resource = resource("PolicyProfile", "policyprofiles");
        Api::namespaced_with(self.client.clone(), "shop", &resource)
    }

    fn cluster_profiles(&self) -> Api<DynamicObject> {
        let resource = resource("ClusterPolicyProfile", "clusterpolicyprofiles");
        Api::all_with(self.client.clone(), &resource)
    }

    async fn until_profile(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        reason: &str,
        users: u32,
    ) -> Result<Value> {
        let awaited = format!("Ready with reason {reason} and {users} users");
        let found = test_harness::wait_for(api, name, &awaited, PATIENCE, |object| {
            let status = status_of(object?);
            let ready = status["conditions"][0]["reason"] == reason;
            (ready && status["users"] == users).then_some(status)
        })
        .await;
        found.with_context(|| self.operator_log())
    }
}
