//! The JSON schemas of an API or a service, compiled when they are first asked for.

use crate::configuration::SchemaRef;
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How validation deviates from the schema as it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Strictness {
    /// Properties that no schema names are refused.
    pub(crate) no_additional: bool,
    /// Names of properties are compared without case.
    pub(crate) any_case: bool,
}

type Compiled = Result<Arc<Validator>, String>;

/// Compiled schemas by what was asked for.
#[derive(Default)]
pub(crate) struct Validators(Mutex<HashMap<(SchemaRef, Strictness), Compiled>>);

impl std::hash::Hash for SchemaRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.schema_id.hash(state);
        self.type_name.hash(state);
    }
}

impl Validators {
    /// The validator of a type; the error says why there is none.
    pub(crate) fn get(
        &self,
        schemas: &BTreeMap<String, Value>,
        reference: &SchemaRef,
        strictness: Strictness,
    ) -> Result<Arc<Validator>, String> {
        let key = (reference.clone(), strictness);
        if let Some(known) = self.0.lock().get(&key) {
            return known.clone();
        }
        let compiled = compile(schemas, reference, strictness);
        self.0.lock().insert(key, compiled.clone());
        compiled
    }
}

fn compile(
    schemas: &BTreeMap<String, Value>,
    reference: &SchemaRef,
    strictness: Strictness,
) -> Result<Arc<Validator>, String> {
    let id = &reference.schema_id;
    let document = schemas
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(id))
        .map(|(_, document)| document)
        .ok_or_else(|| format!("The schema '{id}' does not exist."))?;
    let mut document = document.clone();
    let components = document.get("components").is_some();
    openapi_to_json_schema(&mut document, strictness, components);
    let name = &reference.type_name;
    let schema = if name.is_empty() {
        document
    } else {
        let pointer = ["components/schemas", "definitions"]
            .iter()
            .map(|place| {
                let name = name.replace('~', "~0").replace('/', "~1");
                format!("/{place}/{name}")
            })
            .find(|pointer| document.pointer(pointer).is_some())
            .ok_or_else(|| format!("The schema '{id}' has no type '{name}'."))?;
        let mut root = document;
        if let Some(root) = root.as_object_mut() {
            root.insert("$ref".to_owned(), json!(format!("#{pointer}")));
        }
        root
    };
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .map(Arc::new)
        .map_err(|error| format!("The schema '{id}' cannot be used: {error}"))
}

/// What OpenAPI 3.0 writes otherwise than JSON Schema, and what the policy
/// asks beyond the schema.
fn openapi_to_json_schema(value: &mut Value, strictness: Strictness, components: bool) {
    match value {
        Value::Array(items) => {
            for item in items {
                openapi_to_json_schema(item, strictness, components);
            }
        }
        Value::Object(fields) => {
            let nullable = fields.remove("nullable") == Some(Value::Bool(true));
            if nullable
                && let Some(kind) = fields
                    .get("type")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            {
                fields.insert("type".to_owned(), json!([kind, "null"]));
            }
            for (flag, limit) in [
                ("exclusiveMinimum", "minimum"),
                ("exclusiveMaximum", "maximum"),
            ] {
                match fields.get(flag).and_then(Value::as_bool) {
                    Some(true) => {
                        if let Some(number) = fields.remove(limit) {
                            fields.insert(flag.to_owned(), number);
                        }
                    }
                    Some(false) => {
                        fields.remove(flag);
                    }
                    None => {}
                }
            }
            if strictness.no_additional
                && fields.contains_key("properties")
                && fields
                    .get("additionalProperties")
                    .is_none_or(|more| *more == json!(true))
            {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            if strictness.any_case {
                if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                    let lower = std::mem::take(properties)
                        .into_iter()
                        .map(|(name, schema)| (name.to_lowercase(), schema))
                        .collect();
                    *properties = lower;
                }
                if let Some(Value::Array(required)) = fields.get_mut("required") {
                    for name in required {
                        if let Value::String(name) = name {
                            *name = name.to_lowercase();
                        }
                    }
                }
            }
            // Swagger's types stand elsewhere once they are imported.
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/definitions/")
                && components
            {
                *reference = format!("#/components/schemas/{name}");
            }
            // Examples and defaults are no schemas.
            for (name, field) in fields.iter_mut() {
                if !["example", "examples", "default", "enum", "const"].contains(&name.as_str()) {
                    openapi_to_json_schema(field, strictness, components);
                }
            }
        }
        _ => {}
    }
}
