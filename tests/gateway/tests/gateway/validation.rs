//! Parameters and bodies held against what the operation says.

use crate::stage::{Backend, Stage, inbound, reply_json};
use apim_gateway::configuration::{Parameter, Representation, Response, SchemaRef, Service};
use serde_json::json;

fn parameter(name: &str, kind: &str, required: bool) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind: kind.to_owned(),
        required,
        schema: None,
    }
}

fn described(service: &mut Service) {
    let api = &mut service.apis[0];
    let operation = &mut api.operations[0];
    operation.template_parameters = vec![parameter("id", "integer", true)];
    operation.query_parameters = vec![
        parameter("limit", "integer", false),
        Parameter {
            schema: Some(json!({ "enum": ["asc", "desc"] })),
            ..parameter("sort", "string", false)
        },
    ];
    operation.header_parameters = vec![parameter("X-Tenant", "string", true)];
    let reference = Some(SchemaRef {
        schema_id: "s1".to_owned(),
        type_name: "Item".to_owned(),
    });
    let body = Representation {
        content_type: "application/json".to_owned(),
        schema: reference,
        examples: Vec::new(),
    };
    api.operations[0].responses = vec![Response {
        status: 200,
        representations: vec![body.clone()],
    }];
    api.operations[1].request = vec![body];
    api.schemas.insert(
        "s1".to_owned(),
        json!({ "components": { "schemas": {
            "Item": {
                "type": "object", "required": ["name"],
                "properties": { "name": { "type": "string" }, "tag": { "$ref": "#/components/schemas/Tag" } },
            },
            "Tag": { "type": "string", "nullable": true, "maxLength": 3 },
        } } }),
    );
}

#[tokio::test]
async fn parameters_are_held_against_the_operation() {
    let sections = inbound(
        "<validate-parameters specified-parameter-action=\"prevent\" unspecified-parameter-action=\"ignore\">\
         <query specified-parameter-action=\"prevent\" unspecified-parameter-action=\"prevent\"><parameter name=\"debug\" action=\"ignore\" /></query>\
         </validate-parameters>",
    );
    let stage = Stage::with(Backend::ok().await, &sections, described).await;
    let call = async |path: &str| {
        let headers = [("x-tenant", "a")];
        stage.call("GET", path, &headers, "").await
    };
    assert_eq!(
        call("/shop/items/7?limit=3&SORT=asc&debug=1").await.status,
        200
    );
    for (path, message) in [
        (
            "/shop/items/x",
            "Value of the path parameter 'id' is not an integer.",
        ),
        (
            "/shop/items/7?limit=a",
            "Value of the query parameter 'limit' is not an integer.",
        ),
        (
            "/shop/items/7?sort=up",
            "Value of the query parameter 'sort' is not one of the allowed values.",
        ),
        (
            "/shop/items/7?x=1",
            "Unspecified query parameter 'x' is not allowed.",
        ),
    ] {
        assert_eq!(
            call(path).await.error(),
            (400, message.to_owned()),
            "{path}"
        );
    }
    assert_eq!(
        stage.item().await.error(),
        (
            400,
            "Required header parameter 'X-Tenant' is missing.".to_owned()
        )
    );
    assert_eq!(stage.backend.calls(), 1);
}

const CONTENT: &str = "<validate-content unspecified-content-type-action=\"prevent\" max-size=\"100\" size-exceeded-action=\"prevent\">\
    <content type=\"application/json\" validate-as=\"json\" action=\"prevent\" allow-additional-properties=\"false\" /></validate-content>";

#[tokio::test]
async fn bodies_are_held_against_their_schema_size_and_type() {
    let stage = Stage::with(Backend::ok().await, &inbound(CONTENT), described).await;
    let json = "application/json; charset=utf-8";
    assert_eq!(
        stage
            .post(json, r#"{"name": "a", "tag": null}"#)
            .await
            .status,
        200
    );
    assert_eq!(stage.backend.last().body, r#"{"name": "a", "tag": null}"#);
    for body in [
        r#"{"tag": "b"}"#,
        r#"{"name": 1}"#,
        r#"{"name": "a", "tag": "long"}"#,
        r#"{"name": "a", "more": 1}"#,
    ] {
        let (status, message) = stage.post(json, body).await.error();
        assert_eq!(status, 400, "{body}");
        let start = "Body of the request does not conform to the definition associated with the content type application/json. ";
        assert!(message.starts_with(start), "{message}");
    }
    let (status, message) = stage.post(json, "{").await.error();
    assert_eq!(status, 400);
    assert!(
        message.starts_with("Body of the request is no JSON: "),
        "{message}"
    );
    assert_eq!(
        stage.post("text/plain", "x").await.error(),
        (
            400,
            "Unspecified content type text/plain is not allowed.".to_owned()
        )
    );
    assert_eq!(
        stage
            .post(json, &format!("{{\"name\": \"{}\"}}", "a".repeat(100)))
            .await
            .error(),
        (
            400,
            "Body of 112 bytes exceeds the configured limit of 100 bytes.".to_owned()
        )
    );
    assert_eq!(stage.backend.calls(), 1);
}

#[tokio::test]
async fn a_response_that_is_wrong_is_the_backends_fault() {
    let sections = format!("<outbound><base />{CONTENT}</outbound>");
    let backend = Backend::start(|_| reply_json(&json!({ "nam": "x" }))).await;
    let stage = Stage::with(backend, &sections, described).await;
    assert_eq!(
        stage.item().await.error(),
        (
            502,
            "The backend's response could not be validated.".to_owned()
        )
    );
}

#[tokio::test]
async fn a_schema_that_the_policy_names_is_the_services_own() {
    let named = |id: &str| {
        inbound(&CONTENT.replace(
            "action=\"prevent\" allow",
            &format!("action=\"prevent\" schema-id=\"{id}\" allow"),
        ))
    };
    let with_more = |service: &mut Service| {
        described(service);
        let order = json!({ "type": "object", "required": ["order"], "properties": { "order": { "type": "integer" } } });
        service.schemas.insert("Orders".to_owned(), order);
    };
    let json = "application/json";
    let stage = Stage::with(Backend::ok().await, &named("orders"), with_more).await;
    assert_eq!(stage.post(json, r#"{"order": 1}"#).await.status, 200);
    assert_eq!(stage.post(json, r#"{"name": "a"}"#).await.status, 400);
    // The API has one of this id, the service has none.
    let stage = Stage::with(Backend::ok().await, &named("s1"), with_more).await;
    assert_eq!(
        stage.post(json, r#"{"name": "a"}"#).await.error(),
        (400, "The schema 's1' does not exist.".to_owned())
    );
}
