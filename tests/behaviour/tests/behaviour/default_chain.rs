//! The plugins of an API that nobody said anything about, together.

use plugin_behaviour::{Api, Stage, token};
use serde_json::json;

use crate::let_in;

const PAGE: &str = "https://shop.example.com";

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_refused_calls_do_not_use_up_the_limit() {
    let stage = Stage::of(Api::usual()).await;
    let refused = (
        401,
        "Unauthorized. Access token is missing or invalid.".to_owned(),
    );
    for _ in 0..150 {
        assert_eq!(stage.item().error().await, refused);
    }
    for other in [json!({"aud": "somebody-else"}), json!({"exp": 1})] {
        let call = stage.item().token(&token(&other));
        assert_eq!(call.error().await, refused);
    }
    assert_eq!(stage.world.calls(), 0);

    let good = format!("Bearer {}", token(&json!({})));
    let limited = let_in(&stage, Some(("authorization", &good))).await;
    assert_eq!(limited, (100, 429));
    assert_eq!(stage.world.calls(), 100);
    let answer = stage.item().header("authorization", &good).send().await;
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(
        answer.error(),
        (
            429,
            "Rate limit is exceeded. Try again in 60 seconds.".to_owned()
        )
    );
    // Above the limit a call without a token still learns nothing of it.
    assert_eq!(stage.item().error().await, refused);
    stage.advance(60);
    let again = stage.item().header("authorization", &good);
    assert_eq!(again.status().await, 200);
}

#[tokio::test]
async fn a_browser_is_answered_first_and_may_read_every_refusal() {
    let cors = json!({"enabled": true, "allowOrigins": PAGE});
    let api = Api::usual()
        .spec("CORS", cors)
        .configured("cors", &json!({"allowHeaders": ["authorization"]}))
        .configured("rate-limit", &json!({"calls": 2}));
    let stage = Stage::of(api).await;
    // Browsers send no token with their question, and ask as often as they
    // like.
    for _ in 0..5 {
        let answer = stage
            .preflight(PAGE, "GET")
            .header("access-control-request-headers", "authorization")
            .send()
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.all_headers(),
            [
                ("access-control-allow-headers", "authorization"),
                ("access-control-allow-methods", "GET"),
                ("access-control-allow-origin", PAGE),
                ("access-control-max-age", "1800"),
                ("vary", "Origin"),
            ]
        );
    }
    // An OPTIONS that is no such question is a call like any other, and there
    // is no operation for it.
    assert_eq!(stage.call("OPTIONS", "/items/7").status().await, 404);

    let good = token(&json!({}));
    for (sent, expected) in [
        (None, 401),
        (Some(&good), 200),
        (Some(&good), 200),
        (Some(&good), 429),
    ] {
        let mut call = stage.item().header("origin", PAGE);
        if let Some(token) = sent {
            call = call.token(token);
        }
        let answer = call.send().await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    assert_eq!(stage.world.calls(), 2);
}

#[tokio::test]
async fn no_order_in_the_annotation_puts_anything_before_who_may_call() {
    let plugins = [
        "rate-limit",
        "headers",
        "mock",
        "cache",
        "jwt-entra",
        "cors",
    ];
    let api = Api::usual().annotated("plugins", &plugins.join(", "));
    let api = api
        .configured("headers", &json!({"request": {"set": {"X-Team": "a"}}}))
        .configured("rate-limit", &json!({"calls": 1}));
    let stage = Stage::of(api).await;
    for _ in 0..3 {
        assert_eq!(stage.item().status().await, 401);
    }
    let good = token(&json!({}));
    assert_eq!(stage.item().token(&good).status().await, 200);
    assert_eq!(stage.item().token(&good).status().await, 429);
    // The mock answered.
    assert_eq!(stage.world.calls(), 0);
}

#[tokio::test]
async fn what_is_not_the_apis_is_not_found_before_anything_is_asked() {
    let stage = Stage::of(Api::usual()).await;
    for call in [
        stage.call("GET", "/other"),
        stage.call("PUT", "/items/7"),
        stage.item().at("/somewhere"),
    ] {
        assert_eq!(
            call.token(&token(&json!({}))).error().await,
            (404, "Resource not found".to_owned())
        );
    }
    assert_eq!(stage.world.calls(), 0);
}

#[tokio::test]
async fn an_operations_plugins_come_beside_those_of_its_api() {
    let api = Api::usual().operation("getItem", "rate-limit", &json!({"calls": 2}));
    let stage = Stage::of(api).await;
    let good = format!("Bearer {}", token(&json!({})));
    assert_eq!(stage.item().status().await, 401);
    assert_eq!(
        let_in(&stage, Some(("authorization", &good))).await,
        (2, 429)
    );
    // Other operations have the API's own limit.
    for _ in 0..5 {
        let call = stage.call("GET", "/items").header("authorization", &good);
        assert_eq!(call.status().await, 200);
    }
    assert_eq!(stage.call("GET", "/items").status().await, 401);
}
