//! Violations of a schema, as sentences: where, what was expected, what is
//! there.

use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::schema::Violation;
use crate::annotations::nearest::{did_you_mean, listed, shown};

/// How many alternatives of an `anyOf` are explained.
const ALTERNATIVES: usize = 3;

pub(super) fn violation(error: &ValidationError<'_>, schema: &Value) -> Violation {
    Violation {
        pointer: error.instance_path().to_string(),
        message: message(error, schema),
    }
}

/// The first line of a text that may be long.
pub(super) fn short(text: &str) -> String {
    shown(text.lines().next().unwrap_or_default())
}

fn message(error: &ValidationError<'_>, schema: &Value) -> String {
    let got = || got(error.instance());
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("expected {}, got {}", types(kind), got()),
        ValidationErrorKind::Enum { options } => {
            let written = error.instance().as_str().unwrap_or_default();
            let choices: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(plain)
                .collect();
            format!(
                "expected one of {}, got {}{}",
                listed(choices.iter().map(String::as_str)),
                got(),
                did_you_mean(written, choices.iter().map(String::as_str))
            )
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("expected `{}`, got {}", plain(expected_value), got())
        }
        ValidationErrorKind::Minimum { limit } => {
            format!("expected at least {limit}, got {}", got())
        }
        ValidationErrorKind::Maximum { limit } => {
            format!("expected at most {limit}, got {}", got())
        }
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            format!("expected more than {limit}, got {}", got())
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            format!("expected less than {limit}, got {}", got())
        }
        ValidationErrorKind::MinLength { limit } => {
            format!(
                "expected at least {}, got {}",
                counted(*limit, "character", "characters"),
                got()
            )
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!(
                "expected at most {}, got {}",
                counted(*limit, "character", "characters"),
                got()
            )
        }
        ValidationErrorKind::MinItems { limit } => {
            format!(
                "expected at least {}, got {}",
                counted(*limit, "entry", "entries"),
                got()
            )
        }
        ValidationErrorKind::MaxItems { limit } => {
            format!(
                "expected at most {}, got {}",
                counted(*limit, "entry", "entries"),
                got()
            )
        }
        ValidationErrorKind::UniqueItems => "an entry is listed twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => {
            format!(
                "expected a text that matches `{}`, got {}",
                shown(pattern),
                got()
            )
        }
        ValidationErrorKind::Required { property } => {
            format!("`{}` is missing", plain(property))
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unknown_fields(unexpected, &known_fields(error, schema))
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives(context, schema, &got())
        }
        ValidationErrorKind::PropertyNames { error } => {
            format!(
                "the key {} is not allowed: {}",
                self::got(error.instance()),
                message(error, schema)
            )
        }
        // The library's text repeats the value, however long; only its start
        // is shown.
        _ => short(&error.to_string()),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn unknown_fields(unexpected: &[String], known: &[String]) -> String {
    let mut text = format!(
        "unknown field{} {}",
        if unexpected.len() == 1 { "" } else { "s" },
        listed(
            unexpected
                .iter()
                .map(|f| shown(f))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
        )
    );
    let hint = unexpected.first().map_or_else(String::new, |f| {
        did_you_mean(f, known.iter().map(String::as_str))
    });
    if hint.is_empty() && !known.is_empty() {
        let _ = write!(
            text,
            "; the fields are {}",
            listed(known.iter().map(String::as_str))
        );
    } else {
        text.push_str(&hint);
    }
    text
}

/// The properties beside the keyword that refused some.
fn known_fields(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
    let path = error.schema_path().to_string();
    path.rsplit_once('/')
        .and_then(|(parent, _)| schema.pointer(parent))
        .and_then(|parent| parent.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn alternatives(context: &[Vec<ValidationError<'static>>], schema: &Value, got: &str) -> String {
    let reasons: Vec<String> = context
        .iter()
        .filter_map(|errors| errors.first())
        .take(ALTERNATIVES)
        .map(|error| {
            // Alternatives of alternatives say nothing that helps.
            let text = match error.kind() {
                ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
                    "none of several forms".to_owned()
                }
                _ => message(error, schema),
            };
            shown(&text)
        })
        .collect();
    format!(
        "{got} has none of the expected forms ({})",
        reasons.join("; or: ")
    )
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => type_name(&one.to_string()).to_owned(),
        TypeKind::Multiple(set) => set
            .iter()
            .map(|t| type_name(&t.to_string()).to_owned())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn type_name(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "an object",
        "null" => "nothing",
        _ => "another type",
    }
}

fn got(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text `{}`", shown(text)),
        other => crate::exposed_api::described(other),
    }
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        other => short(&other.to_string()),
    }
}
