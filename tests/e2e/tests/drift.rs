//! What others change in API Management and in the cluster is seen, and put
//! back or told, as the object asks.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use e2e::{Stage, Write, exposed_api};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const OTHER_POLICY: &str = "<policies><inbound><base /></inbound><backend><base /></backend><outbound /><on-error /></policies>";

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

/// A stage whose operator looks every half second.
async fn stage(test: &str) -> Option<Stage> {
    Stage::builder()
        .environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms")
        .instance(json!({"ownerMay": [
            "plugins", "plugin.*", "operation-plugins", "deletion-policy", "paused", "retry", "drift",
        ]}))
        .start(test)
        .await
}

/// Publishes an API and waits until a whole sweep has found it as it should be.
async fn published(stage: &Stage, name: &str, change: impl FnOnce(&mut Value)) {
    stage.apply(&exposed_api(name, change)).await.unwrap();
    stage.until_ready(name).await.unwrap();
    swept(stage).await;
    stage.azure.clear_journal();
}

/// Waits until two more sweeps were complete: one that began after now has
/// ended then.
async fn swept(stage: &Stage) {
    let name = "apim_operator_drift_sweeps_total{instance=\"default\",result=\"complete\"}";
    let count = async || {
        let lines = stage.metrics(name).await.unwrap();
        lines
            .first()
            .and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let before = count().await;
    test_harness::wait_until("two sweeps", e2e::PATIENCE, async || {
        let now = count().await;
        if now >= before + 2 {
            Ok(())
        } else {
            Err(format!("{} sweeps", now - before))
        }
    })
    .await
    .unwrap();
}

/// Changes something as somebody else would.
async fn by_hand(stage: &Stage, method: &str, path: &str, body: Option<Value>) {
    let (status, answer) = stage.arm(method, path, body.as_ref()).await.unwrap();
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {answer}"
    );
}

/// Waits for the event that says what was put back, and until nothing is said
/// to differ.
async fn corrected(stage: &Stage, name: &str, what: &str) {
    let text = format!("Normal DriftCorrected: put back what others had changed:\n{what}");
    stage.until_event(name, &text).await.unwrap();
    stage
        .until(name, "put back", |status| {
            // What is put back in one go never shows in the condition.
            let drifted = e2e::conditions(status)
                .iter()
                .any(|one| one.starts_with("Drifted=True"));
            !drifted && is(status, "Ready", "True Published")
        })
        .await
        .unwrap();
}

fn is(status: &Value, kind: &str, wanted: &str) -> bool {
    e2e::conditions(status).contains(&format!("{kind}={wanted}"))
}

fn is_false(status: &Value, kind: &str) -> bool {
    let all = e2e::conditions(status);
    all.iter()
        .any(|one| one.starts_with(&format!("{kind}=False")))
}

fn message(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == kind);
    found
        .and_then(|condition| condition["message"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The writes since the journal was last cleared, those by hand too.
fn writes(stage: &Stage, name: &str) -> Vec<Write> {
    stage.writes(&format!("shop.{name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_in_api_management_is_put_back_by_the_least_writes() {
    let Some(stage) =
        stage("what_others_change_in_api_management_is_put_back_by_the_least_writes").await
    else {
        return;
    };
    let strict = "postItem: {plugins: rate-limit, config: {rate-limit: {calls: 3}}}";
    published(&stage, "catalog", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/operation-plugins"] = json!(strict);
    })
    .await;
    let before = stage.policy("shop.catalog").await.unwrap();

    // A sweep that finds nothing writes nothing, and tells nothing.
    swept(&stage).await;
    assert_eq!(writes(&stage, "catalog"), []);
    let status = stage.status("catalog").await.unwrap();
    assert!(
        !e2e::conditions(&status)
            .iter()
            .any(|c| c.starts_with("Drifted")),
        "{status}"
    );

    // The policy.
    let body = json!({"properties": {"format": "rawxml", "value": OTHER_POLICY}});
    by_hand(
        &stage,
        "PUT",
        "/apis/shop.catalog/policies/policy",
        Some(body),
    )
    .await;
    corrected(&stage, "catalog", "policy/inbound/").await;
    assert_eq!(stage.policy("shop.catalog").await.unwrap(), before);

    // The policy is deleted.
    by_hand(&stage, "DELETE", "/apis/shop.catalog/policies/policy", None).await;
    corrected(&stage, "catalog", "policy: expected a document of").await;
    assert_eq!(stage.policy("shop.catalog").await.unwrap(), before);

    // A setting.
    let body = json!({"properties": {"serviceUrl": "https://elsewhere.example.com"}});
    by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
    corrected(
        &stage,
        "catalog",
        "serviceUrl: expected `http://203.0.113.10/catalog`, found `https://elsewhere.example.com`",
    )
    .await;
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(api["serviceUrl"], "http://203.0.113.10/catalog");

    // An operation is added.
    let body = json!({"properties": {
        "displayName": "Back door", "method": "GET", "urlTemplate": "/backdoor",
    }});
    by_hand(
        &stage,
        "PUT",
        "/apis/shop.catalog/operations/backdoor",
        Some(body),
    )
    .await;
    corrected(
        &stage,
        "catalog",
        "operations/backdoor: expected (absent), found `GET /backdoor`",
    )
    .await;
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );

    // An operation is removed.
    by_hand(
        &stage,
        "DELETE",
        "/apis/shop.catalog/operations/getitem",
        None,
    )
    .await;
    corrected(
        &stage,
        "catalog",
        "operations/getitem: expected `GET /items`, found (absent)",
    )
    .await;
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );

    // An operation gets a policy.
    let path = "/apis/shop.catalog/operations/getitem/policies/policy";
    let body = json!({"properties": {"format": "rawxml", "value": OTHER_POLICY}});
    by_hand(&stage, "PUT", path, Some(body)).await;
    corrected(
        &stage,
        "catalog",
        "operations/getitem/policy: expected (absent), found a document of",
    )
    .await;
    let (status, _) = stage.arm("GET", path, None).await.unwrap();
    assert_eq!(status, 404);

    // An operation loses its policy.
    let path = "/apis/shop.catalog/operations/postitem/policies/policy";
    by_hand(&stage, "DELETE", path, None).await;
    corrected(
        &stage,
        "catalog",
        "operations/postitem/policy: expected a document of",
    )
    .await;
    let (status, _) = stage.arm("GET", path, None).await.unwrap();
    assert_eq!(status, 200);

    // The API is deleted.
    by_hand(
        &stage,
        "DELETE",
        "/apis/shop.catalog?deleteRevisions=true",
        None,
    )
    .await;
    corrected(
        &stage,
        "catalog",
        "api: expected `shop.catalog`, found (absent)",
    )
    .await;
    assert_eq!(stage.policy("shop.catalog").await.unwrap(), before);
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );

    let corrected = stage.metrics("apim_operator_drifts_total").await.unwrap();
    for kind in [
        "policy",
        "settings",
        "operations",
        "operation_policy",
        "deleted",
    ] {
        assert!(
            corrected
                .iter()
                .any(|line| line.contains(&format!("kind=\"{kind}\",outcome=\"corrected\""))),
            "{kind}: {corrected:?}"
        );
    }
    let rotation = stage
        .metrics("apim_operator_drift_rotation_seconds{instance=\"default\"}")
        .await
        .unwrap();
    assert_eq!(rotation.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_others_made_current_gets_what_the_first_had() {
    let Some(stage) = stage("a_revision_that_others_made_current_gets_what_the_first_had").await
    else {
        return;
    };
    published(&stage, "catalog", |_| {}).await;
    let before = stage.policy("shop.catalog").await.unwrap();
    let body = json!({"properties": {
        "path": "catalog", "displayName": "theirs", "protocols": ["https"], "isCurrent": true,
        "apiRevisionDescription": "made by hand",
    }});
    by_hand(&stage, "PUT", "/apis/shop.catalog;rev=2", Some(body)).await;
    corrected(&stage, "catalog", "apiRevision: expected `1`, found `2`").await;
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(api["apiRevision"], "2");
    assert_eq!(api["displayName"], "catalog");
    assert_eq!(stage.policy("shop.catalog").await.unwrap(), before);
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );
    let status = stage.status("catalog").await.unwrap();
    assert_eq!(status["apim"]["apiRevision"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_object_asks_to_be_reported_is_told_and_left() {
    let Some(mut stage) = stage("what_an_object_asks_to_be_reported_is_told_and_left").await else {
        return;
    };
    published(&stage, "catalog", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/drift"] = json!("Report");
    })
    .await;
    let before = stage.policy("shop.catalog").await.unwrap();
    let secret = "q7Jx2mVt9Lk4Rw8Zb1Nc6Hd3";
    let changed = before
        .replace("calls=\"100\"", "calls=\"100000\"")
        .replacen(
            "<base />",
            &format!("<base /><set-header name=\"x-key\"><value>{secret}</value></set-header>"),
            1,
        );
    let body = json!({"properties": {"format": "rawxml", "value": changed}});
    by_hand(
        &stage,
        "PUT",
        "/apis/shop.catalog/policies/policy",
        Some(body),
    )
    .await;
    let body = json!({"properties": {"subscriptionRequired": true}});
    by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
    let status = stage
        .until("catalog", "drifted", |status| {
            let text = message(status, "Drifted");
            is(status, "Drifted", "True Reported")
                && text.contains("subscriptionRequired: expected false, found true")
                && text.contains("/@calls: expected `100`, found `100000`")
                && text.contains("set-header")
        })
        .await
        .unwrap();
    assert!(is(&status, "Ready", "True Published"), "{status}");
    stage
        .until_event("catalog", "Warning Drifted: ")
        .await
        .unwrap();
    stage.azure.clear_journal();
    swept(&stage).await;
    assert_eq!(writes(&stage, "catalog"), [], "what is reported is left");
    let told = [
        status.to_string(),
        stage.events("catalog").await.unwrap().join("\n"),
        stage.operator_log(),
    ];
    for text in told {
        assert!(!text.contains(secret), "a secret was told:\n{text}");
    }

    // A restart does not forget it for a moment.
    let version = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    stage.restart().await.unwrap();
    swept(&stage).await;
    assert_eq!(
        stage
            .object("catalog")
            .await
            .unwrap()
            .metadata
            .resource_version,
        version,
        "{}",
        stage.operator_log()
    );
    assert_eq!(writes(&stage, "catalog"), []);

    // Put back by whoever changed it, it is told no more.
    let body = json!({"properties": {"format": "rawxml", "value": before}});
    by_hand(
        &stage,
        "PUT",
        "/apis/shop.catalog/policies/policy",
        Some(body),
    )
    .await;
    stage
        .until("catalog", "half of it told", |status| {
            !message(status, "Drifted").contains("policy")
        })
        .await
        .unwrap();

    // Asked to, the operator puts the rest back.
    stage.azure.clear_journal();
    let patch = annotation("drift", &Value::Null);
    stage.patch("shop", "catalog", &patch).await.unwrap();
    corrected(
        &stage,
        "catalog",
        "subscriptionRequired: expected false, found true",
    )
    .await;
    assert_eq!(
        writes(&stage, "catalog"),
        [Write("PATCH".into(), String::new())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_objects_are_only_reported_and_off_is_off() {
    let Some(stage) = stage("paused_objects_are_only_reported_and_off_is_off").await else {
        return;
    };
    published(&stage, "catalog", |_| {}).await;
    published(&stage, "stock", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/drift"] = json!("Off");
    })
    .await;
    let pause = annotation("paused", &json!("true"));
    stage.patch("shop", "catalog", &pause).await.unwrap();
    stage
        .until_reason("catalog", "Reconciling", "Paused")
        .await
        .unwrap();
    swept(&stage).await;
    for name in ["catalog", "stock"] {
        let body = json!({"properties": {"displayName": "theirs"}});
        by_hand(&stage, "PATCH", &format!("/apis/shop.{name}"), Some(body)).await;
    }
    stage.azure.clear_journal();
    stage
        .until_reason("catalog", "Drifted", "Paused")
        .await
        .unwrap();
    swept(&stage).await;
    let status = stage.status("stock").await.unwrap();
    assert!(
        !e2e::conditions(&status)
            .iter()
            .any(|c| c.starts_with("Drifted")),
        "{status}"
    );
    assert_eq!(writes(&stage, "catalog"), []);
    assert_eq!(writes(&stage, "stock"), []);

    let resume = annotation("paused", &Value::Null);
    stage.patch("shop", "catalog", &resume).await.unwrap();
    corrected(
        &stage,
        "catalog",
        "displayName: expected `catalog`, found `theirs`",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_whose_mark_is_gone_or_forged_is_not_written_and_its_status_says_so() {
    let Some(stage) =
        stage("an_api_whose_mark_is_gone_or_forged_is_not_written_and_its_status_says_so").await
    else {
        return;
    };
    published(&stage, "catalog", |_| {}).await;
    let mark = stage.api("shop.catalog").await.unwrap().unwrap()["apiRevisionDescription"].clone();
    for forged in ["made by hand", "apim-operator/1 01234567 other/catalog"] {
        let body =
            json!({"properties": {"apiRevisionDescription": forged, "displayName": "theirs"}});
        by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
        stage.azure.clear_journal();
        let status = stage
            .until_reason("catalog", "ApimSynced", "NotOurs")
            .await
            .unwrap();
        assert!(message(&status, "ApimSynced").contains(forged), "{status}");
        assert!(is(&status, "Ready", "False NotOurs"), "{status}");
        // A change of the object does not write it either.
        let change = json!({"spec": {"rateLimit": {"limit": forged.len().to_string()}}});
        stage.patch("shop", "catalog", &change).await.unwrap();
        swept(&stage).await;
        assert_eq!(writes(&stage, "catalog"), []);
        // The mark is set back: it is ours again, and put right.
        let body = json!({"properties": {"apiRevisionDescription": mark}});
        by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
        stage.until_ready("catalog").await.unwrap();
        let api = stage.api("shop.catalog").await.unwrap().unwrap();
        assert_eq!(api["displayName"], "catalog");
        swept(&stage).await;
    }

    // Where nothing is put back, status takes back what it said, too.
    let report = json!({"metadata": {"annotations": {"apim.oda.tmforum.org/drift": "Report"}}});
    stage.patch("shop", "catalog", &report).await.unwrap();
    swept(&stage).await;
    let body = json!({"properties": {"apiRevisionDescription": "made by hand"}});
    by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
    stage
        .until_reason("catalog", "ApimSynced", "NotOurs")
        .await
        .unwrap();
    swept(&stage).await;
    let body = json!({"properties": {"apiRevisionDescription": mark}});
    by_hand(&stage, "PATCH", "/apis/shop.catalog", Some(body)).await;
    let status = stage.until_ready("catalog").await.unwrap();
    assert!(!is(&status, "Drifted", "True Reported"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_that_others_change_or_delete_is_put_back_or_reported() {
    let Some(stage) =
        stage("an_ingress_that_others_change_or_delete_is_put_back_or_reported").await
    else {
        return;
    };
    published(&stage, "catalog", |_| {}).await;
    let ingress = "apim-api-ingress-catalog";
    let change = json!({"spec": {"ingressClassName": "nginx"}});
    stage
        .ingresses()
        .patch(
            ingress,
            &PatchParams::default(),
            &Patch::Merge(change.clone()),
        )
        .await
        .unwrap();
    corrected(
        &stage,
        "catalog",
        "ingress/spec/ingressClassName: expected `istio`, found `nginx`",
    )
    .await;
    stage
        .ingresses()
        .delete(ingress, &DeleteParams::default())
        .await
        .unwrap();
    corrected(
        &stage,
        "catalog",
        "ingress: expected `apim-api-ingress-catalog`, found (absent)",
    )
    .await;
    stage.until_ready("catalog").await.unwrap();

    let report = annotation("drift", &json!("Report"));
    stage.patch("shop", "catalog", &report).await.unwrap();
    swept(&stage).await;
    stage
        .ingresses()
        .patch(ingress, &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "Drifted", "Reported")
        .await
        .unwrap();
    assert_eq!(
        message(&status, "Drifted"),
        "ingress/spec/ingressClassName: expected `istio`, found `nginx`"
    );
    let left = stage.ingresses().get(ingress).await.unwrap();
    assert_eq!(
        left.spec.unwrap().ingress_class_name.as_deref(),
        Some("nginx")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instances_provider_is_put_back_and_a_change_of_tier_is_noticed() {
    let Some(stage) =
        stage("the_instances_provider_is_put_back_and_a_change_of_tier_is_noticed").await
    else {
        return;
    };
    published(&stage, "catalog", |_| {}).await;
    let path = "/openidConnectProviders/AzureAD";
    let body = json!({"properties": {"metadataEndpoint": "https://evil.example.com/.well-known"}});
    by_hand(&stage, "PATCH", path, Some(body)).await;
    test_harness::wait_until("the provider is put back", e2e::PATIENCE, async || {
        let (_, there) = stage
            .arm("GET", path, None)
            .await
            .map_err(|e| e.to_string())?;
        let endpoint = there["properties"]["metadataEndpoint"]
            .as_str()
            .unwrap_or_default();
        if endpoint.starts_with("https://evil") {
            Err(endpoint.to_owned())
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
    by_hand(&stage, "DELETE", path, None).await;
    test_harness::wait_until("the provider is made again", e2e::PATIENCE, async || {
        let (status, _) = stage
            .arm("GET", path, None)
            .await
            .map_err(|e| e.to_string())?;
        if status == 200 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await
    .unwrap();

    // The service moves to a tier that has no counters by key: what is
    // published stays, and the object says what stands in the way.
    stage
        .azure
        .change_service(Some("Consumption"), Some("Internal"));
    stage
        .until("catalog", "refused by its tier", |status| {
            is_false(status, "PolicyRendered")
                && message(status, "PolicyRendered").contains("the Consumption tier")
        })
        .await
        .unwrap();
    let shown = stage
        .kubectl(&[
            "get",
            "apiminstance",
            "default",
            "-o",
            "jsonpath={.status.sku} {.status.virtualNetwork} {.status.conditions[0].message}",
        ])
        .await
        .unwrap();
    assert!(
        shown.starts_with(
            "Consumption Internal the gateway is reached from inside its virtual network only"
        ),
        "{shown}"
    );
    assert!(stage.api("shop.catalog").await.unwrap().is_some());
}
