//! Whose an API and a path are: takeovers, collisions, moves, and what stays
//! behind.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test has no better way to fail")]
#![allow(
    clippy::too_many_lines,
    reason = "a story is told from beginning to end"
)]

use apim_simulator::{FaultSpec, ServiceSeed};
use e2e::{PATIENCE, Stage, Write, exposed_api};
use kube::api::DeleteParams;
use serde_json::{Value, json};

fn write(method: &str, path: &str) -> Write {
    Write(method.into(), path.into())
}

fn annotation(name: &str, value: &Value) -> Value {
    json!({"metadata": {"annotations": {format!("apim.oda.tmforum.org/{name}"): value}}})
}

fn apim_message(status: &Value) -> &str {
    let conditions = status["conditions"].as_array().unwrap();
    let apim = conditions.iter().find(|c| c["type"] == "ApimSynced");
    apim.unwrap()["message"].as_str().unwrap()
}

fn ready_message(status: &Value) -> &str {
    status["conditions"][0]["message"].as_str().unwrap()
}

/// The owner's choice of what to do with APIs that are there.
fn owners_may_adopt() -> Value {
    json!({"ownerMay": ["adoption", "deletion-policy", "plugins", "instance", "retry"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_there_is_refused_matched_or_overridden_as_its_object_says() {
    let test = "an_api_that_is_there_is_refused_matched_or_overridden_as_its_object_says";
    let stage = Stage::builder().instance(owners_may_adopt());
    let Some(stage) = stage.start(test).await else {
        return;
    };
    // Published, then left behind without a mark: an API that is nobody's.
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage
        .patch(
            "shop",
            "catalog",
            &annotation("deletion-policy", &json!("Retain")),
        )
        .await
        .unwrap();
    stage.azure.clear_journal();
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), [write("PATCH", "")]);
    stage
        .until_event(
            "catalog",
            "Normal Retained: API shop.catalog stays in instance default",
        )
        .await
        .unwrap();
    let left = stage.api("shop.catalog").await.unwrap().unwrap();
    assert_eq!(
        left["apiRevisionDescription"].as_str().unwrap_or_default(),
        ""
    );

    // The default: it is left alone.
    stage.azure.clear_journal();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    let status = stage
        .until_reason("catalog", "ApimSynced", "NotOurs")
        .await
        .unwrap();
    assert!(
        apim_message(&status).contains("carries no mark"),
        "{status}"
    );
    assert_eq!(stage.writes("shop.catalog"), []);

    // It equals what is desired, so its mark is all that it needs.
    stage
        .patch("shop", "catalog", &annotation("adoption", &json!("Match")))
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), [write("PATCH", "")]);

    // One that differs is taken over only by force.
    stage.azure.clear_journal();
    let theirs =
        json!({"properties": {"displayName": "Legacy", "path": "legacy", "protocols": ["https"]}});
    let (status, _) = stage
        .arm("PUT", "/apis/shop.legacy", Some(&theirs))
        .await
        .unwrap();
    assert_eq!(status, 201);
    stage.azure.clear_journal();
    let legacy = exposed_api("legacy", |o| {
        o["metadata"]["annotations"]["apim.oda.tmforum.org/adoption"] = json!("Match");
    });
    stage.apply(&legacy).await.unwrap();
    let status = stage
        .until_reason("legacy", "ApimSynced", "NotOurs")
        .await
        .unwrap();
    assert!(
        apim_message(&status).contains("differs in displayName"),
        "{status}"
    );
    assert_eq!(stage.writes("shop.legacy"), []);
    stage
        .patch(
            "shop",
            "legacy",
            &annotation("adoption", &json!("Override")),
        )
        .await
        .unwrap();
    stage.until_ready("legacy").await.unwrap();
    assert_eq!(
        stage.writes("shop.legacy"),
        [
            write("PATCH", ""),
            write("PUT", "/policies/policy"),
            write("PUT", " (import)"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_cannot_be_taken_off_stays_and_the_object_goes() {
    let test = "a_mark_that_cannot_be_taken_off_stays_and_the_object_goes";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage
        .patch(
            "shop",
            "catalog",
            &annotation("deletion-policy", &json!("Retain")),
        )
        .await
        .unwrap();
    let down = FaultSpec {
        path: Some("/apis/shop\\.catalog\\?".into()),
        status: Some(503),
        ..FaultSpec::default()
    };
    stage.azure.fault(down).unwrap();
    stage.delete("catalog").await.unwrap();
    stage.until_gone("catalog").await.unwrap();
    stage
        .until_event(
            "catalog",
            "Warning MarkStayed: API shop.catalog stays in instance default",
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_those_that_ask_for_a_path_gets_it_and_the_next_takes_over() {
    let test = "the_oldest_of_those_that_ask_for_a_path_gets_it_and_the_next_takes_over";
    let stage = Stage::builder().instance(json!({
        "pathOwnership": [{"prefix": "/office", "namespaceSelector": {"matchLabels": {"team": "office"}}}],
    }));
    let Some(stage) = stage.start(test).await else {
        return;
    };
    stage.apply(&exposed_api("first", |_| ())).await.unwrap();
    stage.until_ready("first").await.unwrap();
    let second = exposed_api("second", |o| o["spec"]["path"] = json!("/First/"));
    stage.apply(&second).await.unwrap();
    let status = stage
        .until_reason("second", "Ready", "PathConflict")
        .await
        .unwrap();
    assert!(
        ready_message(&status)
            .contains("belongs to ExposedAPI `shop/first`, which is published there"),
        "{status}"
    );
    assert_eq!(stage.writes("shop.second"), []);

    // The first moves: one write, and the other follows.
    stage.azure.clear_journal();
    stage
        .patch("shop", "first", &json!({"spec": {"path": "/elsewhere"}}))
        .await
        .unwrap();
    stage.until_ready("second").await.unwrap();
    assert_eq!(stage.writes("shop.first"), [write("PATCH", "")]);

    // And one that goes altogether.
    let third = exposed_api("third", |o| o["spec"]["path"] = json!("/elsewhere"));
    stage.apply(&third).await.unwrap();
    stage
        .until_reason("third", "Ready", "PathConflict")
        .await
        .unwrap();
    stage.delete("first").await.unwrap();
    stage.until_ready("third").await.unwrap();

    // A path that an API of nobody holds.
    let theirs =
        json!({"properties": {"displayName": "Legacy", "path": "legacy", "protocols": ["https"]}});
    stage
        .arm("PUT", "/apis/by-hand", Some(&theirs))
        .await
        .unwrap();
    stage.apply(&exposed_api("legacy", |_| ())).await.unwrap();
    let status = stage
        .until_reason("legacy", "ApimSynced", "PathConflict")
        .await
        .unwrap();
    assert!(
        apim_message(&status).contains("held by API `by-hand` (`Legacy`)"),
        "{status}"
    );
    assert_eq!(stage.writes("shop.legacy"), []);

    // And one that belongs to other namespaces.
    let office = exposed_api("office", |o| o["spec"]["path"] = json!("/office/rooms"));
    stage.apply(&office).await.unwrap();
    let status = stage
        .until_reason("office", "Ready", "Forbidden")
        .await
        .unwrap();
    assert!(
        ready_message(&status).contains("`pathOwnership`"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ingress_holds_both_paths_until_api_management_has_taken_the_new_one() {
    let test = "the_ingress_holds_both_paths_until_api_management_has_taken_the_new_one";
    let Some(stage) = Stage::builder().start(test).await else {
        return;
    };
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    let held = stage
        .azure
        .fault(FaultSpec {
            verb: Some("PATCH".into()),
            path: Some("/apis/shop\\.catalog\\?".into()),
            count: Some(1),
            hold: true,
            ..FaultSpec::default()
        })
        .unwrap();
    stage.azure.clear_journal();
    stage
        .patch("shop", "catalog", &json!({"spec": {"path": "/goods"}}))
        .await
        .unwrap();
    assert!(
        stage.azure.wait_for_held(1, PATIENCE).await,
        "{}",
        stage.operator_log()
    );
    let paths = |ingress: &k8s_openapi::api::networking::v1::Ingress| -> Vec<String> {
        let rules = ingress.spec.as_ref().unwrap().rules.as_ref().unwrap();
        let paths = &rules[0].http.as_ref().unwrap().paths;
        paths
            .iter()
            .map(|path| path.path.clone().unwrap())
            .collect()
    };
    stage
        .until_ingress("catalog", "with both paths", |ingress| {
            (paths(ingress) == ["/goods", "/catalog"]).then_some(())
        })
        .await
        .unwrap();
    assert!(stage.azure.release(held));
    stage
        .until_ingress("catalog", "with the new path alone", |ingress| {
            (paths(ingress) == ["/goods"]).then_some(())
        })
        .await
        .unwrap();
    stage.until_ready("catalog").await.unwrap();
    assert_eq!(stage.writes("shop.catalog"), [write("PATCH", "")]);
}

/// A stage with two instances, and an API that is published in the first.
async fn with_two_instances(test: &str) -> Option<Stage> {
    let stage = Stage::builder()
        .instance(owners_may_adopt())
        .simulator(|config| config.seed.services.push(ServiceSeed::named("apim-two")));
    let stage = stage.start(test).await?;
    let mut west = stage.instance_manifest();
    west["metadata"]["name"] = json!("west");
    west["spec"]["serviceName"] = json!("apim-two");
    stage.apply(&west).await.unwrap();
    stage.apply(&exposed_api("catalog", |_| ())).await.unwrap();
    stage.until_ready("catalog").await.unwrap();
    stage.azure.clear_journal();
    Some(stage)
}

/// The writes about the API with the service that they went to.
fn by_service(stage: &Stage) -> Vec<String> {
    let writes = stage.entries("shop.catalog").into_iter();
    writes
        .map(|call| {
            let (_, rest) = call.path.split_once("/service/").unwrap();
            let (service, rest) = rest.split_once('/').unwrap();
            format!("{service} {} {rest}", call.method)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_in_place_in_the_new_instance_before_the_old_one_goes() {
    let test = "a_move_is_in_place_in_the_new_instance_before_the_old_one_goes";
    let Some(stage) = with_two_instances(test).await else {
        return;
    };
    stage
        .patch("shop", "catalog", &annotation("instance", &json!("west")))
        .await
        .unwrap();
    let status = stage
        .until("catalog", "moved", |status| {
            status["implementation"]["ready"] == true && status["apim"]["instance"] == "west"
        })
        .await
        .unwrap();
    assert_eq!(
        status["apiStatus"]["url"],
        "https://apim-two.azure-api.net/catalog"
    );
    assert_eq!(
        by_service(&stage),
        [
            "apim-two PUT apis/shop.catalog",
            "apim-two PUT apis/shop.catalog/policies/policy",
            "apim-two PUT apis/shop.catalog",
            "apim-local DELETE apis/shop.catalog",
        ]
    );
    assert_eq!(status["apim"]["leaving"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_dies_half_way_is_finished_or_turned_round_and_forgets_no_place() {
    let test = "a_move_that_dies_half_way_is_finished_or_turned_round_and_forgets_no_place";
    let Some(mut stage) = with_two_instances(test).await else {
        return;
    };
    for (turn, to) in [("west", "west"), ("default", "west")] {
        // The policy in the new instance is held, and the operator dies there.
        let held = stage
            .azure
            .fault(FaultSpec {
                verb: Some("PUT".into()),
                path: Some("/apis/shop\\.catalog/policies/policy\\?".into()),
                count: Some(1),
                hold: true,
                ..FaultSpec::default()
            })
            .unwrap();
        let begin = if turn == "west" { "west" } else { "default" };
        stage
            .patch("shop", "catalog", &annotation("instance", &json!(begin)))
            .await
            .unwrap();
        assert!(
            stage.azure.wait_for_held(1, PATIENCE).await,
            "{}",
            stage.operator_log()
        );
        let status = stage.status("catalog").await.unwrap();
        assert_eq!(
            status["apim"]["leaving"].as_array().unwrap().len(),
            1,
            "{status}"
        );
        stage.kill_operator().unwrap();
        assert!(stage.azure.release(held));
        // Turned round while nobody was there, or not.
        stage
            .patch("shop", "catalog", &annotation("instance", &json!(to)))
            .await
            .unwrap();
        stage.start_operator().await.unwrap();
        stage
            .until("catalog", "in one place", |status| {
                status["implementation"]["ready"] == true
                    && status["apim"]["instance"] == to
                    && status["apim"]["leaving"] == Value::Null
            })
            .await
            .unwrap();
        for (service, there) in [("apim-two", true), ("apim-local", false)] {
            let found = stage.api_of(service, "shop.catalog").await.unwrap();
            assert_eq!(found.is_some(), there, "{service} after {turn}");
        }
    }
    // And nothing stays when the object goes.
    stage
        .exposed_apis("shop")
        .delete("catalog", &DeleteParams::default())
        .await
        .unwrap();
    stage.until_gone("catalog").await.unwrap();
    assert_eq!(
        stage.api_of("apim-two", "shop.catalog").await.unwrap(),
        None
    );
}
