//! Reading values that may be spelled in several ways.

use serde_json::Value;

use crate::annotations::nearest::shown;
use crate::problem::Problem;

/// The fields of a spec, with the problems met so far.
pub(super) struct Fields<'a> {
    spec: &'a Value,
    problems: Vec<Problem>,
}

/// A value that is there: not null and not an empty text.
pub(super) fn present(value: Option<&Value>) -> Option<&Value> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.trim().is_empty() => None,
        some => some,
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(spec: &'a Value) -> Self {
        let mut fields = Self {
            spec,
            problems: Vec::new(),
        };
        if !spec.is_object() {
            fields.problem_at(
                "spec",
                format!("expected an object, got {}", described(spec)),
            );
        }
        fields
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problem_at(&format!("spec.{field}"), message);
    }

    pub(super) fn problem_at(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// The value, or its problem.
    pub(super) fn check<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(field, message);
                None
            }
        }
    }

    /// A value by its dotted path below `spec`. A block that is not an object
    /// is a problem of the block.
    fn get(&mut self, field: &str) -> Option<&'a Value> {
        let Some((block, inner)) = field.split_once('.') else {
            return present(self.spec.get(field));
        };
        let block_value = present(self.spec.get(block))?;
        if block_value.is_object() {
            return present(block_value.get(inner));
        }
        let path = format!("spec.{block}");
        if !self.problems.iter().any(|p| p.path == path) {
            let message = format!("expected an object, got {}", described(block_value));
            self.problem_at(&path, message);
        }
        None
    }

    /// A text; a number or a flag counts as its spelling.
    pub(super) fn text(&mut self, field: &str) -> Option<String> {
        match self.get(field)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            other => {
                self.problem(field, format!("expected a text, got {}", described(other)));
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, field: &str, meaning: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(field);
        if text.is_none() && self.problems.len() == before {
            self.problem(field, format!("is missing; write {meaning}"));
        }
        text
    }

    /// A flag, also as text.
    pub(super) fn flag(&mut self, field: &str) -> Option<bool> {
        let value = self.get(field)?;
        let read = match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if read.is_none() {
            self.problem(
                field,
                format!("expected `true` or `false`, got {}", described(value)),
            );
        }
        read
    }

    /// A port that must be there.
    pub(super) fn port(&mut self, field: &str) -> Option<u16> {
        let Some(value) = self.get(field) else {
            self.problem(
                field,
                "is missing; write the port of the Service, 1 to 65535",
            );
            return None;
        };
        let port = whole_number(value)
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| *n != 0);
        if port.is_none() {
            self.problem(
                field,
                format!("expected a port from 1 to 65535, got {}", described(value)),
            );
        }
        port
    }
}

/// A whole number, also as text or with a fraction of zero.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            // Beyond this, floats are not whole numbers any more.
            #[allow(clippy::cast_possible_truncation)]
            (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A value for a message.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{}`", shown(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}
