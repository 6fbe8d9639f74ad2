//! What changes of a published API cost: updates, refusals and their repair,
//! pauses, and what is tried again.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::CallKind;
use apim_simulator::FaultSpec;
use e2e::{Stage, Write, conditions, document, exposed_api};
use serde_json::{Value, json};

fn put(path: &str) -> Write {
    Write("PUT".into(), path.into())
}

fn patch(path: &str) -> Write {
    Write("PATCH".into(), path.into())
}

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_costs_the_writes_it_needs_and_no_others() {
    let Some(stage) = Stage::builder()
        .start("each_change_costs_the_writes_it_needs_and_no_others")
        .await
    else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let first = stage.until_ready("catalog").await.unwrap();

    // The policy alone: one write, and the document is not imported again.
    let change = json!({"spec": {"rateLimit": {"limit": "50"}}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    assert!(
        stage
            .policy("shop.catalog")
            .await
            .unwrap()
            .contains("calls=\"50\"")
    );
    let now = stage.status("catalog").await.unwrap();
    assert_eq!(now["apim"]["specHash"], first["apim"]["specHash"]);
    assert_ne!(now["apim"]["policyHash"], first["apim"]["policyHash"]);

    // The document alone: one write, and two reads after it: what it reset, and
    // whether it made its operations.
    let change =
        json!({"spec": {"specification": document("catalog", &["get", "delete"]).to_string()}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put(" (import)")]
    );
    let calls = stage.calls("shop.catalog");
    let import = calls
        .iter()
        .position(|call| call.kind == CallKind::Write)
        .unwrap();
    let after: Vec<_> = calls[import + 1..]
        .iter()
        .filter(|call| call.kind == CallKind::Read)
        .collect();
    let read: Vec<&str> = after
        .iter()
        .filter_map(|call| Some(call.path.split_once("/apis/")?.1))
        .collect();
    assert_eq!(read, ["shop.catalog", "shop.catalog/operations"]);
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["DELETE /items", "GET /items"]
    );

    // Settings alone: a patch of what differs.
    let change = json!({"spec": {"apiKeyVerification": {"enabled": true, "location": "X-Key"}}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [patch("")]
    );
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(api["subscriptionRequired"], true);
    assert_eq!(api["subscriptionKeyParameterNames"]["header"], "X-Key");
    let change = json!({"spec": {"name": "The catalogue"}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [patch("")]
    );
    assert_eq!(
        stage.api("shop.catalog").await.unwrap().unwrap()["displayName"],
        "The catalogue"
    );

    // The path: the Ingress, and one patch of path and backend.
    let change = json!({"spec": {"path": "/goods"}});
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [patch("")]
    );
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(
        (&api["path"], &api["serviceUrl"]),
        (&json!("goods"), &json!("http://203.0.113.10/goods"))
    );
    let status = stage.status("catalog").await.unwrap();
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-local.azure-api.net/goods"
    );
    stage
        .until_ingress("catalog", "the new path", |i| {
            (rule(i)["path"] == "/goods").then_some(())
        })
        .await
        .unwrap();

    // The port: the Ingress alone.
    stage.azure.clear_journal();
    stage
        .patch("shop", "catalog", &json!({"spec": {"port": "8443"}}))
        .await
        .unwrap();
    let port = |i: &_| (rule(i)["backend"]["service"]["port"]["number"] == 8443).then_some(());
    stage
        .until_ingress("catalog", "the new port", port)
        .await
        .unwrap();
    stage
        .until("catalog", "the port in status", |s| {
            s["apiStatus"]["port"] == 8443
        })
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);

    // The chain, by annotation.
    let change = annotation("plugins", &json!("cors, rate-limit"));
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        policy.contains("<cors")
            && policy.contains("<rate-limit-by-key")
            && !policy.contains("jwt"),
        "{policy}"
    );
    assert_eq!(
        stage.status("catalog").await.unwrap()["pluginNames"],
        "cors, rate-limit"
    );
    let change = annotation("plugins", &json!(""));
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        !policy.contains("<cors") && !policy.contains("rate-limit"),
        "{policy}"
    );
    let change = annotation("plugins", &Value::Null);
    assert_eq!(
        stage.change("catalog", &change, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    assert_eq!(
        stage.status("catalog").await.unwrap()["pluginNames"],
        "jwt-entra, rate-limit"
    );

    refused_and_repaired(&stage).await;
    paused_and_retried(&stage).await;
}

fn rule(ingress: &k8s_openapi::api::networking::v1::Ingress) -> Value {
    let spec = serde_json::to_value(&ingress.spec).unwrap();
    spec["rules"][0]["http"]["paths"][0].clone()
}

/// What is wrong is told; what was published stays; nothing is written.
async fn refused_and_repaired(stage: &Stage) {
    stage.azure.clear_journal();
    let before = stage.status("catalog").await.unwrap();
    let wrong = annotation("plugin.rate-limit", &json!("calls: 0"));
    stage.patch("shop", "catalog", &wrong).await.unwrap();
    let status = stage
        .until("catalog", "refused", |s| {
            s["implementation"]["ready"] == false
        })
        .await
        .unwrap();
    let ready = &status["conditions"][0];
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.contains("rate-limit") && message.contains("/calls"),
        "{message}"
    );
    assert_eq!(
        status["conditions"][2]["status"], "True",
        "it is stalled: {status}"
    );
    assert_eq!(status["apiStatus"]["url"], before["apiStatus"]["url"]);
    assert_eq!(status["apim"]["policyHash"], before["apim"]["policyHash"]);
    // A typo must not un-protect an API.
    let typo = annotation("plugins", &json!("cors, rate-limits"));
    stage.patch("shop", "catalog", &typo).await.unwrap();
    let message = |s: &Value| {
        s["conditions"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let status = stage
        .until("catalog", "an offer", |s| {
            message(s).contains("rate-limits")
        })
        .await
        .unwrap();
    assert!(
        message(&status).contains("did you mean `rate-limit`"),
        "{status}"
    );
    let port = json!({"spec": {"port": 70000}});
    stage.patch("shop", "catalog", &port).await.unwrap();
    let status = stage
        .until("catalog", "the port is refused", |s| {
            message(s).contains("70000")
        })
        .await
        .unwrap();
    assert!(message(&status).contains("spec.port"), "{status}");
    assert_eq!(stage.writes("shop.catalog"), []);
    assert!(
        stage
            .policy("shop.catalog")
            .await
            .unwrap()
            .contains("calls=\"50\"")
    );

    let repaired = json!({
        "spec": {"port": 8080},
        "metadata": {"annotations": {
            "apim.oda.tmforum.org/plugins": null,
            "apim.oda.tmforum.org/plugin.rate-limit": "calls: 20",
        }},
    });
    assert_eq!(
        stage.change("catalog", &repaired, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    assert!(
        stage
            .policy("shop.catalog")
            .await
            .unwrap()
            .contains("calls=\"20\"")
    );
    let events = stage.events("catalog").await.unwrap();
    let refusals = events
        .iter()
        .filter(|event| event.starts_with("Warning "))
        .count();
    assert_eq!(refusals, 3, "one event for each refusal: {events:#?}");
}

/// A paused object is looked at, and nothing else; `retry` tries again now.
async fn paused_and_retried(stage: &Stage) {
    stage.azure.clear_journal();
    stage
        .patch("shop", "catalog", &annotation("paused", &json!("true")))
        .await
        .unwrap();
    let reconciling = |s: &Value| s["conditions"][1]["reason"] == "Paused";
    let status = stage.until("catalog", "paused", reconciling).await.unwrap();
    assert_eq!(
        status["implementation"]["ready"], true,
        "what is in place still holds: {status}"
    );
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("; paused, so changes have no effect"),
        "{message}"
    );
    let change = json!({"spec": {"rateLimit": {"limit": "9"}, "port": 9090, "path": "/elsewhere"}});
    stage
        .patch(
            "shop",
            "catalog",
            &annotation("plugin.rate-limit", &Value::Null),
        )
        .await
        .unwrap();
    stage.patch("shop", "catalog", &change).await.unwrap();
    let generation = stage.object("catalog").await.unwrap().metadata.generation;
    let seen = |s: &Value| s["observedGeneration"].as_i64() == generation;
    let status = stage
        .until("catalog", "the change was seen", seen)
        .await
        .unwrap();
    assert_eq!(conditions(&status)[0], "Ready=False Paused");
    assert_eq!(stage.writes("shop.catalog"), []);
    let ingress = stage
        .ingresses()
        .get("apim-api-ingress-catalog")
        .await
        .unwrap();
    assert_eq!(rule(&ingress)["path"], "/goods");
    assert_eq!(rule(&ingress)["backend"]["service"]["port"]["number"], 8080);

    stage
        .patch("shop", "catalog", &json!({"spec": {"port": 8080}}))
        .await
        .unwrap();
    let resumed = annotation("paused", &Value::Null);
    let writes = stage.change("catalog", &resumed, 2).await.unwrap();
    assert_eq!(writes, [put("/policies/policy"), patch("")]);
    assert!(
        stage
            .policy("shop.catalog")
            .await
            .unwrap()
            .contains("calls=\"9\"")
    );

    // What Azure refuses is not tried again until something changes, or until
    // somebody asks for it.
    let refusal = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/apis/shop\\.catalog/policies/".into()),
        count: Some(1),
        status: Some(400),
        body: Some(
            json!({"error": {"code": "ValidationError", "message": "One or more fields contain incorrect values"}}),
        ),
        ..FaultSpec::default()
    };
    stage.azure.fault(refusal).unwrap();
    stage.azure.clear_journal();
    stage
        .patch(
            "shop",
            "catalog",
            &json!({"spec": {"rateLimit": {"limit": "11"}}}),
        )
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "ApimSynced", "Rejected")
        .await
        .unwrap();
    assert_eq!(conditions(&status)[2], "Stalled=True Rejected");
    let error = status["apim"]["lastError"].as_str().unwrap();
    assert!(
        error.contains("One or more fields contain incorrect values"),
        "{error}"
    );
    stage.settled().await.unwrap();
    assert_eq!(
        stage.writes("shop.catalog"),
        [put("/policies/policy")],
        "it is not tried again by itself"
    );
    let retry = annotation("retry", &json!("1"));
    assert_eq!(
        stage.change("catalog", &retry, 1).await.unwrap(),
        [put("/policies/policy")]
    );
    assert_eq!(
        stage.status("catalog").await.unwrap()["apim"].get("lastError"),
        None
    );
}
