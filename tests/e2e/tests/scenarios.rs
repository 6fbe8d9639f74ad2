//! The scenarios of `deploy/examples/scenarios`: each is applied as it is
//! shipped, and what comes of it in the cluster and in API Management is what
//! its snapshot says; then it is taken back, and nothing is left.
//!
//! Gateways, meshes, ingress controllers and load balancers do not run here:
//! the objects for them are real, and the test says what they would say.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use apim_simulator::SimulatorConfig;
use e2e::routes::{gateway_api, istio, istio_security};
use e2e::{PATIENCE, Stage, conditions};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::runtime::{WatchStreamExt as _, watcher};
use regex::Regex;
use serde_json::{Map, Value, json};

/// What the operator may have made, by version and kind.
const KINDS: [(&str, &str); 11] = [
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "Service"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
    ("security.istio.io/v1", "RequestAuthentication"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
];

/// Fields of an instance that say where Azure is: the local one's are taken.
const PLACE: [&str; 5] = [
    "subscriptionId",
    "resourceGroup",
    "serviceName",
    "tenantId",
    "clientId",
];

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/scenarios");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// All documents of a scenario's manifests.
fn manifests(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap()
        })
        .collect()
}

/// Services of a tier that says its addresses, with a certificate to show.
fn prepared(config: &mut SimulatorConfig) {
    let made = rcgen::generate_simple_self_signed(["orders-client".to_owned()]).unwrap();
    let certificate = json!({"pem": made.cert.pem(), "key": made.signing_key.serialize_pem()});
    for service in &mut config.seed.services {
        "Developer".clone_into(&mut service.sku);
        let certificate = serde_json::from_value(certificate.clone()).unwrap();
        service
            .certificates
            .insert("orders-client".to_owned(), certificate);
    }
}

/// What the platform has done before: the named values that the instance
/// grants are there.
async fn named_values(stage: &Stage, instance: &Value) {
    let grants = instance["spec"]["grants"].as_array();
    let of_named_values = grants
        .into_iter()
        .flatten()
        .filter(|grant| grant["kind"] == "namedValue");
    for name in of_named_values.flat_map(|grant| grant["names"].as_array().unwrap()) {
        let name = name.as_str().unwrap();
        let value = json!({"properties": {"displayName": name, "value": "s3cret", "secret": true}});
        let made = stage
            .arm("PUT", &format!("/namedValues/{name}"), Some(&value))
            .await;
        let (status, body) = made.unwrap();
        assert!(matches!(status, 200..=202), "{status} {body}");
        // It is made in the background.
        let path = format!("/namedValues/{name}");
        test_harness::wait_until(&path, PATIENCE, async || {
            match stage.arm("GET", &path, None).await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap();
    }
}

/// A scenario's instance at the local Azure.
fn local(stage: &Stage, instance: &Value) -> Value {
    let mut local = stage.instance_manifest();
    for (field, value) in instance["spec"].as_object().unwrap() {
        if !PLACE.contains(&field.as_str()) {
            local["spec"][field] = value.clone();
        }
    }
    local
}

/// Says for load balancers and Gateways that they have taken what they serve,
/// until it is dropped.
fn speaking(stage: &Stage) -> tokio::task::JoinSet<()> {
    let services = stage.objects("v1", "Service");
    let routes = stage.objects("gateway.networking.k8s.io/v1", "HTTPRoute");
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    let gateways = Api::namespaced_with(
        stage.client.clone(),
        "gateways",
        &ApiResource::from_gvk(&kind),
    );
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "Accepted"});
    let taken = [condition("Accepted"), condition("ResolvedRefs")];
    let mut speakers = tokio::task::JoinSet::new();
    speakers.spawn(saying(
        services,
        json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.20"}]}}),
        |service| {
            service["spec"]["type"] == "LoadBalancer"
                && service["status"]["loadBalancer"]["ingress"].is_null()
        },
    ));
    speakers.spawn(saying(
        routes,
        json!({"parents": [{"conditions": taken}]}),
        |route| route["status"]["parents"].is_null(),
    ));
    speakers.spawn(saying(
        gateways,
        json!({"addresses": [{"type": "IPAddress", "value": "203.0.113.30"}]}),
        |gateway| gateway["status"]["addresses"].is_null(),
    ));
    speakers
}

/// Writes a status for each object that waits for it.
async fn saying(api: Api<DynamicObject>, said: Value, waits: fn(&Value) -> bool) {
    let objects = watcher(api.clone(), watcher::Config::default()).default_backoff();
    let mut objects = std::pin::pin!(objects.applied_objects());
    while let Some(object) = objects.next().await {
        // A watch that fell behind begins anew.
        let Ok(object) = object else { continue };
        if waits(&object.data) {
            let name = object.metadata.name.unwrap_or_default();
            let patch = Patch::Merge(json!({"status": said}));
            // It may have gone meanwhile.
            let _ = api
                .patch_status(&name, &PatchParams::default(), &patch)
                .await;
        }
    }
}

/// Whether an object is the operator's, by its name.
fn is_made(name: &str) -> bool {
    name.starts_with("apim-api-") || name.starts_with("apim-gateway-")
}

/// What the operator made in the namespace, or added to what others made.
async fn made(stage: &Stage) -> BTreeMap<String, Value> {
    let mut made = BTreeMap::new();
    for (version, kind) in KINDS {
        let Ok(list) = stage
            .objects(version, kind)
            .list(&ListParams::default())
            .await
        else {
            continue;
        };
        for object in list.items {
            let name = object.metadata.name.clone().unwrap_or_default();
            let template = &object.data["spec"]["template"]["spec"];
            let mut containers = template["containers"].as_array().into_iter().flatten();
            if is_made(&name) || containers.any(|one| one["name"] == "apim-gateway") {
                made.insert(format!("{kind} {name}"), seen(&object));
            }
        }
    }
    made
}

/// An object without what the API server adds.
fn seen(object: &DynamicObject) -> Value {
    let mut spec = object.data["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        // What is allocated is never the same twice.
        for field in [
            "clusterIP",
            "clusterIPs",
            "healthCheckNodePort",
            "ipFamilies",
            "ipFamilyPolicy",
        ] {
            spec.remove(field);
        }
        let pods = spec.get_mut("template");
        let annotations = pods.and_then(|pods| pods.pointer_mut("/metadata/annotations"));
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            // When a token ends.
            for value in annotations.values_mut() {
                *value = json!("TIME");
            }
        }
        for port in spec
            .get_mut("ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
        }
    }
    let mut seen = json!({"spec": spec});
    if let Some(annotations) = &object.metadata.annotations {
        seen["annotations"] = json!(annotations);
    }
    seen
}

async fn published(stage: &Stage, name: &str) -> Value {
    let id = format!("shop.{name}");
    let api = stage.api(&id).await.unwrap().unwrap();
    let operations = stage.operations(&id).await.unwrap();
    let fields = ["displayName", "path", "serviceUrl", "subscriptionRequired"];
    let mut shown: Map<String, Value> = fields
        .into_iter()
        .map(|field| (field.to_owned(), api[field].clone()))
        .collect();
    shown.insert("operations".to_owned(), json!(operations));
    let console = &api["authenticationSettings"]["oAuth2"];
    if !console.is_null() {
        shown.insert("oAuth2".to_owned(), console.clone());
    }
    let path = format!("/apis/{id}/products");
    let (_, products) = stage.arm("GET", &path, None).await.unwrap();
    let products = products["value"].as_array().cloned().unwrap_or_default();
    let products: Vec<&Value> = products.iter().map(|product| &product["name"]).collect();
    shown.insert("products".to_owned(), json!(products));
    shown.insert("policy".to_owned(), stage.policy(&id).await.unwrap().into());
    shown.into()
}

/// Kinds of ours beside the API, in the order in which they are taken back.
const OWN: [&str; 3] = ["ApimSubscription", "ApimProduct", "SelfHostedGateway"];

/// The names in the Secret of a subscription, once its keys are there.
async fn keys(stage: &Stage, subscription: &Value) -> Vec<String> {
    let secrets = stage.objects("v1", "Secret");
    let secret = subscription["spec"]["secretName"].as_str().unwrap();
    test_harness::wait_for(&secrets, secret, "filled", PATIENCE, |object| {
        let data = object?.data["data"].as_object()?;
        Some(data.keys().cloned().collect())
    })
    .await
    .unwrap()
}

/// A gateway in API Management, and the APIs that it serves.
async fn entity(stage: &Stage, name: &str) -> Value {
    let path = format!("/gateways/shop.{name}");
    let (_, found) = stage.arm("GET", &path, None).await.unwrap();
    let apis = format!("{path}/apis");
    let (_, apis) = stage.arm("GET", &apis, None).await.unwrap();
    let apis = apis["value"].as_array().cloned().unwrap_or_default();
    let apis: Vec<&Value> = apis.iter().map(|api| &api["name"]).collect();
    let place = &found["properties"]["locationData"];
    json!({"locationData": place, "apis": apis})
}

async fn names(stage: &Stage) -> BTreeSet<String> {
    let (_, apis) = stage.arm("GET", "/apis", None).await.unwrap();
    let apis = apis["value"].as_array().unwrap().iter();
    apis.map(|api| api["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scenario_is_published_as_its_snapshot_says_and_leaves_nothing_behind() {
    let test = "each_scenario_is_published_as_its_snapshot_says_and_leaves_nothing_behind";
    let mut builder = Stage::builder().simulator(prepared).without_operator();
    for definition in gateway_api()
        .into_iter()
        .chain([istio()])
        .chain(istio_security())
    {
        builder = builder.object(definition);
    }
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    stage.allow("rbac-exposures.yaml").await.unwrap();
    stage.allow_products().await.unwrap();
    stage.allow_gateways().await.unwrap();
    stage.start_operator().await.unwrap();
    let speaker = speaking(&stage);
    let pods = stage.pods_run();
    let ports = Regex::new(r"localhost:\d+").unwrap();
    for folder in scenarios() {
        let scenario = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        assert_eq!(
            readme.lines().count(),
            6,
            "{scenario}: a title and four sentences"
        );
        let objects = manifests(&folder);
        let of_kind = |kind: &str| {
            objects
                .iter()
                .filter(|o| o["kind"] == kind)
                .cloned()
                .collect::<Vec<_>>()
        };
        let apis = of_kind("ExposedAPI");
        let instance = of_kind("ApimInstance").pop().unwrap();
        named_values(&stage, &instance).await;
        stage.apply(&local(&stage, &instance)).await.unwrap();
        for api in &apis {
            let name = api["spec"]["implementation"].as_str().unwrap();
            if !name.starts_with('<') {
                let service = json!({
                    "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                    "spec": {"selector": {"app": name}, "ports": [{"port": api["spec"]["port"]}]},
                });
                stage.apply(&service).await.unwrap();
            }
        }
        let others = objects.iter().filter(|object| {
            !["ExposedAPI", "ApimInstance"].contains(&object["kind"].as_str().unwrap())
        });
        for object in others.chain(&apis) {
            test_harness::apply_yaml(&stage.client, &object.to_string())
                .await
                .unwrap_or_else(|error| panic!("{scenario}: {error:#}"));
        }
        let mut all = Map::new();
        for api in &apis {
            let name = api["metadata"]["name"].as_str().unwrap();
            let status = stage
                .until_ready(name)
                .await
                .unwrap_or_else(|error| panic!("{scenario}: {error:#}\n{}", stage.operator_log()));
            let mut shown = published(&stage, name).await;
            shown["url"] = status["apiStatus"]["url"].clone();
            shown["conditions"] = json!(conditions(&status));
            all.insert(name.to_owned(), shown);
        }
        let mut shown = json!({"cluster": made(&stage).await, "azure": all});
        for gateway in of_kind("SelfHostedGateway") {
            let name = gateway["metadata"]["name"].as_str().unwrap();
            shown["gateways"][name] = entity(&stage, name).await;
        }
        for subscription in of_kind("ApimSubscription") {
            let name = subscription["metadata"]["name"].as_str().unwrap();
            shown["keys"][name] = json!(keys(&stage, &subscription).await);
        }
        let shown = serde_json::to_string_pretty(&shown).unwrap();
        let shown = ports
            .replace_all(&shown, "localhost:PORT")
            .replace("\\n", "\n");
        insta::assert_snapshot!(format!("scenario-{scenario}"), shown);

        // All of it is taken back.
        for api in &apis {
            let name = api["metadata"]["name"].as_str().unwrap();
            let gone = stage
                .exposed_apis("shop")
                .delete(name, &DeleteParams::default())
                .await;
            gone.unwrap();
            stage.until_gone(name).await.unwrap();
            assert!(
                !names(&stage).await.contains(&format!("shop.{name}")),
                "{scenario}"
            );
        }
        for kind in OWN {
            let api = stage.objects("apim.oda.tmforum.org/v1alpha1", kind);
            for object in of_kind(kind) {
                let name = object["metadata"]["name"].as_str().unwrap();
                api.delete(name, &DeleteParams::default()).await.unwrap();
                test_harness::wait_for(&api, name, "gone", PATIENCE, |object| {
                    object.is_none().then_some(())
                })
                .await
                .unwrap();
            }
        }
        for (version, kind) in KINDS {
            // There is no collector of garbage here: what would be collected is
            // what belongs to the object that is gone.
            let api = stage.objects(version, kind);
            let Ok(list) = api.list(&ListParams::default()).await else {
                continue;
            };
            for object in list.items {
                let name = object.metadata.name.clone().unwrap_or_default();
                // What is a gateway's goes with the gateway.
                assert!(!name.starts_with("apim-gateway-"), "{scenario}: {name}");
                if is_made(&name) {
                    let owners = object.metadata.owner_references.unwrap_or_default();
                    assert_eq!(owners.len(), 1, "{scenario}: {kind} {name} has no owner");
                    assert_eq!(owners[0].kind, "ExposedAPI", "{scenario}");
                    api.delete(&name, &DeleteParams::default()).await.unwrap();
                }
            }
        }
    }
    drop((speaker, pods));
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    assert!(namespaces.get_opt("shop").await.unwrap().is_some());
    test_harness::wait_until("nothing is left", PATIENCE, async || {
        let left = made(&stage).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", left.keys()))
        }
    })
    .await
    .unwrap();
}
