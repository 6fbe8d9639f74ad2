//! The schemas of a service: `PUT schemas/{id}`, beyond its contract.
//!
//! What the service itself looks at in a schema is not published. That the text
//! has to be one of its kind is inferred; with a gateway, one that it cannot
//! validate with is refused with the reason, so that nobody learns it from a
//! body that is refused.

use super::error::Detail;
use super::path::Kind;
use super::request::Request;
use super::store::{Entity, Service};
use crate::data_plane;
use policy_document::PolicyFormat;
use serde_json::{Map, Value};

/// The document of a schema as a gateway wants it: JSON, or the text of an XML
/// schema.
pub(crate) fn document(schema: &Entity) -> Value {
    read(&schema.properties).unwrap_or_default()
}

/// JSON schemas come as `document`, or as text in `value`.
fn read(fields: &Map<String, Value>) -> Option<Value> {
    let is_json = fields.get("schemaType")? == "json";
    match (fields.get("document"), fields.get("value")) {
        (Some(document), _) if is_json && !document.is_null() => Some(document.clone()),
        (_, Some(Value::String(text))) if is_json => serde_json::from_str(text).ok(),
        (_, Some(Value::String(text))) => Some(text.as_str().into()),
        _ => None,
    }
}

pub(super) fn check(
    service: &Service,
    request: &Request,
    id: &str,
    fields: &Map<String, Value>,
    problems: &mut Vec<Detail>,
) {
    let kind = fields.get("schemaType").and_then(Value::as_str);
    let before = service.entity(Kind::Schema, id);
    if let Some(before) = before.and_then(|before| before.text("schemaType"))
        && kind != Some(before)
    {
        // "Schema Type. Immutable."
        problems.push(Detail::new(
            "schemaType",
            &format!("The schema type cannot be changed: it is '{before}'."),
        ));
        return;
    }
    let (field, wanted) = match kind {
        Some("json") => ("document", "a JSON object"),
        _ => ("value", "the text of an XML schema"),
    };
    let Some(document) = read(fields) else {
        problems.push(Detail::new(
            field,
            &format!("'{field}' has to hold {wanted}."),
        ));
        return;
    };
    let is_one = match &document {
        Value::String(text) => is_xml_schema(text),
        json => json.is_object(),
    };
    if !is_one {
        problems.push(Detail::new(field, &format!("It is not {wanted}.")));
    } else if request.executes {
        let mut schemas = data_plane::referred(service).schemas;
        schemas.retain(|known, _| !known.eq_ignore_ascii_case(id));
        schemas.insert(id.to_owned(), document);
        if let Err(why) = apim_gateway::check_schema(&schemas, id) {
            problems.push(Detail::new(field, &why));
        }
    }
}

/// Whether a text is XML with the root of a schema. Its language is looked at
/// where it is used.
fn is_xml_schema(text: &str) -> bool {
    let parsed = policy_document::parse(text, PolicyFormat::Xml);
    parsed.is_ok_and(|document| {
        let name = document.root.name.as_str();
        name.rsplit(':').next() == Some("schema")
    })
}
