//! `mock`.

use plugin_behaviour::{Api, Stage, token};
use serde_json::{Value, json};

fn document() -> Value {
    let example = |name: &str| json!({"value": {"id": name}});
    json!({
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"},
        "paths": {
            "/items/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {"operationId": "getItem", "responses": {
                    "200": {"description": "one", "content": {
                        "application/json": {"examples": {"a": example("first"), "b": example("second")}},
                        "application/xml": {"examples": {"x": {"value": "<item/>"}}},
                    }},
                    "404": {"description": "none", "content": {
                        "application/json": {"examples": {"a": example("nothing")}},
                    }},
                }},
                "delete": {"operationId": "deleteItem", "responses": {"204": {"description": "gone"}}},
            },
        },
    })
}

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("mock", config).document(&document())).await
}

/// Status, media type and body.
async fn answer(stage: &Stage) -> (u16, Option<String>, String) {
    let answer = stage.item().send().await;
    let kind = answer.header("content-type").map(str::to_owned);
    (answer.status, kind, answer.body.replace([' ', '\n'], ""))
}

#[tokio::test]
async fn the_documents_example_is_the_answer_and_the_backend_is_not_called() {
    let json = Some("application/json".to_owned());
    let default = stage(&json!({})).await;
    assert_eq!(
        answer(&default).await,
        (200, json.clone(), "{\"id\":\"first\"}".to_owned())
    );
    // An operation without example has no body.
    let gone = default.call("DELETE", "/items/7").send().await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    let second = stage(&json!({"index": 1})).await;
    assert_eq!(
        answer(&second).await,
        (200, json.clone(), "{\"id\":\"second\"}".to_owned())
    );
    let missing = stage(&json!({"statusCode": 404})).await;
    assert_eq!(
        answer(&missing).await,
        (404, json, "{\"id\":\"nothing\"}".to_owned())
    );
    let xml = stage(&json!({"contentType": "application/xml"})).await;
    assert_eq!(
        answer(&xml).await,
        (
            200,
            Some("application/xml".to_owned()),
            "<item/>".to_owned()
        )
    );
    for stage in [default, second, missing, xml] {
        assert_eq!(stage.world.calls(), 0);
    }
}

#[tokio::test]
async fn one_operation_can_be_mocked_alone() {
    let api = Api::chain(&[])
        .document(&document())
        .operation("getItem", "mock", &json!({}));
    let stage = Stage::of(api).await;
    assert_eq!(answer(&stage).await.2, "{\"id\":\"first\"}");
    assert_eq!(stage.world.calls(), 0);
    assert_eq!(stage.call("DELETE", "/items/7").status().await, 200);
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn who_may_not_call_gets_no_example() {
    let api = Api::chain(&[("mock", json!({})), ("jwt-entra", json!({}))]);
    let stage = Stage::of(api.document(&document())).await;
    assert_eq!(stage.item().status().await, 401);
    let call = stage.item().token(&token(&json!({})));
    assert_eq!(call.status().await, 200);
}
