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

/// What callers are told of what is not their matter.
const NOT_YOURS: &str =
    "The request could not be processed due to an internal error. Contact the API owner.";

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
        let start = "Body of the request does not conform to the definition Item, which is associated with the content type application/json. ";
        assert!(message.starts_with(start), "{message}");
    }
    let (status, message) = stage.post(json, "{").await.error();
    assert_eq!(status, 400);
    assert!(
        message.contains("application/json. It is no JSON: "),
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
            "Request's body is 112 bytes long and it exceeds the limit of 100 bytes.".to_owned()
        )
    );
    assert_eq!(stage.backend.calls(), 1);
}

#[tokio::test]
async fn a_response_that_is_wrong_is_the_backends_fault() {
    let sections = format!("<outbound><base />{CONTENT}</outbound>");
    let backend = Backend::start(|_| reply_json(&json!({ "nam": "x" }))).await;
    let stage = Stage::with(backend, &sections, described).await;
    assert_eq!(stage.item().await.error(), (502, NOT_YOURS.to_owned()));
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
        (400, NOT_YOURS.to_owned())
    );
}

#[tokio::test]
async fn a_part_of_a_schema_and_another_schema_are_meant_where_they_are_named() {
    let named = |reference: &str| {
        let named = format!("action=\"prevent\" schema-id=\"parts\"{reference}");
        inbound(
            &CONTENT
                .replace("action=\"prevent\" allow", &format!("{named} allow"))
                .replace(" allow-additional-properties=\"false\"", ""),
        )
    };
    let with_parts = |service: &mut Service| {
        let parts = json!({
            "type": "object", "required": ["whole"],
            "$defs": { "Price/Net": { "type": "integer" }, "list": [1] },
            "properties": { "tag": { "$ref": "/schemas/Tags" } },
        });
        let tags = json!({ "type": "string", "maxLength": 2 });
        service.schemas.insert("Parts".to_owned(), parts);
        service.schemas.insert("tags".to_owned(), tags);
    };
    let json = "application/json";
    for (reference, good, bad) in [
        (
            "",
            r#"{"whole": 1, "tag": "ab"}"#,
            r#"{"whole": 1, "tag": "abc"}"#,
        ),
        (" schema-ref=\"#/$defs/Price~1Net\"", "7", r#"{"whole": 1}"#),
    ] {
        let stage = Stage::with(Backend::ok().await, &named(reference), with_parts).await;
        assert_eq!(stage.post(json, good).await.status, 200, "{reference}");
        assert_eq!(stage.post(json, bad).await.status, 400, "{reference}");
    }
    for reference in ["#/$defs/Price", "#/$defs/list", "Price", "#"] {
        let reference = format!(" schema-ref=\"{reference}\"");
        let stage = Stage::with(Backend::ok().await, &named(&reference), with_parts).await;
        let refused = stage.post(json, "7").await.error();
        let whole = reference.ends_with("\"#\"");
        assert_eq!(
            (refused.0, refused.1 == NOT_YOURS),
            (400, !whole),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn fields_beyond_the_schema_pass_where_the_policy_says_so_whatever_the_schema_says() {
    let closed = |service: &mut Service| {
        let schema =
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": {} } });
        service.schemas.insert("closed".to_owned(), schema);
    };
    for (allowed, status) in [("", 400), (" allow-additional-properties=\"true\"", 200)] {
        let sections = inbound(&CONTENT.replace(
            "allow-additional-properties=\"false\"",
            &format!("schema-id=\"closed\"{allowed}"),
        ));
        let stage = Stage::with(Backend::ok().await, &sections, closed).await;
        let answer = stage.post("application/json", r#"{"b": 1}"#).await;
        assert_eq!(answer.status, status, "{allowed}");
    }
}

#[tokio::test]
async fn a_content_type_is_mapped_before_it_is_looked_at() {
    let map = "<content-type-map any-content-type-value=\"text/other\" missing-content-type-value=\"text/other\">\
        <type from=\"application/hal+json\" to=\"application/json\" />\
        <type when=\"@(context.Request.Headers.GetValueOrDefault(&quot;X-Json&quot;, &quot;&quot;) == &quot;1&quot;)\" to=\"application/json\" /></content-type-map>"
        .replace("&quot;", "\"");
    // Without a type, it is for what the operation names.
    let content = CONTENT
        .replace(
            "<content type=\"application/json\"",
            &format!("{map}<content"),
        )
        .replace(" allow-additional-properties=\"false\"", "");
    let sections = inbound(&content);
    let stage = Stage::with(Backend::ok().await, &sections, described).await;
    let good = r#"{"name": "a"}"#;
    assert_eq!(stage.post("application/hal+json", good).await.status, 200);
    assert_eq!(stage.post("application/hal+json", "{}").await.status, 400);
    let headers = [("x-json", "1"), ("content-type", "text/plain")];
    let call = stage.call("POST", "/shop/items", &headers, good).await;
    assert_eq!(call.status, 200);
    let unspecified = "Unspecified content type text/other is not allowed.".to_owned();
    for kind in ["application/json", "text/plain"] {
        assert_eq!(
            stage.post(kind, good).await.error(),
            (400, unspecified.clone())
        );
    }
}
