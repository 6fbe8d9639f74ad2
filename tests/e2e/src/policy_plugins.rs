//! `PolicyPlugin`s and the ConfigMaps that bring plugins.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{PATIENCE, Stage, status_of};

/// A ConfigMap in the operator's namespace that holds a plugin as
/// `plugin.wasm`.
#[must_use]
pub fn config_map(name: &str, wasm: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "operators"},
        "binaryData": {"plugin.wasm": STANDARD.encode(wasm)},
    })
}

/// A `PolicyPlugin` that everybody may use; `more` is merged over its spec, a
/// null takes something away.
#[must_use]
pub fn policy_plugin(name: &str, source: &Value, more: &Value) -> Value {
    let mut spec = json!({"source": source, "namespaceSelector": {}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
        if value.is_null()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove(key);
        }
    }
    json!({
        "apiVersion": "apim.oda.tmforum.org/v1alpha1",
        "kind": "PolicyPlugin",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// What tests do with `PolicyPlugin`s.
#[expect(async_fn_in_trait, reason = "tests await it where they call it")]
pub trait PolicyPlugins {
    /// The API of `PolicyPlugin`s.
    fn policy_plugins(&self) -> Api<DynamicObject>;
    /// Merges a patch into one.
    async fn patch_plugin(&self, name: &str, patch: &Value) -> Result<()>;
    /// Waits until one's status is as `check` wants it.
    async fn until_plugin(
        &self,
        name: &str,
        awaited: &str,
        check: impl FnMut(&Value) -> bool,
    ) -> Result<Value>;
    /// Waits until a condition of one has this reason.
    async fn until_plugin_reason(&self, name: &str, kind: &str, reason: &str) -> Result<Value>;
    /// Waits until the version of one serves.
    async fn until_serves(&self, name: &str, version: &str) -> Result<Value>;
}

impl PolicyPlugins for Stage {
    fn policy_plugins(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "PolicyPlugin");
        let resource = ApiResource::from_gvk_with_plural(&kind, "policyplugins");
        Api::all_with(self.client.clone(), &resource)
    }

    async fn patch_plugin(&self, name: &str, patch: &Value) -> Result<()> {
        self.policy_plugins()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    async fn until_plugin(
        &self,
        name: &str,
        awaited: &str,
        mut check: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let api = self.policy_plugins();
        let found = test_harness::wait_for(&api, name, awaited, PATIENCE, |object| {
            let status = status_of(object?);
            check(&status).then_some(status)
        })
        .await;
        found.with_context(|| {
            let log = self.operator_log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            format!("the operator's log ends with:\n{tail}")
        })
    }

    async fn until_plugin_reason(&self, name: &str, kind: &str, reason: &str) -> Result<Value> {
        let awaited = format!("{kind} with reason {reason}");
        self.until_plugin(name, &awaited, |status| {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            conditions
                .into_iter()
                .any(|one| one["type"] == kind && one["reason"] == reason)
        })
        .await
    }

    async fn until_serves(&self, name: &str, version: &str) -> Result<Value> {
        self.until_plugin(name, &format!("version {version} serves"), |status| {
            status["version"] == version
                && status["rollout"].is_null()
                && status["conditions"][0]["status"] == "True"
        })
        .await
    }
}
