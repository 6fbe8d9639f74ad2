//! `validate-content`:
//! <https://learn.microsoft.com/azure/api-management/validate-content-policy>.

use super::not_executed::stand_in;
use super::validation::{Action, Finding, conclude};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::configuration::SchemaRef;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::schemas::Strictness;
use async_trait::async_trait;
use bytes::Bytes;
use policy_document::Element;
use serde_json::Value as Json;

struct ValidateContent {
    unspecified: Value<Action>,
    /// Bytes.
    max_size: Value<i64>,
    exceeded: Value<Action>,
    errors: Option<String>,
    map: Vec<Mapping>,
    any: Option<String>,
    missing: Option<String>,
    content: Vec<Content>,
}

/// Another name for a content type.
struct Mapping {
    from: Option<String>,
    when: Option<Value<bool>>,
    to: String,
}

/// How one content type is validated.
struct Content {
    kind: Option<String>,
    action: Value<Action>,
    /// The id of one of the service's schemas; without it, the operation's.
    schema: Option<String>,
    strictness: Strictness,
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    // XML and SOAP are held against an XML schema. No validator in Rust was found
    // that refuses what such a schema refuses: one takes `xsi:type` in a body for
    // the way round a schema, and both that were tried let values, attributes and
    // whole elements pass that the schema does not have.
    let foreign = element
        .elements()
        .filter(|child| child.name == "content")
        .filter_map(|child| child.attribute("validate-as"))
        .find(|kind| *kind != "json");
    if let Some(kind) = foreign {
        let what = format!("validate-content as {kind}");
        return Ok(stand_in(&what, compiler));
    }
    let mut reader = Reader::new(element, compiler);
    let mut policy = ValidateContent {
        unspecified: reader.required("unspecified-content-type-action")?,
        max_size: reader.required("max-size")?,
        exceeded: reader.required("size-exceeded-action")?,
        errors: reader.text_of("errors-variable-name")?,
        map: Vec::new(),
        any: None,
        missing: None,
        content: Vec::new(),
    };
    for child in element.elements() {
        let mut part = reader.part(child);
        if child.name == "content-type-map" {
            policy.any = part.text_of("any-content-type-value")?;
            policy.missing = part.text_of("missing-content-type-value")?;
            for mapping in child.elements() {
                let mapping = part.part(mapping);
                policy.map.push(Mapping {
                    from: mapping.text_of("from")?,
                    when: mapping.value("when")?,
                    to: mapping.required_literal("to")?,
                });
            }
        } else if child.name == "content" {
            policy.content.push(Content {
                kind: part.text_of("type")?,
                action: part.required("action")?,
                schema: part.text_of("schema-id")?,
                strictness: Strictness {
                    no_additional: part.literal("allow-additional-properties")? == Some(false),
                    any_case: part.literal("case-insensitive-property-names")? == Some(true),
                },
            });
        }
    }
    Ok(Box::new(policy))
}

fn bare(content_type: &str) -> String {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

impl ValidateContent {
    async fn content_type(&self, exchange: &mut Exchange) -> Result<String, PolicyError> {
        let sent = exchange
            .headers_mut()
            .joined("Content-Type")
            .map(|sent| bare(&sent))
            .unwrap_or_default();
        if let Some(any) = &self.any {
            return Ok(bare(any));
        }
        if sent.is_empty() {
            return Ok(self.missing.as_deref().map(bare).unwrap_or_default());
        }
        for mapping in &self.map {
            let fits = match (&mapping.from, &mapping.when) {
                (Some(from), _) => bare(from) == sent,
                (None, Some(when)) => exchange.get(when).await?,
                (None, None) => false,
            };
            if fits {
                return Ok(bare(&mapping.to));
            }
        }
        Ok(sent)
    }

    /// What the operation says of a content type.
    fn schema(exchange: &Exchange, kind: &str) -> Option<SchemaRef> {
        let operation = exchange.operation()?;
        let representations = if exchange.on_request() {
            &operation.request
        } else {
            let status = exchange.context.response.as_ref()?.status_code;
            &operation
                .responses
                .iter()
                .find(|response| i32::from(response.status) == status)?
                .representations
        };
        representations
            .iter()
            .find(|one| bare(&one.content_type) == kind)?
            .schema
            .clone()
    }

    async fn check(
        &self,
        exchange: &mut Exchange,
        body: &Bytes,
    ) -> Result<Vec<Finding>, PolicyError> {
        let kind = self.content_type(exchange).await?;
        let whose = if exchange.on_request() {
            "request"
        } else {
            "response"
        };
        let content = self.content.iter().find(|content| {
            content
                .kind
                .as_deref()
                .is_none_or(|known| bare(known) == kind)
        });
        let Some(content) = content else {
            let action = exchange.get(&self.unspecified).await?;
            return Ok(vec![Finding {
                action,
                name: "Content-Type".to_owned(),
                kind: "Content",
                rule: "UnspecifiedContentType",
                details: format!("Unspecified content type {kind} is not allowed."),
            }]);
        };
        let action = exchange.get(&content.action).await?;
        if action == Action::Ignore {
            return Ok(Vec::new());
        }
        let finding = |rule, details| Finding {
            action,
            name: kind.clone(),
            kind: "Content",
            rule,
            details,
        };
        let mut json: Json = match serde_json::from_slice(body) {
            Ok(json) => json,
            Err(error) => {
                let details = format!("Body of the {whose} is no JSON: {error}.");
                return Ok(vec![finding("IncorrectMessage", details)]);
            }
        };
        let global = content.schema.as_ref().map(|id| SchemaRef {
            schema_id: id.clone(),
            type_name: String::new(),
        });
        let is_global = global.is_some();
        let Some(reference) = global.or_else(|| Self::schema(exchange, &kind)) else {
            // Without a schema there is nothing to hold it against: documented
            // as an error where content is to be validated.
            let details = format!("Body of the {whose} cannot be validated: no schema for {kind}.");
            return Ok(vec![finding("SchemaNotFound", details)]);
        };
        if content.strictness.any_case {
            lower_names(&mut json);
        }
        let service = &exchange.service;
        let validator = match (exchange.api, exchange.api()) {
            // Documented: `schema-id` names one that was added to the service.
            _ if is_global => {
                let schemas = &service.configuration.schemas;
                service
                    .validators
                    .get(schemas, &reference, content.strictness)
            }
            (Some(place), Some(api)) => {
                let compiled = &service.apis[place].validators;
                compiled.get(&api.schemas, &reference, content.strictness)
            }
            _ => Err("There is no API.".to_owned()),
        };
        let validator = match validator {
            Ok(validator) => validator,
            Err(details) => return Ok(vec![finding("SchemaNotFound", details)]),
        };
        Ok(validator
            .iter_errors(&json)
            .take(10)
            .map(|error| {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { "/".to_owned() } else { at };
                let details = format!(
                    "Body of the {whose} does not conform to the definition associated with the content type {kind}. {error} at '{at}'."
                );
                finding("IncorrectMessage", details)
            })
            .collect())
    }
}

fn lower_names(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(lower_names),
        Json::Object(fields) => {
            let renamed = std::mem::take(fields);
            for (name, mut field) in renamed {
                lower_names(&mut field);
                fields.insert(name.to_lowercase(), field);
            }
        }
        _ => {}
    }
}

#[async_trait]
impl Policy for ValidateContent {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        let body = if exchange.on_request() {
            exchange.read_request().await?
        } else {
            exchange.read_response().await?
        };
        if body.is_empty() {
            return Ok(Flow::Continue);
        }
        let most = exchange.get(&self.max_size).await?;
        let findings = if i64::try_from(body.len()).unwrap_or(i64::MAX) > most {
            vec![Finding {
                action: exchange.get(&self.exceeded).await?,
                name: "Content-Length".to_owned(),
                kind: "Content",
                rule: "SizeExceeded",
                details: format!(
                    "Body of {} bytes exceeds the configured limit of {most} bytes.",
                    body.len()
                ),
            }]
        } else {
            self.check(exchange, &body).await?
        };
        let variable = self.errors.as_deref();
        match conclude(exchange, &findings, variable, "ContentValidationFailed") {
            Some(error) => Err(error),
            None => Ok(Flow::Continue),
        }
    }
}
