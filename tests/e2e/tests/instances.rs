//! Which instance an object goes to: several instances, the namespaces they
//! serve, and an instance that a key vault describes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::{FaultSpec, ServiceSeed};
use e2e::{PATIENCE, Stage, Write, conditions, exposed_api, status_of};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
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
async fn an_object_goes_to_an_instance_that_serves_its_namespace() {
    let test = "an_object_goes_to_an_instance_that_serves_its_namespace";
    let stage = Stage::builder()
        .instance(json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}))
        .simulator(|config| config.seed.services.push(ServiceSeed::named("apim-two")));
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let service_of = |api_id: &str| -> Vec<String> {
        let mut services: Vec<String> = stage
            .calls(api_id)
            .iter()
            .filter_map(|call| {
                Some(
                    call.path
                        .split("/service/")
                        .nth(1)?
                        .split('/')
                        .next()?
                        .to_owned(),
                )
            })
            .collect();
        services.dedup();
        services
    };
    let label = async |namespace: &str, team: &str| {
        let label = format!("team={team}");
        stage
            .kubectl(&["label", "namespace", namespace, &label, "--overwrite"])
            .await
            .unwrap();
    };

    // Nobody serves the namespace; then somebody does.
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let status = stage
        .until_reason("catalog", "Ready", "NoInstance")
        .await
        .unwrap();
    assert!(
        message(&status).contains("no API Management instance serves namespace `shop`"),
        "{status}"
    );
    assert!(message(&status).contains("`default`"), "{status}");
    label("shop", "shop").await;
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    assert_eq!(service_of("shop.catalog"), ["apim-local"]);

    // A second instance.
    let mut partners = stage.instance_manifest();
    partners["metadata"]["name"] = json!("partners");
    partners["spec"]["serviceName"] = json!("apim-two");
    partners["spec"]["namespaceSelector"] = json!({});
    partners["spec"]["apiIdPrefix"] = json!("ext-");
    partners["spec"]["ownerMay"] = json!(["instance", "plugins"]);
    stage.apply(&partners).await.unwrap();
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
    let instances: Api<DynamicObject> = Api::all_with(
        stage.client.clone(),
        &ApiResource::from_gvk_with_plural(&kind, "apiminstances"),
    );
    test_harness::wait_for(&instances, "partners", "connected", PATIENCE, |object| {
        let status = status_of(object?);
        (status["conditions"][0]["reason"] == "Connected").then_some(())
    })
    .await
    .unwrap();
    let abroad = exposed_api("abroad", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/instance"] = json!("partners");
    });
    stage.apply(&abroad).await.unwrap();
    let status = stage.until_ready("abroad").await.unwrap();
    assert_eq!(status["apim"]["instance"], "partners");
    assert_eq!(status["apim"]["apiId"], "ext-shop.abroad");
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-two.azure-api.net/abroad"
    );
    assert_eq!(stage.writes("ext-shop.abroad"), created());
    assert_eq!(service_of("ext-shop.abroad"), ["apim-two"]);

    // Another namespace, which only the second one serves, and a name that is
    // nearly one.
    stage
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "office"}}))
        .await
        .unwrap();
    stage
        .apply(&exposed_api("desk", |o| {
            o["metadata"]["namespace"] = json!("office");
        }))
        .await
        .unwrap();
    stage.until_written("ext-office.desk", 3).await.unwrap();
    assert_eq!(service_of("ext-office.desk"), ["apim-two"]);
    let wrong = exposed_api("wrong", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/instance"] = json!("partner");
    });
    stage.apply(&wrong).await.unwrap();
    let status = stage
        .until_reason("wrong", "Ready", "NoInstance")
        .await
        .unwrap();
    assert!(
        message(&status).contains("did you mean `partners`"),
        "{status}"
    );

    // Not served any more: it stays published where it is, and says so; it does
    // not wander to the instance that is left.
    stage.azure.clear_journal();
    label("shop", "none").await;
    let status = stage
        .until_reason("catalog", "Ready", "NotServed")
        .await
        .unwrap();
    assert_eq!(conditions(&status)[2], "Stalled=True NotServed");
    assert_eq!(status["apim"]["apiId"], "shop.catalog");
    assert!(
        message(&status).contains("published in instance `default`"),
        "{status}"
    );
    assert_eq!(
        (
            stage.writes("shop.catalog"),
            stage.writes("ext-shop.catalog")
        ),
        (vec![], vec![])
    );
    assert!(stage.api("shop.catalog").await.unwrap().is_some());
    label("shop", "shop").await;
    stage.until_ready("catalog").await.unwrap();
    stage.azure.clear_journal();
    label("shop", "none").await;
    stage
        .until_reason("catalog", "Ready", "NotServed")
        .await
        .unwrap();
    // It is deleted all the same.
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), [write("DELETE", "")]);

    // An instance in use is held, says who uses it, and serves on.
    stage.azure.clear_journal();
    stage
        .kubectl(&["delete", "apiminstance", "partners", "--wait=false"])
        .await
        .unwrap();
    let held = test_harness::wait_for(&instances, "partners", "held", PATIENCE, |object| {
        let status = status_of(object?);
        let stalled = status["conditions"]
            .as_array()?
            .iter()
            .find(|c| c["type"] == "Stalled");
        stalled.cloned()
    })
    .await
    .unwrap();
    assert_eq!(held["reason"], "InUse");
    let told = held["message"].as_str().unwrap();
    assert!(
        told.contains("office/desk, shop/abroad. Delete or move them"),
        "{told}"
    );
    let events = stage
        .kubectl(&["get", "events", "-n", "default", "-o", "json"])
        .await
        .unwrap();
    assert!(events.contains("office/desk, shop/abroad"), "{events}");
    stage.until_ready("abroad").await.unwrap();
    assert_eq!(stage.writes("ext-shop.abroad"), []);

    // Taken away by force, it takes no API with it, and lets none go.
    stage
        .kubectl(&[
            "patch",
            "apiminstance",
            "partners",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":null}}"#,
        ])
        .await
        .unwrap();
    let status = stage
        .until_reason("abroad", "Ready", "NoInstance")
        .await
        .unwrap();
    assert_eq!(status["apim"]["apiId"], "ext-shop.abroad");
    stage.delete("abroad").await.unwrap();
    let failing = |s: &Value| s["apim"]["lastError"].is_string();
    let status = stage
        .until("abroad", "a failed deletion", failing)
        .await
        .unwrap();
    assert_eq!(conditions(&status)[0], "Ready=False InstanceUnavailable");
    assert!(
        message(&status).contains("instance `partners` is not connected"),
        "{status}"
    );
    assert_eq!(stage.writes("ext-shop.abroad"), []);
    stage.apply(&partners).await.unwrap();
    stage.until_gone("abroad").await.unwrap();
    assert_eq!(stage.writes("ext-shop.abroad"), [write("DELETE", "")]);
    assert_eq!(service_of("ext-shop.abroad"), ["apim-two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_instance_the_key_vault_describes_one() {
    let test = "without_an_instance_the_key_vault_describes_one";
    let Some(mut stage) = Stage::builder().key_vault("kv-local").start(test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), created());
    assert_eq!(status["apim"]["instance"], "default");
    assert_eq!(status["pluginNames"], "jwt-entra, rate-limit");
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        policy.contains("22222222-2222-4222-8222-000000000004"),
        "the audience is the vault's: {policy}"
    );
    let forbidden = annotation("ingress-class", &json!("nginx"));
    stage.patch("shop", "catalog", &forbidden).await.unwrap();
    stage
        .until_reason("catalog", "Ready", "Forbidden")
        .await
        .unwrap();
    stage
        .patch(
            "shop",
            "catalog",
            &annotation("ingress-class", &Value::Null),
        )
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();
    let before = stage
        .object("catalog")
        .await
        .unwrap()
        .metadata
        .resource_version;
    stage.restart().await.unwrap();
    assert_eq!(stage.calls("shop.catalog").len(), 0);
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

    // A vault that cannot be read is said where objects wait for it, and is
    // read again.
    stage.kill_operator().unwrap();
    let refusal = FaultSpec {
        path: Some("/secrets/".into()),
        status: Some(403),
        count: Some(1),
        ..FaultSpec::default()
    };
    stage.azure.fault(refusal).unwrap();
    stage.apply(&exposed_api("waiting", |_| ())).await.unwrap();
    stage.start_operator().await.unwrap();
    let told = |s: &Value| message(s).contains("the Key Vault https://kv-local.");
    let status = stage
        .until("waiting", "told about the vault", told)
        .await
        .unwrap();
    assert_eq!(conditions(&status)[0], "Ready=False NoInstance");
    stage.until_ready("waiting").await.unwrap();
    assert_eq!(stage.writes("shop.waiting"), created());

    // An ApimInstance of that name takes its place, and nothing moves.
    stage.until_ready("catalog").await.unwrap();
    stage.azure.clear_journal();
    stage.apply(&stage.instance_manifest()).await.unwrap();
    let kind = GroupVersionKind::gvk("apim.oda.tmforum.org", "v1alpha1", "ApimInstance");
    let instances: Api<DynamicObject> = Api::all_with(
        stage.client.clone(),
        &ApiResource::from_gvk_with_plural(&kind, "apiminstances"),
    );
    test_harness::wait_for(&instances, "default", "connected", PATIENCE, |object| {
        let status = status_of(object?);
        (status["conditions"][0]["reason"] == "Connected").then_some(())
    })
    .await
    .unwrap();
    stage.settled().await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), []);
}
