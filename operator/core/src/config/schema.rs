//! A plugin's config schema, compiled.

use std::fmt;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::guard::{self, SchemaError};
use super::report;

/// The most work for one config: values times subschemas.
const MAX_WORK: u64 = 20_000_000;
/// The most values in one config.
const MAX_VALUES: u64 = 50_000;
/// The deepest nesting of a config.
const MAX_DEPTH: usize = 64;
/// The most problems that are reported for one config.
const MAX_PROBLEMS: usize = 10;
/// The largest compiled regular expression.
const MAX_REGEX: usize = 256 * 1024;

/// A JSON Schema that is safe to run on any config: it reaches nothing outside
/// itself, and the work it can cause is bounded.
#[derive(Clone)]
pub struct CompiledSchema {
    validator: Validator,
    schema: Value,
    expanded: u64,
}

/// What is wrong with a config, at a JSON pointer into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub pointer: String,
    /// A sentence.
    pub message: String,
}

impl CompiledSchema {
    /// Checks and compiles a schema.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let expanded = guard::check(schema)?;
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(false)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(MAX_REGEX)
                    .dfa_size_limit(MAX_REGEX),
            )
            .build(schema)
            .map_err(|error| refused(&error))?;
        Ok(Self {
            validator,
            schema: schema.clone(),
            expanded,
        })
    }

    /// The schema as it was given.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.schema
    }

    /// Everything that is wrong with a config, up to a bound.
    #[must_use]
    pub fn violations(&self, config: &Value) -> Vec<Violation> {
        if guard::deeper_than(config, MAX_DEPTH) {
            return vec![Violation {
                pointer: String::new(),
                message: format!(
                    "the config is nested deeper than {MAX_DEPTH} levels; make it flatter"
                ),
            }];
        }
        let (values, largest) = count(config);
        if values > MAX_VALUES || values.saturating_mul(self.expanded) > MAX_WORK {
            let most = MAX_VALUES.min(MAX_WORK / self.expanded.max(1));
            return vec![Violation {
                pointer: largest,
                message: format!(
                    "the config holds {values} values; at most {most} are taken. Shorten the list"
                ),
            }];
        }
        let mut violations: Vec<Violation> = self
            .validator
            .iter_errors(config)
            .take(MAX_PROBLEMS + 1)
            .map(|error| report::violation(&error, &self.schema))
            .collect();
        if violations.len() > MAX_PROBLEMS {
            violations.truncate(MAX_PROBLEMS);
            violations.push(Violation {
                pointer: String::new(),
                message: format!(
                    "there are more problems than these {MAX_PROBLEMS}; mend these first"
                ),
            });
        }
        violations
    }
}

impl CompiledSchema {
    /// The first thing that is wrong with a part of a config, as defaults are:
    /// what may still be added is not missed. The pointer and a sentence.
    #[must_use]
    pub fn wrong_in_part(&self, config: &Value) -> Option<(String, String)> {
        use jsonschema::error::ValidationErrorKind as Kind;
        if guard::deeper_than(config, MAX_DEPTH) {
            let violation = self.violations(config).into_iter().next()?;
            return Some((violation.pointer, violation.message));
        }
        let completed = |kind: &Kind| {
            matches!(
                kind,
                Kind::Required { .. }
                    | Kind::MinProperties { .. }
                    | Kind::AnyOf { .. }
                    | Kind::OneOfNotValid { .. }
                    | Kind::OneOfMultipleValid { .. }
                    | Kind::Not { .. }
            )
        };
        self.validator
            .iter_errors(config)
            .find(|error| !completed(error.kind()))
            .map(|error| {
                let violation = report::violation(&error, &self.schema);
                (violation.pointer, violation.message)
            })
    }
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledSchema")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PartialEq for CompiledSchema {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
    }
}

fn refused(error: &ValidationError<'_>) -> SchemaError {
    let pointer = error.instance_path().to_string();
    let reason = report::short(&error.to_string());
    if pointer.ends_with("/pattern") || pointer.contains("/patternProperties") {
        SchemaError::Pattern {
            pointer,
            reason: format!(
                "{reason}; look-around and back-references are not supported, and its compiled form is limited"
            ),
        }
    } else {
        SchemaError::Invalid { pointer, reason }
    }
}

/// How many values there are in all, and the pointer of the longest list or
/// object.
fn count(config: &Value) -> (u64, String) {
    let mut total = 0;
    let mut largest = (0, String::new());
    let mut open = vec![(config, String::new())];
    while let Some((value, pointer)) = open.pop() {
        total += 1;
        let inner: &mut dyn Iterator<Item = (String, &Value)> = match value {
            Value::Array(items) => &mut items.iter().enumerate().map(|(i, v)| (i.to_string(), v)),
            Value::Object(map) => &mut map.iter().map(|(k, v)| (super::escape(k), v)),
            _ => continue,
        };
        let mut length = 0;
        for (key, value) in inner {
            length += 1;
            if value.is_array() || value.is_object() {
                open.push((value, format!("{pointer}/{key}")));
            } else {
                total += 1;
            }
        }
        if length > largest.0 {
            largest = (length, pointer);
        }
    }
    (total, largest.1)
}
