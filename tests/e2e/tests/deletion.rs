//! How an object goes: first its API, then its Ingress, then itself.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::FaultSpec;
use e2e::{PATIENCE, Stage, Write, conditions, exposed_api, status_of};
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use serde_json::{Value, json};

const FINALIZER: &str = "apim.oda.tmforum.org/cleanup";

fn write(method: &str, path: &str) -> Write {
    Write(method.into(), path.into())
}

fn policy(value: &str) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/deletion-policy": value}}})
}

async fn has_ingress(stage: &Stage, name: &str) -> bool {
    let ingress = stage
        .ingresses()
        .get_metadata_opt(&format!("apim-api-ingress-{name}"))
        .await
        .unwrap();
    ingress.is_some_and(|ingress| ingress.metadata.deletion_timestamp.is_none())
}

/// Deletes while the call that deletes the API is held, so that the order can
/// be seen; then lets it go on.
async fn in_order(stage: &Stage, name: &str, params: &DeleteParams) {
    stage.azure.clear_journal();
    let fault = FaultSpec {
        verb: Some("DELETE".into()),
        path: Some(format!("/apis/shop\\.{name}\\?")),
        count: Some(1),
        hold: true,
        ..FaultSpec::default()
    };
    let held = stage.azure.fault(fault).unwrap();
    stage
        .exposed_apis("shop")
        .delete(name, params)
        .await
        .unwrap();
    assert!(
        stage.azure.wait_for_held(1, PATIENCE).await,
        "{}",
        stage.operator_log()
    );
    assert!(
        has_ingress(stage, name).await,
        "the Ingress stands while API Management still sends callers to it"
    );
    let object = stage.object(name).await.unwrap();
    assert!(
        object
            .metadata
            .finalizers
            .unwrap()
            .contains(&FINALIZER.to_owned())
    );
    assert!(stage.azure.release(held));
    if params.propagation_policy == Some(PropagationPolicy::Foreground) {
        collect(stage, name).await;
    }
    stage.until_gone(name).await.unwrap();
    assert_eq!(stage.writes(&format!("shop.{name}")), [write("DELETE", "")]);
    assert!(
        !has_ingress(stage, name).await,
        "the Ingress goes before the object does"
    );
    assert_eq!(stage.api(&format!("shop.{name}")).await.unwrap(), None);
}

/// What the garbage collector does, which does not run here: nothing that
/// depends on the object blocks its deletion, so it takes its finalizer away.
async fn collect(stage: &Stage, name: &str) {
    let awaited = "nobody holds it but the garbage collector";
    test_harness::wait_for(
        &stage.exposed_apis("shop"),
        name,
        awaited,
        PATIENCE,
        |object| (object?.metadata.finalizers.as_deref()? == ["foregroundDeletion"]).then_some(()),
    )
    .await
    .unwrap();
    stage
        .patch("shop", name, &json!({"metadata": {"finalizers": []}}))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_goes_after_its_ingress_and_that_after_its_api() {
    let Some(stage) = Stage::builder()
        .start("an_object_goes_after_its_ingress_and_that_after_its_api")
        .await
    else {
        return;
    };
    for name in ["background", "foreground", "by-hand", "kept"] {
        stage.apply(&exposed_api(name, |_| ())).await.unwrap();
    }
    for name in ["background", "foreground", "by-hand", "kept"] {
        stage.until_ready(name).await.unwrap();
    }
    in_order(&stage, "background", &DeleteParams::background()).await;
    in_order(&stage, "foreground", &DeleteParams::foreground()).await;

    // The API is gone already.
    assert_eq!(
        stage
            .arm("DELETE", "/apis/shop.by-hand?deleteRevisions=true", None)
            .await
            .unwrap()
            .0
            / 100,
        2
    );
    stage.azure.clear_journal();
    stage.delete("by-hand").await.unwrap();
    stage.until_gone("by-hand").await.unwrap();
    assert_eq!(stage.writes("shop.by-hand"), []);
    assert!(!has_ingress(&stage, "by-hand").await);

    kept(&stage).await;
    never_valid(&stage).await;
    longest_name(&stage).await;
}

/// `Retain`: the API stays, without its mark; with it, it is found again.
async fn kept(stage: &Stage) {
    let description = async || {
        let api = stage.api("shop.kept").await.unwrap().unwrap();
        api["apiRevisionDescription"].clone()
    };
    let mark = description().await;
    assert!(mark.as_str().unwrap().ends_with(" shop/kept"), "{mark}");
    stage.azure.clear_journal();
    stage
        .patch("shop", "kept", &policy("Retain"))
        .await
        .unwrap();
    stage.delete("kept").await.unwrap();
    stage.until_gone("kept").await.unwrap();
    assert_eq!(stage.writes("shop.kept"), [write("PATCH", "")]);
    assert!(!has_ingress(stage, "kept").await);
    assert_eq!(description().await.as_str().unwrap_or_default(), "");
    test_harness::wait_until("an event", PATIENCE, async || {
        let events = stage.events("kept").await.unwrap();
        let told = events
            .iter()
            .any(|e| e.starts_with("Normal Retained: API shop.kept stays in instance default"));
        if told {
            Ok(())
        } else {
            Err(format!("{events:#?}"))
        }
    })
    .await
    .unwrap();
    // A restored object finds the API that carries its mark, and does not make
    // it a second time.
    let marked = json!({"properties": {"apiRevisionDescription": mark}});
    let (answer, _) = stage
        .arm("PATCH", "/apis/shop.kept", Some(&marked))
        .await
        .unwrap();
    assert_eq!(answer, 200);
    stage.azure.clear_journal();
    stage.apply(&exposed_api("kept", |_| ())).await.unwrap();
    stage.until_ready("kept").await.unwrap();
    let writes = stage.writes("shop.kept");
    assert_eq!(
        writes,
        [write("PUT", " (import)")],
        "the policy is read and found the same"
    );
    stage.delete("kept").await.unwrap();
    stage.until_gone("kept").await.unwrap();
    assert_eq!(stage.api("shop.kept").await.unwrap(), None);
}

/// What never was published leaves no trace in Azure.
async fn never_valid(stage: &Stage) {
    stage.azure.clear_journal();
    stage
        .apply(&exposed_api("broken", |o| {
            o["spec"]["specification"] = json!("{\"openapi\": \"9\"}");
        }))
        .await
        .unwrap();
    let status = stage
        .until_reason("broken", "Ready", "InvalidDocument")
        .await
        .unwrap();
    assert_eq!(conditions(&status)[2], "Stalled=True InvalidDocument");
    let finalizers = stage
        .object("broken")
        .await
        .unwrap()
        .metadata
        .finalizers
        .unwrap();
    assert_eq!(finalizers, [FINALIZER]);
    stage.delete("broken").await.unwrap();
    stage.until_gone("broken").await.unwrap();
    assert_eq!(stage.writes("shop.broken"), []);
}

/// 253 characters, the most that Kubernetes takes: ids and the Ingress's name
/// are cut, and all of it goes again.
async fn longest_name(stage: &Stage) {
    let name = "n".repeat(253);
    let object = exposed_api(&name, |o| {
        o["spec"]["name"] = json!("a long one");
        o["spec"]["path"] = json!("/long");
        o["spec"]["implementation"] = json!("long");
    });
    stage.apply(&object).await.unwrap();
    let status = stage.until_ready(&name).await.unwrap();
    assert_eq!(status["apiStatus"]["name"], name.as_str());
    let id = status["apim"]["apiId"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 256);
    assert!(
        id.starts_with("shop.nnnn") && id.as_bytes()[245] == b'-',
        "{id}"
    );
    let api = stage.api(&id).await.unwrap().unwrap();
    let mark = api["apiRevisionDescription"].as_str().unwrap();
    assert_eq!(mark.len(), 256);
    assert!(
        mark.ends_with(&id[245..]),
        "both end with the hash of the object's name: {mark}"
    );
    let ingresses = stage
        .ingresses()
        .list(&ListParams::default())
        .await
        .unwrap();
    let names: Vec<String> = ingresses
        .items
        .into_iter()
        .filter_map(|i| i.metadata.name)
        .collect();
    assert!(names.iter().any(|name| name.len() == 253), "{names:?}");
    stage.delete(&name).await.unwrap();
    stage.until_gone(&name).await.unwrap();
    assert_eq!(stage.api(&id).await.unwrap(), None);
    let ingresses = stage
        .ingresses()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(ingresses.items.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_azure_is_down_an_object_stays_and_says_so_until_it_is_back_or_let_go() {
    let test = "while_azure_is_down_an_object_stays_and_says_so_until_it_is_back_or_let_go";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    for name in ["waiting", "let-go"] {
        stage.apply(&exposed_api(name, |_| ())).await.unwrap();
        stage.until_ready(name).await.unwrap();
    }
    stage.azure.clear_journal();
    let down = FaultSpec {
        path: Some("/apis/".into()),
        reset: true,
        ..FaultSpec::default()
    };
    stage.azure.fault(down).unwrap();
    for name in ["waiting", "let-go"] {
        stage.delete(name).await.unwrap();
    }
    for name in ["waiting", "let-go"] {
        let failing = |s: &Value| s["apim"]["lastError"].is_string();
        let status = stage
            .until(name, "a failed deletion", failing)
            .await
            .unwrap();
        assert_eq!(status["implementation"], json!({"ready": false}));
        assert_eq!(
            conditions(&status)[..3],
            [
                "Ready=False Failed",
                "Reconciling=True Failed",
                "Stalled=False Done"
            ]
        );
        let error = status["apim"]["lastError"].as_str().unwrap();
        assert!(
            error.starts_with(&format!("API shop.{name} could not be deleted: ")),
            "{error}"
        );
        assert!(error.contains("deletion-policy to Retain"), "{error}");
        let object = stage.object(name).await.unwrap();
        assert_eq!(object.metadata.finalizers.clone().unwrap(), [FINALIZER]);
        assert_eq!(status_of(&object)["apim"]["apiId"], format!("shop.{name}"));
        assert!(
            has_ingress(&stage, name).await,
            "the Ingress waits for the API"
        );
        let events = stage.events(name).await.unwrap();
        assert!(
            events
                .iter()
                .any(|event| event.starts_with("Warning Failed: ")),
            "{events:#?}"
        );
    }

    // Let go: at once, without Azure.
    stage
        .patch("shop", "let-go", &policy("Retain"))
        .await
        .unwrap();
    stage.until_gone("let-go").await.unwrap();
    assert!(!has_ingress(&stage, "let-go").await);

    // Back: by itself.
    stage.azure.clear_faults();
    stage.until_gone("waiting").await.unwrap();
    assert_eq!(stage.api("shop.waiting").await.unwrap(), None);
    assert!(stage.api("shop.let-go").await.unwrap().is_some());
    assert!(!has_ingress(&stage, "waiting").await);
}
