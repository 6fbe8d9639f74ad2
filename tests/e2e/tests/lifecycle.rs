//! The life of one API: how it is published, guarded while it is, and found
//! again by an operator that starts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::FaultSpec;
use e2e::{PATIENCE, Stage, Write, conditions, exposed_api};
use serde_json::{Value, json};

fn put(path: &str) -> Write {
    Write("PUT".into(), path.into())
}

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

/// A created API: without operations, then its policy, then the import.
fn created() -> Vec<Write> {
    vec![put(""), put("/policies/policy"), put(" (import)")]
}

fn is_sha(text: &Value) -> bool {
    text.as_str()
        .is_some_and(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_is_published_by_three_writes_and_a_restart_writes_nothing() {
    let Some(mut stage) = Stage::builder()
        .start("an_api_is_published_by_three_writes_and_a_restart_writes_nothing")
        .await
    else {
        return;
    };
    let import = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/apis/shop\\.catalog\\?".into()),
        after: 1,
        count: Some(1),
        hold: true,
        ..FaultSpec::default()
    };
    let import = stage.azure.fault(import).unwrap();
    let object = exposed_api("catalog", |o| {
        o["spec"]["developerUI"] = json!("/catalog/docs");
    });
    stage.apply(&object).await.unwrap();

    // While the import is under way, the URL is there and nothing is ready.
    assert!(
        stage.azure.wait_for_held(1, PATIENCE).await,
        "{}",
        stage.operator_log()
    );
    let status = stage.status("catalog").await.unwrap();
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-local.azure-api.net/catalog"
    );
    assert_eq!(status["implementation"], json!({"ready": false}));
    assert_eq!(
        conditions(&status),
        [
            "Ready=False Progressing",
            "Reconciling=True Progressing",
            "Stalled=False Done",
            "ExposureReady=True Exposed",
            "PolicyRendered=True Rendered",
            "ApimSynced=False Progressing",
        ]
    );
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        policy.contains("<validate-jwt") && policy.contains("calls=\"100\""),
        "{policy}"
    );
    assert!(
        stage.operations("shop.catalog").await.unwrap().is_empty(),
        "an operation is there before the import"
    );
    assert!(stage.azure.release(import));

    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );

    // The Ingress.
    let ingress = stage
        .ingresses()
        .get("apim-api-ingress-catalog")
        .await
        .unwrap();
    let uid = stage.object("catalog").await.unwrap().metadata.uid.unwrap();
    assert_eq!(
        serde_json::to_value(&ingress.spec).unwrap(),
        json!({
            "ingressClassName": "istio",
            "rules": [{"http": {"paths": [{
                "path": "/catalog",
                "pathType": "Prefix",
                "backend": {"service": {"name": "catalog", "port": {"number": 8080}}},
            }]}}],
        })
    );
    assert_eq!(
        serde_json::to_value(&ingress.metadata.owner_references).unwrap(),
        json!([{
            "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": "catalog", "uid": uid,
            "controller": true, "blockOwnerDeletion": false,
        }])
    );

    // What API Management has.
    let cluster = stage
        .kubectl(&[
            "get",
            "namespace",
            "kube-system",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .await
        .unwrap();
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(
        api["apiRevisionDescription"],
        format!("apim-operator/1 {} shop/catalog", &cluster[..8])
    );
    assert_eq!(api["serviceUrl"], "http://203.0.113.10/catalog");
    assert_eq!(api["path"], "catalog");
    assert_eq!(api["protocols"], json!(["https"]));

    // The status.
    assert_eq!(
        status["apiStatus"],
        json!({
            "name": "catalog",
            "uid": ingress.metadata.uid,
            "path": "/catalog",
            "port": 8080,
            "implementation": "catalog",
            "url": "https://apim-local.azure-api.net/catalog",
            "developerUI": "https://apim-local.azure-api.net/catalog/docs",
            "ip": "203.0.113.10",
        })
    );
    assert_eq!(status["implementation"], json!({"ready": true}));
    assert_eq!(
        conditions(&status),
        [
            "Ready=True Published",
            "Reconciling=False Done",
            "Stalled=False Done",
            "ExposureReady=True Exposed",
            "PolicyRendered=True Rendered",
            "ApimSynced=True Synced",
        ]
    );
    let apim = &status["apim"];
    assert_eq!(apim["instance"], "default");
    assert_eq!(apim["apiId"], "shop.catalog");
    assert_eq!(apim["apiRevision"], "1");
    assert_eq!(apim["operations"], 2);
    assert!(
        is_sha(&apim["specHash"]) && is_sha(&apim["policyHash"]),
        "{apim}"
    );
    assert_eq!(apim.get("lastError"), None);
    assert_eq!(status["pluginNames"], "jwt-entra, rate-limit");
    for plugin in status["plugins"].as_array().unwrap() {
        assert!(plugin["version"].is_string(), "{plugin}");
        let digest = plugin["digest"].as_str().unwrap();
        assert!(
            is_sha(&json!(digest.trim_start_matches("sha256:"))),
            "{digest}"
        );
    }
    assert_eq!(status["observedGeneration"], 1);

    // What kubectl shows.
    let shown = stage
        .kubectl(&["get", "exposedapi", "catalog", "-n", "shop"])
        .await
        .unwrap();
    let lines: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["NAME", "PATH", "URL", "READY", "REASON", "AGE"]);
    assert_eq!(
        lines[1][..5],
        [
            "catalog",
            "/catalog",
            "https://apim-local.azure-api.net/catalog",
            "true",
            "Published"
        ]
    );
    let wide = stage
        .kubectl(&["get", "exposedapi", "catalog", "-n", "shop", "-o", "wide"])
        .await
        .unwrap();
    let header: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header[6..], ["PLUGINS", "API", "ID"]);
    assert!(
        wide.lines()
            .nth(1)
            .unwrap()
            .ends_with("jwt-entra, rate-limit   shop.catalog"),
        "{wide}"
    );

    restart(&mut stage).await;
}

/// A restarted operator finds all as it should be, and writes nothing.
async fn restart(stage: &mut Stage) {
    stage.settled().await.unwrap();
    let before = (
        versions(stage).await,
        stage.events("catalog").await.unwrap(),
    );
    stage.restart().await.unwrap();
    assert_eq!(
        (
            versions(stage).await,
            stage.events("catalog").await.unwrap()
        ),
        before,
        "{}",
        stage.operator_log()
    );
    assert_eq!(
        stage.calls("shop.catalog").len(),
        0,
        "a restart costs no call about an API that is as it should be"
    );

    // It is awake: the next change is made, and nothing else.
    let change = json!({"spec": {"rateLimit": {"limit": "7"}}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put("/policies/policy")]
    );
}

async fn versions(stage: &Stage) -> Vec<Option<String>> {
    let ingress = stage
        .ingresses()
        .get("apim-api-ingress-catalog")
        .await
        .unwrap();
    vec![
        stage
            .object("catalog")
            .await
            .unwrap()
            .metadata
            .resource_version,
        ingress.metadata.resource_version,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_of_its_own_policy_is_never_there_without_it() {
    let Some(stage) = Stage::builder()
        .start("an_operation_of_its_own_policy_is_never_there_without_it")
        .await
    else {
        return;
    };
    let import = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/apis/shop\\.stock\\?".into()),
        after: 1,
        count: Some(1),
        hold: true,
        ..FaultSpec::default()
    };
    let import = stage.azure.fault(import).unwrap();
    let strict = "postItem: {plugins: rate-limit, config: {rate-limit: {calls: 3}}}";
    let object = exposed_api("stock", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/operation-plugins"] = json!(strict);
    });
    stage.apply(&object).await.unwrap();

    // Before the operations exist, the API's policy answers for the one whose
    // own policy can only follow.
    assert!(
        stage.azure.wait_for_held(1, PATIENCE).await,
        "{}",
        stage.operator_log()
    );
    let guarded = stage.policy("shop.stock").await.unwrap();
    assert!(
        guarded.contains("503") && guarded.contains("postitem"),
        "{guarded}"
    );
    assert!(
        guarded.contains("<validate-jwt") && guarded.contains("calls=\"100\""),
        "{guarded}"
    );
    assert!(stage.operations("shop.stock").await.unwrap().is_empty());
    assert!(stage.azure.release(import));

    stage.until_ready("stock").await.unwrap();
    assert_eq!(
        stage.writes("shop.stock"),
        [
            put(""),
            put("/policies/policy"),
            put(" (import)"),
            put("/operations/postitem/policies/policy"),
            put("/policies/policy"),
        ]
    );
    let whole = stage.policy("shop.stock").await.unwrap();
    assert!(!whole.contains("503"), "the guard is gone: {whole}");
    let own = stage
        .policy("shop.stock/operations/postitem")
        .await
        .unwrap();
    assert!(
        own.contains("calls=\"3\"") && own.contains("<base />"),
        "{own}"
    );

    // A change of the operation's policy alone is one write.
    let change = annotation("operation-plugins", &json!(strict.replace('3', "4")));
    assert_eq!(
        stage.change("stock", &change, 1).await.unwrap(),
        [put("/operations/postitem/policies/policy")]
    );

    // A name that the document does not have is refused.
    stage.azure.clear_journal();
    let typo = annotation(
        "operation-plugins",
        &json!(strict.replace("postItem", "postItems")),
    );
    stage.patch("shop", "stock", &typo).await.unwrap();
    let status = stage
        .until("stock", "refused", |s| {
            s["implementation"]["ready"] == false
        })
        .await
        .unwrap();
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("postItems") && message.contains("did you mean `postItem`?"),
        "{message}"
    );
    assert_eq!(stage.writes("shop.stock"), []);

    // Without it, the policy of the operation goes.
    let change = annotation("operation-plugins", &Value::Null);
    let writes = stage.change("stock", &change, 1).await.unwrap();
    assert_eq!(
        writes,
        [Write(
            "DELETE".into(),
            "/operations/postitem/policies/policy".into()
        )]
    );
}
