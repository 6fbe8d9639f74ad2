//! The three definitions of ExposedAPI that are in use, and what others can
//! write where status is not the operator's alone.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::path::Path;

use e2e::{Definition, Documents, PATIENCE, Stage, Write, conditions, document, exposed_api};
use serde_json::{Value, json};

const CANONICAL: &str = "../shared/oda/exposedapi-crd.yaml";
const ORIGINAL: &str = "../shared/oda/azure-dialect-crd.yaml";
const APPLIED: &str = "apim.oda.tmforum.org/applied";

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

/// Whether the definition is there; a skip is reported here.
fn has(test: &str, definition: &str) -> bool {
    let there = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(definition)
        .exists();
    if !there {
        test_harness::skip(test, "../shared is not there");
    }
    there
}

async fn spec(stage: &Stage, name: &str) -> Value {
    stage.object(name).await.unwrap().data["spec"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_canonical_definition_status_is_written_and_not_believed() {
    let test = "on_the_canonical_definition_status_is_written_and_not_believed";
    if !has(test, CANONICAL) {
        return;
    }
    let stage = Stage::builder()
        .definition(Definition::File(CANONICAL))
        .instance(json!({"specification": {"allowPrivate": ["127.0.0.1"]}}));
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    let documents = Documents::start().await.unwrap();
    documents.serve(
        "/catalog.json",
        Some(document("catalog", &["get"]).to_string()),
    );

    // As a canvas writes it, at v1.
    let object = exposed_api("catalog", |o| {
        o["spec"]["specification"] =
            json!({"url": documents.url("/catalog.json"), "version": "v4.0.0"});
        o["spec"]["quota"] = json!({"identifier": "", "limit": ""});
        o["spec"]["somethingNew"] = json!({"kept": true});
    });
    stage.apply(&object).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    assert_eq!(spec(&stage, "catalog").await, object["spec"]);
    assert_eq!(status["apiStatus"]["name"], "catalog");
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-local.azure-api.net/catalog"
    );
    assert_eq!(conditions(&status)[0], "Ready=True Published");
    // Writing status changes the generation there, so it would never be right.
    assert_eq!(status.get("observedGeneration"), None);

    // As an older client writes it, at v1beta3: what it wrote survives.
    documents.serve(
        "/older.json",
        Some(document("older", &["get", "put"]).to_string()),
    );
    let older = exposed_api("older", |o| {
        o["apiVersion"] = json!("oda.tmforum.org/v1beta3");
        o["spec"]["specification"] = json!([documents.url("/older.json")]);
    });
    stage.apply(&older).await.unwrap();
    stage.until_ready("older").await.unwrap();
    assert_eq!(
        stage.operations("shop.older").await.unwrap(),
        ["GET /items", "PUT /items"]
    );
    let path = "jsonpath={.spec.specification}";
    let read = [
        "get",
        "exposedapis.v1beta3.oda.tmforum.org",
        "older",
        "-n",
        "shop",
        "-o",
        path,
    ];
    assert_eq!(
        stage.kubectl(&read).await.unwrap(),
        json!([documents.url("/older.json")]).to_string()
    );

    // Somebody's status of an API that another one is published as.
    documents.serve("/thief.json", Some(document("thief", &["get"]).to_string()));
    let thief = |status: &Value| {
        exposed_api("thief", |o| {
            o["spec"]["specification"] = json!({"url": documents.url("/thief.json")});
            o["status"] = status.clone();
        })
    };
    stage.azure.clear_journal();
    stage.apply(&thief(&status)).await.unwrap();
    let own =
        |s: &Value| s["apim"]["apiId"] == "shop.thief" && s["implementation"]["ready"] == true;
    stage
        .until("thief", "published as itself", own)
        .await
        .unwrap();
    assert_eq!(stage.writes("shop.thief"), created());
    assert_eq!(stage.writes("shop.catalog"), []);

    // Somebody's status of an API that was never published.
    let template = stage.status("thief").await.unwrap();
    stage.delete("thief").await.unwrap();
    stage.until_gone("thief").await.unwrap();
    stage.azure.clear_journal();
    stage.apply(&thief(&template)).await.unwrap();
    stage.until_written("shop.thief", 3).await.unwrap();
    stage.until_ready("thief").await.unwrap();
    assert_eq!(stage.writes("shop.thief"), created());

    // Nothing changed: a restart reads, and writes nothing.
    let before = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    stage.restart().await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);
    assert_eq!(
        stage
            .object("catalog")
            .await
            .unwrap()
            .metadata
            .resource_version,
        before,
        "{}",
        stage.operator_log()
    );
    assert!(
        !stage.calls("shop.catalog").is_empty(),
        "what others could have written is confirmed by reads"
    );

    // A deletion that names somebody else's API.
    stage.kill_operator().unwrap();
    stage
        .patch(
            "shop",
            "thief",
            &json!({"status": {"apim": {"apiId": "shop.catalog"}}}),
        )
        .await
        .unwrap();
    stage.delete("thief").await.unwrap();
    stage.azure.clear_journal();
    stage.start_operator().await.unwrap();
    stage.until_gone("thief").await.unwrap();
    assert_eq!(stage.writes("shop.thief"), [write("DELETE", "")]);
    assert_eq!(stage.writes("shop.catalog"), []);
    assert!(stage.api("shop.catalog").await.unwrap().is_some());
}

/// An object as users of the original operator write it.
fn original(name: &str) -> Value {
    json!({
        "apiVersion": "oda.tmforum.org/v1beta3",
        "kind": "ExposedAPI",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "path": format!("/{name}"),
            "implementation": name,
            "port": 8080,
            "rateLimit": {"limit": 30, "period": 90},
            "CORS": {"allowOrigins": ["https://shop.example.com"], "allowMethods": ["GET"], "maxAge": 600},
            "specification": document(name, &["get"]).to_string(),
        },
    })
}

async fn applied(stage: &Stage, name: &str) -> Value {
    let awaited = "the annotation `applied` of something published";
    test_harness::wait_for(
        &stage.exposed_apis("shop"),
        name,
        awaited,
        PATIENCE,
        |object| {
            let text = object?.metadata.annotations.as_ref()?.get(APPLIED)?;
            let record: Value = serde_json::from_str(text).ok()?;
            record["specHash"].is_string().then_some(record)
        },
    )
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", stage.operator_log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_original_definition_an_annotation_remembers_and_events_tell() {
    let test = "on_the_original_definition_an_annotation_remembers_and_events_tell";
    if !has(test, ORIGINAL) {
        return;
    }
    let Some(mut stage) = Stage::builder()
        .definition(Definition::File(ORIGINAL))
        .start(test)
        .await
    else {
        return;
    };
    stage.apply(&original("catalog")).await.unwrap();
    let record = applied(&stage, "catalog").await;
    assert_eq!(
        (&record["object"], &record["apiId"]),
        (&json!("shop/catalog"), &json!("shop.catalog")),
        "{record}"
    );
    assert_eq!(stage.writes("shop.catalog"), created());
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        policy.contains("calls=\"30\" renewal-period=\"90\"") && policy.contains("<cors"),
        "{policy}"
    );
    let defaulted = spec(&stage, "catalog").await;
    assert_eq!(defaulted, original("catalog")["spec"]);
    let told = async |part: &str| {
        test_harness::wait_until(&format!("an event with {part}"), PATIENCE, async || {
            let events = stage.events("catalog").await.unwrap();
            if events.iter().any(|event| event.contains(part)) {
                Ok(())
            } else {
                Err(format!("{events:#?}"))
            }
        })
        .await
        .unwrap();
    };
    told("Warning StatusPruned: ").await;
    told("apim-operator crd --exposedapi").await;
    told("Normal Published: published at https://apim-local.azure-api.net/catalog").await;

    // A restart reads, and writes nothing.
    let before = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    stage.kill_operator().unwrap();
    stage.azure.clear_journal();
    stage.start_operator().await.unwrap();
    stage.apply(&original("neighbour")).await.unwrap();
    applied(&stage, "neighbour").await;
    assert_eq!(stage.writes("shop.catalog"), []);
    assert_eq!(
        stage
            .object("catalog")
            .await
            .unwrap()
            .metadata
            .resource_version,
        before,
        "{}",
        stage.operator_log()
    );

    // A change costs what it always costs.
    stage.azure.clear_journal();
    stage
        .patch(
            "shop",
            "catalog",
            &json!({"spec": {"rateLimit": {"limit": 31}}}),
        )
        .await
        .unwrap();
    stage.until_written("shop.catalog", 1).await.unwrap();
    let record = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .annotations
        .unwrap()[APPLIED]
        .clone();

    // Copied to another object, the annotation says nothing; made up, it gives
    // no right.
    let mut copy = original("copy");
    copy["metadata"]["annotations"] = json!({APPLIED: record.clone()});
    let mut forged = original("forged");
    forged["metadata"]["annotations"] =
        json!({APPLIED: record.replace("shop/catalog", "shop/forged")});
    stage.apply(&copy).await.unwrap();
    stage.apply(&forged).await.unwrap();
    for name in ["copy", "forged"] {
        stage
            .until_written(&format!("shop.{name}"), 3)
            .await
            .unwrap();
        assert_eq!(stage.writes(&format!("shop.{name}")), created());
        stage.delete(name).await.unwrap();
        stage.until_gone(name).await.unwrap();
    }
    assert_eq!(
        stage.writes("shop.catalog"),
        [write("PUT", "/policies/policy")]
    );

    stage.azure.clear_journal();
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), [write("DELETE", "")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_definition_takes_both_dialects_at_every_version() {
    let test = "our_definition_takes_both_dialects_at_every_version";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    for (name, version) in [("third", "v1beta3"), ("fourth", "v1beta4"), ("first", "v1")] {
        let mut object = original(name);
        object["apiVersion"] = json!(format!("oda.tmforum.org/{version}"));
        object["spec"]["monitoring"] = json!({"enabled": true, "port": 9100});
        stage.apply(&object).await.unwrap();
        let status = stage.until_ready(name).await.unwrap();
        assert_eq!(stage.writes(&format!("shop.{name}")), created());
        assert_eq!(status["pluginNames"], "cors, jwt-entra, rate-limit");
        assert_eq!(spec(&stage, name).await, object["spec"]);
        let at = format!("exposedapis.{version}.oda.tmforum.org");
        let read = stage
            .kubectl(&["get", &at, name, "-n", "shop", "-o", "json"])
            .await
            .unwrap();
        let read: Value = serde_json::from_str(&read).unwrap();
        assert_eq!(read["spec"], object["spec"], "read at {version}");
        assert_eq!(read["status"]["implementation"], json!({"ready": true}));
    }
    // The canonical dialect's own example has numbers as texts and blocks that
    // are there and say no.
    let object = exposed_api("canonical", |o| {
        o["spec"]["port"] = json!("8080");
        o["spec"]["CORS"] = json!({"enabled": false, "allowOrigins": "*"});
        o["spec"]["rateLimit"] =
            json!({"enabled": true, "limit": "12", "interval": "ps", "identifier": ""});
    });
    let mut service = object.clone();
    service["spec"]["port"] = json!(8080);
    stage.apply(&service).await.unwrap();
    stage
        .patch("shop", "canonical", &json!({"spec": object["spec"]}))
        .await
        .unwrap();
    stage
        .until("canonical", "the port as a text", |s| {
            s["observedGeneration"] == 2
        })
        .await
        .unwrap();
    let status = stage.until_ready("canonical").await.unwrap();
    assert_eq!(status["apiStatus"]["port"], 8080);
    assert_eq!(status["pluginNames"], "jwt-entra, rate-limit");
    assert_eq!(spec(&stage, "canonical").await["port"], "8080");
    let policy = stage.policy("shop.canonical").await.unwrap();
    assert!(
        policy.contains("calls=\"12\" renewal-period=\"1\""),
        "{policy}"
    );
}
