//! Coming from the original Azure operator: what `apim-operator migrate` shows
//! and does with objects as that one leaves them, and that the operator then
//! goes on with them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use e2e::{Definition, PATIENCE, Stage, Write, exposed_api};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_harness::wait_until;

const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";
/// Where the stand-in's load balancer is.
const ADDRESS: &str = "203.0.113.10";

/// What a run of the command line said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

async fn cli(stage: &Stage, args: &[&str]) -> Said {
    let (code, out, err) = stage.cli(args).await.unwrap();
    Said { code, out, err }
}

/// An object in the original's dialect, with what the original operator keeps
/// on it.
fn original(name: &str, namespace: &str) -> Value {
    let mut object = exposed_api(name, |object| {
        let spec = object["spec"].as_object_mut().unwrap();
        spec.remove("apiType");
        spec.remove("name");
        spec.insert("rateLimit".into(), json!({"limit": 100, "period": 60}));
    });
    object["metadata"]["namespace"] = namespace.into();
    object["metadata"]["finalizers"] = json!([FINALIZER]);
    object["metadata"]["annotations"] =
        json!({"kopf.zalando.org/last-handled-configuration": "{\"spec\":{}}"});
    object
}

/// The world as the original operator leaves it: the object, its Ingress, its
/// API with a policy.
async fn leave(stage: &Stage, name: &str) {
    let object = original(name, "shop");
    stage.apply(&object).await.unwrap();
    leave_the_rest(stage, name).await;
}

/// What the original operator makes of an object.
async fn leave_the_rest(stage: &Stage, name: &str) {
    let api = stage.exposed_apis("shop");
    let status = json!({"status": {"apimBind": {"spec": {"path": format!("/{name}")}}, "implementation": {"ready": true}}});
    // Its own definition has no status subresource.
    let status = Patch::Merge(&status);
    let params = PatchParams::default();
    if api.patch_status(name, &params, &status).await.is_err() {
        api.patch(name, &params, &status).await.unwrap();
    }
    let object = api.get(name).await.unwrap();
    let ingress: Ingress = serde_json::from_value(json!({
        "metadata": {
            "name": format!("apim-api-ingress-{name}"), "namespace": "shop", "annotations": {},
            "ownerReferences": [{
                "apiVersion": "oda.tmforum.org/v1", "kind": "ExposedAPI", "name": name, "uid": object.uid(),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "ingressClassName": "istio",
            "rules": [{"http": {"paths": [{
                "path": format!("/{name}"), "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"number": 8080}}},
            }]}}],
        },
    }))
    .unwrap();
    let params = PostParams {
        field_manager: Some("OpenAPI-Generator".into()),
        ..PostParams::default()
    };
    stage.ingresses().create(&params, &ingress).await.unwrap();
    stage
        .until_ingress(name, "an address", |ingress| {
            let balancer = ingress.status.as_ref()?.load_balancer.as_ref()?;
            balancer.ingress.as_ref()?.first()?.ip.clone()
        })
        .await
        .unwrap();
    publish(
        stage,
        name,
        &format!("/{name}"),
        &format!("http://{ADDRESS}/{name}"),
    )
    .await;
}

async fn publish(stage: &Stage, name: &str, path: &str, backend: &str) {
    let body = json!({"properties": {
        "displayName": name, "description": format!("API for {name}"), "path": path, "protocols": ["https"],
        "serviceUrl": backend, "isCurrent": true, "format": "openapi+json",
        "value": e2e::document(name, &["get", "post"]).to_string(),
    }});
    let (status, answer) = stage
        .arm("PUT", &format!("/apis/{name}"), Some(&body))
        .await
        .unwrap();
    assert!(matches!(status, 200..=202), "{status} {answer}");
    wait_until("the import is done", PATIENCE, async || {
        // A look at the API is what ends an import.
        stage.api(name).await.map_err(|e| e.to_string())?;
        let operations = stage.operations(name).await.map_err(|e| e.to_string())?;
        if operations.len() == 2 {
            Ok(())
        } else {
            Err(format!("{operations:?}"))
        }
    })
    .await
    .unwrap();
    let policy = "<policies><inbound><base /></inbound><backend><base /></backend><outbound><base /></outbound><on-error><base /></on-error></policies>";
    let body = json!({"properties": {"format": "rawxml", "value": policy}});
    let (status, answer) = stage
        .arm("PUT", &format!("/apis/{name}/policies/policy"), Some(&body))
        .await
        .unwrap();
    assert!(matches!(status, 200 | 201), "{status} {answer}");
}

fn write(method: &str, path: &str) -> Write {
    Write(method.into(), path.into())
}

/// What the platform allows so that the APIs keep their ids.
fn allowing() -> Value {
    json!({
        "ownerMay": ["plugins", "plugin.*", "api-id"],
        "allow": {"apiIds": ["catalog", "orders", "twin", "foreign"]},
    })
}

async fn versions(stage: &Stage) -> Vec<String> {
    let mut versions = Vec::new();
    for name in ["catalog", "twin", "foreign"] {
        let object = stage.object(name).await.unwrap();
        versions.extend(object.resource_version());
    }
    for ingress in stage
        .ingresses()
        .list(&ListParams::default())
        .await
        .unwrap()
    {
        versions.extend(ingress.resource_version());
    }
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_original_operator_left_is_shown_and_then_taken_over() {
    let test = "what_the_original_operator_left_is_shown_and_then_taken_over";
    let builder = Stage::builder().without_operator().instance(allowing());
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    leave(&stage, "catalog").await;
    // The same name twice, and a name that somebody else's API has.
    leave(&stage, "twin").await;
    let other = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "office"}});
    test_harness::apply_yaml(&stage.client, &other.to_string())
        .await
        .unwrap();
    stage.apply(&original("twin", "office")).await.unwrap();
    stage.apply(&original("foreign", "shop")).await.unwrap();
    publish(
        &stage,
        "foreign",
        "/elsewhere",
        "https://elsewhere.example.com",
    )
    .await;
    // One that the original operator never saw.
    stage.apply(&exposed_api("plain", |_| ())).await.unwrap();

    // Without --apply: shown, and nothing written.
    stage.azure.clear_journal();
    let before = versions(&stage).await;
    let shown = cli(&stage, &["migrate"]).await;
    assert_eq!(shown.code, 1, "{}", shown.err);
    insta::assert_snapshot!(shown.out);
    let json = cli(&stage, &["migrate", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["applied"], false);
    let states: Vec<String> = json["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            format!(
                "{}/{} {}",
                object["namespace"], object["name"], object["state"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        states,
        [
            "office/twin left alone",
            "shop/catalog to be taken over",
            "shop/foreign left alone",
            "shop/twin left alone",
        ]
    );
    assert_eq!(json["objects"][1]["steps"].as_array().unwrap().len(), 4);
    assert_eq!(versions(&stage).await, before);
    for name in ["catalog", "twin", "foreign"] {
        assert_eq!(stage.writes(name), []);
    }

    // While the original runs, nothing is taken from it.
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "apioperatorazureapim", "namespace": "operators"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        },
    });
    test_harness::apply_yaml(&stage.client, &deployment.to_string())
        .await
        .unwrap();
    let refused = cli(&stage, &["migrate", "--apply"]).await;
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (
            1,
            "apim-operator: the original operator still runs (Deployment operators/apioperatorazureapim) and would \
             take back what is changed: scale it to 0 first; nothing was written\n"
        )
    );
    assert_eq!(versions(&stage).await, before);
    let mut stopped = deployment.clone();
    stopped["spec"]["replicas"] = 0.into();
    test_harness::apply_yaml(&stage.client, &stopped.to_string())
        .await
        .unwrap();

    // With it: exactly what was shown.
    let ingress = |ingress: &Ingress| Some((ingress.uid(), ingress.spec.clone()));
    let was = stage
        .until_ingress("catalog", "there", ingress)
        .await
        .unwrap();
    let done = cli(&stage, &["migrate", "--apply"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert_eq!(stage.writes("catalog"), [write("PATCH", "")]);
    assert_eq!(stage.writes("twin"), []);
    assert_eq!(stage.writes("foreign"), []);
    let object = stage.object("catalog").await.unwrap();
    assert_eq!(object.finalizers(), ["apim.oda.tmforum.org/cleanup"]);
    assert_eq!(
        object.annotations().clone().into_iter().collect::<Vec<_>>(),
        [(
            "apim.oda.tmforum.org/api-id".to_owned(),
            "catalog".to_owned()
        )]
    );
    assert_eq!(object.data["status"].get("apimBind"), None);
    let taken = stage
        .until_ingress("catalog", "there", |ingress| Some(ingress.clone()))
        .await
        .unwrap();
    assert_eq!((taken.uid(), taken.spec.clone()), was);
    assert_eq!(
        taken.owner_references()[0].block_owner_deletion,
        Some(false)
    );
    let managers: Vec<&str> = taken
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    assert_eq!(managers, ["apim-operator"]);

    // Again: nothing left to do for it.
    stage.azure.clear_journal();
    let after = versions(&stage).await;
    let again = cli(&stage, &["migrate", "--apply"]).await;
    insta::assert_snapshot!(again.out);
    assert_eq!(versions(&stage).await, after);
    assert_eq!(stage.writes("catalog"), []);

    // The operator goes on with it: no re-creation, no interruption.
    stage.start_operator().await.unwrap();
    let ready = stage.until_ready("catalog").await.unwrap();
    assert_eq!(ready["apim"]["apiId"], "catalog");
    assert_eq!(
        stage.writes("catalog"),
        [write("PUT", "/policies/policy"), write("PUT", " (import)")]
    );
    assert_eq!(stage.api("shop.catalog").await.unwrap(), None);
    let now = stage
        .until_ingress("catalog", "there", ingress)
        .await
        .unwrap();
    assert_eq!(now, was);
    assert_eq!(stage.writes("twin"), []);

    // And nothing hangs its deletion.
    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(stage.api("catalog").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_that_is_killed_is_finished_by_the_next_run() {
    let test = "a_takeover_that_is_killed_is_finished_by_the_next_run";
    let builder = Stage::builder().without_operator().instance(allowing());
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    leave(&stage, "orders").await;
    stage.azure.clear_journal();

    // Killed as soon as each write is seen; the last run has nobody to kill it.
    for until in ["marked", "annotated", "labelled"] {
        let mut running = stage.cli_process(&["migrate", "--apply"]).unwrap();
        wait_until(until, PATIENCE, async || {
            let object = stage.object("orders").await.map_err(|e| e.to_string())?;
            let ingress = stage
                .ingresses()
                .get("apim-api-ingress-orders")
                .await
                .map_err(|e| e.to_string())?;
            let there = match until {
                "marked" => !stage.writes("orders").is_empty(),
                "annotated" => !object
                    .annotations()
                    .keys()
                    .all(|key| key.starts_with("kopf")),
                _ => !ingress.labels().is_empty(),
            };
            if there {
                Ok(())
            } else {
                Err("not yet".to_owned())
            }
        })
        .await
        .unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let done = cli(&stage, &["migrate", "--apply"]).await;
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let object = stage.object("orders").await.unwrap();
    assert_eq!(object.finalizers(), ["apim.oda.tmforum.org/cleanup"]);
    assert_eq!(stage.writes("orders"), [write("PATCH", "")]);

    // Also without the operator ever having seen it in between.
    stage.start_operator().await.unwrap();
    stage.until_ready("orders").await.unwrap();
    assert_eq!(
        stage.writes("orders"),
        [
            write("PATCH", ""),
            write("PUT", "/policies/policy"),
            write("PUT", " (import)")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_let_them_keep_their_ids_is_named() {
    let test = "an_instance_that_does_not_let_them_keep_their_ids_is_named";
    let Some(stage) = Stage::builder().without_operator().start(test).await else {
        return;
    };
    leave(&stage, "catalog").await;
    stage.azure.clear_journal();
    let said = cli(&stage, &["migrate", "--apply"]).await;
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(said.out);
    assert_eq!(stage.writes("catalog"), []);
    assert_eq!(
        stage.object("catalog").await.unwrap().finalizers(),
        [FINALIZER]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_the_originals_own_definition_are_taken_over_too() {
    const ORIGINAL: &str = "../shared/oda/azure-dialect-crd.yaml";
    let test = "objects_of_the_originals_own_definition_are_taken_over_too";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !path.join(ORIGINAL).exists() {
        test_harness::skip(test, "../shared is not there");
        return;
    }
    let builder = Stage::builder()
        .without_operator()
        .definition(Definition::File(ORIGINAL))
        .instance(allowing());
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    let mut object = original("catalog", "shop");
    object["apiVersion"] = "oda.tmforum.org/v1beta3".into();
    stage.apply(&object).await.unwrap();
    leave_the_rest(&stage, "catalog").await;
    stage.azure.clear_journal();
    let done = cli(&stage, &["migrate", "--apply"]).await;
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);

    stage.start_operator().await.unwrap();
    stage.until_written("catalog", 3).await.unwrap();
    let took = [
        write("PATCH", ""),
        write("PUT", "/policies/policy"),
        write("PUT", " (import)"),
    ];
    assert_eq!(stage.writes("catalog"), took);
    let again = cli(&stage, &["migrate"]).await;
    assert_eq!(again.code, 0, "{}", again.out);
    assert!(again.out.contains("taken over"), "{}", again.out);
    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(stage.api("catalog").await.unwrap(), None);
}
