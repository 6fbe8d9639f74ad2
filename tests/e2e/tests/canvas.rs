//! In an ODA Canvas: what its use cases UC003 and UC007 ask of an API operator,
//! told with a scripted Component operator and the profile that is shipped for
//! a canvas.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::{Method, Uri};

use e2e::canvas::{Canvas, canvas_definition, component, component_definition, components, entry};
use e2e::{Documents, PATIENCE, Stage, StageBuilder, document, exposed_api, status_of};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use test_harness::{stand_in, wait_for, wait_until};

/// What the canvas's own tests allow.
const URL: Duration = Duration::from_mins(1);
const READY: Duration = Duration::from_mins(2);
const GONE: Duration = Duration::from_secs(30);

/// The settings of the shipped profile, but for what connects an instance.
fn profile() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/instance-canvas.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let instance: Value = serde_saphyr::from_str(&text).unwrap();
    let mut spec = instance["spec"].clone();
    for field in [
        "subscriptionId",
        "resourceGroup",
        "serviceName",
        "tenantId",
        "clientId",
    ] {
        spec.as_object_mut().unwrap().remove(field).unwrap();
    }
    // The documents of the tests are served on this machine.
    spec["specification"] = json!({"allowPrivate": ["127.0.0.1"]});
    spec
}

/// An API as a Component lists it.
fn api(name: &str, document: &str) -> Value {
    json!({
        "name": name, "apiType": "openapi", "implementation": format!("ctk-{name}"),
        "path": format!("/ctk/{name}/v4"), "developerUI": format!("/ctk/{name}/v4/docs"), "port": 8080,
        "specification": [{"url": document, "version": "v4"}],
    })
}

/// The Service of an API; the stand-in gives it an endpoint.
async fn service(stage: &Stage, name: &str) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080, "targetPort": 8080}]},
    });
    test_harness::apply_yaml(&stage.client, &service.to_string())
        .await
        .unwrap();
}

async fn until_component(
    stage: &Stage,
    name: &str,
    awaited: &str,
    deadline: Duration,
    mut check: impl FnMut(&Value) -> bool,
) -> Value {
    let api = components(&stage.client, "shop");
    wait_for(&api, name, awaited, deadline, |object| {
        let status = status_of(object?);
        check(&status).then_some(status)
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap()
}

fn is_complete(status: &Value) -> bool {
    status["summary/status"]["deployment_status"] == "Complete"
}

/// Sets the specs of a Component's APIs, as an upgrade of its chart does.
async fn upgrade(stage: &Stage, name: &str, apis: &[(&str, Value)]) {
    let spec = component(name, apis)["spec"].clone();
    components(&stage.client, "shop")
        .patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": spec})),
        )
        .await
        .unwrap();
}

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

/// An implementation behind the load balancer: it answers how it was called.
async fn implementation() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async |method: Method, uri: Uri| format!("{method} {}", uri.path());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Calls an API as another component does: a resource below its URL.
async fn call(stage: &Stage, method: Method, url: &str, key: Option<&str>) -> (u16, String) {
    let ca = reqwest::Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_merge([ca]);
    let client = client.build().unwrap();
    let mut request = client.request(method, format!("{url}/items"));
    if let Some(key) = key {
        request = request.header("Ocp-Apim-Subscription-Key", key);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn builder() -> StageBuilder {
    Stage::builder()
        .definition(canvas_definition())
        .object(component_definition().unwrap())
        .instance(profile())
}

async fn canvas(test: &str) -> Option<Stage> {
    builder().start(test).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_gets_the_urls_of_its_apis_and_follows_them_to_the_end() {
    let test = "a_component_gets_the_urls_of_its_apis_and_follows_them_to_the_end";
    let implementation = implementation().await;
    let stage = builder().simulator(|config| {
        config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), implementation)]);
    });
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let documents = Documents::start().await.unwrap();
    documents.serve(
        "/catalog.json",
        Some(document("catalog", &["get", "post", "delete"]).to_string()),
    );
    let canvas = Canvas::start(&stage.client);
    for name in ["ctk-catalog", "ctk-metrics", "ctk-roles", "ctk-promotion"] {
        service(&stage, name).await;
    }
    let catalog = || {
        (
            "coreFunction",
            api("catalog", &documents.url("/catalog.json")),
        )
    };
    let metrics = || {
        let metrics = json!({
            "name": "metrics", "apiType": "prometheus", "implementation": "ctk-metrics",
            "path": "/ctk/metrics", "port": 8080,
        });
        ("managementFunction", metrics)
    };
    let roles = || {
        let mut roles = api("roles", &documents.url("/catalog.json"));
        roles["gatewayConfiguration"] =
            json!({"apiKeyVerification": {"enabled": true, "location": "header"}});
        ("securityFunction", roles)
    };
    let promotion = || {
        (
            "coreFunction",
            api("promotion", &documents.url("/catalog.json")),
        )
    };

    // UC003-F001 to F003: core, management and security APIs are made, get a
    // URL, and are ready.
    let started = Instant::now();
    stage
        .apply(&component("ctk", &[catalog(), metrics(), roles()]))
        .await
        .unwrap();
    let exposed = stage.exposed_apis("shop");
    let gateway = stage.azure.gateway_url().unwrap();
    let (catalog_url, roles_url) = (
        format!("{gateway}/ctk/catalog/v4"),
        format!("{gateway}/ctk/roles/v4"),
    );
    let urls = [
        ("ctk-catalog", catalog_url.as_str()),
        (
            "ctk-metrics",
            "http://ctk-metrics.shop.svc:8080/ctk/metrics",
        ),
        ("ctk-roles", roles_url.as_str()),
    ];
    for (name, url) in urls {
        let left = URL.checked_sub(started.elapsed()).unwrap();
        let found = wait_for(&exposed, name, "a URL", left, |object| {
            let status = status_of(object?);
            status["apiStatus"]["url"].as_str().map(str::to_owned)
        });
        assert_eq!(found.await.unwrap(), url);
    }
    for (name, _) in urls {
        let left = READY.checked_sub(started.elapsed()).unwrap();
        let found = wait_for(&exposed, name, "ready", left, |object| {
            (status_of(object?)["implementation"]["ready"] == true).then_some(())
        });
        found.await.unwrap();
    }
    // The Component's operator does not look at ExposedAPIs: it is told.
    let left = READY.checked_sub(started.elapsed()).unwrap();
    let status = until_component(&stage, "ctk", "complete", left, is_complete).await;
    for (name, url) in urls {
        let listed = entry(&status, name).unwrap();
        assert_eq!(
            (&listed["url"], &listed["ready"]),
            (&json!(url), &json!(true))
        );
    }
    assert_eq!(
        entry(&status, "ctk-catalog").unwrap()["developerUI"],
        format!("{gateway}/ctk/catalog/v4/docs")
    );

    // UC007-F002: another component finds the API by its document and calls it
    // as it is, without a token; only who asks for a key gets one.
    let listed = exposed
        .list(&kube::api::ListParams::default())
        .await
        .unwrap();
    let found: Vec<String> = listed
        .iter()
        .filter(|object| {
            object.data["spec"]["specification"]["url"] == documents.url("/catalog.json").as_str()
                && status_of(object)["implementation"]["ready"] == true
        })
        .map(|object| {
            status_of(object)["apiStatus"]["url"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(found, [urls[0].1, urls[2].1]);
    for (name, subscription) in [("ctk-catalog", false), ("ctk-roles", true)] {
        let id = format!("shop.{name}");
        let policy = stage.policy(&id).await.unwrap();
        assert!(!policy.contains("validate-"), "{policy}");
        let properties = stage.api(&id).await.unwrap().unwrap();
        assert_eq!(properties["subscriptionRequired"], subscription, "{name}");
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let (catalog, roles) = (catalog_url.as_str(), roles_url.as_str());
        let answer = call(&stage, method.clone(), catalog, None).await;
        assert_eq!(answer, (200, format!("{method} /ctk/catalog/v4/items")));
        let (status, body) = call(&stage, method.clone(), roles, None).await;
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("missing subscription key"), "{body}");
        let key = stage.azure.endpoints.gateway_key.as_deref();
        let answer = call(&stage, method.clone(), roles, key).await;
        assert_eq!(answer, (200, format!("{method} /ctk/roles/v4/items")));
    }

    // UC003-F004: an upgrade adds an API.
    upgrade(&stage, "ctk", &[catalog(), promotion(), metrics(), roles()]).await;
    let status = until_component(&stage, "ctk", "complete with one more", READY, |status| {
        let added = entry(status, "ctk-promotion");
        // The summary is written after the list.
        is_complete(status) && added.is_some_and(|entry| entry["ready"] == true)
    })
    .await;
    assert_eq!(
        entry(&status, "ctk-promotion").unwrap()["url"],
        format!("{gateway}/ctk/promotion/v4")
    );
    assert_eq!(status["coreAPIs"].as_array().unwrap().len(), 2);

    // UC003-F005: an upgrade takes it away, from API Management too.
    let started = Instant::now();
    upgrade(&stage, "ctk", &[catalog(), metrics(), roles()]).await;
    wait_for(&exposed, "ctk-promotion", "gone", GONE, |object| {
        object.is_none().then_some(())
    })
    .await
    .unwrap();
    assert!(started.elapsed() < GONE);
    assert_eq!(stage.api("shop.ctk-promotion").await.unwrap(), None);
    until_component(&stage, "ctk", "complete with one less", READY, |status| {
        is_complete(status) && entry(status, "ctk-promotion").is_none()
    })
    .await;

    // The implementation comes and goes, and the Component hears of both.
    let services: Api<Service> = Api::namespaced(stage.client.clone(), "shop");
    for (ready, said) in [("false", false), ("true", true)] {
        let patch = json!({"metadata": {"annotations": {stand_in::READY_ANNOTATION: ready}}});
        services
            .patch("ctk-roles", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        let status = until_component(&stage, "ctk", "told of the endpoints", PATIENCE, |status| {
            entry(status, "ctk-roles").is_some_and(|entry| entry["ready"] == said)
                && is_complete(status) == said
        })
        .await;
        assert_eq!(entry(&status, "ctk-roles").unwrap()["url"], urls[2].1);
        let object = exposed.get("ctk-roles").await.unwrap();
        assert_eq!(status_of(&object)["implementation"]["ready"], said);
    }

    // Deleted by hand, it is not listed any more as something that can be
    // called.
    exposed
        .delete("ctk-metrics", &DeleteParams::default())
        .await
        .unwrap();
    until_component(&stage, "ctk", "without the deleted API", GONE, |status| {
        entry(status, "ctk-metrics").is_none()
    })
    .await;

    // It never read anything that was not there, and never made an API anew.
    assert_eq!(canvas.given_up(), 0);
    assert!(
        !stage.operator_log().contains("ERROR"),
        "{}",
        stage.operator_log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_component_may_be_rewritten_at_the_same_time() {
    const APIS: usize = 8;
    const REWRITES: usize = 25;
    let test = "the_list_of_a_component_may_be_rewritten_at_the_same_time";
    let Some(stage) = canvas(test).await else {
        return;
    };
    let canvas = Canvas::start(&stage.client);
    let names: Vec<String> = (0..APIS).map(|number| format!("api{number}")).collect();
    let documents = Documents::start().await.unwrap();
    documents.serve("/api.json", Some(document("api", &["get"]).to_string()));
    let of = |name: &str| ("coreFunction", api(name, &documents.url("/api.json")));
    for name in &names {
        service(&stage, &format!("ctk-{name}")).await;
    }
    let apis: Vec<(&str, Value)> = names.iter().map(|name| of(name)).collect();
    stage.apply(&component("ctk", &apis)).await.unwrap();

    // Everything that the Component ever says while it is rewritten.
    let history = tokio::spawn(watched(components(&stage.client, "shop")));
    until_component(&stage, "ctk", "listed", PATIENCE, |status| {
        status["coreAPIs"].as_array().map(Vec::len) == Some(APIS)
    })
    .await;
    for _ in 0..REWRITES {
        canvas.rewrite("ctk").await.unwrap();
    }
    let status = until_component(&stage, "ctk", "complete", READY, is_complete).await;
    for name in &names {
        let listed = entry(&status, &format!("ctk-{name}")).unwrap();
        assert_eq!(
            listed["url"],
            format!("https://apim-local.azure-api.net/ctk/{name}/v4")
        );
        let uid = stage
            .exposed_apis("shop")
            .get(&format!("ctk-{name}"))
            .await
            .unwrap()
            .uid();
        assert_eq!(listed["uid"], json!(uid));
    }

    // Once nobody rewrites it, nobody writes.
    stage.settled().await.unwrap();
    let api = components(&stage.client, "shop");
    let before = api.get("ctk").await.unwrap().resource_version();
    stage.settled().await.unwrap();
    assert_eq!(api.get("ctk").await.unwrap().resource_version(), before);

    // At no time did an entry say what is another one's, or be ready without a
    // URL.
    history.abort();
    let patches = stage
        .metrics("apim_operator_component_patches_total")
        .await
        .unwrap();
    assert!(patches.iter().any(|line| line.contains("success")));
    println!("{patches:?}");
    let wrong = WRONG.lock().unwrap().clone();
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(canvas.given_up(), 0);
}

/// What was wrong in any version of a Component that a watch showed.
static WRONG: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

async fn watched(api: Api<DynamicObject>) {
    let _ = wait_for(&api, "ctk", "never", Duration::from_hours(1), |object| {
        let status = status_of(object?);
        for entry in status["coreAPIs"].as_array().into_iter().flatten() {
            let name = entry["name"].as_str().unwrap_or_default();
            let path = name.replacen("ctk-", "/ctk/", 1);
            let url = entry["url"].as_str();
            let strange = url.is_some_and(|url| !url.ends_with(&format!("{path}/v4")));
            if strange || (entry["ready"] == true && url.is_none()) {
                WRONG.lock().unwrap().push(entry.to_string());
            }
        }
        None::<()>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_not_there_costs_one_message_and_is_told_when_it_comes() {
    let test = "a_component_that_is_not_there_costs_one_message_and_is_told_when_it_comes";
    // Not even the kind is there.
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    let owned = exposed_api("catalog", |object| {
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "oda.tmforum.org/v1", "kind": "Component", "name": "ctk", "uid": "00000000-0000-4000-8000-000000000001",
        }]);
    });
    stage.apply(&owned).await.unwrap();
    stage.until_ready("catalog").await.unwrap();

    // The kind comes while the operator runs; the Component is still missing.
    let definition = component_definition().unwrap();
    test_harness::apply_yaml(&stage.client, &definition.to_string())
        .await
        .unwrap();
    let told = wait_until("an event about the Component", PATIENCE, async || {
        let events = stage
            .events("catalog")
            .await
            .map_err(|error| error.to_string())?;
        let about: Vec<String> = events
            .into_iter()
            .filter(|event| event.contains("Component"))
            .collect();
        if about.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(about)
        }
    })
    .await
    .unwrap();
    assert_eq!(
        told,
        [
            "Warning ComponentNotFound: Component `ctk`, which owns this API by its ownerReferences, does not \
             exist; it is told of the API as soon as it does"
        ]
    );

    // It comes without the entry, then with it; a garbled list is nobody's.
    stage.apply(&component("ctk", &[])).await.unwrap();
    let api = components(&stage.client, "shop");
    let uid = stage
        .exposed_apis("shop")
        .get("catalog")
        .await
        .unwrap()
        .uid();
    for list in [
        json!(["odd", 7, {"uid": 9}]),
        json!([{"name": "other", "uid": "else"}, {"name": "catalog", "uid": uid}]),
    ] {
        let patch = json!({"status": {"coreAPIs": list}});
        api.patch("ctk", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }
    let status = until_component(&stage, "ctk", "told", PATIENCE, |status| {
        entry(status, "catalog").is_some_and(|entry| entry["ready"] == true)
    })
    .await;
    assert_eq!(
        status["coreAPIs"],
        json!([
            {"name": "other", "uid": "else"},
            {"name": "catalog", "uid": uid, "url": "https://apim-local.azure-api.net/catalog", "ready": true},
        ])
    );

    // A Component that goes first holds nothing up.
    api.delete("ctk", &DeleteParams::default()).await.unwrap();
    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_may_keep_segments_in_the_cluster_and_change_its_mind() {
    let test = "an_instance_may_keep_segments_in_the_cluster_and_change_its_mind";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    for segment in ["coreFunction", "managementFunction", "securityFunction"] {
        let object = exposed_api(&segment.to_lowercase(), |object| {
            object["spec"]["segment"] = segment.into();
        });
        stage.apply(&object).await.unwrap();
    }
    let published = "https://apim-local.azure-api.net/managementfunction";
    let inside = "http://managementfunction.shop.svc:8080/managementfunction";
    let status = stage.until_ready("managementfunction").await.unwrap();
    assert_eq!(status["apiStatus"]["url"], published);
    stage.until_ready("securityfunction").await.unwrap();
    stage.until_ready("corefunction").await.unwrap();

    // From now on, only core APIs are for everybody.
    let mut instance = stage.instance_manifest();
    instance["spec"]["exposure"] = json!({"ingressClass": "istio", "segments": {
        "managementFunction": "InCluster", "securityFunction": "InCluster",
    }});
    stage.azure.clear_journal();
    stage.apply(&instance).await.unwrap();
    let at = |url: &'static str| {
        move |status: &Value| {
            status["apiStatus"]["url"] == url && status["implementation"]["ready"] == true
        }
    };
    stage
        .until("managementfunction", "in the cluster", at(inside))
        .await
        .unwrap();
    stage
        .until(
            "securityfunction",
            "in the cluster",
            at("http://securityfunction.shop.svc:8080/securityfunction"),
        )
        .await
        .unwrap();
    for name in ["managementfunction", "securityfunction"] {
        assert_eq!(stage.api(&format!("shop.{name}")).await.unwrap(), None);
        assert_eq!(
            stage.writes(&format!("shop.{name}")),
            [e2e::Write("DELETE".into(), String::new())]
        );
        let ingress = format!("apim-api-ingress-{name}");
        wait_for(
            &stage.ingresses(),
            &ingress,
            "no Ingress",
            PATIENCE,
            |found| found.is_none().then_some(()),
        )
        .await
        .unwrap();
    }
    assert_eq!(stage.writes("shop.corefunction"), []);

    // And back.
    stage.apply(&stage.instance_manifest()).await.unwrap();
    stage
        .until("managementfunction", "published", at(published))
        .await
        .unwrap();
    assert!(
        stage
            .api("shop.managementfunction")
            .await
            .unwrap()
            .is_some()
    );
}
