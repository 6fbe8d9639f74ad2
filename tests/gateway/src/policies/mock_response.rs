//! `mock-response`: <https://learn.microsoft.com/azure/api-management/mock-response-policy>.

use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader};
use crate::configuration::{Api, Representation};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use apim_expressions::MultiMap;
use async_trait::async_trait;
use policy_document::Element;
use serde_json::{Map, Value, json};

struct MockResponse {
    status: u16,
    content_type: Option<String>,
    /// Which of the examples, from zero: inferred, the attribute stands in the
    /// published schema and nothing says what it counts.
    index: usize,
}

/// How deep a sample made from a schema goes.
const DEPTH: usize = 8;

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    let reader = Reader::new(element, compiler);
    let status: i64 = reader.literal("status-code")?.unwrap_or(200);
    let index: i64 = reader.literal("index")?.unwrap_or(0);
    match (u16::try_from(status), usize::try_from(index)) {
        (Ok(status), Ok(index)) if (200..600).contains(&status) => Ok(Box::new(MockResponse {
            status,
            content_type: reader.text_of("content-type")?,
            index,
        })),
        _ => reader.fail(
            "The attributes 'status-code' (200 to 599) and 'index' (from 0) are out of range.",
        ),
    }
}

/// The media type without its parameters.
fn bare(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

impl MockResponse {
    /// Documented: an example where there is one, else a sample of the schema,
    /// else nothing; the first content type unless one is asked for.
    fn content(&self, exchange: &Exchange) -> Option<(String, String)> {
        let api = exchange.api()?;
        let response = exchange
            .operation()?
            .responses
            .iter()
            .find(|response| response.status == self.status)?;
        let representation = response.representations.iter().find(|one| {
            self.content_type
                .as_deref()
                .is_none_or(|wanted| bare(&one.content_type).eq_ignore_ascii_case(bare(wanted)))
        })?;
        let content_type = self
            .content_type
            .clone()
            .unwrap_or_else(|| representation.content_type.clone());
        let examples = &representation.examples;
        let body = examples
            .get(self.index)
            .or_else(|| examples.first())
            .cloned()
            .or_else(|| sample_of(api, representation))
            .unwrap_or_default();
        Some((content_type, body))
    }
}

fn sample_of(api: &Api, representation: &Representation) -> Option<String> {
    let reference = representation.schema.as_ref()?;
    let document = api
        .schemas
        .iter()
        .find(|(id, _)| id.eq_ignore_ascii_case(&reference.schema_id))
        .map(|(_, document)| document)?;
    let schema = if reference.type_name.is_empty() {
        document
    } else {
        ["components/schemas", "definitions"]
            .iter()
            .find_map(|place| document.pointer(&format!("/{place}/{}", reference.type_name)))?
    };
    Some(sample(document, schema, DEPTH).to_string())
}

/// A value that the schema allows in its outline.
fn sample(document: &Value, schema: &Value, depth: usize) -> Value {
    for given in ["example", "default", "const"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    if depth == 0 {
        return Value::Null;
    }
    if let Some(found) = schema["$ref"]
        .as_str()
        .and_then(|reference| document.pointer(reference.strip_prefix('#')?))
    {
        return sample(document, found, depth - 1);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let mut fields = Map::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Value::Object(more) = sample(document, part, depth - 1) {
            fields.extend(more);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), sample(document, property, depth - 1));
    }
    if !fields.is_empty() {
        return fields.into();
    }
    match schema["type"].as_str() {
        Some("array") => json!([sample(document, &schema["items"], depth - 1)]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some("string") => json!("string"),
        _ => json!({}),
    }
}

#[async_trait]
impl Policy for MockResponse {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let mut headers = MultiMap::new();
        let (content_type, body) = match self.content(exchange) {
            Some((content_type, body)) => (Some(content_type), body),
            None => (self.content_type.clone(), String::new()),
        };
        if let Some(content_type) = content_type {
            headers.append("Content-Type", content_type);
        }
        exchange.respond(self.status, headers, body);
        // "It cancels normal pipeline execution": that outbound is left out as
        // well is inferred.
        Ok(Flow::Respond)
    }
}
