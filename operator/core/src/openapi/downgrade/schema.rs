//! One schema of JSON Schema 2020-12 as a Schema Object of OpenAPI 3.0.3.

use serde_json::{Map, Value, json};

use super::super::pointer::step;
use super::Ledger;

/// The dialects that OpenAPI 3.1's schemas are written in, spelled as they
/// stand in documents.
pub(super) const KNOWN_DIALECTS: [&str; 3] = [
    "https://spec.openapis.org/oas/3.1/dialect/base",
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2020-12/schema#",
];

/// Every keyword of a Schema Object in 3.0.3.
const KEYWORDS_30: [&str; 37] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
    "xml",
    "const",
];

/// Keywords that say what is valid and that 3.0 cannot say, with a way out.
const REFUSED: [(&str, &str); 20] = [
    ("$anchor", "refer to it by its JSON pointer"),
    ("$dynamicAnchor", "write the schema out"),
    ("$dynamicRef", "use a plain `$ref`"),
    ("$recursiveAnchor", "write the schema out"),
    ("$recursiveRef", "use a plain `$ref`"),
    ("$vocabulary", "use OpenAPI's own dialect"),
    ("$defs", "move the schemas to `components/schemas`"),
    ("definitions", "move the schemas to `components/schemas`"),
    ("if", "use `oneOf` with one schema for each case"),
    ("then", "use `oneOf` with one schema for each case"),
    ("else", "use `oneOf` with one schema for each case"),
    (
        "dependentRequired",
        "use `oneOf` with one schema for each case",
    ),
    (
        "dependentSchemas",
        "use `oneOf` with one schema for each case",
    ),
    ("prefixItems", "use `items`"),
    ("contains", "use `items`"),
    ("minContains", "use `minItems`"),
    ("maxContains", "use `maxItems`"),
    ("patternProperties", "use `additionalProperties`"),
    ("propertyNames", "use `properties`"),
    ("unevaluatedItems", "use `items`"),
];

/// Converts one schema and those in it.
pub(super) fn schema(value: &mut Value, at: &str, ledger: &mut Ledger) {
    match value {
        Value::Bool(true) => *value = json!({}),
        Value::Bool(false) => *value = json!({"not": {}}),
        Value::Object(fields) => object(fields, at, ledger),
        _ => ledger.refuse(at, "is not a schema"),
    }
}

fn object(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    identity(fields, at, ledger);
    without_effect(fields);
    for (keyword, instead) in REFUSED {
        if fields.contains_key(keyword) {
            ledger.refuse(
                &step(at, keyword),
                format!("OpenAPI 3.0 has no `{keyword}`; {instead}"),
            );
        }
    }
    // In 3.1 this is an unknown keyword without a meaning; in 3.0 it has one.
    if fields.shift_remove("nullable").is_some() {
        ledger.leave_out("`nullable`, which means nothing in OpenAPI 3.1", at);
    }
    constant(fields, at, ledger);
    null_members(fields);
    types(fields, at, ledger);
    exclusive(fields, "minimum", "exclusiveMinimum", |limit, bound| {
        limit < bound
    });
    exclusive(fields, "maximum", "exclusiveMaximum", |limit, bound| {
        limit > bound
    });
    annotations(fields, at, ledger);
    subschemas(fields, at, ledger);
    unevaluated_properties(fields, at, ledger);
    unknown(fields, at, ledger);
    if fields.get("type") == Some(&json!("array")) && !fields.contains_key("items") {
        fields.insert("items".into(), json!({}));
    }
    if fields.get("required") == Some(&json!([])) {
        fields.shift_remove("required");
    }
    reference_with_siblings(fields);
}

fn identity(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if let Some(dialect) = fields.shift_remove("$schema")
        && !dialect
            .as_str()
            .is_some_and(|d| KNOWN_DIALECTS.contains(&d))
    {
        ledger.refuse(
            &step(at, "$schema"),
            format!("the dialect {dialect} is not understood; leave `$schema` out"),
        );
    }
    fields.shift_remove("$comment");
    if fields.contains_key("$id") {
        if fields.values().any(has_reference) || fields.contains_key("$ref") {
            ledger.refuse(
                &step(at, "$id"),
                "OpenAPI 3.0 has no `$id`, and here it changes what the references in the schema mean; leave it out",
            );
        } else {
            fields.shift_remove("$id");
            ledger.leave_out("`$id`, to which nothing refers", at);
        }
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Takes away what allows everything, and so says nothing.
fn without_effect(fields: &mut Map<String, Value>) {
    let anything = |value: &Value| *value == json!(true) || *value == json!({});
    for keyword in ["unevaluatedItems", "unevaluatedProperties", "propertyNames"] {
        if fields.get(keyword).is_some_and(anything) {
            fields.shift_remove(keyword);
        }
    }
    if fields.get("propertyNames") == Some(&json!({"type": "string"})) {
        fields.shift_remove("propertyNames");
    }
    for keyword in [
        "patternProperties",
        "dependentSchemas",
        "dependentRequired",
        "$defs",
        "definitions",
    ] {
        if fields.get(keyword) == Some(&json!({})) {
            fields.shift_remove(keyword);
        }
    }
}

fn constant(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let Some(constant) = fields.get("const").cloned() else {
        return;
    };
    if let Some(Value::Array(allowed)) = fields.get("enum")
        && !allowed.contains(&constant)
    {
        return ledger.refuse(&step(at, "const"), "is none of the values of `enum`");
    }
    // In the place of `const`, so that the document's order stays.
    if fields.contains_key("enum") {
        fields.shift_remove("const");
        fields.insert("enum".into(), Value::Array(vec![constant]));
    } else {
        *fields = std::mem::take(fields)
            .into_iter()
            .map(|(key, value)| {
                if key == "const" {
                    ("enum".to_owned(), Value::Array(vec![value]))
                } else {
                    (key, value)
                }
            })
            .collect();
    }
}

/// `anyOf: [X, {type: null}]` as `anyOf: [X or null]`, where X is simple
/// enough for `nullable` to mean that.
fn null_members(fields: &mut Map<String, Value>) {
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(members)) = fields.get_mut(keyword) else {
            continue;
        };
        let is_null = |member: &Value| {
            member.get("type") == Some(&json!("null"))
                && member.as_object().is_some_and(|fields| fields.len() == 1)
        };
        let mut nulls = members.iter().enumerate().filter(|(_, m)| is_null(m));
        let (Some((null, _)), None) = (nulls.next(), nulls.next()) else {
            continue;
        };
        let host = members
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .find(|member| takes_nullable(member));
        if let Some(host) = host {
            if let Some(kind) = host.get("type").cloned() {
                host.insert("type".into(), json!([kind, "null"]));
            }
            if let Some(Value::Array(allowed)) = host.get_mut("enum") {
                allowed.push(Value::Null);
            }
            members.remove(null);
        }
    }
}

fn takes_nullable(member: &Map<String, Value>) -> bool {
    let typed = member
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind != "null");
    let other = ["$ref", "allOf", "anyOf", "oneOf", "not", "const", "if"];
    typed && !other.iter().any(|keyword| member.contains_key(*keyword))
}

/// `type` as one name, with `nullable` where null is one of several.
fn types(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let (others, nullable) = match fields.get("type") {
        Some(Value::String(name)) if name == "null" => (Vec::new(), true),
        Some(Value::Array(names)) => {
            let mut others: Vec<String> = Vec::new();
            let mut nullable = false;
            for name in names {
                match name.as_str() {
                    Some("null") => nullable = true,
                    Some(name) if others.iter().any(|other| other == name) => {}
                    Some(name) => others.push(name.to_owned()),
                    None => return ledger.refuse(&step(at, "type"), "is not a list of names"),
                }
            }
            (others, nullable)
        }
        Some(Value::String(_)) | None => return,
        Some(_) => return ledger.refuse(&step(at, "type"), "is neither a name nor a list of them"),
    };
    match others.as_slice() {
        [] if nullable => {
            // 3.0 has no type of null alone. `nullable` counts only beside a
            // type, and the enumeration leaves null as its one value.
            fields.insert("type".into(), "object".into());
            fields.insert("nullable".into(), true.into());
            fields.insert("enum".into(), json!([null]));
        }
        [] => ledger.refuse(&step(at, "type"), "is an empty list, so nothing is valid"),
        [name] => {
            fields.insert("type".into(), name.as_str().into());
            if nullable {
                fields.insert("nullable".into(), true.into());
            }
        }
        several => {
            let alternatives: Vec<Value> = several
                .iter()
                .map(|name| {
                    // Still in 3.1: they are converted with the others.
                    if nullable {
                        json!({"type": [name, "null"]})
                    } else {
                        json!({"type": name})
                    }
                })
                .collect();
            fields.shift_remove("type");
            if !fields.contains_key("anyOf") {
                fields.insert("anyOf".into(), alternatives.into());
                return;
            }
            let both = json!({"anyOf": alternatives});
            if let Some(Value::Array(all)) = fields.get_mut("allOf") {
                all.push(both);
            } else {
                fields.insert("allOf".into(), json!([both]));
            }
        }
    }
}

/// A numeric exclusive bound as 3.0's pair of bound and flag.
fn exclusive(
    fields: &mut Map<String, Value>,
    bound: &str,
    exclusive: &str,
    weaker: fn(f64, f64) -> bool,
) {
    let Some(Value::Number(limit)) = fields.get(exclusive).cloned() else {
        return;
    };
    let other = fields.get(bound).and_then(Value::as_f64);
    if let (Some(limit), Some(other)) = (limit.as_f64(), other)
        && weaker(limit, other)
    {
        fields.shift_remove(exclusive);
        return;
    }
    fields.insert(bound.into(), Value::Number(limit));
    fields.insert(exclusive.into(), true.into());
}

/// Keywords that describe a value and do not restrict it.
fn annotations(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if let Some(examples) = fields.shift_remove("examples") {
        let mut examples = match examples {
            Value::Array(examples) => examples.into_iter(),
            _ => Vec::new().into_iter(),
        };
        if let Some(first) = examples.next()
            && !fields.contains_key("example")
        {
            fields.insert("example".into(), first);
        }
        if examples.next().is_some() {
            ledger.leave_out("`examples` after the first", at);
        }
    }
    let encoding = fields.shift_remove("contentEncoding");
    let media_type = fields.shift_remove("contentMediaType");
    let content_schema = fields.shift_remove("contentSchema");
    let format = match (&encoding, &media_type) {
        (Some(encoding), None) if *encoding == "base64" => Some("byte"),
        (None, Some(media_type)) if *media_type == "application/octet-stream" => Some("binary"),
        _ => None,
    };
    match format {
        Some(format) if content_schema.is_none() && !fields.contains_key("format") => {
            fields.insert("format".into(), format.into());
        }
        _ if encoding.is_some() || media_type.is_some() || content_schema.is_some() => {
            ledger.leave_out(
                "`contentEncoding` and `contentMediaType`, which only describe",
                at,
            );
        }
        _ => {}
    }
}

fn subschemas(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        let at = step(at, "properties");
        for (name, value) in properties {
            schema(value, &step(&at, name), ledger);
        }
    }
    for keyword in ["items", "not"] {
        if let Some(value) = fields.get_mut(keyword) {
            schema(value, &step(at, keyword), ledger);
        }
    }
    if let Some(value @ Value::Object(_)) = fields.get_mut("additionalProperties") {
        schema(value, &step(at, "additionalProperties"), ledger);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(members)) = fields.get_mut(keyword) {
            let at = step(at, keyword);
            for (index, value) in members.iter_mut().enumerate() {
                schema(value, &step(&at, &index.to_string()), ledger);
            }
        }
    }
}

/// Without other schemas at the same place it is `additionalProperties`.
fn unevaluated_properties(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let Some(mut value) = fields.shift_remove("unevaluatedProperties") else {
        return;
    };
    let others = [
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "additionalProperties",
    ];
    if others.iter().any(|keyword| fields.contains_key(*keyword)) {
        return ledger.refuse(
            &step(at, "unevaluatedProperties"),
            "OpenAPI 3.0 has no `unevaluatedProperties`; use `additionalProperties`",
        );
    }
    if value.is_object() {
        schema(&mut value, &step(at, "unevaluatedProperties"), ledger);
    }
    fields.insert("additionalProperties".into(), value);
}

/// 3.1 takes any other keyword for an annotation; a reader of 3.0 refuses it.
fn unknown(fields: &mut Map<String, Value>, at: &str, ledger: &mut Ledger) {
    let refused = |key: &str| REFUSED.iter().any(|(keyword, _)| *keyword == key);
    let unknown: Vec<String> = fields
        .keys()
        .filter(|key| {
            !key.starts_with("x-")
                && !KEYWORDS_30.contains(&key.as_str())
                && !refused(key)
                && *key != "$id"
        })
        .cloned()
        .collect();
    for keyword in unknown {
        fields.shift_remove(&keyword);
        ledger.leave_out(
            format!("`{keyword}`, which is no keyword of OpenAPI 3.0"),
            at,
        );
    }
}

/// In 3.1 what stands beside `$ref` counts too; in 3.0 it is ignored.
fn reference_with_siblings(fields: &mut Map<String, Value>) {
    if fields.len() < 2 {
        return;
    }
    let Some(reference) = fields.shift_remove("$ref") else {
        return;
    };
    let reference = json!({"$ref": reference});
    if let Some(Value::Array(all)) = fields.get_mut("allOf") {
        all.insert(0, reference);
    } else {
        fields.insert("allOf".into(), json!([reference]));
    }
}
