//! Gateways in the cluster: their rights, and pods that would run.

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Stage;

/// The group of the operator's own kinds.
pub const GROUP: &str = "apim.oda.tmforum.org/v1alpha1";

/// A `SelfHostedGateway`.
#[must_use]
pub fn gateway(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": GROUP, "kind": "SelfHostedGateway", "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

impl Stage {
    /// Gives the operator the rights for gateways as they are shipped, those to
    /// objects in `shop`.
    pub async fn allow_gateways(&self) -> anyhow::Result<()> {
        self.allow_gateways_without_objects().await?;
        let name = "apim-operator-gateway-objects";
        let bound = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "apim-operator", "namespace": "operators"}],
        });
        self.apply(&bound).await
    }

    /// The same, with no right to any object in any namespace.
    pub async fn allow_gateways_without_objects(&self) -> anyhow::Result<()> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../../deploy/rbac-gateways.yaml");
        let shipped = std::fs::read_to_string(path)?;
        test_harness::apply_yaml(&self.client, &shipped).await?;
        Ok(())
    }

    /// Says of every Deployment in `shop` that its pods are available, as soon as
    /// it is there or changed, until it is dropped.
    pub fn pods_run(&self) -> JoinSet<()> {
        let mut speaker = JoinSet::new();
        speaker.spawn(run(self.objects("apps/v1", "Deployment")));
        speaker
    }
}

async fn run(api: Api<DynamicObject>) {
    let objects = watcher(api.clone(), watcher::Config::default()).default_backoff();
    let mut objects = std::pin::pin!(objects.applied_objects());
    while let Some(object) = objects.next().await {
        // A watch that fell behind begins anew.
        let Ok(object) = object else { continue };
        let generation = object.metadata.generation;
        let seen = object.data["status"]["observedGeneration"].as_i64();
        if seen == generation {
            continue;
        }
        let pods = object.data["spec"]["replicas"].as_i64().unwrap_or(1);
        let status = json!({"status": {
            "observedGeneration": generation, "replicas": pods, "updatedReplicas": pods,
            "readyReplicas": pods, "availableReplicas": pods,
        }});
        let name = object.metadata.name.unwrap_or_default();
        // It may have gone meanwhile.
        let _ = api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
            .await;
    }
}
