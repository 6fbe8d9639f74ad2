//! Parameters of operations: references followed, path level and operation
//! level merged, both dialects read.

use serde_json::Value;

use super::ImportedParameter;

/// Where a parameter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Body,
    Form,
    /// Cookies, which the service ignores, and what no dialect knows.
    Other,
}

/// The parameters of an operation: its own win over those of its path.
pub(super) fn parameters(
    document: &Value,
    item: &Value,
    operation: &Value,
) -> Vec<(Place, ImportedParameter)> {
    let mut merged: Vec<(Place, ImportedParameter)> = Vec::new();
    let declared = [item, operation]
        .into_iter()
        .filter_map(|level| level["parameters"].as_array())
        .flatten();
    for declaration in declared {
        let Some((place, parameter)) = resolve(document, declaration).and_then(read) else {
            continue;
        };
        match merged
            .iter_mut()
            .find(|(at, known)| *at == place && known.name == parameter.name)
        {
            Some(known) => *known = (place, parameter),
            None => merged.push((place, parameter)),
        }
    }
    merged
}

/// Follows a `$ref` within the document. One that leads out of it, nowhere or
/// in a circle gives nothing, as the service ignores it.
pub(super) fn resolve<'d>(document: &'d Value, mut value: &'d Value) -> Option<&'d Value> {
    for _ in 0..16 {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Some(value);
        };
        value = document.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

fn read(declaration: &Value) -> Option<(Place, ImportedParameter)> {
    let place = match declaration["in"].as_str()? {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => Place::Header,
        "body" => Place::Body,
        "formData" => Place::Form,
        _ => Place::Other,
    };
    let name = declaration["name"].as_str()?.to_owned();
    // Swagger 2.0 has no `schema` but in bodies: the keywords stand beside.
    let schema = declaration.get("schema").unwrap_or(declaration);
    Some((
        place,
        ImportedParameter {
            name,
            type_name: schema["type"].as_str().unwrap_or("string").to_owned(),
            required: place == Place::Path || declaration["required"] == true,
            description: declaration["description"].as_str().map(str::to_owned),
            default_value: schema.get("default").map(as_text),
            values: schema["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .map(as_text)
                .collect(),
        },
    ))
}

fn as_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
