//! Several versions of one API: each an ExposedAPI of its own, all at one path.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use apim_simulator::CallKind;
use e2e::{PATIENCE, Stage, StageBuilder, exposed_api};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use test_harness::wait_until;

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

/// Answers with the path that it was asked for.
async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(async |uri: axum::http::Uri| uri.path().to_owned());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn builder() -> StageBuilder {
    Stage::builder().instance(json!({
        "ownerMay": ["plugins", "version-set", "version", "deletion-policy"],
    }))
}

fn version(name: &str, set: &str, version: &str) -> Value {
    exposed_api(name, |object| {
        object["spec"]["path"] = "/orders".into();
        object["metadata"]["annotations"] = json!({
            "apim.oda.tmforum.org/plugins": "",
            "apim.oda.tmforum.org/version-set": set,
            "apim.oda.tmforum.org/version": version,
        });
    })
}

fn note(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

async fn set(stage: &Stage) -> (u16, Value) {
    let path = "/apiVersionSets/shop.orders";
    let (status, set) = stage.arm("GET", path, None).await.unwrap();
    (status, set["properties"].clone())
}

async fn until_set(stage: &Stage, awaited: &str, is: impl Fn(u16, &Value) -> bool) {
    wait_until(awaited, PATIENCE, async || {
        let (status, set) = set(stage).await;
        if is(status, &set) {
            Ok(())
        } else {
            Err(format!("{status} {set}"))
        }
    })
    .await
    .unwrap();
}

/// The writes to what versions are made of, as a plan names them.
fn sent(stage: &Stage, api: &str) -> Vec<String> {
    let calls = stage.journal().into_iter();
    let calls = calls.filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete));
    let own = [format!("apis/{api}"), "apiVersionSets/".to_owned()];
    calls
        .filter_map(|call| {
            let (_, rest) = call.path.split_once("/service/")?;
            let (_, rest) = rest.split_once('/')?;
            let is_own = own.iter().any(|own| rest.starts_with(own.as_str()));
            is_own.then(|| format!("{} {rest}", call.method))
        })
        .collect()
}

async fn planned(stage: &Stage, object: &Value) -> Vec<String> {
    let file = stage.dir().join("planned.yaml");
    std::fs::write(&file, object.to_string()).unwrap();
    let file = file.display().to_string();
    let (_, plan, said) = stage
        .cli(&["plan", "-f", &file, "-o", "json"])
        .await
        .unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap_or_else(|_| panic!("{said}"));
    let calls = plan["objects"][0]["azure"].as_array().cloned();
    let text = |call: &Value, field: &str| call[field].as_str().unwrap().to_owned();
    let line = |call: &Value| format!("{} {}", text(call, "method"), text(call, "resource"));
    calls.unwrap_or_default().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_share_a_path_and_are_reached_by_segment_header_or_parameter() {
    let test = "versions_share_a_path_and_are_reached_by_segment_header_or_parameter";
    let backend = backend().await;
    let builder = builder().simulator(|config| {
        config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), backend)]);
    });
    let Some(stage) = builder.start(test).await else {
        return;
    };
    let ca = Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_merge([ca]).build().unwrap();
    let gateway = stage.azure.gateway_url().unwrap();
    let call = async |path: &str, header: Option<&str>| {
        let request = client.get(format!("{gateway}{path}"));
        let request = match header {
            Some(version) => request.header("x-version", version),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let reached = |version: &str| (200, format!("/orders/{version}/items"));

    // By segment, as planned.
    let plan = planned(&stage, &version("one", "orders", "v1")).await;
    assert!(
        plan.contains(&"PUT apiVersionSets/shop.orders".to_owned()),
        "{plan:?}"
    );
    stage.apply(&version("one", "orders", "v1")).await.unwrap();
    let status = stage.until_ready("one").await.unwrap();
    assert_eq!(sent(&stage, "shop.one"), plan);
    let url = status["apiStatus"]["url"].as_str().unwrap();
    assert!(url.ends_with("/orders/v1"), "{url}");
    stage.apply(&version("two", "orders", "v2")).await.unwrap();
    stage.until_ready("two").await.unwrap();
    for version in ["v1", "v2"] {
        let answer = call(&format!("/orders/{version}/items"), None).await;
        assert_eq!(answer, reached(version));
    }
    assert_eq!(call("/orders/items", None).await.0, 404);

    // By header: the first of the two says so, and the other follows.
    let by_header = note("version-set", "{name: orders, header: x-version}");
    stage.patch("shop", "one", &by_header).await.unwrap();
    let status = stage.until_reason("two", "Ready", "VersionConflict").await;
    let told = "tells the versions of set `orders` apart by a segment of the path, and ExposedAPI `shop/one`, which \
                came first, by header `x-version`; write the same in both, or name another set";
    let status = status.unwrap();
    assert!(status["conditions"].to_string().contains(told), "{status}");
    stage.patch("shop", "two", &by_header).await.unwrap();
    let status = stage.until_ready("two").await.unwrap();
    let asked = "for calls with header `x-version: v2`";
    assert!(status["conditions"].to_string().contains(asked), "{status}");
    let url = status["apiStatus"]["url"].as_str().unwrap();
    assert!(url.ends_with("/orders"), "{url}");
    until_set(&stage, "by header", |_, set| {
        set["versionHeaderName"] == "x-version"
    })
    .await;
    for version in ["v1", "v2"] {
        assert_eq!(call("/orders/items", Some(version)).await, reached(version));
    }
    assert_eq!(call("/orders/items", None).await.0, 404);

    // By parameter.
    let by_query = note("version-set", "{name: orders, query: api-version}");
    for name in ["one", "two"] {
        stage.patch("shop", name, &by_query).await.unwrap();
    }
    until_set(&stage, "by query", |_, set| {
        set["versionQueryName"] == "api-version"
    })
    .await;
    stage.until_ready("two").await.unwrap();
    let answer = call("/orders/items?api-version=v2", None).await;
    assert_eq!(answer, reached("v2"));

    // The set goes with the last.
    stage.delete("one").await.unwrap();
    stage.until_gone("one").await.unwrap();
    assert_eq!(set(&stage).await.0, 200);
    stage.delete("two").await.unwrap();
    stage.until_gone("two").await.unwrap();
    assert_eq!(set(&stage).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn siblings_that_disagree_are_told_and_what_is_published_stays() {
    let test = "siblings_that_disagree_are_told_and_what_is_published_stays";
    let Some(stage) = builder().start(test).await else {
        return;
    };
    // An API without versions becomes the first of several.
    let mut plain = version("one", "orders", "v1");
    plain["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/plugins": ""});
    stage.apply(&plain).await.unwrap();
    stage.until_ready("one").await.unwrap();
    stage.apply(&version("two", "orders", "v2")).await.unwrap();
    stage
        .until_reason("two", "Ready", "PathConflict")
        .await
        .unwrap();
    let versioned = version("one", "orders", "v1");
    stage.patch("shop", "one", &versioned).await.unwrap();
    stage.until_ready("two").await.unwrap();
    let status = stage.until_ready("one").await.unwrap();
    let url = status["apiStatus"]["url"].as_str().unwrap();
    assert!(url.ends_with("/orders/v1"), "{url}");

    let segment = |set: &Value| set["versioningScheme"] == "Segment";
    let published = stage.api("shop.two").await.unwrap().unwrap();
    for (wrong, told) in [
        (
            note("version-set", "{name: orders, query: v}"),
            "tells the versions of set `orders` apart by query parameter `v`, and ExposedAPI `shop/one`, which came \
             first, by a segment of the path; write the same in both, or name another set",
        ),
        (
            json!({"spec": {"path": "/other"}}),
            "spec.path: is `/other`, and ExposedAPI `shop/one`, which came first in version set `orders`, has \
             `/orders`: versions of one set share a path; write the same in both, or name another set",
        ),
        (
            note("version", "V1"),
            "`V1` of set `orders` is ExposedAPI `shop/one`, which came first; write another version",
        ),
    ] {
        stage.patch("shop", "two", &wrong).await.unwrap();
        let status = stage.until("two", told, |status| {
            let conditions = status["conditions"].to_string();
            conditions.contains("VersionConflict") && conditions.contains(told)
        });
        status.await.unwrap();
        assert!(segment(&set(&stage).await.1));
        assert_eq!(stage.api("shop.two").await.unwrap().unwrap(), published);
        let right = version("two", "orders", "v2");
        stage.patch("shop", "two", &right).await.unwrap();
        stage.until_ready("two").await.unwrap();
    }
    // Half of it is no version.
    let half = json!({"metadata": {"annotations": {"apim.oda.tmforum.org/version": null}}});
    stage.patch("shop", "two", &half).await.unwrap();
    let status = stage
        .until_reason("two", "Ready", "InvalidAnnotation")
        .await;
    let status = status.unwrap();
    let told =
        "needs the annotation `apim.oda.tmforum.org/version` beside it; write both, or neither";
    assert!(status["conditions"].to_string().contains(told), "{status}");
    assert_eq!(stage.api("shop.two").await.unwrap().unwrap(), published);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_change_of_a_set_or_a_version_is_put_back() {
    let test = "what_others_change_of_a_set_or_a_version_is_put_back";
    let builder = builder().environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms");
    let Some(stage) = builder.start(test).await else {
        return;
    };
    stage.apply(&version("one", "orders", "v1")).await.unwrap();
    stage.until_ready("one").await.unwrap();
    stage.settled().await.unwrap();
    for (path, theirs, field, ours) in [
        (
            "/apiVersionSets/shop.orders",
            json!({"versioningScheme": "Query", "versionQueryName": "v"}),
            "versioningScheme",
            "Segment",
        ),
        (
            "/apis/shop.one",
            json!({"apiVersion": "v9", "apiVersionSetId": "/apiVersionSets/shop.orders"}),
            "apiVersion",
            "v1",
        ),
    ] {
        let theirs = json!({"properties": theirs});
        let (status, answer) = stage.arm("PATCH", path, Some(&theirs)).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        wait_until(path, PATIENCE, async || {
            let (_, there) = stage.arm("GET", path, None).await.unwrap();
            let there = &there["properties"][field];
            if *there == ours {
                Ok(())
            } else {
                Err(there.to_string())
            }
        })
        .await
        .unwrap();
    }
    // Another version is a change like any other.
    stage
        .patch("shop", "one", &note("version", "v2"))
        .await
        .unwrap();
    let moved = stage.until("one", "the new version's URL", |status| {
        let url = status["apiStatus"]["url"].as_str();
        let at_url = url.is_some_and(|url| url.ends_with("/orders/v2"));
        at_url && status["implementation"]["ready"] == true
    });
    moved.await.unwrap();
    let api = stage.api("shop.one").await.unwrap().unwrap();
    assert_eq!(api["apiVersion"], "v2");
    assert!(
        api["serviceUrl"].as_str().unwrap().ends_with("/orders/v2"),
        "{api}"
    );
    let put_back = "Normal DriftCorrected: put back what others had changed:\n\
                    apiVersionSets/shop.orders/versionQueryName: expected (absent), found `v`";
    stage.until_event("one", put_back).await.unwrap();
}
