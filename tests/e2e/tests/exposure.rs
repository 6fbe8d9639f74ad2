//! How traffic reaches an implementation: the Ingress, its address, the
//! endpoints behind it, and what of them goes to API Management.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use e2e::{Stage, conditions, exposed_api};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

async fn service_url(stage: &Stage) -> Value {
    stage.api("shop.catalog").await.unwrap().unwrap()["serviceUrl"].clone()
}

async fn patch_ingress(stage: &Stage, patch: Value) {
    let (name, params) = ("apim-api-ingress-catalog", PatchParams::default());
    stage
        .ingresses()
        .patch(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_follows_what_the_load_balancer_says() {
    let stage = Stage::builder().without_load_balancer();
    let Some(stage) = stage
        .start("the_backend_follows_what_the_load_balancer_says")
        .await
    else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();

    // No address: a wait, without a timer, and nothing in API Management.
    let status = stage
        .until_reason("catalog", "Ready", "NoAddress")
        .await
        .unwrap();
    assert_eq!(
        conditions(&status)[..4],
        [
            "Ready=False NoAddress",
            "Reconciling=True NoAddress",
            "Stalled=False Done",
            "ExposureReady=False NoAddress"
        ]
    );
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-local.azure-api.net/catalog"
    );
    assert_eq!(status["apiStatus"].get("ip"), None);
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("the controller of class `istio`"),
        "{message}"
    );
    assert_eq!(stage.calls("shop.catalog").len(), 0);
    // Whatever comes back after a while counts as an error or a requeue.
    let ended = stage
        .metrics("controller_runtime_reconcile_total")
        .await
        .unwrap();
    let timed: Vec<&String> = ended
        .iter()
        .filter(|line| !line.contains("result=\"success\""))
        .collect();
    assert_eq!(timed, Vec::<&String>::new(), "nothing waits for a timer");
    assert!(!ended.is_empty());
    stage
        .give_address("catalog", json!({"ip": "203.0.113.20"}))
        .await
        .unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(status["apiStatus"]["ip"], "203.0.113.20");
    assert_eq!(stage.writes("shop.catalog").len(), 3);
    assert_eq!(service_url(&stage).await, "http://203.0.113.20/catalog");

    // A host name, as some clouds give.
    stage.azure.clear_journal();
    stage
        .give_address("catalog", json!({"hostname": "lb.example.net"}))
        .await
        .unwrap();
    stage.until_written("shop.catalog", 1).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(status["apiStatus"]["ip"], "lb.example.net");
    assert_eq!(
        stage.writes("shop.catalog"),
        [e2e::Write("PATCH".into(), String::new())]
    );
    assert_eq!(service_url(&stage).await, "http://lb.example.net/catalog");

    // TLS.
    let tls = |secret: Value| json!({"metadata": {"annotations": {"apim.oda.tmforum.org/ingress-tls-secret": secret}}});
    let writes = stage
        .change("catalog", &tls(json!("catalog-tls")), 1)
        .await
        .unwrap();
    assert_eq!(writes, [e2e::Write("PATCH".into(), String::new())]);
    assert_eq!(service_url(&stage).await, "https://lb.example.net/catalog");
    let ingress = stage
        .ingresses()
        .get("apim-api-ingress-catalog")
        .await
        .unwrap();
    let spec = serde_json::to_value(&ingress.spec).unwrap();
    assert_eq!(spec["tls"], json!([{"secretName": "catalog-tls"}]));
    stage.change("catalog", &tls(Value::Null), 1).await.unwrap();
    assert_eq!(service_url(&stage).await, "http://lb.example.net/catalog");

    by_other_hands(&stage).await;
    endpoints(&stage).await;
}

/// What others write on the Ingress stays where it is theirs, and is put right
/// where it is the operator's.
async fn by_other_hands(stage: &Stage) {
    stage.azure.clear_journal();
    let note = json!({"metadata": {"annotations": {"example.com/note": "from the ingress team"}}});
    patch_ingress(stage, note).await;
    patch_ingress(stage, json!({"spec": {"ingressClassName": "nginx"}})).await;
    let class = |class: Option<&String>| (class? == "istio").then_some(());
    let right = |i: &k8s_openapi::api::networking::v1::Ingress| {
        class(
            i.spec
                .as_ref()
                .and_then(|spec| spec.ingress_class_name.as_ref()),
        )
    };
    stage
        .until_ingress("catalog", "put right", right)
        .await
        .unwrap();
    stage
        .patch("shop", "catalog", &json!({"spec": {"port": 9000}}))
        .await
        .unwrap();
    stage
        .until("catalog", "the port", |status| {
            status["apiStatus"]["port"] == 9000
        })
        .await
        .unwrap();
    let ingress = stage
        .ingresses()
        .get("apim-api-ingress-catalog")
        .await
        .unwrap();
    let annotations = ingress.metadata.annotations.unwrap();
    assert_eq!(
        annotations.get("example.com/note").map(String::as_str),
        Some("from the ingress team")
    );

    // Deleted by hand, it is made anew, and asks for an address again. The API
    // stays published meanwhile.
    let before = ingress.metadata.uid.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage
        .ingresses()
        .delete("apim-api-ingress-catalog", &DeleteParams::default())
        .await
        .unwrap();
    let anew = |i: &k8s_openapi::api::networking::v1::Ingress| {
        i.metadata
            .uid
            .clone()
            .filter(|uid| *uid != before && i.metadata.deletion_timestamp.is_none())
    };
    let uid = stage
        .until_ingress("catalog", "made anew", anew)
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "ExposureReady", "NoAddress")
        .await
        .unwrap();
    assert_eq!(status["implementation"]["ready"], false);
    stage
        .give_address("catalog", json!({"hostname": "lb.example.net"}))
        .await
        .unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(status["apiStatus"]["uid"], uid);
    assert_eq!(
        stage.writes("shop.catalog"),
        [],
        "the backend is where it was"
    );
}

/// Ready follows the endpoints; API Management does not.
async fn endpoints(stage: &Stage) {
    stage.azure.clear_journal();
    stage.set_ready("catalog", false).await.unwrap();
    let status = stage
        .until_reason("catalog", "ExposureReady", "NoReadyEndpoints")
        .await
        .unwrap();
    assert_eq!(status["implementation"], json!({"ready": false}));
    assert_eq!(conditions(&status)[5], "ApimSynced=True Synced");
    stage.set_ready("catalog", true).await.unwrap();
    stage.until_ready("catalog").await.unwrap();

    let services: Api<Service> = Api::namespaced(stage.client.clone(), "shop");
    services
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .until_reason("catalog", "ExposureReady", "NoService")
        .await
        .unwrap();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "catalog", "namespace": "shop"},
        "spec": {"selector": {"app": "catalog"}, "ports": [{"port": 9000}]},
    });
    stage.apply(&service).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);
    // A neighbour that never had a Service says so.
    stage
        .apply(&exposed_api("orphan", |o| {
            o["spec"]["implementation"] = json!("catalog");
        }))
        .await
        .unwrap();
    stage
        .patch(
            "shop",
            "orphan",
            &json!({"spec": {"implementation": "nobody"}}),
        )
        .await
        .unwrap();
    stage
        .until_ingress("orphan", "there", |_| Some(()))
        .await
        .unwrap();
    stage
        .give_address("orphan", json!({"ip": "203.0.113.21"}))
        .await
        .unwrap();
    let status = stage
        .until_reason("orphan", "ExposureReady", "NoService")
        .await
        .unwrap();
    assert_eq!(status["implementation"]["ready"], false);
}
