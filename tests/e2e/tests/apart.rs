//! Several instances that must not get in each other's way, and instances that
//! cannot be used.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::time::{Duration, Instant};

use apim_simulator::{CallKind, FaultSpec, ServiceSeed};
use e2e::{PATIENCE, Stage, exposed_api, status_of};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

fn instances(stage: &Stage) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
    let resource = ApiResource::from_gvk_with_plural(&kind, "apiminstances");
    Api::all_with(stage.client.clone(), &resource)
}

/// Waits until an instance says this of itself, and gives the message.
async fn until_says(stage: &Stage, name: &str, reason: &str) -> String {
    let api = instances(stage);
    let said = test_harness::wait_for(&api, name, reason, PATIENCE, |object| {
        let status = status_of(object?);
        let ready = status["conditions"]
            .as_array()?
            .iter()
            .find(|c| c["type"] == "Ready")?;
        (ready["reason"] == reason)
            .then(|| ready["message"].as_str().unwrap_or_default().to_owned())
    });
    said.await.unwrap()
}

/// The stage's instance under another name, changed.
async fn another(stage: &Stage, name: &str, change: impl FnOnce(&mut Value)) {
    let mut instance = stage.instance_manifest();
    instance["metadata"]["name"] = json!(name);
    instance["spec"]["namespaceSelector"] = json!({});
    instance["spec"]["ownerMay"] = json!(["instance"]);
    change(&mut instance["spec"]);
    stage.apply(&instance).await.unwrap();
}

fn of(name: &str, instance: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/instance"] = json!(instance);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hangs_does_not_slow_another() {
    let test = "an_instance_that_hangs_does_not_slow_another";
    let stage = Stage::builder()
        .instance(json!({"ownerMay": ["instance"]}))
        .simulator(|config| config.seed.services.push(ServiceSeed::named("apim-two")))
        // Eight workers, two of them for one instance.
        .environment("APIM_OPERATOR_CONCURRENCY", "8");
    let Some(stage) = stage.start(test).await else {
        return;
    };
    another(&stage, "hanging", |spec| {
        spec["serviceName"] = json!("apim-two");
    })
    .await;
    until_says(&stage, "hanging", "Connected").await;
    let hang = FaultSpec {
        path: Some("/service/apim-two/".into()),
        hold: true,
        ..FaultSpec::default()
    };
    let fault = stage.azure.fault(hang).unwrap();
    for number in 0..40 {
        let name = format!("hangs-{number}");
        stage.apply(&of(&name, "hanging")).await.unwrap();
    }
    assert!(stage.azure.wait_for_held(2, PATIENCE).await);

    // All of the hanging ones have come as far as they can; still each of the
    // others finds a worker at once.
    let started = Instant::now();
    for number in 0..10 {
        let name = format!("lives-{number}");
        stage.apply(&of(&name, "default")).await.unwrap();
    }
    for number in 0..10 {
        stage.until_ready(&format!("lives-{number}")).await.unwrap();
    }
    // A call that hangs is given up after 30 s.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(25), "ten APIs took {took:?}");

    // And when it answers again, those in line get their turns.
    assert!(stage.azure.release(fault));
    stage.azure.clear_faults();
    for number in 0..40 {
        stage.until_ready(&format!("hangs-{number}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_of_one_service_the_first_one_works() {
    let test = "of_two_instances_of_one_service_the_first_one_works";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    until_says(&stage, "default", "Connected").await;
    stage.azure.clear_journal();
    // Also in other letters.
    another(&stage, "twin", |spec| {
        let name = spec["serviceName"].as_str().unwrap().to_uppercase();
        spec["serviceName"] = json!(name);
    })
    .await;
    let message = until_says(&stage, "twin", "SameService").await;
    assert!(
        message.contains("are those of instance `default`, which was made first"),
        "{message}"
    );
    // It is as if it were not there.
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(status["apim"]["instance"], "default");
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();

    // The first one goes, which nobody uses: the second takes its place.
    stage
        .kubectl(&["delete", "apiminstance", "default"])
        .await
        .unwrap();
    until_says(&stage, "twin", "Connected").await;
    stage.apply(&exposed_api("orders", |_| ())).await.unwrap();
    let status = stage.until_ready("orders").await.unwrap();
    assert_eq!(status["apim"]["instance"], "twin");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_be_used_says_which_setting_is_wrong_and_writes_nothing() {
    let test = "an_instance_that_cannot_be_used_says_which_setting_is_wrong_and_writes_nothing";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    until_says(&stage, "default", "Connected").await;
    stage.azure.clear_journal();
    another(&stage, "no-service", |spec| {
        spec["serviceName"] = json!("apim-lost");
    })
    .await;
    another(&stage, "no-subscription", |spec| {
        spec["subscriptionId"] = json!("99999999-9999-4999-8999-999999999999");
    })
    .await;
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "wrong", "namespace": "operators"},
            "stringData": {"clientSecret": "not-the-secret"},
        }))
        .await
        .unwrap();
    let app = &stage.azure.endpoints.applications;
    let app = app.iter().find(|app| app.name == "operator").unwrap();
    another(&stage, "no-credentials", |spec| {
        spec["serviceName"] = json!("apim-other");
        spec["credentials"] = json!({"clientSecret": {
            "tenantId": app.tenant_id, "clientId": app.client_id,
            "secretRef": {"name": "wrong", "key": "clientSecret"},
        }});
    })
    .await;

    let message = until_says(&stage, "no-service", "ServiceNotFound").await;
    assert!(
        message.contains("there is no API Management service `apim-lost` in resource group"),
        "{message}"
    );
    let message = until_says(&stage, "no-credentials", "Credentials").await;
    assert!(message.contains("`credentials`"), "{message}");
    assert!(!message.contains("not-the-secret"), "{message}");
    let api = instances(&stage);
    let said = test_harness::wait_for(&api, "no-subscription", "told", PATIENCE, |o| {
        let ready = status_of(o?)["conditions"][0].clone();
        (ready["status"] == "False").then_some(ready)
    });
    let said = said.await.unwrap();
    assert!(
        ["ServiceNotFound", "WrongTenant", "Forbidden"].contains(&said["reason"].as_str().unwrap()),
        "{said}"
    );
    assert!(
        said["message"].as_str().unwrap().contains("subscription"),
        "{said}"
    );
    let writes = stage
        .journal()
        .into_iter()
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete));
    assert_eq!(writes.count(), 0);
}
