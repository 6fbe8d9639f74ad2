//! OpenAPI documents that lie in the cluster: in a ConfigMap, in a Secret, and
//! in the running Service.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "test code")]

use anyhow::{Context as _, Result};
use apim_simulator::FaultSpec;
use e2e::rights::{bound_in_shop, role};
use e2e::{Documents, PATIENCE, Stage, document, exposed_api};
use kube::api::DeleteParams;
use serde_json::{Value, json};

const FROM: &str = "apim.oda.tmforum.org/specification-from";
const READABLE: &str = "apim.oda.tmforum.org/readable";
/// Stands in a document that is a secret; in what it is published as, it may.
const WORD: &str = "hunter2";

fn config_map(key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "spec", "namespace": "shop"}, "data": {key: text},
    })
}

fn secret(text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "spec", "namespace": "shop", "labels": {READABLE: "true"}},
        "stringData": {"openapi.yaml": text},
    })
}

fn of(name: &str, from: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"][FROM] = from.into();
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "".into();
        object["spec"]
            .as_object_mut()
            .unwrap()
            .remove("specification");
    })
}

fn message(status: &Value) -> &str {
    let ready = status["conditions"].as_array().into_iter().flatten();
    let mut ready = ready.filter(|one| one["type"] == "Ready");
    ready
        .next()
        .and_then(|one| one["message"].as_str())
        .unwrap_or_default()
}

async fn until_said(stage: &Stage, name: &str, what: &str) -> Result<Value> {
    stage
        .until(name, what, |status| message(status).contains(what))
        .await
}

async fn until_operations(stage: &Stage, name: &str, wanted: &[&str]) -> Result<()> {
    test_harness::wait_until(&format!("operations {wanted:?}"), PATIENCE, async || {
        let id = format!("shop.{name}");
        let now = stage
            .operations(&id)
            .await
            .map_err(|error| error.to_string())?;
        if now == wanted {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .with_context(|| stage.operator_log())
}

async fn stage(test: &str) -> Option<Stage> {
    Stage::builder()
        .instance(json!({"ownerMay": ["specification-from", "plugins", "plugin.*", "operation-plugins", "operations", "retry"]}))
        .object(role("rbac-documents.yaml").unwrap())
        .object(role("rbac-secrets.yaml").unwrap())
        .start(test)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_in_a_config_map_is_followed() -> Result<()> {
    let Some(stage) = stage("a_document_in_a_config_map").await else {
        return Ok(());
    };
    let text = |methods: &[&str]| document("map", methods).to_string();
    let from = "configMap: {name: spec, key: openapi.yaml}";
    // Without the right, without the ConfigMap, without the key: one clear
    // message each, and each is heard of when it ends.
    stage.apply(&of("map", from)).await?;
    let status = until_said(&stage, "map", "ConfigMap `shop/spec` cannot be read").await?;
    assert!(
        message(&status)
            .contains("needs the ClusterRole `apim-operator-documents` in namespace `shop`"),
        "{status}"
    );
    stage
        .apply(&bound_in_shop("apim-operator-documents"))
        .await?;
    until_said(&stage, "map", "ConfigMap `shop/spec` is not there; make it").await?;
    stage
        .apply(&config_map("swagger.json", &text(&["get"])))
        .await?;
    until_said(
        &stage,
        "map",
        "ConfigMap `shop/spec` has no key `openapi.yaml`; it has `swagger.json`",
    )
    .await?;
    assert_eq!(stage.api("shop.map").await?, None);
    stage
        .apply(&config_map("openapi.yaml", &text(&["get"])))
        .await?;
    stage.until_ready("map").await?;
    until_operations(&stage, "map", &["GET /items"]).await?;

    // A change is one import; what changes nothing of it is none.
    stage.settled().await?;
    let before = stage.writes("shop.map").len();
    stage
        .apply(&config_map("openapi.yaml", &text(&["get", "put"])))
        .await?;
    until_operations(&stage, "map", &["GET /items", "PUT /items"]).await?;
    let mut labelled = config_map("openapi.yaml", &text(&["get", "put"]));
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    stage.apply(&labelled).await?;
    stage.settled().await?;
    assert_eq!(stage.writes("shop.map").len(), before + 1);

    // One that cannot be imported, or is gone, leaves what is published.
    stage
        .apply(&config_map("openapi.yaml", "openapi: 3.0.3\npaths: ["))
        .await?;
    let status = stage
        .until_reason("map", "Ready", "InvalidDocument")
        .await?;
    assert!(
        message(&status).contains(
            "key `openapi.yaml` of ConfigMap `spec`: the OpenAPI document is not valid YAML"
        ),
        "{status}"
    );
    stage
        .kubectl(&["delete", "configmap", "spec", "-n", "shop"])
        .await?;
    until_said(&stage, "map", "ConfigMap `shop/spec` is not there").await?;
    assert_eq!(
        stage.operations("shop.map").await?,
        ["GET /items", "PUT /items"]
    );
    stage
        .apply(&config_map("openapi.yaml", &text(&["delete"])))
        .await?;
    until_operations(&stage, "map", &["DELETE /items"]).await?;
    stage.until_ready("map").await?;

    // Two documents, or two places, are one too many.
    let both = exposed_api("both", |object| {
        object["metadata"]["annotations"][FROM] = from.into();
    });
    stage.apply(&both).await?;
    until_said(
        &stage,
        "both",
        "stands beside `spec.specification`, which is a document, too; remove one of the two",
    )
    .await?;
    let mut declared = of("declared", from);
    declared["metadata"]["annotations"]["apim.oda.tmforum.org/operations"] =
        "[{id: a, method: GET, urlTemplate: /a}]".into();
    stage.apply(&declared).await?;
    until_said(
        &stage,
        "declared",
        "which has operations of its own; remove one of the two",
    )
    .await?;
    stage
        .apply(&of("two", "{configMap: {name: a, key: b}, service: {}}"))
        .await?;
    until_said(&stage, "two", "names one place").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_name_a_place_only_where_the_platform_lets_them() -> Result<()> {
    let Some(stage) = Stage::builder().start("owners_name_a_place").await else {
        return Ok(());
    };
    stage.apply(&of("mine", "service: {}")).await?;
    let status = stage.until_reason("mine", "Ready", "Forbidden").await?;
    assert!(
        message(&status).contains("does not let API owners set `specification-from`"),
        "{status}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_in_a_secret_is_published_and_quoted_nowhere() -> Result<()> {
    let Some(stage) = stage("a_document_in_a_secret").await else {
        return Ok(());
    };
    stage
        .apply(&of("quiet", "secret: {name: spec, key: openapi.yaml}"))
        .await?;
    until_said(
        &stage,
        "quiet",
        "needs the ClusterRole `apim-operator-secrets` in namespace `shop`",
    )
    .await?;
    stage.apply(&bound_in_shop("apim-operator-secrets")).await?;
    let mut unlabelled = secret("x");
    unlabelled["metadata"]["labels"] = json!({});
    stage.apply(&unlabelled).await?;
    until_said(&stage, "quiet", "is not there, or does not carry the label").await?;
    let mut other = secret("x");
    other["stringData"] = json!({"other.yaml": "x"});
    stage
        .kubectl(&["delete", "secret", "spec", "-n", "shop"])
        .await?;
    stage.apply(&other).await?;
    until_said(
        &stage,
        "quiet",
        "Secret `shop/spec` has no key `openapi.yaml`; it has `other.yaml`",
    )
    .await?;

    // What is wrong with it is said by its place.
    let good = |methods: &[&str]| {
        let mut text = document("quiet", methods);
        text["info"]["description"] = WORD.into();
        text.to_string()
    };
    let broken = format!("openapi: 3.0.3\ninfo: {{title: {WORD}: x}}\n");
    stage.apply(&secret(&broken)).await?;
    until_said(
        &stage,
        "quiet",
        "the OpenAPI document is not valid YAML: line 2, column",
    )
    .await?;
    let mut refused = document("quiet", &["get"]);
    refused["paths"][format!("/{{{WORD}}}")] =
        json!({"get": {"operationId": WORD, "responses": {}}});
    stage.apply(&secret(&refused.to_string())).await?;
    until_said(
        &stage,
        "quiet",
        "API Management would refuse the OpenAPI document for",
    )
    .await?;

    stage.apply(&secret(&good(&["get"]))).await?;
    stage.until_ready("quiet").await?;

    // What Azure says of it may quote it.
    let said = format!("Parsing error: {WORD} is not allowed");
    stage.strike(FaultSpec {
        verb: Some("PUT".to_owned()),
        path: Some("/apis/shop\\.quiet\\?".to_owned()),
        status: Some(400),
        body: Some(json!({"error": {"code": "ValidationError", "message": said}})),
        count: Some(1),
        ..FaultSpec::default()
    })?;
    stage.apply(&secret(&good(&["get", "put"]))).await?;
    until_said(
        &stage,
        "quiet",
        "ValidationError: what was said is not told here",
    )
    .await?;
    let retry = json!({"metadata": {"annotations": {"apim.oda.tmforum.org/retry": "1"}}});
    stage.patch("shop", "quiet", &retry).await?;
    until_operations(&stage, "quiet", &["GET /items", "PUT /items"]).await?;
    stage.until_ready("quiet").await?;

    // An operation that it lacks is not answered with those that it has.
    let lacks = json!({"metadata": {"annotations": {
        "apim.oda.tmforum.org/operation-plugins": "{putItems: {plugins: cors}}",
    }}});
    stage.patch("shop", "quiet", &lacks).await?;
    let status = until_said(&stage, "quiet", "the API has no operation `putItems`").await?;
    assert!(!message(&status).contains("`putItem`"), "{status}");

    let mut seen = stage.operator_log();
    for kind in ["exposedapi", "events.events.k8s.io"] {
        seen.push_str(&stage.kubectl(&["get", kind, "-A", "-o", "yaml"]).await?);
    }
    assert!(!seen.contains(WORD), "{seen}");
    Ok(())
}

/// The endpoints of a Service, as many as there are ports.
fn slice(service: &str, at: std::net::SocketAddr, ready: bool, generation: usize) -> Value {
    // Others come and go beside the one that answers.
    let other = format!("10.244.7.{generation}");
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [at.ip()], "conditions": {"ready": ready}},
            {"addresses": [other], "conditions": {"ready": false}},
        ],
        "ports": [{"name": "", "port": at.port(), "protocol": "TCP"}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_is_asked_for_its_document_when_its_endpoints_change() -> Result<()> {
    let Some(stage) = stage("a_running_service_is_asked").await else {
        return Ok(());
    };
    let Some(pod) = Documents::as_pod().await? else {
        eprintln!("skipped: this machine has no address that a pod could have");
        return Ok(());
    };
    let name = "live";
    stage
        .apply(&of(name, "service: {path: /openapi.json}"))
        .await?;
    stage.set_ready(name, false).await?;
    until_said(&stage, name, "has no ready endpoint").await?;

    // Whoever writes EndpointSlices does not reach what only the operator can.
    let port = pod.address.port();
    let metadata = std::net::SocketAddr::new([168, 63, 129, 16].into(), port);
    stage.apply(&slice(name, metadata, true, 1)).await?;
    until_said(
        &stage,
        name,
        "the endpoint 168.63.129.16 is a link-local or metadata address",
    )
    .await?;

    stage.apply(&slice(name, pod.address, true, 1)).await?;
    let said = until_said(&stage, name, "answers with status 503").await?;
    assert!(
        message(&said).starts_with(
            "metadata.annotations[apim.oda.tmforum.org/specification-from]: Service `shop/live`"
        ) && message(&said).contains("name where the document is in `service: {path: …}`"),
        "{said}"
    );
    pod.serve(
        "/openapi.json",
        Some(document("live", &["get"]).to_string()),
    );
    stage.until_ready(name).await?;
    until_operations(&stage, name, &["GET /items"]).await?;

    // Whatever else makes the operator look at the object, the Service is left
    // alone.
    stage.settled().await?;
    let asked = pod.asked();
    let note = json!({"metadata": {"labels": {"team": "shop"}}});
    stage.patch("shop", name, &note).await?;
    stage.settled().await?;
    assert_eq!(pod.asked(), asked);

    // A rollout changes endpoints many times, and asks a few.
    pod.serve(
        "/openapi.json",
        Some(document("live", &["get", "put"]).to_string()),
    );
    for number in 2..20 {
        let mut rolled = slice(name, pod.address, true, number);
        rolled["endpoints"][1] = json!({
            "addresses": [pod.address.ip()], "conditions": {"ready": number % 2 == 1},
        });
        stage.apply(&rolled).await?;
    }
    until_operations(&stage, name, &["GET /items", "PUT /items"]).await?;
    assert!(pod.asked() <= asked + 4, "{} times", pod.asked() - asked);

    // Nobody answers any more: what is published stays, and is not ready.
    stage
        .kubectl(&["delete", "endpointslice", "live-1", "-n", "shop"])
        .await?;
    stage
        .until(name, "not ready", |status| {
            status["implementation"]["ready"] == false
        })
        .await?;
    assert_eq!(
        stage.operations("shop.live").await?,
        ["GET /items", "PUT /items"]
    );
    stage
        .exposed_apis("shop")
        .delete(name, &DeleteParams::default())
        .await?;
    stage.until_gone(name).await?;
    assert_eq!(stage.api("shop.live").await?, None);
    Ok(())
}
