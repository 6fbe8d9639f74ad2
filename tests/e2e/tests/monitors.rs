//! Metrics: what is said to Prometheus about them, where the platform wants it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use e2e::{PATIENCE, Stage, metrics_api, service_monitor_definition};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use serde_json::{Value, json};
use test_harness::{wait_for, wait_until};

/// Waits until an event about the object says this.
async fn until_told(stage: &Stage, name: &str, text: &str) {
    wait_until(&format!("an event with `{text}`"), PATIENCE, async || {
        let events = stage
            .events(name)
            .await
            .map_err(|error| error.to_string())?;
        let told = format!("{events:?}");
        if told.contains("ServiceMonitorNotMade") && told.contains(text) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await
    .unwrap();
}

/// Has the operator look at the object again.
async fn look_again(stage: &Stage, name: &str, why: &str) {
    let patch = json!({"metadata": {"annotations": {"apim.oda.tmforum.org/retry": why}}});
    stage.patch("shop", name, &patch).await.unwrap();
}

async fn until_monitor(stage: &Stage, name: &str) -> Value {
    let monitors = stage.service_monitors();
    let made = wait_for(&monitors, name, "a ServiceMonitor", PATIENCE, |object| {
        let object = object?;
        Some(json!({"labels": object.metadata.labels, "spec": object.data["spec"]}))
    });
    made.await.unwrap()
}

async fn until_no_monitor(stage: &Stage, name: &str) {
    let monitors = stage.service_monitors();
    let gone = wait_for(&monitors, name, "gone", PATIENCE, |object| {
        object.is_none().then_some(())
    });
    gone.await.unwrap();
}

async fn exposure(stage: &Stage, settings: Value) {
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
    let instances: Api<DynamicObject> =
        Api::all_with(stage.client.clone(), &ApiResource::from_gvk(&kind));
    let patch = Patch::Merge(json!({"spec": {"exposure": settings}}));
    instances
        .patch("default", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_told_what_to_scrape_where_the_platform_wants_it() {
    let test = "prometheus_is_told_what_to_scrape_where_the_platform_wants_it";
    let settings =
        json!({"serviceMonitor": {"labels": {"release": "prometheus"}, "interval": "15s"}});
    let stage = Stage::builder().instance(json!({"exposure": settings}));
    let Some(stage) = stage.start(test).await else {
        return;
    };
    // Without the Prometheus Operator the API is ready all the same, and its
    // owner is told why nobody scrapes it.
    stage.apply(&metrics_api("r1")).await.unwrap();
    stage.until_ready("r1").await.unwrap();
    until_told(&stage, "r1", "this cluster has no ServiceMonitors").await;

    stage.apply(&service_monitor_definition()).await.unwrap();
    let monitors = stage.service_monitors();
    wait_until("ServiceMonitors are served", PATIENCE, async || {
        let listed = monitors.list(&ListParams::default()).await;
        listed.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    look_again(&stage, "r1", "installed").await;
    let wanted = json!({
        "labels": {"app.kubernetes.io/managed-by": "apim-operator", "release": "prometheus"},
        "spec": {
            "selector": {},
            "endpoints": [{
                "path": "/metrics", "interval": "15s", "targetPort": 8080,
                "relabelings": [{
                    "action": "keep", "regex": "r1", "sourceLabels": ["__meta_kubernetes_service_name"],
                }],
            }],
        },
    });
    assert_eq!(until_monitor(&stage, "r1").await, wanted);

    // Somebody else's is left alone.
    let theirs = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
        "metadata": {"name": "r2", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "theirs"}}, "endpoints": [{"port": "web"}]},
    });
    stage.apply(&theirs).await.unwrap();
    stage.apply(&metrics_api("r2")).await.unwrap();
    until_told(&stage, "r2", "belongs to somebody else").await;

    // The platform changes its mind, twice.
    exposure(&stage, json!({"serviceMonitor": null})).await;
    until_no_monitor(&stage, "r1").await;
    exposure(&stage, settings).await;
    assert_eq!(until_monitor(&stage, "r1").await, wanted);
    let version = async || {
        let found = stage.service_monitors().get("r1").await.unwrap();
        found.metadata.resource_version.unwrap()
    };
    let before = version().await;
    look_again(&stage, "r1", "once more").await;
    stage.settled().await.unwrap();
    assert_eq!(version().await, before);

    for name in ["r1", "r2"] {
        stage
            .exposed_apis("shop")
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        stage.until_gone(name).await.unwrap();
    }
    until_no_monitor(&stage, "r1").await;
    let left = stage.service_monitors().get("r2").await.unwrap();
    assert_eq!(left.data["spec"], theirs["spec"]);
}
