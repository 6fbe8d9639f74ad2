//! `cors`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

const SHOP: &str = "https://shop.example.com";
const OTHER: &str = "https://other.example.com";

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("cors", config)).await
}

#[tokio::test]
async fn any_page_may_call_by_default_but_not_with_everything() {
    let stage = stage(&json!({})).await;
    let answer = stage.preflight(OTHER, "POST").send().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(
        answer.all_headers(),
        [
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-origin", "*"),
            ("access-control-max-age", "1800"),
        ]
    );
    let asked = |names: &str| {
        stage
            .preflight(OTHER, "GET")
            .header("access-control-request-headers", names)
    };
    let answer = asked("content-type, X-Requested-With").send().await;
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type,X-Requested-With")
    );
    // What is not listed: no leave, and nothing else.
    for refused in [
        stage.preflight(OTHER, "DELETE"),
        asked("authorization"),
        asked("content-type, x-other"),
    ] {
        let answer = refused.send().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.all_headers(), []);
    }
    assert_eq!(stage.world.calls(), 0);

    // The call itself is answered by the backend, and the page may read it.
    let answer = stage.item().header("origin", OTHER).send().await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some("*"))
    );
    let answer = stage.item().send().await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(stage.world.calls(), 2);
}

#[tokio::test]
async fn only_the_pages_that_are_listed_may_call_and_with_credentials_where_allowed() {
    let config = json!({
        "allowOrigins": [SHOP, "http://localhost:3000"], "allowMethods": ["GET", "PATCH"],
        "allowHeaders": ["x-client"], "exposeHeaders": ["etag", "x-total-count"], "maxAge": 5,
        "allowCredentials": true,
    });
    let stage = stage(&config).await;
    let answer = stage
        .preflight("http://localhost:3000", "PATCH")
        .header("access-control-request-headers", "X-Client")
        .send()
        .await;
    assert_eq!(
        answer.all_headers(),
        [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "X-Client"),
            ("access-control-allow-methods", "PATCH"),
            ("access-control-allow-origin", "http://localhost:3000"),
            ("access-control-max-age", "5"),
            ("vary", "Origin"),
        ]
    );
    let answer = stage.item().header("origin", SHOP).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.all_headers(),
        [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-origin", SHOP),
            ("access-control-expose-headers", "etag,x-total-count"),
            ("content-type", "application/json"),
            ("vary", "Origin"),
        ]
    );
    assert_eq!(stage.world.calls(), 1);
    // The text of an origin decides: no part, no other port or scheme.
    for origin in [
        OTHER,
        "null",
        "https://shop.example.com.evil.example",
        "https://shop.example.com:8443",
        "http://shop.example.com",
        "https://a.shop.example.com",
        "http://localhost",
        "*",
    ] {
        for refused in [
            stage.preflight(origin, "GET"),
            stage.item().header("origin", origin),
        ] {
            let answer = refused.send().await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{origin}");
            assert_eq!(answer.all_headers(), [], "{origin}");
        }
    }
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn a_call_that_matches_nothing_goes_on_where_the_config_says_so() {
    let config = json!({"allowOrigins": [SHOP], "terminateUnmatchedRequest": false});
    let stage = stage(&config).await;
    let answer = stage.item().header("origin", OTHER).send().await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, None)
    );
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn everything_is_allowed_where_the_config_lists_everything() {
    let config = json!({"allowMethods": ["*"], "allowHeaders": ["*"]});
    let stage = stage(&config).await;
    let answer = stage
        .preflight(OTHER, "DELETE")
        .header("access-control-request-headers", "authorization,x-any")
        .send()
        .await;
    assert_eq!(
        answer.all_headers(),
        [
            ("access-control-allow-headers", "authorization,x-any"),
            ("access-control-allow-methods", "DELETE"),
            ("access-control-allow-origin", "*"),
            ("access-control-max-age", "1800"),
        ]
    );
}

#[tokio::test]
async fn the_spec_block_says_the_same_as_the_config() {
    let block = json!({
        "enabled": true, "allowCredentials": true, "allowOrigins": "https://shop.example.com",
        "handlePreflightRequests": {
            "enabled": true, "allowHeaders": "x-client", "allowMethods": "PUT", "maxAge": 7,
        },
    });
    let api = Api::usual()
        .annotated("plugins", "cors")
        .spec("CORS", block);
    let stage = Stage::of(api).await;
    let answer = stage
        .preflight(SHOP, "PUT")
        .header("access-control-request-headers", "x-client")
        .send()
        .await;
    assert_eq!(
        answer.all_headers(),
        [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-client"),
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-origin", SHOP),
            ("access-control-max-age", "7"),
            ("vary", "Origin"),
        ]
    );
    assert_eq!(stage.preflight(OTHER, "PUT").send().await.all_headers(), []);
}
