//! The schemas of an API or a service, compiled when they are first asked for.

mod json;
mod xml;

pub(crate) use json::{Part, Strictness, Validators};
pub(crate) use xml::{Payload, XmlSchemas, is_utf8};

use serde_json::Value;
use std::collections::BTreeMap;

/// A schema of an id, which is compared without case as all of them are. JSON
/// schemas are JSON, XML schemas are text.
fn named<'a>(schemas: &'a BTreeMap<String, Value>, id: &str) -> Option<&'a Value> {
    let mut all = schemas.iter();
    let found = all.find(|(known, _)| known.eq_ignore_ascii_case(id.trim()));
    found.map(|(_, document)| document)
}

/// Why there is nothing to hold a body against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSchema {
    /// It is not there.
    #[error("The schema '{0}' does not exist.")]
    Missing(String),
    /// It is there, and of the other kind.
    #[error("The schema '{id}' is no {wanted} schema.")]
    Kind { id: String, wanted: &'static str },
    /// Neither the policy nor the operation names one.
    #[error("Neither the policy nor the operation names one.")]
    Unnamed,
    /// The API has none of that kind.
    #[error("The API has no XML schema.")]
    None,
    /// It has no such part.
    #[error("The schema '{id}' has no definition '{part}'.")]
    Part { id: String, part: String },
    /// It is no schema, or one that cannot be used.
    #[error("The schema '{id}' cannot be used: {why}")]
    Unusable { id: String, why: String },
}

/// Whether bodies can be held against a schema of a service: JSON, or an XML schema
/// as text. The error says why not.
pub fn check_schema(schemas: &BTreeMap<String, Value>, id: &str) -> Result<(), String> {
    let checked = match named(schemas, id) {
        Some(Value::String(_)) => XmlSchemas::default()
            .get(schemas, Some(id), Payload::Document)
            .map(|_| ()),
        _ => Validators::default()
            .get(schemas, id, Part::Whole, Strictness::default())
            .map(|_| ()),
    };
    checked.map_err(|why| why.to_string())
}
