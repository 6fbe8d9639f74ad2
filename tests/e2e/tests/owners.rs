//! Whose an API is, and what its owner may do: foreign APIs and forbidden
//! annotations.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use e2e::{Stage, Write, conditions, exposed_api};
use serde_json::{Value, json};

fn write(method: &str, path: &str) -> Write {
    Write(method.into(), path.into())
}

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

fn message(status: &Value) -> String {
    status["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_not_ours_is_left_alone_and_named() {
    let Some(stage) = Stage::builder()
        .start("an_api_that_is_not_ours_is_left_alone_and_named")
        .await
    else {
        return;
    };
    let by_hand = |path: &str, mark: &str| {
        json!({"properties": {
            "displayName": format!("made by hand {path}"), "path": path, "protocols": ["https"],
            "serviceUrl": "https://elsewhere.example.com", "apiRevisionDescription": mark,
        }})
    };
    let other_cluster = "apim-operator/1 0a1b2c3d shop/theirs";
    for (id, mark) in [
        ("shop.catalog", "the catalogue team"),
        ("shop.theirs", other_cluster),
    ] {
        let api = by_hand(&format!("{id}-path"), mark);
        let (status, body) = stage
            .arm("PUT", &format!("/apis/{id}"), Some(&api))
            .await
            .unwrap();
        assert!(matches!(status, 200..=202), "{status} {body}");
    }
    let catalog = stage.api("shop.catalog").await.unwrap();
    stage.azure.clear_journal();
    for (name, mark) in [("catalog", "the catalogue team"), ("theirs", other_cluster)] {
        stage.apply(&exposed_api(name, |_| ())).await.unwrap();
        let status = stage
            .until_reason(name, "ApimSynced", "NotOurs")
            .await
            .unwrap();
        assert_eq!(
            conditions(&status)[..3],
            [
                "Ready=False NotOurs",
                "Reconciling=False Done",
                "Stalled=True NotOurs"
            ]
        );
        let said = message(&status);
        assert!(
            said.contains(&format!("API `shop.{name}`")) && said.contains(mark),
            "{said}"
        );
        assert_eq!(status["implementation"], json!({"ready": false}));
    }
    // Nor is it deleted with the object that could not have it.
    for name in ["catalog", "theirs"] {
        stage.delete(name).await.unwrap();
        stage.until_gone(name).await.unwrap();
        assert_eq!(stage.writes(&format!("shop.{name}")), []);
    }
    assert_eq!(stage.api("shop.catalog").await.unwrap(), catalog);

    // An id of its own is the way out where the platform allows it; a path
    // that another API has is Azure's to refuse, and is told.
    stage
        .apply(&exposed_api("taken", |o| {
            o["spec"]["path"] = json!("/shop.catalog-path");
        }))
        .await
        .unwrap();
    let status = stage
        .until("taken", "refused by Azure", |s| {
            s["apim"]["lastError"].is_string()
        })
        .await
        .unwrap();
    assert_eq!(status["implementation"], json!({"ready": false}));
    assert_eq!(stage.api("shop.catalog").await.unwrap(), catalog);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_annotation_is_refused_with_the_instance_that_forbids_it() {
    let test = "a_forbidden_annotation_is_refused_with_the_instance_that_forbids_it";
    let Some(stage) = Stage::builder()
        .instance(json!({"ownerMay": []}))
        .start(test)
        .await
    else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let policy = stage.policy("shop.catalog").await.unwrap();
    stage.azure.clear_journal();
    let operation = "getItem: {plugins: rate-limit}";
    for (name, value) in [
        ("plugins", "rate-limit"),
        ("plugin.rate-limit", "calls: 1000000"),
        ("operation-plugins", operation),
        ("deletion-policy", "Retain"),
        ("paused", "true"),
        ("instance", "default"),
        ("api-id", "shop.other"),
        ("ingress-class", "nginx"),
        ("ingress-host", "shop.example.com"),
        ("ingress-tls-secret", "tls"),
        ("ingress-annotations", "a.example.com/b: c"),
        ("retry", "1"),
        ("adoption", "Override"),
        ("drift", "Off"),
        ("products", "gold"),
    ] {
        stage
            .patch("shop", "catalog", &annotation(name, &json!(value)))
            .await
            .unwrap();
        let status = stage
            .until_reason("catalog", "Ready", "Forbidden")
            .await
            .unwrap();
        let said = message(&status);
        let wanted = format!("instance `default` does not let API owners set `{name}`");
        assert!(said.contains(&wanted), "{name}: {said}");
        assert!(
            said.contains(&format!(
                "metadata.annotations[apim.oda.tmforum.org/{name}]"
            )),
            "{name}: {said}"
        );
        assert_eq!(conditions(&status)[2], "Stalled=True Forbidden");
        stage
            .patch("shop", "catalog", &annotation(name, &Value::Null))
            .await
            .unwrap();
        stage.until_ready("catalog").await.unwrap();
    }
    // What needs another annotation, and what means nothing, are no less an
    // error.
    for (name, wanted) in [
        (
            "version",
            "needs the annotation `apim.oda.tmforum.org/version-set`",
        ),
        ("rollback", "`x` is not the number of a revision"),
    ] {
        stage
            .patch("shop", "catalog", &annotation(name, &json!("x")))
            .await
            .unwrap();
        let status = stage
            .until_reason("catalog", "Ready", "InvalidAnnotation")
            .await
            .unwrap();
        assert!(message(&status).contains(wanted), "{status}");
        stage
            .patch("shop", "catalog", &annotation(name, &Value::Null))
            .await
            .unwrap();
        stage.until_ready("catalog").await.unwrap();
    }
    assert_eq!(stage.writes("shop.catalog"), []);
    assert_eq!(stage.policy("shop.catalog").await.unwrap(), policy);

    // The platform allows all annotations, but no ids, hosts or Ingress
    // annotations beyond the owner's own.
    let mut instance = stage.instance_manifest();
    instance["spec"]["ownerMay"] = json!(["*"]);
    instance["spec"]["allow"] = json!({"hosts": ["shop.example.com"]});
    let before = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    stage.apply(&instance).await.unwrap();
    stage.settled().await.unwrap();
    let after = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    assert_eq!(
        after, before,
        "what is published is not called unready while its instance is connected again"
    );
    stage.azure.clear_journal();
    for (name, value, way_out) in [
        ("api-id", "billing.invoices", "allow.apiIds"),
        ("ingress-host", "shop.example.org", "allow.hosts"),
        (
            "ingress-annotations",
            "nginx.ingress.kubernetes.io/configuration-snippet: x",
            "allow.ingressAnnotations",
        ),
    ] {
        stage
            .patch("shop", "catalog", &annotation(name, &json!(value)))
            .await
            .unwrap();
        let status = stage
            .until("catalog", way_out, |s| message(s).contains(way_out))
            .await
            .unwrap();
        assert_eq!(conditions(&status)[0], "Ready=False Forbidden");
        assert!(
            message(&status).contains("instance `default`"),
            "{name}: {status}"
        );
        stage
            .patch("shop", "catalog", &annotation(name, &Value::Null))
            .await
            .unwrap();
        stage.until_ready("catalog").await.unwrap();
    }
    assert_eq!(stage.writes("shop.catalog"), []);
    // A host that it allows.
    let host = annotation("ingress-host", &json!("shop.example.com"));
    assert_eq!(
        stage.change("catalog", &host, 1).await.unwrap(),
        [write("PATCH", "")]
    );
    let api = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(api["serviceUrl"], "http://shop.example.com/catalog");

    // Another id of its own: nothing is moved while it is published.
    stage.azure.clear_journal();
    stage
        .patch(
            "shop",
            "catalog",
            &annotation("api-id", &json!("shop.renamed")),
        )
        .await
        .unwrap();
    let status = stage
        .until_reason("catalog", "ApimSynced", "Conflict")
        .await
        .unwrap();
    assert!(
        message(&status).contains("published as `shop.catalog`"),
        "{status}"
    );
    assert_eq!(stage.writes("shop.catalog"), []);
    assert_eq!(stage.calls("shop.renamed").len(), 0);
    stage
        .patch("shop", "catalog", &annotation("api-id", &Value::Null))
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();

    kept_without_leave(&stage).await;
}

/// What owners may not keep is neither kept nor deleted behind their back.
async fn kept_without_leave(stage: &Stage) {
    stage.apply(&exposed_api("keeper", |_| ())).await.unwrap();
    stage.until_ready("keeper").await.unwrap();
    stage.apply(&stage.instance_manifest()).await.unwrap();
    stage.settled().await.unwrap();
    stage.azure.clear_journal();
    stage.delete("keeper").await.unwrap();
    stage.until_gone("keeper").await.unwrap();
    assert_eq!(stage.writes("shop.keeper"), [write("DELETE", "")]);

    stage.apply(&exposed_api("keeper", |_| ())).await.unwrap();
    stage.until_ready("keeper").await.unwrap();
    stage
        .patch(
            "shop",
            "keeper",
            &annotation("deletion-policy", &json!("Retain")),
        )
        .await
        .unwrap();
    stage.azure.clear_journal();
    stage.delete("keeper").await.unwrap();
    let deleting = |s: &Value| s["apim"]["lastError"].is_string();
    let status = stage.until("keeper", "refused", deleting).await.unwrap();
    assert_eq!(conditions(&status)[0], "Ready=False Forbidden");
    assert!(
        message(&status)
            .contains("instance `default` does not let API owners set `deletion-policy`"),
        "{status}"
    );
    stage
        .patch(
            "shop",
            "keeper",
            &annotation("deletion-policy", &Value::Null),
        )
        .await
        .unwrap();
    stage.until_gone("keeper").await.unwrap();
    assert_eq!(stage.writes("shop.keeper"), [write("DELETE", "")]);
}
