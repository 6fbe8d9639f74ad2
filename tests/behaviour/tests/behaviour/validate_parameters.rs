//! `validate-parameters`.

use plugin_behaviour::{Api, Stage};
use serde_json::{Value, json};

fn document() -> Value {
    let parameter = |place: &str, name: &str, required: bool, schema: Value| json!({"in": place, "name": name, "required": required, "schema": schema});
    json!({
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"},
        "paths": {"/items/{id}": {"get": {
            "operationId": "getItem",
            "parameters": [
                parameter("path", "id", true, json!({"type": "integer"})),
                parameter("query", "page", false, json!({"type": "integer"})),
                parameter("query", "order", false, json!({"type": "string", "enum": ["up", "down"]})),
                parameter("header", "X-Kind", true, json!({"type": "string", "enum": ["a", "b"]})),
            ],
            "responses": {"200": {"description": "one"}},
        }}},
    })
}

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("validate-parameters", config).document(&document())).await
}

/// The status of `GET` with the header that the document asks for.
async fn get(stage: &Stage, path: &str) -> u16 {
    let call = stage.call("GET", path).header("x-kind", "a");
    call.status().await
}

#[tokio::test]
async fn parameters_must_be_what_the_document_says() {
    let stage = stage(&json!({})).await;
    for good in [
        "/items/7",
        "/items/-7?page=2&order=up",
        "/items/7?subscription-key=k",
    ] {
        assert_eq!(get(&stage, good).await, 200, "{good}");
    }
    // Headers that the document does not name are let through.
    let call = stage.item().header("x-kind", "b");
    assert_eq!(call.header("x-other", "1").status().await, 200);
    let calls = stage.world.calls();
    for bad in [
        "/items/seven",
        "/items/7.5",
        "/items/7?page=two",
        "/items/7?page=1&page=x",
        "/items/7?order=UP",
        "/items/7?order=",
        "/items/7?debug=1",
        "/items/7?PAGE=x",
    ] {
        assert_eq!(get(&stage, bad).await, 400, "{bad}");
    }
    let without = stage.item().error().await;
    assert_eq!(
        without,
        (
            400,
            "Required header parameter 'X-Kind' is missing.".to_owned()
        )
    );
    assert_eq!(stage.item().header("x-kind", "c").status().await, 400);
    assert_eq!(stage.world.calls(), calls);
}

#[tokio::test]
async fn what_is_only_noted_passes() {
    let stage = stage(&json!({"action": "detect"})).await;
    assert_eq!(get(&stage, "/items/seven?page=two&debug=1").await, 200);
    assert_eq!(stage.item().status().await, 200);
}

#[tokio::test]
async fn what_the_document_does_not_name_is_refused_or_not_as_the_config_says() {
    let config = json!({
        "unspecifiedHeaders": "prevent", "unspecifiedQuery": "ignore", "ignoredHeaders": ["X-Trace"],
    });
    let strict = stage(&config).await;
    assert_eq!(get(&strict, "/items/7?debug=1").await, 200);
    let call = || strict.item().header("x-kind", "a");
    // What clients, browsers and proxies send by themselves is in no document.
    let usual = [
        "user-agent",
        "accept",
        "x-forwarded-for",
        "cookie",
        "origin",
        "traceparent",
    ];
    let with_usual = usual
        .iter()
        .fold(call(), |call, name| call.header(name, "x"));
    assert_eq!(with_usual.token("t").status().await, 200);
    assert_eq!(call().header("x-trace", "1").status().await, 200);
    assert_eq!(call().header("x-other", "1").status().await, 400);

    let config = json!({"ignoredQuery": ["debug"]});
    let ignoring = stage(&config).await;
    assert_eq!(get(&ignoring, "/items/7?debug=1").await, 200);
    assert_eq!(get(&ignoring, "/items/7?other=1").await, 400);
}

#[tokio::test]
async fn the_spec_block_says_what_may_be_there_beside_the_document() {
    for (allowed, expected) in [(true, 200), (false, 400)] {
        let block = json!({"requestEnabled": true, "allowUnspecifiedQueryParams": allowed});
        let api = Api::usual()
            .annotated("plugins", "validate-parameters")
            .document(&document())
            .spec("OASValidation", block);
        let stage = Stage::of(api).await;
        assert_eq!(get(&stage, "/items/7?debug=1").await, expected);
        assert_eq!(get(&stage, "/items/x").await, 400);
    }
}
