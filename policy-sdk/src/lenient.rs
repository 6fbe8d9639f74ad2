//! Reading the spec blocks of ExposedAPIs, which people write in many ways:
//! numbers as strings, lists as comma-separated text, empty strings where
//! nothing is meant.
//!
//! Each function takes the block and a key. What is absent, null or an empty
//! string gives `None`; what cannot be understood is an error at that key.

use serde_json::{Map, Value};

use crate::Diagnostic;
use crate::config::{kind_of, push};

fn wrong(key: &str, expected: &str, found: &Value) -> Diagnostic {
    let mut pointer = String::new();
    push(&mut pointer, key);
    let found = match found {
        Value::Array(_) | Value::Object(_) => kind_of(found).to_owned(),
        scalar => scalar.to_string(),
    };
    Diagnostic::error(pointer, format!("expected {expected}, found {found}"))
}

fn present<'a>(block: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    match block.get(key)? {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        value => Some(value),
    }
}

/// A number that is not negative: `100` or `"100"`.
///
/// # Errors
/// When it is something else.
pub fn number(block: &Map<String, Value>, key: &str) -> Result<Option<u64>, Diagnostic> {
    let Some(value) = present(block, key) else {
        return Ok(None);
    };
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(wrong(key, "a whole number that is not negative", value)),
    }
}

/// A boolean: `true` or `"true"`.
///
/// # Errors
/// When it is something else.
pub fn boolean(block: &Map<String, Value>, key: &str) -> Result<Option<bool>, Diagnostic> {
    let Some(value) = present(block, key) else {
        return Ok(None);
    };
    match value {
        Value::Bool(boolean) => Ok(Some(*boolean)),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(wrong(key, "true or false", value)),
    }
}

/// Text; a number counts as its digits.
///
/// # Errors
/// When it is something else.
pub fn text(block: &Map<String, Value>, key: &str) -> Result<Option<String>, Diagnostic> {
    let Some(value) = present(block, key) else {
        return Ok(None);
    };
    match value {
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(wrong(key, "text", value)),
    }
}

/// A list: an array of strings, or one string with commas. Entries that are
/// empty are left out; a list of nothing is absent.
///
/// # Errors
/// When it is something else.
pub fn list(block: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>, Diagnostic> {
    let Some(value) = present(block, key) else {
        return Ok(None);
    };
    let entries: Option<Vec<&str>> = match value {
        Value::String(text) => Some(text.split(',').collect()),
        Value::Array(entries) => entries.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(entries) = entries else {
        return Err(wrong(
            key,
            "a list of strings, or one string with commas",
            value,
        ));
    };
    let entries: Vec<String> = entries
        .into_iter()
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect();
    Ok((!entries.is_empty()).then_some(entries))
}

/// An object.
///
/// # Errors
/// When it is something else.
pub fn object(
    block: &Map<String, Value>,
    key: &str,
) -> Result<Option<Map<String, Value>>, Diagnostic> {
    match present(block, key) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object.clone())),
        Some(value) => Err(wrong(key, "an object", value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{boolean, list, number, text};

    fn block(value: Value) -> Map<String, Value> {
        let mut block = Map::new();
        block.insert("k".to_owned(), value);
        block
    }

    #[test]
    fn a_number_may_be_written_as_text() {
        assert_eq!(number(&block(json!("100 ")), "k"), Ok(Some(100)));
        assert_eq!(number(&block(json!(7)), "k"), Ok(Some(7)));
        assert_eq!(number(&block(json!("")), "k"), Ok(None));
        assert_eq!(number(&Map::new(), "k"), Ok(None));
    }

    #[test]
    fn what_is_not_a_number_is_named() {
        let error = number(&block(json!("ten")), "k").expect_err("not a number");
        assert_eq!(error.pointer, "/k");
        assert_eq!(
            error.message,
            "expected a whole number that is not negative, found \"ten\""
        );
        assert!(number(&block(json!(-1)), "k").is_err());
        assert!(number(&block(json!(1.5)), "k").is_err());
    }

    #[test]
    fn a_list_may_be_text_with_commas() {
        let expected = Ok(Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list(&block(json!(" a, ,b ")), "k"), expected);
        assert_eq!(list(&block(json!(["a", "", "b"])), "k"), expected);
        assert_eq!(list(&block(json!([])), "k"), Ok(None));
        assert!(list(&block(json!([1])), "k").is_err());
    }

    #[test]
    fn booleans_and_text_are_read_leniently() {
        assert_eq!(boolean(&block(json!("True")), "k"), Ok(Some(true)));
        assert!(boolean(&block(json!(1)), "k").is_err());
        assert_eq!(text(&block(json!(8080)), "k"), Ok(Some("8080".to_owned())));
        assert!(text(&block(json!({})), "k").is_err());
    }
}
