//! What makes a document invalid for the specification that the service reads:
//! missing parts, and what only OpenAPI 3.1 knows.

use serde_json::{Map, Value};

use super::ImportProblem;

/// Keywords of JSON Schema that OpenAPI 3.0 does not have.
const NEW_KEYWORDS: [&str; 14] = [
    "$schema",
    "$id",
    "$defs",
    "const",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "examples",
    "if",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// The problems of a document, in its order.
pub(super) fn check(document: &Value, swagger: bool) -> Vec<ImportProblem> {
    let mut found = Vec::new();
    for (pointer, name) in [("/info/title", "title"), ("/info/version", "version")] {
        if !document.pointer(pointer).is_some_and(Value::is_string) {
            found.push(format!(
                "The field '{name}' in 'info' object is REQUIRED. [#/info/{name}]"
            ));
        }
    }
    if !document.get("paths").is_some_and(Value::is_object) {
        found.push("The field 'paths' in 'document' object is REQUIRED. [#/paths]".to_owned());
    }
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let at = format!("#/paths/{}", escape(path));
        if path.starts_with("x-") {
            continue;
        }
        if !path.starts_with('/') {
            found.push(format!(
                "The path item name '{path}' MUST begin with a slash. [{at}]"
            ));
        }
        if !item.is_object() {
            found.push(format!("The path item '{path}' must be an object. [{at}]"));
        }
    }
    if !swagger {
        for pointer in [
            "/info/summary",
            "/info/license/identifier",
            "/webhooks",
            "/jsonSchemaDialect",
            "/components/pathItems",
        ] {
            if document.pointer(pointer).is_some() {
                let name = pointer.rsplit('/').next().unwrap_or(pointer);
                found.push(format!(
                    "Property '{name}' is not a valid property. [#{pointer}]"
                ));
            }
        }
        for (name, schema) in document["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            check_schema(
                schema,
                &format!("#/components/schemas/{}", escape(name)),
                &mut found,
            );
        }
        find_schemas(document, "#", &mut found);
    }
    found.into_iter().map(ImportProblem::parsing).collect()
}

/// Every schema outside `components/schemas`: they all stand under `schema`.
fn find_schemas(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let at = format!("{at}/{}", escape(name));
                if name == "schema" && member.is_object() {
                    check_schema(member, &at, found);
                } else if !is_data(name) && at != "#/components/schemas" {
                    find_schemas(member, &at, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_schemas(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Members that hold the author's data and not a part of the description.
fn is_data(name: &str) -> bool {
    name.starts_with("x-") || matches!(name, "example" | "examples" | "default" | "enum")
}

fn check_schema(schema: &Value, at: &str, found: &mut Vec<String>) {
    let Some(members) = schema.as_object() else {
        // `true` and `false` are schemas of 3.1 alone.
        if schema.is_boolean() {
            found.push(format!("A schema must be an object. [{at}]"));
        }
        return;
    };
    if members.contains_key("$ref") {
        return;
    }
    check_keywords(members, at, found);
    for name in ["properties"] {
        for (property, schema) in members
            .get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            check_schema(schema, &format!("{at}/{name}/{}", escape(property)), found);
        }
    }
    for name in ["items", "not"] {
        if let Some(schema) = members.get(name) {
            check_schema(schema, &format!("{at}/{name}"), found);
        }
    }
    if let Some(schema) = members
        .get("additionalProperties")
        .filter(|schema| schema.is_object())
    {
        check_schema(schema, &format!("{at}/additionalProperties"), found);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, schema) in members
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            check_schema(schema, &format!("{at}/{name}/{index}"), found);
        }
    }
}

fn check_keywords(members: &Map<String, Value>, at: &str, found: &mut Vec<String>) {
    match members.get("type") {
        Some(Value::Array(types)) => found.push(format!(
            "The value of 'type' must be a string, not the array {}. Use 'nullable' for a type that may be null. [{at}/type]",
            Value::from(types.clone())
        )),
        Some(Value::String(name)) if name == "null" => {
            found.push(format!("'null' is not a valid schema type. [{at}/type]"));
        }
        _ => {}
    }
    for name in ["exclusiveMinimum", "exclusiveMaximum"] {
        if let Some(value) = members.get(name)
            && !value.is_boolean()
        {
            found.push(format!(
                "The value of '{name}' must be a boolean, not {value}. [{at}/{name}]"
            ));
        }
    }
    for name in NEW_KEYWORDS {
        if members.contains_key(name) {
            found.push(format!(
                "Property '{name}' is not a valid property. [{at}/{name}]"
            ));
        }
    }
}

/// A name as a part of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
