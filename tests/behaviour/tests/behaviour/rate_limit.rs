//! `rate-limit`.

use apim_gateway::configuration::Subscription;
use plugin_behaviour::{Api, Stage, reply, token};
use serde_json::{Value, json};

use crate::let_in;

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("rate-limit", config)).await
}

#[tokio::test]
async fn a_hundred_calls_a_minute_are_let_in_by_default() {
    let stage = stage(&json!({})).await;
    assert_eq!(let_in(&stage, None).await, (100, 429));
    assert_eq!(stage.world.calls(), 100);
    let answer = stage.item().send().await;
    assert_eq!(
        answer.error(),
        (
            429,
            "Rate limit is exceeded. Try again in 60 seconds.".to_owned()
        )
    );
    assert_eq!(
        answer.all_headers(),
        [("content-type", "application/json"), ("retry-after", "60")]
    );
    assert_eq!(stage.item().from([127, 0, 0, 2]).status().await, 200);
    stage.advance(59);
    assert_eq!(stage.item().status().await, 429);
    stage.advance(1);
    assert_eq!(let_in(&stage, None).await, (100, 429));
}

#[tokio::test]
async fn the_period_slides_and_what_was_refused_does_not_count() {
    let stage = stage(&json!({"calls": 2, "renewalPeriod": 10})).await;
    assert_eq!(stage.item().status().await, 200);
    stage.advance(6);
    assert_eq!(stage.item().status().await, 200);
    for _ in 0..5 {
        assert_eq!(stage.item().status().await, 429);
    }
    // The first call has left the period, the second has not.
    stage.advance(4);
    assert_eq!(let_in(&stage, None).await, (1, 429));
    stage.advance(6);
    assert_eq!(let_in(&stage, None).await, (1, 429));
}

#[tokio::test]
async fn callers_are_told_what_is_left_where_the_config_names_headers() {
    let config = json!({
        "calls": 2, "renewalPeriod": 10, "retryAfterHeader": "x-wait",
        "remainingCallsHeader": "x-left", "totalCallsHeader": "x-total",
    });
    let stage = stage(&config).await;
    stage.world.answers(|_| Some(reply(200, &[], "")));
    let mut told = Vec::new();
    for _ in 0..3 {
        let answer = stage.item().send().await;
        let header = |name| answer.header(name).map(str::to_owned);
        told.push((
            answer.status,
            header("x-left"),
            header("x-total"),
            header("x-wait"),
            header("retry-after"),
        ));
    }
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        told,
        [
            (200, text("1"), text("2"), None, None),
            (200, text("0"), text("2"), None, None),
            (429, text("0"), text("2"), text("10"), None),
        ]
    );
}

#[tokio::test]
async fn who_counts_as_one_caller_is_as_the_config_says() {
    let by_header = stage(&json!({"calls": 1, "key": "header:X-Client"})).await;
    for client in ["a", "b", "\") + \""] {
        let header = Some(("x-client", client));
        assert_eq!(let_in(&by_header, header).await, (1, 429), "{client}");
    }
    // Without it, the address.
    assert_eq!(let_in(&by_header, None).await, (1, 429));
    assert_eq!(by_header.item().from([127, 0, 0, 2]).status().await, 200);

    let by_claim = stage(&json!({"calls": 1, "key": "jwt:oid"})).await;
    for user in ["u1", "u2"] {
        let sent = format!("Bearer {}", token(&json!({"oid": user})));
        let header = Some(("authorization", sent.as_str()));
        assert_eq!(let_in(&by_claim, header).await, (1, 429), "{user}");
    }
    // What is no token, or has no such claim, is the address's.
    let without = format!("Bearer {}", token(&json!({"oid": null})));
    assert_eq!(
        let_in(&by_claim, Some(("authorization", &without))).await,
        (1, 429)
    );
    for odd in ["Bearer x.y.z", "", "Bearer", "Basic abc"] {
        let call = by_claim.item().header("authorization", odd);
        assert_eq!(call.status().await, 429, "{odd}");
    }
    let all = stage(&json!({"calls": 2, "key": "const:everybody"})).await;
    assert_eq!(all.item().from([127, 0, 0, 2]).status().await, 200);
    assert_eq!(all.item().from([127, 0, 0, 3]).status().await, 200);
    assert_eq!(all.item().from([127, 0, 0, 4]).status().await, 429);
}

#[tokio::test]
async fn a_subscription_counts_wherever_its_key_comes_from() {
    let api = Api::of("rate-limit", &json!({"calls": 1, "key": "subscription"})).spec(
        "apiKeyVerification",
        json!({"enabled": true, "location": "header"}),
    );
    let stage = Stage::with(api, |service| {
        for name in ["one", "two"] {
            service.subscriptions.push(Subscription {
                id: name.to_owned(),
                primary_key: format!("{name}-primary"),
                secondary_key: format!("{name}-secondary"),
                ..Subscription::default()
            });
        }
    })
    .await;
    let call = |key: &str| stage.item().header("ocp-apim-subscription-key", key);
    assert_eq!(call("one-primary").status().await, 200);
    assert_eq!(call("one-secondary").status().await, 429);
    assert_eq!(call("one-primary").from([127, 0, 0, 2]).status().await, 429);
    assert_eq!(call("two-primary").status().await, 200);
    assert_eq!(call("three").status().await, 401);
    assert_eq!(stage.item().status().await, 401);
    assert_eq!(stage.world.calls(), 2);
}

#[tokio::test]
async fn consumption_counts_by_subscription_with_its_own_policy() {
    let api = Api::of("rate-limit", &json!({"calls": 2}))
        .spec(
            "apiKeyVerification",
            json!({"enabled": true, "location": "header"}),
        )
        .sku("Consumption");
    let stage = Stage::with(api.clone(), |service| {
        service.subscriptions.push(Subscription {
            id: "one".to_owned(),
            primary_key: "key".to_owned(),
            ..Subscription::default()
        });
    })
    .await;
    let header = Some(("ocp-apim-subscription-key", "key"));
    assert_eq!(let_in(&stage, header).await, (2, 429));
    // Without keys nothing could be counted.
    let open = api.spec("apiKeyVerification", json!({"enabled": false}));
    let refused = open.refused().join("\n");
    assert!(refused.contains("Consumption"), "{refused}");
}

#[tokio::test]
async fn two_apis_and_an_operation_count_for_themselves() {
    let api = Api::of("rate-limit", &json!({"calls": 4})).operation(
        "getItem",
        "rate-limit",
        &json!({"calls": 2}),
    );
    let other = Api::of("rate-limit", &json!({"calls": 1})).named("other");
    let mut stage = Stage::of(api.clone()).await;
    stage.serve(&[api.desired().expect("good"), other.desired().expect("good")]);
    assert_eq!(let_in(&stage, None).await, (2, 429));
    assert_eq!(stage.call("GET", "/items").status().await, 200);
    assert_eq!(stage.item().at("/other/items/7").status().await, 200);
    assert_eq!(stage.item().at("/other/items/7").status().await, 429);
}

#[tokio::test]
async fn the_spec_block_says_the_same_as_the_config() {
    let block = json!({"enabled": true, "limit": "3", "interval": "ps", "identifier": "IP"});
    let api = Api::usual()
        .annotated("plugins", "rate-limit")
        .spec("rateLimit", block);
    let stage = Stage::of(api).await;
    assert_eq!(let_in(&stage, None).await, (3, 429));
    stage.advance(1);
    assert_eq!(let_in(&stage, None).await, (3, 429));
}
