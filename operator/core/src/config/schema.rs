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
        // Before anything is read that is longer than what is taken: whoever
        // writes a list of a million entries waits for no more than others.
        let most = MAX_VALUES.min(MAX_WORK / self.expanded.max(1));
        match measure(config, most) {
            Measure::Fits => {}
            Measure::TooDeep => {
                return vec![Violation {
                    pointer: String::new(),
                    message: format!(
                        "the config is nested deeper than {MAX_DEPTH} levels; make it flatter"
                    ),
                }];
            }
            Measure::TooMany { pointer, length } => {
                return vec![Violation {
                    message: if length > most {
                        format!("this holds {length} values; at most {most} are taken. Shorten it")
                    } else {
                        format!(
                            "the config holds more values than the {most} that are taken, {length} of them here. \
                             Shorten it"
                        )
                    },
                    pointer,
                }];
            }
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

/// Whether a config can be validated.
#[derive(Debug, PartialEq, Eq)]
enum Measure {
    Fits,
    TooDeep,
    /// It holds too many values; here is the longest list or object of those
    /// that were looked at, and how many it holds by itself.
    TooMany {
        pointer: String,
        length: u64,
    },
}

/// A list or object on the way through a config.
struct Step<'v> {
    value: &'v Value,
    /// The place among the steps of what it stands in.
    parent: usize,
    level: usize,
}

/// Looks at a config until it is found to be too much; what is alike in a list
/// costs nothing. Does not recurse.
fn measure(config: &Value, most: u64) -> Measure {
    let length = |value: &Value| match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    let mut steps = vec![Step {
        value: config,
        parent: 0,
        level: 1,
    }];
    let mut total: u64 = 1;
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let (value, level) = (step.value, step.level);
        total = total.saturating_add(length(value) as u64);
        if total > most {
            let longest = (0..=at)
                .rev()
                .max_by_key(|step| steps.get(*step).map_or(0, |step| length(step.value)))
                .unwrap_or_default();
            return Measure::TooMany {
                pointer: pointer(&steps, longest),
                length: steps
                    .get(longest)
                    .map_or(0, |step| length(step.value) as u64),
            };
        }
        let inner: &mut dyn Iterator<Item = &Value> = match value {
            Value::Array(items) => &mut items.iter(),
            Value::Object(map) => &mut map.values(),
            _ => &mut std::iter::empty(),
        };
        for value in inner.filter(|value| value.is_array() || value.is_object()) {
            if level >= MAX_DEPTH {
                return Measure::TooDeep;
            }
            steps.push(Step {
                value,
                parent: at,
                level: level + 1,
            });
        }
        at += 1;
    }
    Measure::Fits
}

/// The JSON pointer of a step.
fn pointer(steps: &[Step<'_>], at: usize) -> String {
    let mut path = Vec::new();
    let mut at = at;
    while at != 0
        && let Some(step) = steps.get(at)
        && let Some(parent) = steps.get(step.parent)
    {
        let key = match parent.value {
            Value::Array(items) => items
                .iter()
                .position(|item| std::ptr::eq(item, step.value))
                .map(|index| index.to_string()),
            Value::Object(map) => map
                .iter()
                .find(|(_, value)| std::ptr::eq(*value, step.value))
                .map(|(key, _)| super::escape(key)),
            _ => None,
        };
        path.push(format!("/{}", key.unwrap_or_default()));
        at = step.parent;
    }
    path.reverse();
    path.concat()
}
