//! Gateways of API Management in the cluster: the entity, the APIs that each
//! serves, its token and its objects. The container itself does not run here:
//! all is shown up to the object, and the test says that its pods are available.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::collections::BTreeMap;

use apim_simulator::{CallKind, SimulatorConfig};
use e2e::gateways::{GROUP, gateway};
use e2e::{PATIENCE, Stage, exposed_api};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_harness::{wait_for, wait_until};

const PREFIX: &str = "apim.oda.tmforum.org";

fn developer(config: &mut SimulatorConfig) {
    for service in &mut config.seed.services {
        "Developer".clone_into(&mut service.sku);
    }
}

fn in_cluster() -> Value {
    json!({
        "exposure": {"way": "in-cluster"}, "protocols": ["http", "https"],
        "allow": {"images": ["registry.example.com/*"]},
    })
}

/// A stage with gateways, on which pods run.
async fn stage(test: &str) -> Option<(Stage, tokio::task::JoinSet<()>)> {
    let builder = Stage::builder().simulator(developer).instance(in_cluster());
    let mut stage = builder.without_operator().start(test).await?;
    stage.allow_gateways().await.unwrap();
    let speaker = stage.pods_run();
    stage.start_operator().await.unwrap();
    Some((stage, speaker))
}

fn message(status: &Value) -> String {
    let all = status["conditions"].as_array().unwrap();
    let ready = all.iter().find(|condition| condition["type"] == "Ready");
    ready.unwrap()["message"].as_str().unwrap().to_owned()
}

/// Waits until a gateway's status is as the test wants it.
async fn until(
    stage: &Stage,
    name: &str,
    what: &str,
    mut holds: impl FnMut(&Value) -> bool,
) -> Value {
    let api = stage.objects(GROUP, "SelfHostedGateway");
    let mut last = String::new();
    let found = wait_for(&api, name, what, PATIENCE, |object| {
        let status = object?.data.get("status").cloned().unwrap_or_default();
        last = status.to_string();
        holds(&status).then_some(status)
    })
    .await;
    found
        .map_err(|error| format!("{error}\n{last}\n{}", stage.operator_log()))
        .unwrap()
}

fn is(status: &Value, reason: &str) -> bool {
    let all = status["conditions"].as_array().into_iter().flatten();
    let mut ready = all.filter(|one| one["type"] == "Ready");
    ready.next().is_some_and(|one| one["reason"] == reason)
}

async fn until_said(stage: &Stage, name: &str, reason: &str) -> Value {
    until(stage, name, reason, |status| is(status, reason)).await
}

async fn change(stage: &Stage, name: &str, patch: Value) {
    let api = stage.objects(GROUP, "SelfHostedGateway");
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
}

async fn delete(stage: &Stage, name: &str) {
    let api = stage.objects(GROUP, "SelfHostedGateway");
    api.delete(name, &DeleteParams::default()).await.unwrap();
    wait_for(&api, name, "gone", PATIENCE, |object| {
        object.is_none().then_some(())
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

/// The APIs that API Management has a gateway serve.
async fn linked(stage: &Stage, id: &str) -> Vec<String> {
    let path = format!("/gateways/{id}/apis");
    let (_, list) = stage.arm("GET", &path, None).await.unwrap();
    let all = list["value"].as_array().cloned().unwrap_or_default();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    all.iter().map(name).collect()
}

/// The names of what is there of a kind for gateways.
async fn names(stage: &Stage, version: &str, kind: &str) -> Vec<String> {
    let api = stage.objects(version, kind);
    let list = api.list(&ListParams::default()).await.unwrap();
    let all = list.items.into_iter();
    all.filter_map(|object| object.metadata.name)
        .filter(|name| name.starts_with("apim-gateway-"))
        .collect()
}

const KINDS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "Secret"),
];

async fn made(stage: &Stage) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    for (version, kind) in KINDS {
        all.insert(kind, names(stage, version, kind).await);
    }
    all
}

async fn token(stage: &Stage, name: &str) -> String {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    let secret = secrets.get(&format!("apim-gateway-{name}-token")).await;
    let data = secret.unwrap().data.unwrap();
    String::from_utf8(data["value"].0.clone()).unwrap()
}

/// The gateway that a token opens.
fn opens(stage: &Stage, setting: &str) -> Option<String> {
    let token = setting.strip_prefix("GatewayKey ").unwrap();
    stage.azure.gateway_of(token)
}

/// Writes to gateways, in order.
fn writes(stage: &Stage) -> Vec<String> {
    let mut journal = stage.journal();
    journal.retain(|call| {
        let is_write = matches!(call.kind, CallKind::Write | CallKind::Delete);
        let action = call.method == "POST";
        (is_write || action) && call.path.contains("/gateways/")
    });
    let told = |path: &str| path.split_once("/gateways/").unwrap().1.to_owned();
    journal
        .iter()
        .map(|call| format!("{} {} {}", call.method, told(&call.path), call.status))
        .collect()
}

async fn pod_annotation(stage: &Stage, deployment: &str) -> Value {
    let api = stage.objects("apps/v1", "Deployment");
    let object = api.get(deployment).await.unwrap();
    object.data["spec"]["template"]["metadata"]["annotations"]
        [format!("{PREFIX}/gateway-token-until")]
    .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_gateway_serves_the_apis_that_it_selects_and_they_are_reached_there() {
    let test = "a_shared_gateway_serves_the_apis_that_it_selects_and_they_are_reached_there";
    let Some((mut stage, _speaker)) = stage(test).await else {
        return;
    };
    // Without a gateway of ours, it is one that somebody else runs.
    stage.apply(&exposed_api("catalog", |_| {})).await.unwrap();
    let status = stage.until_ready("catalog").await.unwrap();
    let url = status["apiStatus"]["url"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");

    let spec = json!({"apis": {"selector": {}}, "description": "At the edge"});
    stage.apply(&gateway("edge", &spec)).await.unwrap();
    let said = until_said(&stage, "edge", "InPlace").await;
    assert_eq!(
        (&said["gatewayId"], &said["url"], &said["apis"]),
        (
            &json!("shop.edge"),
            &json!("http://apim-gateway-edge.shop.svc"),
            &json!(["shop.catalog"])
        )
    );
    let there = stage.arm("GET", "/gateways/shop.edge", None).await.unwrap();
    let properties = &there.1["properties"];
    assert_eq!(properties["locationData"]["name"], "edge");
    let description = properties["description"].as_str().unwrap();
    assert!(description.starts_with("At the edge\n<!-- apim-operator/1 "));
    assert!(description.ends_with(" shop/edge -->"), "{description}");
    let secret = token(&stage, "edge").await;
    assert_eq!(opens(&stage, &secret).as_deref(), Some("shop.edge"));
    assert_eq!(
        pod_annotation(&stage, "apim-gateway-edge").await,
        said["token"]["expires"]
    );
    assert!(!stage.operator_log().contains(&secret[11..]));

    let reached = |name: &'static str| {
        let url = format!("http://apim-gateway-edge.shop.svc/{name}");
        stage.until(name, "reached at the gateway", move |status| {
            status["apiStatus"]["url"] == url && status["implementation"]["ready"] == true
        })
    };
    reached("catalog").await.unwrap();
    // Whoever comes later is served, too.
    stage.apply(&exposed_api("orders", |_| {})).await.unwrap();
    reached("orders").await.unwrap();
    assert_eq!(
        linked(&stage, "shop.edge").await,
        ["shop.catalog", "shop.orders"]
    );

    // A restart changes nothing: not for a moment is an API not ready.
    let version = async |stage: &Stage| {
        stage
            .object("orders")
            .await
            .unwrap()
            .metadata
            .resource_version
    };
    let before = version(&stage).await;
    stage.restart().await.unwrap();
    assert_eq!(version(&stage).await, before, "{}", stage.operator_log());
    let mut calls = writes(&stage);
    // One API came and went, to see that all were looked at.
    calls.retain(|call| !call.contains("/apis/shop.settled "));
    assert_eq!(calls, [""; 0]);

    // What somebody else has it serve is left alone, and so is what it selects.
    let by_hand = json!({"properties": {"path": "by-hand", "displayName": "by-hand", "protocols": ["https"]}});
    stage
        .arm("PUT", "/apis/by-hand", Some(&by_hand))
        .await
        .unwrap();
    let link = "/gateways/shop.edge/apis/by-hand";
    assert_eq!(stage.arm("PUT", link, None).await.unwrap().0, 201);
    let narrow = json!({"spec": {"apis": {"selector": {"matchLabels": {"edge": "yes"}}}}});
    let label = json!({"metadata": {"labels": {"edge": "yes"}}});
    stage.patch("shop", "orders", &label).await.unwrap();
    change(&stage, "edge", narrow).await;
    until(&stage, "edge", "serves one", |status| {
        status["apis"] == json!(["shop.orders"])
    })
    .await;
    assert_eq!(
        linked(&stage, "shop.edge").await,
        ["by-hand", "shop.orders"]
    );
    let elsewhere = stage.until("catalog", "reached at Azure's gateway again", |status| {
        let url = status["apiStatus"]["url"].as_str().unwrap_or_default();
        url.starts_with("https://") && status["implementation"]["ready"] == true
    });
    elsewhere.await.unwrap();

    // What is put right: an object that somebody deleted, and one that is
    // changed.
    let budgets = stage.objects("policy/v1", "PodDisruptionBudget");
    budgets
        .delete("apim-gateway-edge", &DeleteParams::default())
        .await
        .unwrap();
    wait_for(&budgets, "apim-gateway-edge", "back", PATIENCE, |object| {
        object.map(|_| ())
    })
    .await
    .unwrap();
    let services = stage.objects("v1", "Service");
    let wrong = Patch::Merge(json!({"spec": {"selector": {"app.kubernetes.io/instance": "evil"}}}));
    services
        .patch("apim-gateway-edge", &PatchParams::default(), &wrong)
        .await
        .unwrap();
    wait_for(
        &services,
        "apim-gateway-edge",
        "right",
        PATIENCE,
        |object| {
            let selector = &object?.data["spec"]["selector"];
            (selector["app.kubernetes.io/instance"] == "edge").then_some(())
        },
    )
    .await
    .unwrap();

    // The links first, then the objects, then the gateway; and nothing is left.
    stage.azure.clear_journal();
    delete(&stage, "edge").await;
    assert_eq!(
        writes(&stage),
        [
            "DELETE shop.edge/apis/shop.orders 200",
            "DELETE shop.edge 200"
        ]
    );
    let left = made(&stage).await;
    assert!(left.values().all(Vec::is_empty), "{left:?}");
    assert_eq!(
        stage
            .arm("GET", "/gateways/shop.edge", None)
            .await
            .unwrap()
            .0,
        404
    );
    assert!(stage.api("shop.orders").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends_and_the_key_that_signs_it_is_replaced_in_turn() {
    let test = "a_token_is_renewed_before_it_ends_and_the_key_that_signs_it_is_replaced_in_turn";
    let Some((stage, _speaker)) = stage(test).await else {
        return;
    };
    let spec = json!({"apis": {"selector": {}}, "rotation": {"every": "720h"}});
    stage.apply(&gateway("edge", &spec)).await.unwrap();
    let said = until_said(&stage, "edge", "InPlace").await;
    assert_eq!(said["token"]["key"], "primary");
    let first = token(&stage, "edge").await;

    // One that ends soon.
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), "shop");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let soon = format!("GatewayKey shop.edge&{}&x", soon.strftime("%Y%m%d%H%M"));
    let patch = Patch::Merge(json!({"stringData": {"value": soon}}));
    secrets
        .patch("apim-gateway-edge-token", &PatchParams::default(), &patch)
        .await
        .unwrap();
    // Anything that has it look.
    change(&stage, "edge", json!({"spec": {"description": "again"}})).await;
    wait_until("the token is another", PATIENCE, async || {
        let now = token(&stage, "edge").await;
        if now == soon { Err(now) } else { Ok(()) }
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
    let second = token(&stage, "edge").await;
    assert_eq!(opens(&stage, &second).as_deref(), Some("shop.edge"));

    // The other key is due.
    stage.azure.clear_journal();
    let long_ago = "2026-01-01T00:00:00Z";
    let gateways = stage.objects(GROUP, "SelfHostedGateway");
    wait_until("the other key", PATIENCE, async || {
        let told = |error: kube::Error| error.to_string();
        let object = gateways.get("edge").await.map_err(told)?;
        let status = &object.data["status"];
        let keys = &status["keys"];
        if keys["current"] == "secondary" && status["token"]["key"] == "secondary" {
            return Ok(());
        }
        // A look that was under way writes what it knew.
        if keys["since"] != long_ago && keys["replacing"].is_null() {
            let overdue = Patch::Merge(json!({
                "metadata": {"resourceVersion": object.metadata.resource_version},
                "status": {"keys": {"since": long_ago}},
            }));
            let params = PatchParams::default();
            let changed = gateways.patch_status("edge", &params, &overdue).await;
            changed.map_err(told)?;
        }
        Err(status.to_string())
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
    let mut actions = writes(&stage);
    actions.retain(|call| call.starts_with("POST "));
    assert_eq!(
        actions,
        [
            "POST shop.edge/regenerateKey 204",
            "POST shop.edge/generateToken 200"
        ]
    );
    let third = token(&stage, "edge").await;
    assert_eq!(opens(&stage, &third).as_deref(), Some("shop.edge"));
    // Pods that have not started anew yet still get in.
    assert!(opens(&stage, &first).is_some() && opens(&stage, &second).is_some());

    // A Secret that is gone comes back.
    secrets
        .delete("apim-gateway-edge-token", &DeleteParams::default())
        .await
        .unwrap();
    change(
        &stage,
        "edge",
        json!({"spec": {"description": "and again"}}),
    )
    .await;
    wait_until("the token is back", PATIENCE, async || {
        let found = secrets.get_opt("apim-gateway-edge-token").await;
        match found.map_err(|error| error.to_string())? {
            Some(_) => Ok(()),
            None => Err("nothing".to_owned()),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_cannot_be_is_said_and_what_was_there_stays() {
    let test = "what_a_gateway_cannot_be_is_said_and_what_was_there_stays";
    let Some((stage, _speaker)) = stage(test).await else {
        return;
    };
    // Somebody else's gateway, Secret and Service.
    let theirs = json!({"properties": {"description": "by hand", "locationData": {"name": "x"}}});
    stage
        .arm("PUT", "/gateways/shop.taken", Some(&theirs))
        .await
        .unwrap();
    let all = json!({"apis": {"selector": {}}});
    stage.apply(&gateway("taken", &all)).await.unwrap();
    let said = until_said(&stage, "taken", "NotOurs").await;
    assert!(message(&said).contains("gateway `shop.taken` exists in API Management"));
    delete(&stage, "taken").await;
    let kept = stage
        .arm("GET", "/gateways/shop.taken", None)
        .await
        .unwrap();
    assert_eq!(kept.1["properties"]["description"], "by hand");

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "apim-gateway-held-token", "namespace": "shop"},
        "stringData": {"value": "mine"},
    });
    stage.apply(&secret).await.unwrap();
    stage.apply(&gateway("held", &all)).await.unwrap();
    until_said(&stage, "held", "SecretNotOurs").await;
    assert_eq!(token(&stage, "held").await, "mine");
    delete(&stage, "held").await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "apim-gateway-named", "namespace": "shop"},
        "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]},
    });
    stage.apply(&service).await.unwrap();
    stage.apply(&gateway("named", &all)).await.unwrap();
    let said = until_said(&stage, "named", "NotOurs").await;
    assert!(
        message(&said).contains("Service `apim-gateway-named` exists and is not this object's")
    );
    delete(&stage, "named").await;
    assert_eq!(names(&stage, "v1", "Service").await, ["apim-gateway-named"]);

    // A change that makes no sense leaves what was there.
    stage.apply(&gateway("edge", &all)).await.unwrap();
    until_said(&stage, "edge", "InPlace").await;
    let evil =
        json!({"spec": {"image": "docker.io/evil:1", "settings": {"config.service.auth": "x"}}});
    change(&stage, "edge", evil).await;
    let said = until_said(&stage, "edge", "InvalidSpec").await;
    let told = message(&said);
    assert!(
        told.contains("spec.image: `docker.io/evil:1` is neither"),
        "{told}"
    );
    assert!(
        told.contains("spec.settings[config.service.auth]"),
        "{told}"
    );
    let deployments = stage.objects("apps/v1", "Deployment");
    let image = |object: &DynamicObject| {
        object.data["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let there = deployments.get("apim-gateway-edge").await.unwrap();
    assert_eq!(
        image(&there),
        "mcr.microsoft.com/azure-api-management/gateway:v2"
    );
    assert_eq!(
        stage
            .arm("GET", "/gateways/shop.edge", None)
            .await
            .unwrap()
            .0,
        200
    );
    change(
        &stage,
        "edge",
        json!({"spec": {"image": null, "settings": null, "autoscaling": {"maxReplicas": 4}}}),
    )
    .await;
    until_said(&stage, "edge", "InPlace").await;
    assert_eq!(
        names(&stage, "autoscaling/v2", "HorizontalPodAutoscaler").await,
        ["apim-gateway-edge"]
    );
    // The number of pods is the autoscaler's from then on, and stays until it
    // speaks.
    let there = deployments.get("apim-gateway-edge").await.unwrap();
    assert_eq!(there.data["spec"]["replicas"], 2);
    change(&stage, "edge", json!({"spec": {"autoscaling": null}})).await;
    wait_until("the autoscaler goes", PATIENCE, async || {
        let found = names(&stage, "autoscaling/v2", "HorizontalPodAutoscaler").await;
        if found.is_empty() {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_without_rights_is_said_with_the_way_out() {
    let test = "a_namespace_without_rights_is_said_with_the_way_out";
    let builder = Stage::builder().simulator(developer).instance(in_cluster());
    let Some(mut stage) = builder.without_operator().start(test).await else {
        return;
    };
    stage.allow("rbac-gateways.yaml").await.unwrap();
    let _speaker = stage.pods_run();
    stage.start_operator().await.unwrap();
    let all = json!({"apis": {"selector": {}}});
    stage.apply(&gateway("edge", &all)).await.unwrap();
    let said = until_said(&stage, "edge", "Forbidden").await;
    assert!(
        message(&said).contains("have the ClusterRole `apim-operator-gateway-objects`"),
        "{said}"
    );
    // Nothing was made that nobody could take away again.
    assert_eq!(writes(&stage), [""; 0]);
    stage.allow_gateways().await.unwrap();
    change(&stage, "edge", json!({"spec": {"description": "again"}})).await;
    until_said(&stage, "edge", "InPlace").await;
    delete(&stage, "edge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_without_gateways_is_refused_with_the_way_out() {
    let test = "a_tier_without_gateways_is_refused_with_the_way_out";
    let builder = Stage::builder().instance(in_cluster()).simulator(|config| {
        for service in &mut config.seed.services {
            "StandardV2".clone_into(&mut service.sku);
        }
    });
    let Some(mut stage) = builder.without_operator().start(test).await else {
        return;
    };
    stage.allow_gateways().await.unwrap();
    stage.start_operator().await.unwrap();
    let all = json!({"apis": {"selector": {}}});
    stage.apply(&gateway("edge", &all)).await.unwrap();
    let said = until_said(&stage, "edge", "TierLimit").await;
    assert!(
        message(&said).contains(
            "spec.instance: the StandardV2 tier has no self-hosted gateways; use an instance of tier Developer or Premium"
        ),
        "{said}"
    );
}

fn deployment(name: &str, port: u16, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": port}]}]},
            },
        },
    })
}

/// A Deployment as its owner sees it: without what the API server counts.
async fn as_written(stage: &Stage, name: &str) -> Value {
    let api = stage.objects("apps/v1", "Deployment");
    let object = api.get(name).await.unwrap();
    let managers = object.metadata.managed_fields.clone().unwrap_or_default();
    let managers = managers.iter().filter_map(|one| one.manager.clone());
    let ours = managers.filter(|one| one.starts_with("apim-operator"));
    json!({
        "labels": object.metadata.labels, "spec": object.data["spec"], "managers": ours.collect::<Vec<_>>(),
    })
}

fn containers(written: &Value) -> Vec<Value> {
    let all = written["spec"]["template"]["spec"]["containers"].as_array();
    all.unwrap().iter().map(|one| one["name"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_jet_and_a_sidecar_serve_one_api_and_a_sidecar_leaves_no_trace() {
    let test = "a_private_jet_and_a_sidecar_serve_one_api_and_a_sidecar_leaves_no_trace";
    let Some((stage, _speaker)) = stage(test).await else {
        return;
    };
    for name in ["catalog", "stock"] {
        stage.apply(&exposed_api(name, |_| {})).await.unwrap();
    }
    let all = json!({"apis": {"selector": {}}});
    stage.apply(&gateway("edge", &all)).await.unwrap();
    // It may come before its API.
    let alone = json!({"mode": "PrivateJet", "apis": {"name": "orders"}});
    stage.apply(&gateway("jet", &alone)).await.unwrap();
    let said = until_said(&stage, "jet", "WaitingForDependency").await;
    assert!(
        message(&said).contains("spec.apis.name: waits for ExposedAPI `orders`"),
        "{said}"
    );
    stage.apply(&exposed_api("orders", |_| {})).await.unwrap();
    until_said(&stage, "jet", "InPlace").await;
    assert_eq!(linked(&stage, "shop.jet").await, ["shop.orders"]);
    let reached = |name: &'static str, host: &'static str| {
        let url = format!("http://{host}.shop.svc/{name}");
        stage.until(name, "reached at its gateway", move |status| {
            status["apiStatus"]["url"] == url && status["implementation"]["ready"] == true
        })
    };
    reached("orders", "apim-gateway-jet").await.unwrap();
    reached("catalog", "apim-gateway-edge").await.unwrap();

    // A sidecar: not before the owner of the Deployment says so.
    stage
        .apply(&deployment("stock", 3000, &json!({"team": "stock"})))
        .await
        .unwrap();
    let beside = json!({
        "mode": "Sidecar", "apis": {"name": "stock"}, "sidecar": {"deployment": "stock"},
    });
    let untouched = as_written(&stage, "stock").await;
    stage.apply(&gateway("beside", &beside)).await.unwrap();
    let said = until_said(&stage, "beside", "NotAllowed").await;
    assert!(
        message(&said).contains("does not carry the label"),
        "{said}"
    );
    assert_eq!(as_written(&stage, "stock").await, untouched);

    let deployments = stage.objects("apps/v1", "Deployment");
    let label = |value: Value| {
        Patch::Merge(json!({"metadata": {"labels": {(format!("{PREFIX}/sidecar")): value}}}))
    };
    let params = PatchParams::default();
    deployments
        .patch("stock", &params, &label(json!("allowed")))
        .await
        .unwrap();
    until_said(&stage, "beside", "InPlace").await;
    let with = as_written(&stage, "stock").await;
    assert_eq!(containers(&with), ["app", "apim-gateway"]);
    assert_eq!(with["managers"], json!(["apim-operator-gateway-beside"]));
    let service = stage
        .objects("v1", "Service")
        .get("apim-gateway-beside")
        .await;
    assert_eq!(
        service.unwrap().data["spec"]["selector"],
        json!({"app": "stock"})
    );
    reached("stock", "apim-gateway-beside").await.unwrap();
    // What its owner changes stays the owner's.
    let image = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "app", "image": "app:2"},
    ]}}}}));
    deployments.patch("stock", &params, &image).await.unwrap();

    // Whoever takes the label back gets back all that was there before.
    deployments
        .patch("stock", &params, &label(Value::Null))
        .await
        .unwrap();
    until_said(&stage, "beside", "NotAllowed").await;
    let mut expected = untouched.clone();
    expected["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2");
    assert_eq!(as_written(&stage, "stock").await, expected);
    deployments
        .patch("stock", &params, &label(json!("allowed")))
        .await
        .unwrap();
    until_said(&stage, "beside", "InPlace").await;
    delete(&stage, "beside").await;
    deployments
        .patch("stock", &params, &label(Value::Null))
        .await
        .unwrap();
    assert_eq!(as_written(&stage, "stock").await, expected);

    // An implementation that is not there yet comes with its gateway.
    let backend = json!({"image": "registry.example.com/app:1", "port": 3000, "service": "kiosk"});
    let whole = json!({"mode": "Sidecar", "apis": {"name": "kiosk"}, "backend": backend});
    stage.apply(&gateway("kiosk", &whole)).await.unwrap();
    until_said(&stage, "kiosk", "WaitingForDependency").await;
    let api = exposed_api("kiosk", |_| {});
    test_harness::apply_yaml(&stage.client, &api.to_string())
        .await
        .unwrap();
    until_said(&stage, "kiosk", "InPlace").await;
    reached("kiosk", "apim-gateway-kiosk").await.unwrap();
    let pods = as_written(&stage, "apim-backend-kiosk").await;
    assert_eq!(containers(&pods), ["app", "gateway"]);
    delete(&stage, "kiosk").await;
    for (version, kind, name) in [
        ("v1", "Service", "kiosk"),
        ("apps/v1", "Deployment", "apim-backend-kiosk"),
    ] {
        let left = stage.objects(version, kind).get_opt(name).await.unwrap();
        assert!(left.is_none(), "{kind}");
    }

    // A port that is taken.
    let labels = json!({(format!("{PREFIX}/sidecar")): "allowed"});
    stage
        .apply(&deployment("busy", 8080, &labels))
        .await
        .unwrap();
    let busy = json!({
        "mode": "Sidecar", "apis": {"name": "stock"}, "sidecar": {"deployment": "busy"},
    });
    stage.apply(&gateway("beside", &busy)).await.unwrap();
    let said = until_said(&stage, "beside", "NotAllowed").await;
    assert!(
        message(&said).contains("container `app` of Deployment `busy` listens at port 8080"),
        "{said}"
    );
    for name in ["beside", "jet", "edge"] {
        delete(&stage, name).await;
    }
    let left = made(&stage).await;
    assert!(left.values().all(Vec::is_empty), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_other_namespaces_only_where_the_platform_grants_their_apis() {
    let test = "a_gateway_serves_other_namespaces_only_where_the_platform_grants_their_apis";
    let mut settings = in_cluster();
    settings["grants"] = json!([
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}, "kind": "api", "names": ["office.*"]},
    ]);
    let builder = Stage::builder().simulator(developer).instance(settings);
    let Some(mut stage) = builder.without_operator().start(test).await else {
        return;
    };
    stage.allow_gateways().await.unwrap();
    let _speaker = stage.pods_run();
    for name in ["office", "lab"] {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"of": name}},
        });
        stage.apply(&namespace).await.unwrap();
        let object = exposed_api("printer", |object| {
            object["metadata"]["namespace"] = json!(name);
            object["spec"]["path"] = json!(format!("/{name}"));
        });
        stage.apply(&object).await.unwrap();
    }
    stage.start_operator().await.unwrap();
    let near = |of: &str| json!({"apis": {"selector": {}, "namespaceSelector": {"matchLabels": {"of": of}}}});
    stage
        .apply(&gateway("edge", &near("office")))
        .await
        .unwrap();
    until(&stage, "edge", "serves the office", |status| {
        status["apis"] == json!(["office.printer"])
    })
    .await;
    change(&stage, "edge", json!({"spec": near("lab")})).await;
    let said = until_said(&stage, "edge", "Forbidden").await;
    assert!(
        message(&said).contains(
            "selects ExposedAPI `lab/printer`, and instance `default` does not grant api `lab.printer` to namespace `shop`"
        ),
        "{said}"
    );
    assert_eq!(linked(&stage, "shop.edge").await, ["office.printer"]);
}
