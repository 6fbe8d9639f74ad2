//! Changes that reach callers as new revisions, and the way back.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use apim_simulator::{CallKind, FaultSpec};
use e2e::{PATIENCE, Stage, StageBuilder, document, exposed_api};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use test_harness::wait_until;

/// What the stand-in gives to Ingresses.
const LOAD_BALANCER: &str = "203.0.113.10";

async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        axum::Router::new().fallback(async |method: axum::http::Method| method.to_string());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn builder() -> StageBuilder {
    Stage::builder().instance(json!({
        "ownerMay": ["plugins", "plugin.*", "rollback", "retry"],
        "rollout": {"strategy": "Revision", "keep": 2, "probe": "/items"},
    }))
}

fn orders(methods: &[&str]) -> Value {
    exposed_api("orders", |object| {
        object["spec"]["specification"] = document("orders", methods).to_string().into();
        object["metadata"]["annotations"] = json!({"apim.oda.tmforum.org/plugins": ""});
    })
}

fn rollback(to: &Value) -> Value {
    json!({"metadata": {"annotations": {"apim.oda.tmforum.org/rollback": to}}})
}

fn sent(stage: &Stage) -> Vec<String> {
    let calls = stage.journal().into_iter();
    let calls = calls.filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete));
    calls
        .filter_map(|call| {
            let at = call.path.find("/apis/shop.orders")?;
            Some(format!("{} {}", call.method, &call.path[at + 1..]))
        })
        .collect()
}

async fn planned(stage: &Stage, object: &Value) -> Vec<String> {
    let file = stage.dir().join("planned.yaml");
    std::fs::write(&file, object.to_string()).unwrap();
    let file = file.display().to_string();
    let args = ["plan", "-f", &file, "-o", "json"];
    let (_, plan, said) = stage.cli(&args).await.unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap_or_else(|_| panic!("{said}"));
    let calls = plan["objects"][0]["azure"].as_array().cloned();
    let text = |call: &Value, field: &str| call[field].as_str().unwrap().to_owned();
    let line = |call: &Value| format!("{} {}", text(call, "method"), text(call, "resource"));
    calls.unwrap_or_default().iter().map(line).collect()
}

async fn until_revision(stage: &Stage, number: &str) {
    let awaited = format!("callers reach revision {number}");
    let api = async || stage.api("shop.orders").await.unwrap().unwrap();
    wait_until(&awaited, PATIENCE, async || {
        let api = api().await;
        if api["apiRevision"] == number {
            Ok(())
        } else {
            Err(format!("{api}\n{}", stage.operator_log()))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_callers_as_a_whole_and_can_be_taken_back() {
    let test = "a_change_reaches_callers_as_a_whole_and_can_be_taken_back";
    let backend = backend().await;
    let builder = builder().simulator(|config| {
        config.gateway = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.backends = BTreeMap::from([(LOAD_BALANCER.to_owned(), backend)]);
    });
    let Some(mut stage) = builder.start(test).await else {
        return;
    };
    let ca = Certificate::from_pem(stage.azure.ca_pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_merge([ca]).build().unwrap();
    let gateway = stage.azure.gateway_url().unwrap();
    let delete = async || {
        let request = client.delete(format!("{gateway}/orders/items"));
        request.send().await.unwrap().status().as_u16()
    };
    stage.apply(&orders(&["get", "post"])).await.unwrap();
    stage.until_ready("orders").await.unwrap();
    assert_eq!(delete().await, 404, "there is no such operation");
    stage.azure.clear_journal();

    // It dies before the release, and what was made is released after all.
    let wider = orders(&["get", "post", "delete"]);
    let plan = planned(&stage, &wider).await;
    assert_eq!(
        plan,
        [
            "PUT apis/shop.orders;rev=2",
            "PUT apis/shop.orders;rev=2",
            "PUT apis/shop.orders/releases/rev-2",
        ]
    );
    let hold = FaultSpec {
        verb: Some("PUT".into()),
        path: Some("/releases/".into()),
        hold: true,
        count: Some(1),
        ..FaultSpec::default()
    };
    stage.strike(hold).unwrap();
    stage.apply(&wider).await.unwrap();
    stage.until_held(1).await.unwrap();
    assert_eq!(delete().await, 404, "callers reach the revision of before");
    stage.kill_operator().unwrap();
    stage.azure.clear_faults();
    stage.start_operator().await.unwrap();
    until_revision(&stage, "2").await;
    assert_eq!(delete().await, 200);
    let made = sent(&stage);
    let started = made.iter().filter(|call| *call == &plan[0]).count();
    assert!((2..=3).contains(&started), "{made:?}");

    // Back, and held there.
    let status = stage.until_ready("orders").await.unwrap();
    assert_eq!(status["apim"]["apiRevision"], "2");
    stage
        .patch("shop", "orders", &rollback(&json!("1")))
        .await
        .unwrap();
    let status = stage
        .until_reason("orders", "ApimSynced", "RolledBack")
        .await
        .unwrap();
    assert!(
        status["conditions"]
            .to_string()
            .contains("led back to revision 1"),
        "{status}"
    );
    until_revision(&stage, "1").await;
    assert_eq!(delete().await, 404);
    stage.azure.clear_journal();
    let retry = json!({"metadata": {"annotations": {"apim.oda.tmforum.org/retry": "again"}}});
    stage.patch("shop", "orders", &retry).await.unwrap();
    stage.settled().await.unwrap();
    assert_eq!(sent(&stage), [""; 0]);

    // One that is not there: told, and nothing changes.
    stage
        .patch("shop", "orders", &rollback(&json!("7")))
        .await
        .unwrap();
    let told = "has no revision 7 of this object that callers could be led back to; there is 2";
    let awaited = "which revisions there are";
    let is_told = |status: &Value| status["conditions"].to_string().contains(told);
    stage.until("orders", awaited, is_told).await.unwrap();
    assert_eq!(sent(&stage), [""; 0]);

    // And on from there.
    stage
        .patch("shop", "orders", &rollback(&Value::Null))
        .await
        .unwrap();
    until_revision(&stage, "3").await;
    stage
        .until_reason("orders", "ApimSynced", "Synced")
        .await
        .unwrap();
    assert_eq!(delete().await, 200);

    stage.delete("orders").await.unwrap();
    stage.until_gone("orders").await.unwrap();
    assert_eq!(stage.api("shop.orders").await.unwrap(), None);
}
