//! Reading a plugin's config with errors that say where.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::Diagnostic;

/// Reads a config document.
///
/// # Errors
/// What does not fit, with the JSON pointer of the value.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Diagnostic> {
    let mut document = serde_json::Deserializer::from_str(json);
    let config = serde_path_to_error::deserialize(&mut document)
        .map_err(|error| Diagnostic::error(pointer_of(error.path()), text_of(error.inner())))?;
    document
        .end()
        .map_err(|error| Diagnostic::error("", text_of(&error)))?;
    Ok(config)
}

/// The message without ` at line 1 column 17`: the document that the plugin
/// sees is not the one that its author wrote.
fn text_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A path as a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // Neither an enum's variant nor an unknown place is a step in the
            // document.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Appends a step to a JSON pointer.
pub fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// What a JSON value is, in words.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(rename = "list")]
        _list: Vec<u8>,
        #[serde(default, rename = "map")]
        _map: BTreeMap<String, bool>,
    }

    #[test]
    fn an_error_points_at_the_value() {
        let error = parse::<Config>(r#"{"list": [1, "x"]}"#).expect_err("not a number");
        assert_eq!(error.pointer, "/list/1");
        assert_eq!(error.message, "invalid type: string \"x\", expected u8");
    }

    #[test]
    fn a_pointer_escapes_slashes_and_tildes() {
        let error = parse::<Config>(r#"{"list": [], "map": {"a/b~": 1}}"#).expect_err("no bool");
        assert_eq!(error.pointer, "/map/a~1b~0");
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = parse::<Config>(r#"{"list": [], "lst": 1}"#).expect_err("unknown");
        assert!(
            error.message.starts_with("unknown field `lst`"),
            "{}",
            error.message
        );
    }
}
