//! OpenAPI 3.1 in, 3.0.3 or a reason out.

use serde_json::{Value, json};

use super::super::{OpenApiError, read_value};

fn document(schema: &Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"get": {"operationId": "a", "responses": {}}}},
        "components": {"schemas": {"S": schema}},
    })
}

fn sent(document: &Value) -> Result<(Value, Vec<String>), OpenApiError> {
    let mut import = read_value(document)?.to_import()?;
    let first = import.notes.remove(0);
    assert_eq!(
        first,
        "converted from OpenAPI 3.1 to 3.0.3, which API Management imports"
    );
    Ok((serde_json::from_str(&import.value).unwrap(), import.notes))
}

fn converted(schema: &Value) -> (Value, Vec<String>) {
    let (sent, notes) = sent(&document(schema)).unwrap();
    assert_eq!(sent["openapi"], "3.0.3");
    (sent["components"]["schemas"]["S"].clone(), notes)
}

/// Schemas, and what they become without a note.
fn assert_converted(table: &[(Value, Value)]) {
    for (schema, expected) in table {
        assert_eq!(converted(schema), (expected.clone(), vec![]), "{schema}");
    }
}

fn refusal(schema: &Value) -> String {
    let message = sent(&document(schema)).unwrap_err().to_string();
    message
        .strip_prefix("API Management imports OpenAPI 3.0, and this OpenAPI 3.1 document cannot be converted without loss: /components/schemas/S")
        .unwrap_or(&message)
        .to_owned()
}

#[test]
fn types_and_constants_are_said_in_other_words() {
    let table = [
        (json!({"type": "string"}), json!({"type": "string"})),
        (json!({"type": ["string"]}), json!({"type": "string"})),
        (
            json!({"type": ["null", "string"], "minLength": 1}),
            json!({"type": "string", "minLength": 1, "nullable": true}),
        ),
        (
            json!({"type": ["string", "integer"]}),
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ),
        (
            json!({"type": ["array", "object", "null"]}),
            json!({"anyOf": [{"type": "array", "nullable": true, "items": {}}, {"type": "object", "nullable": true}]}),
        ),
        (
            json!({"type": ["string", "integer"], "anyOf": [{"minLength": 1}]}),
            json!({"anyOf": [{"minLength": 1}], "allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}]}),
        ),
        (
            json!({"type": "null"}),
            json!({"type": "object", "nullable": true, "enum": [null]}),
        ),
        (
            json!({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}], "title": "T"}),
            json!({"anyOf": [{"type": "string", "enum": ["a", null], "nullable": true}], "title": "T"}),
        ),
        (
            json!({"oneOf": [{"$ref": "#/components/schemas/S"}, {"type": "null"}]}),
            json!({"oneOf": [{"$ref": "#/components/schemas/S"}, {"type": "object", "nullable": true, "enum": [null]}]}),
        ),
        (
            json!({"const": "x", "type": "string"}),
            json!({"enum": ["x"], "type": "string"}),
        ),
        (
            json!({"const": "x", "enum": ["x", "y"]}),
            json!({"enum": ["x"]}),
        ),
    ];
    assert_converted(&table);
}

#[test]
fn bounds_examples_and_references_are_said_in_other_words() {
    let table = [
        (
            json!({"exclusiveMinimum": 3}),
            json!({"minimum": 3, "exclusiveMinimum": true}),
        ),
        (
            json!({"exclusiveMinimum": 3, "minimum": 3}),
            json!({"minimum": 3, "exclusiveMinimum": true}),
        ),
        (
            json!({"exclusiveMinimum": 3, "minimum": 5}),
            json!({"minimum": 5}),
        ),
        (
            json!({"exclusiveMaximum": 3.5, "maximum": 9}),
            json!({"maximum": 3.5, "exclusiveMaximum": true}),
        ),
        (
            json!({"exclusiveMaximum": 9, "maximum": 3}),
            json!({"maximum": 3}),
        ),
        (json!({"examples": ["a"]}), json!({"example": "a"})),
        (
            json!({"examples": [], "example": "b"}),
            json!({"example": "b"}),
        ),
        (
            json!({"type": "string", "contentEncoding": "base64"}),
            json!({"type": "string", "format": "byte"}),
        ),
        (
            json!({"type": "string", "contentMediaType": "application/octet-stream"}),
            json!({"type": "string", "format": "binary"}),
        ),
        (
            json!({"$ref": "#/components/schemas/S", "description": "d"}),
            json!({"description": "d", "allOf": [{"$ref": "#/components/schemas/S"}]}),
        ),
        (
            json!({"$ref": "#/components/schemas/S"}),
            json!({"$ref": "#/components/schemas/S"}),
        ),
        (
            json!({"properties": {"a": true, "b": false}}),
            json!({"properties": {"a": {}, "b": {"not": {}}}}),
        ),
        (
            json!({"type": "object", "properties": {}, "unevaluatedProperties": false}),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
        (
            json!({"additionalProperties": {"type": ["integer", "null"]}, "required": []}),
            json!({"additionalProperties": {"type": "integer", "nullable": true}}),
        ),
        (
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": "c", "propertyNames": {"type": "string"}, "$defs": {}, "x-a": 1}),
            json!({"x-a": 1}),
        ),
        // A property may be called like a keyword.
        (
            json!({"properties": {"const": {"type": "string"}, "if": {}}}),
            json!({"properties": {"const": {"type": "string"}, "if": {}}}),
        ),
    ];
    assert_converted(&table);
}

#[test]
fn what_only_describes_is_left_out_with_a_note() {
    let (schema, notes) = converted(&json!({
        "examples": [1, 2], "contentMediaType": "image/png", "nullable": true, "unit": "kg",
        "$id": "https://a.example/s", "items": {"unit": "g"},
    }));
    assert_eq!(schema, json!({"example": 1, "items": {}}));
    assert_eq!(
        notes,
        [
            "left out: `$id`, to which nothing refers, at /components/schemas/S",
            "left out: `contentEncoding` and `contentMediaType`, which only describe, at /components/schemas/S",
            "left out: `examples` after the first, at /components/schemas/S",
            "left out: `nullable`, which means nothing in OpenAPI 3.1, at /components/schemas/S",
            "left out: `unit`, which is no keyword of OpenAPI 3.0, 2 times, the first at /components/schemas/S/items",
        ]
    );
}

#[test]
fn what_3_0_cannot_say_is_refused_with_place_and_way_out() {
    let table = [
        (
            json!({"if": {}, "else": {}}),
            "/if: OpenAPI 3.0 has no `if`; use `oneOf` with one schema for each case; /components/schemas/S/else: OpenAPI 3.0 has no `else`; use `oneOf` with one schema for each case",
        ),
        (
            json!({"properties": {"a": {"prefixItems": [{}]}}}),
            "/properties/a/prefixItems: OpenAPI 3.0 has no `prefixItems`; use `items`",
        ),
        (
            json!({"$defs": {"a": {}}}),
            "/$defs: OpenAPI 3.0 has no `$defs`; move the schemas to `components/schemas`",
        ),
        (
            json!({"allOf": [{}], "unevaluatedProperties": false}),
            "/unevaluatedProperties: OpenAPI 3.0 has no `unevaluatedProperties`; use `additionalProperties`",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "/$schema: the dialect \"http://json-schema.org/draft-04/schema#\" is not understood; leave `$schema` out",
        ),
        (
            json!({"$id": "x", "items": {"$ref": "#/y"}}),
            "/$id: OpenAPI 3.0 has no `$id`, and here it changes what the references in the schema mean; leave it out",
        ),
        (
            json!({"const": 1, "enum": [2]}),
            "/const: is none of the values of `enum`",
        ),
        (
            json!({"type": []}),
            "/type: is an empty list, so nothing is valid",
        ),
        (
            json!({"type": 5}),
            "/type: is neither a name nor a list of them",
        ),
        (json!({"not": "x"}), "/not: is not a schema"),
    ];
    for (schema, expected) in table {
        assert_eq!(refusal(&schema), expected, "{schema}");
    }
}

#[test]
fn the_document_around_the_schemas_is_converted_too() {
    let nullable = json!({"type": ["string", "null"]});
    let (sent, notes) = sent(&json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": "t", "version": "1", "summary": "s", "license": {"name": "MIT", "identifier": "MIT"}},
        "webhooks": {"w": {"post": {}}},
        "security": [{"mtls": []}, {"key": []}],
        "paths": {"/a": {
            "parameters": [{"name": "p", "in": "query", "schema": nullable}],
            "get": {"operationId": "a"},
            "post": {
                "operationId": "b",
                "parameters": [{"$ref": "#/components/parameters/P", "description": "d"}],
                "requestBody": {"content": {"a/b": {"schema": nullable, "encoding": {"x": {"headers": {"h": {"schema": nullable}}}}}}},
                "responses": {"200": {"description": "d", "headers": {"h": {"schema": nullable}}, "content": {"a/b": {"schema": nullable}}}},
                "callbacks": {"c": {"{$url}": {"post": {"requestBody": {"content": {"a/b": {"schema": nullable}}}}}}},
            },
        }},
        "components": {
            "pathItems": {},
            "securitySchemes": {"mtls": {"type": "mutualTLS"}, "key": {"type": "apiKey", "name": "k", "in": "header"}},
            "parameters": {"P": {"name": "q", "in": "query", "content": {"a/b": {"schema": nullable}}}},
            "headers": {"H": {"schema": nullable}},
            "requestBodies": {"B": {"content": {"a/b": {"schema": nullable}}}},
            "responses": {"R": {"description": "d", "content": {"a/b": {"schema": nullable}}}},
        },
    }))
    .unwrap();
    let nullable = json!({"type": "string", "nullable": true});
    let undescribed = json!({"default": {"description": "Not described."}});
    assert_eq!(
        sent,
        json!({
            "openapi": "3.0.3",
            "info": {"title": "t", "version": "1", "license": {"name": "MIT"}},
            "security": [{"key": []}],
            "paths": {"/a": {
                "parameters": [{"name": "p", "in": "query", "schema": nullable}],
                "get": {"operationId": "a", "responses": undescribed},
                "post": {
                    "operationId": "b",
                    "parameters": [{"$ref": "#/components/parameters/P"}],
                    "requestBody": {"content": {"a/b": {"schema": nullable, "encoding": {"x": {"headers": {"h": {"schema": nullable}}}}}}},
                    "responses": {"200": {"description": "d", "headers": {"h": {"schema": nullable}}, "content": {"a/b": {"schema": nullable}}}},
                    "callbacks": {"c": {"{$url}": {"post": {"requestBody": {"content": {"a/b": {"schema": nullable}}}, "responses": undescribed}}}},
                },
            }},
            "components": {
                "securitySchemes": {"key": {"type": "apiKey", "name": "k", "in": "header"}},
                "parameters": {"P": {"name": "q", "in": "query", "content": {"a/b": {"schema": nullable}}}},
                "headers": {"H": {"schema": nullable}},
                "requestBodies": {"B": {"content": {"a/b": {"schema": nullable}}}},
                "responses": {"R": {"description": "d", "content": {"a/b": {"schema": nullable}}}},
            },
        })
    );
    assert_eq!(
        notes,
        [
            "left out: `description` beside a `$ref`, which only describes, at /paths/~1a/post/parameters/0",
            "left out: `pathItems`, to which only references of whole paths lead, at /components/pathItems",
            "left out: `summary`, which only describes, at /info/summary",
            "left out: `webhooks`, which API Management does not import, at /webhooks",
            "left out: a security scheme of type `mutualTLS`; API Management imports no security schemes, at /components/securitySchemes/mtls",
            "left out: the license's SPDX `identifier`, at /info/license/identifier",
        ]
    );
    // What was converted once is 3.0, and stays as it is.
    let text = sent.to_string();
    let again = super::super::read(&text).unwrap();
    assert_eq!(again.to_import().unwrap().value, text);
}

#[test]
fn a_path_that_refers_to_a_path_item_is_refused() {
    let error = sent(&json!({
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/a": {"post": {"operationId": "a", "callbacks": {"c": {"x": {"$ref": "#/components/pathItems/P"}}}}},
        },
        "components": {"pathItems": {"P": {}}},
    }))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "API Management imports OpenAPI 3.0, and this OpenAPI 3.1 document cannot be converted without loss: /paths/~1a/post/callbacks/c/x: OpenAPI 3.0 has no `pathItems` that a path could refer to; write the path's operations here"
    );
}
