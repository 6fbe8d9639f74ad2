//! `validate-content`.

use plugin_behaviour::{Api, Stage, reply, template};
use serde_json::{Value, json};

fn document() -> Value {
    let item = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}});
    json!({
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"},
        "paths": {"/items": {"post": {
            "operationId": "addItem",
            "requestBody": {"required": true, "content": item},
            "responses": {"200": {"description": "added", "content": item}},
        }}},
        "components": {"schemas": {"Item": {
            "type": "object", "required": ["id"],
            "properties": {"id": {"type": "integer"}, "name": {"type": "string", "maxLength": 200_000}},
        }}},
    })
}

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("validate-content", config).document(&document())).await
}

const JSON: &str = "application/json";

async fn status(stage: &Stage, kind: &str, body: &str) -> u16 {
    stage.post(kind, body).status().await
}

/// A body of exactly so many bytes.
fn of_size(bytes: usize) -> String {
    let empty = "{\"id\":1,\"name\":\"\"}";
    format!(
        "{{\"id\":1,\"name\":\"{}\"}}",
        "x".repeat(bytes - empty.len())
    )
}

#[tokio::test]
async fn a_body_that_is_not_what_the_document_says_is_refused() {
    let stage = stage(&json!({})).await;
    for good in [
        "{\"id\": 1}",
        "{\"id\": 1, \"name\": \"a\", \"more\": true}",
    ] {
        assert_eq!(status(&stage, JSON, good).await, 200, "{good}");
        assert_eq!(stage.world.last().body, good);
    }
    let with_charset = "Application/JSON; charset=utf-8";
    assert_eq!(status(&stage, with_charset, "{\"id\": 1}").await, 200);
    for bad in [
        "{}",
        "{\"id\": \"1\"}",
        "{\"id\": 1, \"name\": 2}",
        "[]",
        "null",
        "{\"id\": 1",
        "no json",
        "{\"ID\": 1}",
    ] {
        assert_eq!(status(&stage, JSON, bad).await, 400, "{bad}");
    }
    for kind in ["text/plain", "application/xml", "application/jsonx", ""] {
        assert_eq!(status(&stage, kind, "{\"id\": 1}").await, 400, "{kind}");
    }
    assert_eq!(stage.world.calls(), 3);
    let (_, message) = stage.post(JSON, "{\"id\": \"1\"}").error().await;
    assert!(
        message.starts_with("Body of the request does not conform to the definition "),
        "{message}"
    );
}

#[tokio::test]
async fn the_largest_body_passes_and_one_more_byte_does_not() {
    let default = stage(&json!({})).await;
    assert_eq!(status(&default, JSON, &of_size(102_400)).await, 200);
    assert_eq!(status(&default, JSON, &of_size(102_401)).await, 400);
    let small = stage(&json!({"maxSize": 20})).await;
    assert_eq!(status(&small, JSON, &of_size(20)).await, 200);
    assert_eq!(status(&small, JSON, &of_size(21)).await, 400);
    let unchecked = stage(&json!({"maxSize": 20, "sizeExceeded": "ignore"})).await;
    assert_eq!(status(&unchecked, JSON, &of_size(21)).await, 200);
    // What is larger is not checked then.
    let wrong = "{\"id\": \"no number at all\"}";
    assert_eq!(status(&unchecked, JSON, wrong).await, 200);
    assert_eq!(status(&unchecked, JSON, "{\"id\": \"1\"}").await, 400);
}

#[tokio::test]
async fn what_is_only_noted_passes() {
    let stage = stage(&json!({"action": "detect"})).await;
    for (kind, body) in [(JSON, "{}"), ("text/plain", "x"), (JSON, "no json")] {
        assert_eq!(status(&stage, kind, body).await, 200, "{body}");
    }
    let kinds = json!({"unspecifiedContentType": "ignore"});
    let other = self::stage(&kinds).await;
    assert_eq!(status(&other, "text/plain", "x").await, 200);
    assert_eq!(status(&other, JSON, "{}").await, 400);
}

#[tokio::test]
async fn fields_that_the_document_does_not_name_are_refused_where_the_config_says_so() {
    let config = json!({"content": [
        {"type": "application/json", "validateAs": "json", "allowAdditionalProperties": false},
    ]});
    let stage = stage(&config).await;
    assert_eq!(
        status(&stage, JSON, "{\"id\": 1, \"name\": \"a\"}").await,
        200
    );
    assert_eq!(
        status(&stage, JSON, "{\"id\": 1, \"more\": true}").await,
        400
    );
}

#[tokio::test]
async fn a_response_that_is_not_what_the_document_says_is_not_handed_on() {
    let stage = stage(&json!({"request": false, "response": true})).await;
    let kind = [("content-type", "application/json")];
    stage
        .world
        .answers(move |_| Some(reply(200, &kind, "{\"id\": 1}")));
    // Requests are not looked at.
    assert_eq!(status(&stage, "text/plain", "x").await, 200);
    stage
        .world
        .answers(move |_| Some(reply(200, &kind, "{\"id\": \"secret\"}")));
    let answer = stage.post(JSON, "{}").send().await;
    assert_eq!(answer.status, 502);
    assert!(!answer.body.contains("from the backend"), "{answer:?}");
}

#[tokio::test]
async fn the_spec_block_switches_requests_and_responses() {
    let block = json!({"requestEnabled": true, "responseEnabled": false});
    let api = Api::usual()
        .annotated("plugins", "validate-content")
        .document(&document())
        .spec("OASValidation", block);
    let stage = Stage::of(api).await;
    assert_eq!(status(&stage, JSON, "{}").await, 400);
    assert_eq!(status(&stage, JSON, "{\"id\": 1}").await, 200);
}

#[tokio::test]
async fn fields_that_the_document_forbids_pass_where_the_config_says_so() {
    let mut closed = document();
    closed["components"]["schemas"]["Item"]["additionalProperties"] = false.into();
    for (allow, status) in [(json!(null), 400), (json!(true), 200)] {
        let mut content = json!({"type": "application/json", "validateAs": "json"});
        if !allow.is_null() {
            content["allowAdditionalProperties"] = allow;
        }
        let api = Api::of("validate-content", &json!({"content": [content]}));
        let stage = Stage::of(api.document(&closed)).await;
        let answer = stage.post(JSON, "{\"id\": 1, \"more\": true}");
        assert_eq!(answer.status().await, status);
    }
}

/// An XML schema of the API, as a WSDL has one.
const ITEM: &str = "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:element name=\"item\"><xs:complexType><xs:sequence>\
    <xs:element name=\"id\" type=\"xs:int\"/></xs:sequence></xs:complexType></xs:element></xs:schema>";

async fn with_schema(config: &Value) -> Stage {
    let api = Api::of("validate-content", config).document(&document());
    Stage::with(api, |service| {
        let schemas = &mut service.apis[0].schemas;
        schemas.insert("types".to_owned(), ITEM.into());
    })
    .await
}

/// An item in XML.
fn item(id: &str) -> String {
    format!("<item><id>{id}</id></item>")
}

/// A call in SOAP.
fn envelope(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

#[tokio::test]
async fn xml_and_soap_are_held_against_the_schemas_of_the_api() {
    for (kind, language, good, bad) in [
        ("application/xml", "xml", item("1"), item("x")),
        (
            "text/xml",
            "soap",
            envelope(&item("1")),
            envelope(&item("x")),
        ),
        (
            "application/soap+xml",
            "soap",
            envelope(&item("1")),
            item("1"),
        ),
    ] {
        let config = json!({"content": [
            {"type": "application/json", "validateAs": "json"},
            {"type": kind, "validateAs": language},
        ]});
        let stage = with_schema(&config).await;
        assert_eq!(status(&stage, kind, &good).await, 200, "{good}");
        assert_eq!(stage.world.last().body, good);
        let doctype = format!("<!DOCTYPE item [<!ENTITY x \"1\">]>{good}");
        for bad in [bad, doctype, "no xml".to_owned()] {
            assert_eq!(status(&stage, kind, &bad).await, 400, "{bad}");
        }
        assert_eq!(status(&stage, JSON, "{\"id\": 1}").await, 200);
        assert_eq!(stage.world.calls(), 2);
    }
}

#[tokio::test]
async fn xml_and_soap_are_held_against_the_schema_of_the_instance_that_the_config_names() {
    let config = json!({"content": [
        {"type": "application/json", "validateAs": "json"},
        {"type": "application/xml", "validateAs": "xml", "schema": "items.v1"},
        {"type": "text/xml", "validateAs": "soap", "schema": "items.v1"},
        {"type": "application/vnd.part+json", "validateAs": "json", "schema": "part"},
    ]});
    // The document is OpenAPI, and so has no schema of XML at all.
    let api = Api::of("validate-content", &config).document(&document());
    let part = json!({"type": "object", "required": ["part"]});
    let stage = Stage::with(api, |service| {
        service.schemas.insert("items.v1".to_owned(), ITEM.into());
        service.schemas.insert("part".to_owned(), part);
    })
    .await;
    let mut passed = 0;
    for (kind, good, bad) in [
        ("application/xml", item("1"), item("x")),
        ("text/xml", envelope(&item("1")), envelope(&item("x"))),
        ("text/xml; charset=utf-8", envelope(&item("2")), item("2")),
        (
            "application/vnd.part+json",
            "{\"part\": 1}".to_owned(),
            "{\"id\": 1}".to_owned(),
        ),
    ] {
        assert_eq!(status(&stage, kind, &good).await, 200, "{good}");
        passed += 1;
        assert_eq!(stage.world.last().body, good);
        for bad in [bad, "<item/>".to_owned(), String::from("nothing of that")] {
            assert_eq!(status(&stage, kind, &bad).await, 400, "{bad}");
        }
    }
    // What the document says of JSON holds beside it.
    assert_eq!(status(&stage, JSON, "{\"id\": 1}").await, 200);
    assert_eq!(status(&stage, JSON, "{\"part\": 1}").await, 400);
    assert_eq!(stage.world.calls(), passed + 1);
}

#[tokio::test]
async fn nothing_passes_where_the_schema_that_the_config_names_is_not_there_or_of_another_kind() {
    for schema in ["missing", "part"] {
        let config = json!({"content": [
            {"type": "application/xml", "validateAs": "xml", "schema": schema},
        ]});
        let api = Api::of("validate-content", &config).document(&document());
        let stage = Stage::with(api, |service| {
            let part = json!({"type": "object"});
            service.schemas.insert("part".to_owned(), part);
        })
        .await;
        assert_eq!(status(&stage, "application/xml", &item("1")).await, 400);
        assert_eq!(stage.world.calls(), 0);
    }
}

#[tokio::test]
async fn xml_passes_nowhere_where_the_api_has_no_schema_for_it() {
    for (kind, language) in [
        ("application/xml", "xml"),
        ("text/xml", "soap"),
        ("application/soap+xml", "soap"),
    ] {
        let stage = stage(&json!({"content": [{"type": kind, "validateAs": language}]})).await;
        let body = "<item><id>1</id></item>";
        assert_eq!(status(&stage, kind, body).await, 400);
        assert_eq!(stage.world.calls(), 0);
    }
}

#[tokio::test]
async fn what_was_found_stands_in_the_variable_that_the_config_names() {
    for (variable, name) in [(None, "contentErrors"), (Some("found"), "found")] {
        let mut config = json!({"action": "detect"});
        if let Some(variable) = variable {
            config["errorsVariable"] = variable.into();
        }
        let shown = "<inbound><set-header name=\"X-Found\" exists-action=\"override\"><value>{{ expression(code='((JArray)context.Variables[$name])[0][\"ValidationRule\"].ToString()', name=values.name) }}</value></set-header></inbound>";
        let template = template("show-found", shown);
        let api = Api::chain(&[
            ("validate-content", config),
            (
                "template",
                json!({"template": template, "values": {"name": name}}),
            ),
        ])
        .document(&document());
        let stage = Stage::of(api).await;
        assert_eq!(status(&stage, JSON, "{}").await, 200);
        let found = stage.world.last().header("x-found");
        assert_eq!(found.as_deref(), Some("IncorrectMessage"), "{name}");
    }
}
