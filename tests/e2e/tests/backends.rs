//! Backends as entities of API Management: there before the policy that names
//! them, put back where somebody else changed them, gone with their last use.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]

use apim_simulator::CallKind;
use e2e::{PATIENCE, Stage, StageBuilder, certificate_ending_in, exposed_api};
use serde_json::{Value, json};
use test_harness::wait_until;

const ROUTES: &str = "apim.oda.tmforum.org/routes";

fn exposure(more: &Value) -> Value {
    let mut exposure = json!({"ingressClass": "istio"});
    let more = more.as_object().unwrap().clone();
    exposure.as_object_mut().unwrap().extend(more);
    exposure
}

fn with(more: &Value) -> StageBuilder {
    Stage::builder().instance(json!({
        "exposure": exposure(more), "ownerMay": ["plugins", "routes", "drift", "paused", "deletion-policy"],
    }))
}

fn api(name: &str) -> Value {
    exposed_api(name, |object| {
        object["metadata"]["annotations"]["apim.oda.tmforum.org/plugins"] = "".into();
    })
}

/// The backends of the service, by id.
async fn there(stage: &Stage) -> Vec<String> {
    let (status, list) = stage.arm("GET", "/backends", None).await.unwrap();
    assert_eq!(status, 200, "{list}");
    let all = list["value"].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn until_there(stage: &Stage, wanted: &[&str]) {
    wait_until(&format!("backends {wanted:?}"), PATIENCE, async || {
        let now = there(stage).await;
        if now == wanted {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .map_err(|error| format!("{error}\n{}", stage.operator_log()))
    .unwrap();
}

async fn backend(stage: &Stage, id: &str) -> Value {
    let path = format!("/backends/{id}");
    let (status, body) = stage.arm("GET", &path, None).await.unwrap();
    assert_eq!(status, 200, "{body}");
    body["properties"].clone()
}

/// The writes of backends and policies, in their order.
fn writes(stage: &Stage) -> Vec<String> {
    let journal = stage.journal().into_iter();
    journal
        .filter(|call| matches!(call.kind, CallKind::Write | CallKind::Delete))
        .filter_map(|call| {
            let (_, below) = call.path.split_once("/service/")?;
            let (_, what) = below.split_once('/')?;
            let told = what.starts_with("backends/") || what.ends_with("/policies/policy");
            // Of the object that a test waits with, nothing.
            (told && what.contains("shop.catalog")).then(|| format!("{} {what}", call.method))
        })
        .collect()
}

fn message(status: &Value) -> String {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == "Ready");
    found.unwrap()["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_breaker_makes_a_backend_that_lives_as_long_as_it_is_named() {
    let test = "a_circuit_breaker_makes_a_backend_that_lives_as_long_as_it_is_named";
    let breaker = json!({"circuitBreaker": {"failures": 3, "interval": "90s", "statusCodes": ["429", "500-599"]}});
    let Some(mut stage) = with(&breaker).start(test).await else {
        return;
    };
    let file = stage.dir().join("planned.yaml");
    std::fs::write(&file, api("catalog").to_string()).unwrap();
    let file = file.display().to_string();
    let (code, planned, said) = stage.cli(&["plan", "-f", &file]).await.unwrap();
    assert_eq!(code, 3, "{planned}{said}");
    assert!(planned.contains("backends/shop.catalog"), "{planned}");
    stage.apply(&api("catalog")).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let found = backend(&stage, "shop.catalog").await;
    let served = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(found["url"], served["serviceUrl"]);
    assert_eq!(found["description"], served["apiRevisionDescription"]);
    assert_eq!(
        found["circuitBreaker"]["rules"],
        json!([{
            "name": "failures",
            "failureCondition": {
                "count": 3, "interval": "PT90S",
                "statusCodeRanges": [{"min": 429, "max": 429}, {"min": 500, "max": 599}],
            },
            "tripDuration": "PT60S", "acceptRetryAfter": false,
        }])
    );
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(
        policy.contains(r#"<set-backend-service backend-id="shop.catalog" />"#),
        "{policy}"
    );
    assert_eq!(
        writes(&stage),
        [
            "PUT backends/shop.catalog",
            "PUT apis/shop.catalog/policies/policy"
        ]
    );

    // A restart writes nothing, and another threshold the backend alone.
    stage.settled().await.unwrap();
    stage.restart().await.unwrap();
    stage.settled().await.unwrap();
    // The restart began a new journal.
    assert_eq!(writes(&stage), [""; 0]);
    let mut instance = stage.instance_manifest();
    instance["spec"]["exposure"] = exposure(&json!({"circuitBreaker": {"failures": 9}}));
    stage.apply(&instance).await.unwrap();
    wait_until("another threshold", PATIENCE, async || {
        let found = backend(&stage, "shop.catalog").await;
        let count = &found["circuitBreaker"]["rules"][0]["failureCondition"]["count"];
        if *count == 9 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    })
    .await
    .unwrap();
    assert_eq!(writes(&stage), ["PUT backends/shop.catalog"]);

    // Without the setting the policy goes first.
    instance["spec"]["exposure"] = exposure(&json!({}));
    stage.apply(&instance).await.unwrap();
    until_there(&stage, &[]).await;
    let all = writes(&stage);
    assert_eq!(
        all[1..],
        [
            "PUT apis/shop.catalog/policies/policy",
            "DELETE backends/shop.catalog"
        ]
    );
    let policy = stage.policy("shop.catalog").await.unwrap();
    assert!(!policy.contains("set-backend-service"), "{policy}");

    // With the object it goes, too; a stranger's stays, and stops the object.
    instance["spec"]["exposure"] = exposure(&breaker);
    stage.apply(&instance).await.unwrap();
    until_there(&stage, &["shop.catalog"]).await;
    let theirs = json!({"properties": {"url": "https://theirs.example", "protocol": "http", "description": "ours, says Team B"}});
    let made = stage
        .arm("PUT", "/backends/shop.taken", Some(&theirs))
        .await;
    assert_eq!(made.unwrap().0, 201);
    stage.apply(&api("taken")).await.unwrap();
    let status = stage
        .until_reason("taken", "Ready", "NotOurs")
        .await
        .unwrap();
    assert!(
        message(&status).contains("has a backend `shop.taken` that is not this object's (its description is `ours, says Team B`)"),
        "{status}"
    );
    assert!(stage.api("shop.taken").await.unwrap().is_none());
    for name in ["catalog", "taken"] {
        stage.delete(name).await.unwrap();
        stage.until_gone(name).await.unwrap();
    }
    assert_eq!(there(&stage).await, ["shop.taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_waited_for_and_a_pool_has_a_backend_for_each_place() {
    let test = "a_certificate_is_waited_for_and_a_pool_has_a_backend_for_each_place";
    let settings = json!({
        "backendCertificate": "edge",
        "backendPool": [{"priority": 1}, {"origin": "https://west.example", "priority": 2, "weight": 5}],
    });
    let stage = with(&settings).environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms");
    let Some(mut stage) = stage.start(test).await else {
        return;
    };
    stage.apply(&api("catalog")).await.unwrap();
    let status = stage
        .until_reason("catalog", "Ready", "WaitingForDependency")
        .await
        .unwrap();
    assert!(
        message(&status).contains(
            "spec.exposure.backendCertificate: the service has no certificate `edge`; put it there"
        ),
        "{status}"
    );
    assert!(stage.api("shop.catalog").await.unwrap().is_none());
    let body = certificate_ending_in(24 * 10).unwrap();
    let made = stage.arm("PUT", "/certificates/edge", Some(&body)).await;
    assert_eq!(made.unwrap().0, 201);
    let status = stage.until_ready("catalog").await.unwrap();
    assert!(
        status["warnings"]
            .to_string()
            .contains("backend: certificate `edge`, which its backend is shown, ends on "),
        "{status}"
    );
    let ids = there(&stage).await;
    let [pool, members @ ..] = &ids[..] else {
        panic!("{ids:?}");
    };
    assert_eq!((&**pool, members.len()), ("shop.catalog", 2));
    let service_url = stage.api("shop.catalog").await.unwrap().unwrap()["serviceUrl"].clone();
    let path = service_url.as_str().unwrap().split('/').skip(3);
    let path = path.collect::<Vec<_>>().join("/");
    let elsewhere = json!(format!("https://west.example/{path}"));
    let whole = backend(&stage, pool).await;
    assert_eq!(whole["type"], "Pool");
    let mut shares = Vec::new();
    for one in whole["pool"]["services"].as_array().unwrap() {
        let (_, id) = one["id"].as_str().unwrap().rsplit_once('/').unwrap();
        assert!(members.iter().any(|member| member == id), "{id}");
        let member = backend(&stage, id).await;
        let shown = member["credentials"]["certificateIds"][0].as_str().unwrap();
        assert!(
            shown.ends_with("/service/apim-local/certificates/edge"),
            "{shown}"
        );
        shares.push((
            member["url"].clone(),
            one["priority"].clone(),
            one["weight"].clone(),
        ));
    }
    assert_eq!(
        shares,
        [
            (service_url, json!(1), Value::Null),
            (elsewhere, json!(2), json!(5)),
        ]
    );

    // In the portal: put back.
    let cut = json!({"properties": {"credentials": {"certificateIds": []}}});
    let path = format!("/backends/{}", members[0]);
    let patched = stage.arm("PATCH", &path, Some(&cut)).await.unwrap();
    assert_eq!(patched.0, 200, "{}", patched.1);
    wait_until("shown again", PATIENCE, async || {
        let member = backend(&stage, &members[0]).await;
        let ids = member["credentials"]["certificateIds"].to_string();
        if ids.contains("certificates/edge") {
            Ok(())
        } else {
            Err(ids)
        }
    })
    .await
    .unwrap();

    // Without the settings all of it goes, the pool before its members, as
    // planned.
    stage.kill_operator().unwrap();
    let mut instance = stage.instance_manifest();
    instance["spec"]["exposure"] = exposure(&json!({}));
    stage.apply(&instance).await.unwrap();
    let (code, planned, said) = stage.cli(&["plan", "-n", "shop"]).await.unwrap();
    assert_eq!(code, 3, "{planned}{said}");
    let deletes = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.split_once("DELETE backends/"));
        lines
            .map(|(_, id)| id.split([':', ' ']).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(deletes(&planned), ids, "{planned}");
    stage.start_operator().await.unwrap();
    until_there(&stage, &[]).await;
    assert_eq!(deletes(&writes(&stage).join("\n")), ids);
    stage.until_ready("catalog").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_name_the_named_values_that_hold_them_and_wait_for_these() {
    let test = "credentials_name_the_named_values_that_hold_them_and_wait_for_these";
    let settings = json!({"way": "in-cluster", "backendCredentials": {
        "authorization": {"scheme": "Basic", "namedValue": "shop-basic"},
        "headers": {"X-Key": "shop-key"}, "query": {"code": "shop-key"},
    }});
    let stage = with(&settings).environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms");
    let Some(stage) = stage.start(test).await else {
        return;
    };
    // Its id is another than its name.
    let put = async |id: &str, name: &str, value: &str| {
        let body = json!({"properties": {"displayName": name, "value": value, "secret": true}});
        let path = format!("/namedValues/{id}");
        let made = stage.arm("PUT", &path, Some(&body)).await;
        assert!([201, 202].contains(&made.unwrap().0));
        wait_until("there", PATIENCE, async || {
            match stage.arm("GET", &path, None).await.unwrap() {
                (200, _) => Ok(()),
                (status, body) => Err(format!("{status} {body}")),
            }
        })
        .await
        .unwrap();
    };
    put("5f1a", "shop-basic", "dXNlcjpwYXNz").await;
    stage.apply(&api("catalog")).await.unwrap();
    let status = stage
        .until_reason("catalog", "Ready", "WaitingForDependency")
        .await
        .unwrap();
    let told = "spec.exposure.backendCredentials: the service has no named value `shop-key`; put it there, best from";
    assert!(message(&status).contains(told), "{status}");
    assert_eq!(there(&stage).await, [""; 0]);
    put("shop-key", "shop-key", "k3y").await;
    stage.until_ready("catalog").await.unwrap();
    let wanted = json!({
        "authorization": {"scheme": "Basic", "parameter": "{{shop-basic}}"},
        "header": {"x-key": ["{{shop-key}}"]}, "query": {"code": ["{{shop-key}}"]},
    });
    assert_eq!(backend(&stage, "shop.catalog").await["credentials"], wanted);

    // Somebody writes the secret itself: it is taken out again, and not told.
    stage.settled().await.unwrap();
    let plain = json!({"properties": {"credentials": {"header": {"x-key": ["k3y"]}}}});
    let patched = stage
        .arm("PATCH", "/backends/shop.catalog", Some(&plain))
        .await;
    assert_eq!(patched.unwrap().0, 200);
    let told = "Normal DriftCorrected: put back what others had changed:\nbackends/shop.catalog/credentials: expected what \
                the operator wrote, found something else";
    stage.until_event("catalog", told).await.unwrap();
    assert_eq!(backend(&stage, "shop.catalog").await["credentials"], wanted);
    assert!(!stage.operator_log().contains("k3y"));

    // Without the setting it goes, and the named values stay.
    let mut instance = stage.instance_manifest();
    instance["spec"]["exposure"] = exposure(&json!({"way": "in-cluster"}));
    stage.apply(&instance).await.unwrap();
    until_there(&stage, &[]).await;
    let (status, _) = stage
        .arm("GET", "/namedValues/shop-key", None)
        .await
        .unwrap();
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_of_a_backend_is_put_back_and_each_service_of_a_route_has_one() {
    let test = "what_others_change_of_a_backend_is_put_back_and_each_service_of_a_route_has_one";
    let settings = json!({"way": "in-cluster", "circuitBreaker": {}});
    let stage = with(&settings).environment("APIM_OPERATOR_DRIFT_INTERVAL", "500ms");
    let Some(stage) = stage.start(test).await else {
        return;
    };
    let items = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "items", "namespace": "shop"},
        "spec": {"selector": {"app": "items"}, "ports": [{"port": 81}]},
    });
    stage.apply(&items).await.unwrap();
    let mut object = api("catalog");
    let routes = "[{operations: [postItem], implementation: items, port: 81}]";
    object["metadata"]["annotations"][ROUTES] = routes.into();
    stage.apply(&object).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let all = there(&stage).await;
    assert_eq!(all.len(), 2, "{all:?}");
    let own = &all[1];
    assert!(own.starts_with("shop.catalog."), "{own}");
    assert_eq!(
        backend(&stage, own).await["url"],
        "http://items.shop.svc:81/catalog"
    );
    let policy = stage
        .policy("shop.catalog/operations/postitem")
        .await
        .unwrap();
    assert!(
        policy.contains(&format!(r#"backend-id="{own}""#)),
        "{policy}"
    );

    let path = "/backends/shop.catalog";
    let elsewhere = json!({"properties": {"url": "https://elsewhere.example"}});
    let headers = stage.arm("PATCH", path, Some(&elsewhere)).await;
    let (status, body) = headers.unwrap();
    assert_eq!(status, 200, "{body}");
    wait_until("put back", PATIENCE, async || {
        let found = backend(&stage, "shop.catalog").await;
        if found["url"] == "http://catalog.shop.svc:8080/catalog" {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await
    .unwrap();
    let told = "Normal DriftCorrected: put back what others had changed:\nbackends/shop.catalog/url: expected what the operator \
                wrote, found something else";
    stage.until_event("catalog", told).await.unwrap();

    // Where the object asks for it, or is paused, that is told alone.
    for (key, value, reason) in [
        ("drift", "Report", "Reported"),
        ("paused", "true", "Paused"),
    ] {
        let note = |value: Value| json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{key}"): value}}});
        stage.settled().await.unwrap();
        stage
            .patch("shop", "catalog", &note(value.into()))
            .await
            .unwrap();
        stage.settled().await.unwrap();
        stage.arm("PATCH", path, Some(&elsewhere)).await.unwrap();
        let status = stage
            .until_reason("catalog", "Drifted", reason)
            .await
            .unwrap();
        let told =
            "backends/shop.catalog/url: expected what the operator wrote, found something else";
        assert!(status["conditions"].to_string().contains(told), "{status}");
        let found = backend(&stage, "shop.catalog").await;
        assert_eq!(found["url"], "https://elsewhere.example", "{key}");
        stage
            .patch("shop", "catalog", &note(Value::Null))
            .await
            .unwrap();
        wait_until("put back", PATIENCE, async || {
            let found = backend(&stage, "shop.catalog").await;
            let status = stage.status("catalog").await.unwrap();
            let drifted = status["conditions"].to_string().contains(told);
            if found["url"] == "http://catalog.shop.svc:8080/catalog" && !drifted {
                Ok(())
            } else {
                Err(format!("{found} {status}"))
            }
        })
        .await
        .unwrap();
    }

    // Without the route, its Service's backend goes.
    let none = json!({"metadata": {"annotations": {ROUTES: null}}});
    stage.patch("shop", "catalog", &none).await.unwrap();
    until_there(&stage, &["shop.catalog"]).await;

    // An API that stays keeps its backend, without the mark.
    let retain =
        json!({"metadata": {"annotations": {"apim.oda.tmforum.org/deletion-policy": "Retain"}}});
    stage.patch("shop", "catalog", &retain).await.unwrap();
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    let left = backend(&stage, "shop.catalog").await;
    assert_eq!(left["description"], "Left behind with its API.");
}
