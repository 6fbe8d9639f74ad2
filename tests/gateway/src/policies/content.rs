//! One body, held against a schema: the part of `validate-content` that knows
//! languages. The words are those of the reference's table of validation errors;
//! why there is no schema is added to them, for the variable and the trace alone.

use super::validation::{Action, Finding};
use crate::compile::{CompileError, Reader, Value, keyword};
use crate::configuration::{Representation, SchemaRef};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::schemas::{NoSchema, Part, Payload, Strictness, is_utf8};
use bytes::Bytes;
use serde_json::Value as Json;
use std::sync::Arc;

/// How many problems of one body are told.
const TOLD: usize = 10;

keyword!(
    /// What a body is written in.
    ValidateAs {
        Json = "json",
        Xml = "xml",
        Soap = "soap",
    }
);

/// How one content type is validated.
pub(super) struct Content {
    /// Without one: every content type that the operation names.
    pub(super) kind: Option<String>,
    pub(super) action: Value<Action>,
    language: Language,
    /// The id of one of the service's schemas; without it, the operation's.
    schema: Option<String>,
}

enum Language {
    Json {
        strictness: Strictness,
        /// The part of the service's schema.
        part: Part,
    },
    Xml(Payload),
}

/// A content type without parameters, as they are compared.
pub(super) fn bare(content_type: &str) -> String {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// What the operation says of bodies such as this one.
pub(super) fn representations(exchange: &Exchange) -> &[Representation] {
    let Some(operation) = exchange.operation() else {
        return &[];
    };
    if exchange.on_request() {
        return &operation.request;
    }
    let status = exchange.context.response.as_ref().map(|r| r.status_code);
    let mut responses = operation.responses.iter();
    let found = responses.find(|response| Some(i32::from(response.status)) == status);
    found.map_or(&[], |response| &response.representations)
}

impl Content {
    pub(super) fn read(reader: &Reader<'_, '_, '_>) -> Result<Self, CompileError> {
        let schema = reader.text_of("schema-id")?;
        let part = reader.text_of("schema-ref")?;
        let language = match reader.required_literal("validate-as")? {
            ValidateAs::Json => Language::Json {
                strictness: Strictness {
                    additional: reader.literal("allow-additional-properties")?,
                    any_case: reader.literal("case-insensitive-property-names")? == Some(true),
                },
                part: match &part {
                    Some(place) => Part::At(place.clone()),
                    None => Part::Whole,
                },
            },
            ValidateAs::Xml => Language::Xml(Payload::Document),
            ValidateAs::Soap => Language::Xml(Payload::Enveloped),
        };
        // "For a JSON schema specified in schema-id"; that it is refused elsewhere
        // is inferred: it would look as if it were held.
        let of_json = schema.is_some() && matches!(language, Language::Json { .. });
        if part.is_some() && !of_json {
            return reader.fail(
                "The 'schema-ref' attribute is only supported for a JSON schema that 'schema-id' specifies.",
            );
        }
        Ok(Self {
            kind: reader.text_of("type")?,
            action: reader.required("action")?,
            language,
            schema,
        })
    }

    /// What is wrong with a body of this kind.
    pub(super) async fn check(
        &self,
        exchange: &mut Exchange,
        kind: &str,
        body: &Bytes,
    ) -> Result<Vec<Finding>, PolicyError> {
        let action = exchange.get(&self.action).await?;
        if action == Action::Ignore {
            return Ok(Vec::new());
        }
        let reference = representations(exchange)
            .iter()
            .find(|one| bare(&one.content_type) == kind)
            .and_then(|one| one.schema.clone());
        let definition = match (&self.schema, &reference) {
            (Some(id), _) => id.clone(),
            (None, Some(of_operation)) if of_operation.type_name.is_empty() => {
                of_operation.schema_id.clone()
            }
            (None, Some(of_operation)) => of_operation.type_name.clone(),
            (None, None) => String::new(),
        };
        let problems = match &self.language {
            Language::Json { strictness, part } => {
                self.json(exchange, reference, (*strictness, part), body)
            }
            Language::Xml(payload) => self.xml(exchange, *payload, body).await,
        };
        let (whose, of_body) = if exchange.on_request() {
            ("request", "RequestBody")
        } else {
            ("response", "ResponseBody")
        };
        let finding = |details: String| Finding {
            action,
            name: kind.to_owned(),
            kind: of_body,
            rule: "IncorrectMessage",
            public: Some(details.clone()),
            details,
        };
        Ok(match problems {
            Err(NoSchema::Part { part, .. }) => vec![Finding {
                rule: "MissingDefinition",
                public: None,
                ..finding(format!(
                    "API's schema does not contain definition {part}, which is associated with the content type {kind}."
                ))
            }],
            Err(why) => vec![Finding {
                name: String::new(),
                kind: "ApiSchema",
                rule: "",
                public: None,
                ..finding(format!(
                    "API's schema does not exist or it could not be resolved. {why}"
                ))
            }],
            Ok(problems) => problems
                .into_iter()
                .map(|problem| {
                    finding(format!(
                        "Body of the {whose} does not conform to the definition {definition}, which is associated with the content type {kind}. {problem}"
                    ))
                })
                .collect(),
        })
    }

    fn json(
        &self,
        exchange: &Exchange,
        reference: Option<SchemaRef>,
        (strictness, part): (Strictness, &Part),
        body: &[u8],
    ) -> Result<Vec<String>, NoSchema> {
        let service = &exchange.service;
        let validator = match (&self.schema, reference, exchange.api, exchange.api()) {
            // Documented: `schema-id` names one that was added to the service.
            (Some(id), ..) => {
                let schemas = &service.configuration.schemas;
                let part = part.clone();
                service.validators.get(schemas, id, part, strictness)
            }
            (None, Some(reference), Some(place), Some(api)) => {
                let part = match reference.type_name {
                    name if name.is_empty() => Part::Whole,
                    name => Part::Type(name),
                };
                let compiled = &service.apis[place].validators;
                compiled.get(&api.schemas, &reference.schema_id, part, strictness)
            }
            _ => Err(NoSchema::Unnamed),
        }?;
        // That what is no JSON at all is told so is inferred.
        let mut json: Json = match serde_json::from_slice(body) {
            Ok(json) => json,
            Err(error) => return Ok(vec![format!("It is no JSON: {error}.")]),
        };
        if strictness.any_case {
            lower_names(&mut json);
        }
        let errors = validator.iter_errors(&json).take(TOLD);
        Ok(errors
            .map(|error| {
                let at = error.instance_path().to_string();
                let at = if at.is_empty() { "/" } else { &at };
                format!("{error} at '{at}'.")
            })
            .collect())
    }

    async fn xml(
        &self,
        exchange: &mut Exchange,
        payload: Payload,
        body: &Bytes,
    ) -> Result<Vec<String>, NoSchema> {
        let sent = exchange.headers_mut().joined("Content-Type");
        if let Some(charset) = sent.as_deref().and_then(charset)
            && !is_utf8(charset)
        {
            return Ok(vec![format!(
                "The encoding '{charset}' is not read: bodies are UTF-8."
            )]);
        }
        let service = Arc::clone(&exchange.service);
        let (id, place, body) = (self.schema.clone(), exchange.api, body.clone());
        // Long bodies and large schemas take their time.
        let checked = tokio::task::spawn_blocking(move || {
            let (compiled, schemas) = match (&id, place) {
                (Some(_), _) => (&service.xml, &service.configuration.schemas),
                (None, Some(place)) => {
                    let api = &service.configuration.apis[place];
                    (&service.apis[place].xml, &api.schemas)
                }
                (None, None) => return Err(NoSchema::Unnamed),
            };
            let schema = compiled.get(schemas, id.as_deref(), payload)?;
            Ok(schema.problems(&body))
        });
        // A body that the library cannot stand is refused, not let through.
        checked
            .await
            .unwrap_or_else(|_| Ok(vec!["It cannot be validated.".to_owned()]))
    }
}

/// The `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split([';', ',']).skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    })
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
