//! `backend-auth`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

async fn stage(config: Value) -> Stage {
    Stage::of(Api::of("backend-auth", &config)).await
}

#[tokio::test]
async fn the_backend_gets_a_token_of_the_instance_in_place_of_the_callers() {
    let stage = stage(json!({"managedIdentity": {"resource": "api://orders"}})).await;
    let answer = stage.item().token("the-callers").send().await;
    assert_eq!(answer.status, 200);
    let token = "Bearer token-for-api%3A%2F%2Forders";
    assert_eq!(
        stage.world.last().header("authorization").as_deref(),
        Some(token)
    );
    // The caller does not see it.
    assert!(!format!("{:?}", answer.headers).contains("token-for"));
    // It is asked for once, not for each call.
    assert_eq!(stage.item().status().await, 200);
    assert_eq!(stage.world.asked().len(), 1);
    assert!(!stage.world.asked()[0].contains("client_id"));
}

#[tokio::test]
async fn in_a_header_of_its_own_the_token_stands_beside_the_callers() {
    let identity = "33333333-3333-3333-3333-333333333333";
    let stage = stage(json!({"managedIdentity": {
        "resource": "api://orders", "clientId": identity, "header": "X-Gateway-Token",
    }}))
    .await;
    let call = stage.item().token("the-callers");
    let call = call.header("X-Gateway-Token", "forged");
    assert_eq!(call.status().await, 200);
    let seen = stage.world.last();
    assert_eq!(
        seen.header("authorization").as_deref(),
        Some("Bearer the-callers")
    );
    assert_eq!(
        seen.header("x-gateway-token").as_deref(),
        Some("Bearer token-for-api%3A%2F%2Forders")
    );
    let asked = stage.world.asked();
    assert!(
        asked[0].contains(&format!("client_id={identity}")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_client_certificate_is_never_left_out_in_silence() {
    // The local gateway has none to send: it says so and calls nobody.
    let stage = stage(json!({"certificate": {"id": "orders-client"}})).await;
    assert_eq!(
        stage.item().error().await,
        (
            501,
            "The local gateway does not execute the policy 'authentication-certificate'."
                .to_owned()
        )
    );
    assert_eq!(stage.world.calls(), 0);
}
