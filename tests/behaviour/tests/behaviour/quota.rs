//! `quota`.

use plugin_behaviour::{Api, Stage, reply, token};
use serde_json::{Value, json};

use crate::let_in;

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("quota", config)).await
}

#[tokio::test]
async fn calls_are_let_in_up_to_the_quota_and_again_in_the_next_period() {
    let stage = stage(&json!({"calls": 3, "renewalPeriod": 300})).await;
    assert_eq!(let_in(&stage, None).await, (3, 403));
    assert_eq!(stage.world.calls(), 3);
    let answer = stage.item().send().await;
    let (status, message) = answer.error();
    assert_eq!(status, 403);
    assert!(
        message.starts_with("Out of call volume quota. Quota will be replenished in 00:0"),
        "{message}"
    );
    stage.advance(300);
    assert_eq!(let_in(&stage, None).await, (3, 403));
    // Another caller has a quota of its own.
    assert_eq!(stage.item().from([127, 0, 0, 2]).status().await, 200);
}

#[tokio::test]
async fn bytes_are_let_in_up_to_the_quota() {
    let stage = stage(&json!({"bandwidth": 1, "renewalPeriod": 300})).await;
    let long = "x".repeat(600);
    stage.world.answers(move |_| Some(reply(200, &[], &long)));
    // Half, all of it and more; then none.
    assert_eq!(let_in(&stage, None).await, (2, 403));
    let (_, message) = stage.item().error().await;
    assert!(message.starts_with("Out of bandwidth quota."), "{message}");
    stage.advance(300);
    assert_eq!(stage.item().status().await, 200);
}

#[tokio::test]
async fn who_counts_as_one_caller_is_as_the_config_says() {
    let by_header = stage(&json!({"calls": 1, "key": "header:X-Client"})).await;
    for client in ["a", "b"] {
        let header = Some(("x-client", client));
        assert_eq!(let_in(&by_header, header).await, (1, 403), "{client}");
    }
    // Without it, the address.
    assert_eq!(let_in(&by_header, None).await, (1, 403));

    let by_claim = stage(&json!({"calls": 1, "key": "jwt:oid"})).await;
    for user in ["u1", "u2"] {
        let sent = format!("Bearer {}", token(&json!({"oid": user})));
        let header = Some(("authorization", sent.as_str()));
        assert_eq!(let_in(&by_claim, header).await, (1, 403), "{user}");
    }
    let all = stage(&json!({"calls": 2, "key": "const:everybody"})).await;
    assert_eq!(all.item().from([127, 0, 0, 2]).status().await, 200);
    assert_eq!(all.item().from([127, 0, 0, 3]).status().await, 200);
    assert_eq!(all.item().from([127, 0, 0, 4]).status().await, 403);
}

#[tokio::test]
async fn an_api_and_an_operation_count_for_themselves() {
    let api =
        Api::of("quota", &json!({"calls": 4})).operation("getItem", "quota", &json!({"calls": 2}));
    let other = Api::of("quota", &json!({"calls": 1})).named("other");
    let mut stage = Stage::of(api.clone()).await;
    stage.serve(&[api.desired().expect("good"), other.desired().expect("good")]);
    assert_eq!(let_in(&stage, None).await, (2, 403));
    // The API counts what comes to it, also what its operation then refuses.
    for expected in [200, 403] {
        let other = stage.call("GET", "/items");
        assert_eq!(other.status().await, expected);
    }
    assert_eq!(stage.item().at("/other/items/7").status().await, 200);
    assert_eq!(stage.item().at("/other/items/7").status().await, 403);
}

#[tokio::test]
async fn the_spec_block_says_the_same_as_the_config() {
    let block = json!({"enabled": true, "limit": "2", "identifier": "IP"});
    let api = Api::usual()
        .annotated("plugins", "quota")
        .spec("quota", block);
    let stage = Stage::of(api).await;
    assert_eq!(let_in(&stage, None).await, (2, 403));
    assert_eq!(stage.item().from([127, 0, 0, 2]).status().await, 200);
}
