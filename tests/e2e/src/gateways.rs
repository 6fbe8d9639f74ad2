//! Gateways in the cluster, and pods that would run.

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
