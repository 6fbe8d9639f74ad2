//! What of an API goes where: documents that are fetched, APIs that stay in
//! the cluster, implementations outside of it, APIs without a document.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use e2e::{Documents, PATIENCE, Stage, Write, conditions, document, exposed_api};
use serde_json::{Value, json};

fn write(method: &str, path: &str) -> Write {
    Write(method.into(), path.into())
}

fn created() -> [Write; 3] {
    [
        write("PUT", ""),
        write("PUT", "/policies/policy"),
        write("PUT", " (import)"),
    ]
}

fn retry(value: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/retry": value}}})
}

fn message(status: &Value) -> String {
    status["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_imported_once_it_can_be_fetched_and_again_only_when_it_changed() {
    let stage =
        Stage::builder().instance(json!({"specification": {"allowPrivate": ["127.0.0.1"]}}));
    let test = "a_document_is_imported_once_it_can_be_fetched_and_again_only_when_it_changed";
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let documents = Documents::start().await.unwrap();
    let object = exposed_api("catalog", |o| {
        o["spec"]["specification"] =
            json!({"url": documents.url("/catalog.json"), "version": "v4.0.0"});
    });
    stage.apply(&object).await.unwrap();

    let status = stage
        .until_reason("catalog", "Ready", "DocumentUnavailable")
        .await
        .unwrap();
    assert_eq!(status["implementation"], json!({"ready": false}));
    assert!(message(&status).contains("503"), "{status}");
    assert_eq!(
        conditions(&status)[1..3],
        ["Reconciling=True DocumentUnavailable", "Stalled=False Done"]
    );
    assert_eq!(stage.writes("shop.catalog"), []);
    // A neighbour is not delayed.
    stage.settled().await.unwrap();

    documents.serve(
        "/catalog.json",
        Some(document("catalog", &["get", "post"]).to_string()),
    );
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items", "POST /items"]
    );

    // Looked at again, and the same: nothing is written.
    let before = documents.asked();
    stage.azure.clear_journal();
    stage.patch("shop", "catalog", &retry("1")).await.unwrap();
    let asked_again = async |more: usize| {
        test_harness::wait_until("the document is asked for", PATIENCE, async || {
            if documents.asked() >= more {
                Ok(())
            } else {
                Err(documents.asked())
            }
        })
        .await
        .unwrap();
    };
    asked_again(before + 1).await;
    stage.settled().await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);

    // Away, while the policy changes: what is published stays.
    documents.serve("/catalog.json", None);
    stage
        .patch(
            "shop",
            "catalog",
            &json!({"spec": {"rateLimit": {"limit": "5"}}}),
        )
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "Ready", "DocumentUnavailable")
        .await
        .unwrap();
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-local.azure-api.net/catalog"
    );
    assert_eq!(stage.writes("shop.catalog"), []);
    // Back, and the same: the policy alone.
    documents.serve(
        "/catalog.json",
        Some(document("catalog", &["get", "post"]).to_string()),
    );
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(
        stage.writes("shop.catalog"),
        [write("PUT", "/policies/policy")]
    );

    // Another document.
    documents.serve(
        "/catalog.json",
        Some(document("catalog", &["get"]).to_string()),
    );
    assert_eq!(
        stage.change("catalog", &retry("2"), 1).await.unwrap(),
        [write("PUT", " (import)")]
    );
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items"]
    );

    // One that does not parse: the line is named, the last good one stays.
    stage.azure.clear_journal();
    documents.serve(
        "/catalog.json",
        Some("openapi: 3.0.1\ninfo: {title: x, version: '1'\n".to_owned()),
    );
    stage.patch("shop", "catalog", &retry("3")).await.unwrap();
    let status = stage
        .until_reason("catalog", "Ready", "InvalidDocument")
        .await
        .unwrap();
    assert!(message(&status).contains("line "), "{status}");
    assert_eq!(stage.writes("shop.catalog"), []);
    assert_eq!(
        stage.operations("shop.catalog").await.unwrap(),
        ["GET /items"]
    );

    // What the instance does not allow is not asked.
    let private = exposed_api("private", |o| {
        o["spec"]["specification"] = json!("http://169.254.169.254/metadata");
    });
    stage.apply(&private).await.unwrap();
    let status = stage
        .until("private", "refused", |s| {
            message(s).contains("allowPrivate")
        })
        .await
        .unwrap();
    assert!(message(&status).contains("169.254.169.254"), "{status}");
    assert_eq!(stage.calls("shop.private").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_belongs_in_api_management_goes_there() {
    let stage = Stage::builder().instance(
        json!({"ownerMay": ["exposure"], "allow": {"backendHosts": ["api.example.com"]}}),
    );
    let Some(stage) = stage
        .start("only_what_belongs_in_api_management_goes_there")
        .await
    else {
        return;
    };
    metrics_stay_in_the_cluster(&stage).await;
    implementations_outside(&stage).await;
    no_document(&stage).await;
}

async fn metrics_stay_in_the_cluster(stage: &Stage) {
    let object = exposed_api("metrics", |o| {
        o["spec"]["apiType"] = json!("prometheus");
        o["spec"].as_object_mut().unwrap().remove("specification");
    });
    stage.apply(&object).await.unwrap();
    let status = stage.until_ready("metrics").await.unwrap();
    assert_eq!(
        status["apiStatus"],
        json!({
            "name": "metrics", "path": "/metrics", "port": 8080, "implementation": "metrics",
            "url": "http://metrics.shop.svc:8080/metrics",
        })
    );
    assert_eq!(
        conditions(&status)[3..],
        [
            "ExposureReady=True Exposed",
            "PolicyRendered=True NotNeeded",
            "ApimSynced=True NotNeeded"
        ]
    );
    assert_eq!(status.get("apim"), None);
    stage.set_ready("metrics", false).await.unwrap();
    stage
        .until_reason("metrics", "ExposureReady", "NoReadyEndpoints")
        .await
        .unwrap();
    stage.set_ready("metrics", true).await.unwrap();
    stage.until_ready("metrics").await.unwrap();
    assert!(
        stage
            .ingresses()
            .get_opt("apim-api-ingress-metrics")
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(stage.calls("shop.metrics").len(), 0);

    // From openapi to prometheus: out of API Management, then the Ingress.
    stage.apply(&exposed_api("turning", |_| ())).await.unwrap();
    stage.until_ready("turning").await.unwrap();
    stage.azure.clear_journal();
    stage
        .patch(
            "shop",
            "turning",
            &json!({"spec": {"apiType": "prometheus"}}),
        )
        .await
        .unwrap();
    let inside = |s: &Value| {
        s["apiStatus"]["url"] == "http://turning.shop.svc:8080/turning" && s.get("apim").is_none()
    };
    stage
        .until("turning", "in the cluster", inside)
        .await
        .unwrap();
    let status = stage.until_ready("turning").await.unwrap();
    assert_eq!(stage.writes("shop.turning"), [write("DELETE", "")]);
    assert_eq!(status["plugins"], json!([]));
    test_harness::wait_for(
        &stage.ingresses(),
        "apim-api-ingress-turning",
        "gone",
        PATIENCE,
        |found| found.is_none().then_some(()),
    )
    .await
    .unwrap();
    assert_eq!(stage.api("shop.turning").await.unwrap(), None);
    // And back.
    let writes = stage
        .change("turning", &json!({"spec": {"apiType": "openapi"}}), 3)
        .await
        .unwrap();
    assert_eq!(writes, created());
}

async fn implementations_outside(stage: &Stage) {
    let external = |name: &str, server: &str| {
        exposed_api(name, |o| {
            let mut document = document(name, &["get"]);
            document["servers"] = json!([{"url": "http://plain.example.com/v1"}, {"url": server}]);
            o["spec"]["implementation"] = json!("<external>");
            o["spec"]["specification"] = json!(document.to_string());
        })
    };
    stage
        .apply(&external("outside", "https://api.example.com/v1"))
        .await
        .unwrap();
    let status = stage.until_ready("outside").await.unwrap();
    assert_eq!(stage.writes("shop.outside"), created());
    assert_eq!(
        stage.api("shop.outside").await.unwrap().unwrap()["serviceUrl"],
        "https://api.example.com/v1"
    );
    assert_eq!(status["apiStatus"].get("ip"), None);
    assert!(
        stage
            .ingresses()
            .get_opt("apim-api-ingress-outside")
            .await
            .unwrap()
            .is_none()
    );

    // The way says the same.
    let mut said_twice = external("outside-too", "https://api.example.com/v2");
    said_twice["metadata"]["annotations"]["apim.oda.tmforum.org/exposure"] = json!("external");
    stage.apply(&said_twice).await.unwrap();
    stage.until_ready("outside-too").await.unwrap();
    assert_eq!(stage.writes("shop.outside-too"), created());

    stage
        .apply(&external("elsewhere", "https://evil.example.net/v1"))
        .await
        .unwrap();
    let status = stage
        .until_reason("elsewhere", "ExposureReady", "NoBackend")
        .await
        .unwrap();
    assert_eq!(
        conditions(&status)[..3],
        [
            "Ready=False NoBackend",
            "Reconciling=False Done",
            "Stalled=True NoBackend"
        ]
    );
    assert!(message(&status).contains("allow.backendHosts"), "{status}");
    assert_eq!(stage.calls("shop.elsewhere").len(), 0);
}

async fn no_document(stage: &Stage) {
    let object = exposed_api("anything", |o| {
        o["spec"].as_object_mut().unwrap().remove("specification");
    });
    stage.apply(&object).await.unwrap();
    let status = stage.until_ready("anything").await.unwrap();
    assert_eq!(stage.writes("shop.anything"), created());
    // OPTIONS would switch the answers to preflight requests off.
    assert_eq!(
        stage.operations("shop.anything").await.unwrap(),
        [
            "DELETE /*",
            "GET /*",
            "HEAD /*",
            "PATCH /*",
            "POST /*",
            "PUT /*"
        ]
    );
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("spec.specification"), "{warnings}");

    let object = exposed_api("preflight", |o| {
        o["spec"]["specification"] = json!(document("preflight", &["get", "options"]).to_string());
        o["spec"]["CORS"] = json!({"enabled": true, "allowOrigins": "https://shop.example.com"});
    });
    stage.apply(&object).await.unwrap();
    let status = stage.until_ready("preflight").await.unwrap();
    assert_eq!(status["pluginNames"], "cors, jwt-entra, rate-limit");
    assert!(
        status["warnings"].to_string().contains("OPTIONS"),
        "{status}"
    );
}

/// An object without a document, with these operations.
fn declaring(operations: &str, of_operations: &str) -> Value {
    exposed_api("stock", |object| {
        object["spec"]["specification"] = Value::Null;
        let annotations = &mut object["metadata"]["annotations"];
        annotations["apim.oda.tmforum.org/operations"] = operations.into();
        annotations["apim.oda.tmforum.org/operation-plugins"] = of_operations.into();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_operations_are_kept_in_step_and_take_their_policies_with_them_as_planned() {
    let test = "declared_operations_are_kept_in_step_and_take_their_policies_with_them_as_planned";
    let may = json!({"ownerMay": ["operations", "operation-plugins", "plugin.*"]});
    let Some(stage) = Stage::builder().instance(may).start(test).await else {
        return;
    };
    let both = declaring(
        "[{id: listItems, method: GET, urlTemplate: '/items?unit={unit}'}, {id: putItem, method: PUT, urlTemplate: '/items/{id}', responses: [204]}]",
        "putItem: {plugins: ip-filter, config: {ip-filter: {allow: [192.0.2.0/24]}}}",
    );
    stage.apply(&both).await.unwrap();
    stage.until_ready("stock").await.unwrap();
    assert_eq!(stage.writes("shop.stock")[..3], created());
    assert_eq!(
        stage.operations("shop.stock").await.unwrap(),
        ["GET /items?unit={unit}", "PUT /items/{id}"]
    );
    let policy = stage.policy("shop.stock/operations/putitem").await.unwrap();
    assert!(policy.contains("ip-filter"), "{policy}");

    let fewer = declaring(
        "[{id: listItems, method: GET, urlTemplate: '/items?unit={unit}'}]",
        "{}",
    );
    let file = stage.dir().join("fewer.yaml");
    std::fs::write(&file, fewer.to_string()).unwrap();
    let plan = stage.cli(&["plan", "-f", file.to_str().unwrap()]).await;
    let (code, plan, said) = plan.unwrap();
    assert_eq!(code, 3, "{plan}{said}");
    assert!(plan.contains("putitem"), "{plan}");
    stage.apply(&fewer).await.unwrap();
    test_harness::wait_until("one operation", PATIENCE, async || {
        match stage.operations("shop.stock").await.unwrap().as_slice() {
            [one] if one == "GET /items?unit={unit}" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    stage.until_ready("stock").await.unwrap();
    stage.settled().await.unwrap();
}
