//! JSON schemas.

use super::{NoSchema, named};
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use url::Url;

/// How validation deviates from the schema as it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Strictness {
    /// Whether properties that no schema names may be there, whatever it says.
    pub(crate) additional: Option<bool>,
    /// Names of properties are compared without case.
    pub(crate) any_case: bool,
}

/// What of a document a body is held against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The type of this name.
    Type(String),
    /// What stands at this pointer (`schema-ref`: `#/components/schemas/Item`).
    At(String),
}

type Compiled = Result<Arc<Validator>, NoSchema>;

/// Compiled schemas by what was asked for.
#[derive(Default)]
pub(crate) struct Validators(Mutex<HashMap<(String, Part, Strictness), Compiled>>);

impl Validators {
    /// The validator of a part; the error says why there is none.
    pub(crate) fn get(
        &self,
        schemas: &BTreeMap<String, Value>,
        id: &str,
        part: Part,
        strictness: Strictness,
    ) -> Compiled {
        let key = (id.to_owned(), part, strictness);
        if let Some(known) = self.0.lock().get(&key) {
            return known.clone();
        }
        let compiled = compile(schemas, id, &key.1, strictness);
        self.0.lock().insert(key, compiled.clone());
        compiled
    }
}

fn compile(
    schemas: &BTreeMap<String, Value>,
    id: &str,
    part: &Part,
    strictness: Strictness,
) -> Compiled {
    let document = named(schemas, id).ok_or_else(|| NoSchema::Missing(id.to_owned()))?;
    if document.is_string() {
        let (id, wanted) = (id.to_owned(), "JSON");
        return Err(NoSchema::Kind { id, wanted });
    }
    let pointer = match part {
        Part::Whole => Ok(String::new()),
        Part::Type(name) => of_type(document, name),
        Part::At(place) => {
            let pointer = place.strip_prefix('#').filter(|pointer| {
                let there = document.pointer(pointer);
                // An array or a number is no schema.
                there.is_some_and(|there| there.is_object() || there.is_boolean())
            });
            pointer.map(str::to_owned).ok_or(place)
        }
    };
    let pointer = pointer.map_err(|part| NoSchema::Part {
        id: id.to_owned(),
        part: part.clone(),
    })?;
    let unusable = |why: String| NoSchema::Unusable {
        id: id.to_owned(),
        why,
    };
    let mut whole = location(id).map_err(|error| unusable(error.to_string()))?;
    whole.set_fragment(Some(&pointer.replace('%', "%25")));
    let documents = Documents::of(schemas, id, document, strictness);
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_retriever(documents)
        .build(&json!({ "$ref": whole.as_str() }))
        .map(Arc::new)
        .map_err(|error| unusable(error.to_string()))
}

/// Where a schema lies: `/schemas/{id}`, as others refer to it.
fn location(id: &str) -> Result<Url, url::ParseError> {
    let mut location = Url::parse("apim://service/schemas")?;
    if let Ok(mut path) = location.path_segments_mut() {
        path.push(&id.trim().to_lowercase());
    }
    Ok(location)
}

/// The documents that a schema is made of, and nothing else: nothing is fetched.
struct Documents(HashMap<String, Value>);

impl Documents {
    /// A document, with all others where it refers to one.
    fn of(
        schemas: &BTreeMap<String, Value>,
        id: &str,
        document: &Value,
        strictness: Strictness,
    ) -> Self {
        let all = refers_to_others(document);
        let wanted = schemas.iter().filter(|(known, document)| {
            document.is_object() && (all || known.eq_ignore_ascii_case(id.trim()))
        });
        let read = wanted.filter_map(|(id, document)| {
            let mut document = document.clone();
            let components = document.get("components").is_some();
            openapi_to_json_schema(&mut document, strictness, components);
            Some((location(id).ok()?.to_string(), document))
        });
        Self(read.collect())
    }
}

impl jsonschema::Retrieve for Documents {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.0.get(&uri.as_str().to_lowercase());
        let found = found.or_else(|| self.0.get(uri.as_str()));
        Ok(found
            .ok_or_else(|| format!("'{uri}' is none of the schemas here"))?
            .clone())
    }
}

fn refers_to_others(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(refers_to_others),
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            name == "$ref"
                && field
                    .as_str()
                    .is_some_and(|reference| reference.starts_with("/schemas/"))
                || refers_to_others(field)
        }),
        _ => false,
    }
}

/// The pointer to a type, or its name where there is none.
fn of_type<'a>(document: &Value, name: &'a String) -> Result<String, &'a String> {
    ["components/schemas", "definitions"]
        .iter()
        .map(|place| {
            let name = name.replace('~', "~0").replace('/', "~1");
            format!("/{place}/{name}")
        })
        .find(|pointer| document.pointer(pointer).is_some())
        .ok_or(name)
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
            let additional = fields.get("additionalProperties");
            match strictness.additional {
                Some(false)
                    if fields.contains_key("properties")
                        && additional.is_none_or(|more| *more == json!(true)) =>
                {
                    fields.insert("additionalProperties".to_owned(), Value::Bool(false));
                }
                Some(true) if additional == Some(&json!(false)) => {
                    fields.remove("additionalProperties");
                }
                _ => {}
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
