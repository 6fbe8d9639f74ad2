//! Several Services behind one API: the objects that route to them, what is
//! waited for, and requests that reach each of them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::net::{Ipv4Addr, SocketAddr};

use e2e::{PATIENCE, Stage, exposed_api};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DeleteParams};
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ROUTES: &str = "apim.oda.tmforum.org/routes";

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    })
}

/// An API of items and orders.
fn store(routes: &str) -> Value {
    let operation =
        |id: &str| json!({"operationId": id, "responses": {"200": {"description": "ok"}}});
    let id = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]);
    exposed_api("store", |object| {
        object["metadata"]["annotations"][ROUTES] = routes.into();
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "".into();
        object["spec"]["specification"] = json!({
            "openapi": "3.0.3", "info": {"title": "Store", "version": "1"},
            "paths": {
                "/items": {"get": operation("listItems"), "post": operation("addItem")},
                "/orders": {"get": operation("listOrders")},
                "/orders/{id}": {"parameters": id, "get": operation("getOrder")},
            },
        })
        .to_string()
        .into();
    })
}

fn stage() -> e2e::StageBuilder {
    Stage::builder().instance(json!({"ownerMay": ["plugins", "routes", "exposure"]}))
}

fn message(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == kind);
    found.unwrap()["message"].as_str().unwrap().to_owned()
}

/// Where requests at which paths go, as the Ingress says.
fn rules(ingress: &Ingress) -> Vec<String> {
    let rules = ingress.spec.as_ref().unwrap().rules.as_ref().unwrap();
    let paths = &rules[0].http.as_ref().unwrap().paths;
    let told = paths.iter().map(|path| {
        let service = path.backend.service.as_ref().unwrap();
        let port = service.port.as_ref().unwrap().number.unwrap();
        let at = path.path.as_deref().unwrap();
        format!("{} {at} {}:{port}", path.path_type, service.name)
    });
    told.collect()
}

async fn until_rules(stage: &Stage, wanted: &[&str]) {
    let ingresses: Api<Ingress> = stage.ingresses();
    let name = "apim-api-ingress-store";
    test_harness::wait_for(
        &ingresses,
        name,
        &format!("{wanted:?}"),
        PATIENCE,
        |found| (rules(found?) == wanted).then_some(()),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_of_the_routes_is_waited_for_and_a_mistake_changes_nothing() {
    let test = "every_service_of_the_routes_is_waited_for_and_a_mistake_changes_nothing";
    let Some(stage) = stage().start(test).await else {
        return;
    };
    let routes = "[{paths: [/orders], implementation: orders, port: 9090}]";
    stage.apply(&store(routes)).await.unwrap();
    let status = stage
        .until_reason("store", "Ready", "NoService")
        .await
        .unwrap();
    assert_eq!(
        message(&status, "ExposureReady"),
        "Service `orders` (routes) does not exist in this namespace"
    );
    stage.apply(&service("orders", 9090)).await.unwrap();
    stage.until_ready("store").await.unwrap();
    let wanted = [
        "Prefix /store store:8080",
        "Prefix /store/orders orders:9090",
    ];
    until_rules(&stage, &wanted).await;

    // Endpoints of every Service count.
    stage.set_ready("orders", false).await.unwrap();
    let status = stage
        .until_reason("store", "Ready", "NoReadyEndpoints")
        .await
        .unwrap();
    assert_eq!(status["implementation"]["ready"], false);
    assert!(
        message(&status, "ExposureReady").contains("`orders` (routes)"),
        "{status}"
    );
    stage.set_ready("orders", true).await.unwrap();
    stage.until_ready("store").await.unwrap();

    // What the Ingress says is nothing to Azure.
    stage.settled().await.unwrap();
    let before = stage.writes("shop.store").len();
    stage.apply(&service("items", 81)).await.unwrap();
    let changed = "[{paths: [/orders], implementation: orders, port: 9090}, {operations: [listItems, addItem], implementation: items, port: 81}]";
    let patch = |routes: &str| json!({"metadata": {"annotations": {ROUTES: routes}}});
    let file = stage.dir().join("planned.yaml");
    std::fs::write(&file, store(changed).to_string()).unwrap();
    let file = file.display().to_string();
    let (code, planned, said) = stage.cli(&["plan", "-f", &file]).await.unwrap();
    assert_eq!(code, 3, "{planned}{said}");
    assert!(
        planned.contains("/store/items → items:81, /store/orders/… → orders:9090"),
        "{planned}"
    );
    stage.patch("shop", "store", &patch(changed)).await.unwrap();
    let wanted = [
        "Prefix /store store:8080",
        "Exact /store/items items:81",
        "Prefix /store/orders orders:9090",
    ];
    until_rules(&stage, &wanted).await;
    stage.until_ready("store").await.unwrap();

    // Mistakes: what is published stays.
    for (routes, says) in [
        (
            "[{operations: [listItem], implementation: items, port: 81}]",
            "/0/operations/0: the API has no operation `listItem`; did you mean `listItems`?",
        ),
        (
            "[{paths: [/orders], implementation: orders, port: 9090}, {operations: [getOrder], implementation: items, port: 81}]",
            "cannot be told apart by its path from what `/0/paths/0` takes",
        ),
        (
            "[{paths: [/orders, ../x], implementation: orders, port: 65536}]",
            "/0/port: `65536` is no port; write 1 to 65535",
        ),
    ] {
        stage.patch("shop", "store", &patch(routes)).await.unwrap();
        let status = stage
            .until("store", says, |status| {
                message(status, "Ready").contains(says)
            })
            .await
            .unwrap();
        assert_eq!(
            e2e::conditions(&status)[0],
            "Ready=False InvalidAnnotation",
            "{status}"
        );
    }
    until_rules(&stage, &wanted).await;
    assert_eq!(stage.writes("shop.store").len(), before);
    stage.patch("shop", "store", &patch(changed)).await.unwrap();
    stage.until_ready("store").await.unwrap();

    // A Service that goes is missed, too.
    let services = stage.objects("v1", "Service");
    services
        .delete("items", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .until_reason("store", "Ready", "NoService")
        .await
        .unwrap();
}

/// A Service's pods: they answer with the Service's name, and what they were
/// asked.
async fn pods(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(async move |request: axum::extract::Request| {
        format!("{name}: {} {}", request.method(), request.uri().path())
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_api_reach_each_service_through_a_gateway_in_the_cluster() {
    let test = "requests_of_one_api_reach_each_service_through_a_gateway_in_the_cluster";
    let names = ["store", "orders", "writer"];
    let mut addresses = Vec::new();
    for name in names {
        addresses.push((format!("{name}.shop.svc"), pods(name).await));
    }
    let stage = stage().simulator(|config| {
        config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.backends = addresses.into_iter().collect();
    });
    let Some(stage) = stage.start(test).await else {
        return;
    };
    for (name, port) in [("orders", 9090), ("writer", 81)] {
        stage.apply(&service(name, port)).await.unwrap();
    }
    let mut object = store(
        "[{paths: [/orders], implementation: orders, port: 9090}, {operations: [addItem], implementation: writer, port: 81}]",
    );
    object["metadata"]["annotations"]["apim.oda.tmforum.org/exposure"] = "in-cluster".into();
    stage.apply(&object).await.unwrap();
    stage.until_ready("store").await.unwrap();
    // One path, two methods, two Services.
    let policy = stage.policy("shop.store/operations/additem").await.unwrap();
    assert!(
        policy.contains(r#"<set-backend-service base-url="http://writer.shop.svc:81/store" />"#),
        "{policy}"
    );
    let ca = Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_merge([ca]).build().unwrap();
    let gateway = stage.azure.gateway_url().unwrap();
    for (method, path, answer) in [
        (Method::GET, "/store/items", "store: GET /store/items"),
        (Method::POST, "/store/items", "writer: POST /store/items"),
        (Method::GET, "/store/orders", "orders: GET /store/orders"),
        (
            Method::GET,
            "/store/orders/7",
            "orders: GET /store/orders/7",
        ),
    ] {
        let request = client.request(method, format!("{gateway}{path}"));
        let answered = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(answered, answer);
    }

    // Without routes, everything goes to one again.
    stage
        .patch(
            "shop",
            "store",
            &json!({"metadata": {"annotations": {ROUTES: null}}}),
        )
        .await
        .unwrap();
    test_harness::wait_until("one Service answers", PATIENCE, async || {
        let request = client.post(format!("{gateway}/store/items"));
        let answered = request.send().await.unwrap().text().await.unwrap();
        if answered == "store: POST /store/items" {
            Ok(())
        } else {
            Err(answered)
        }
    })
    .await
    .unwrap();
}
