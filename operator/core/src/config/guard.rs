//! Refuses config schemas that could do harm.
//!
//! A schema comes from a plugin and runs outside the plugin's sandbox. So it
//! may neither reach out (`$ref` to files and URLs) nor take long (references
//! that multiply, regular expressions that backtrack). Everything is decided
//! at load, by looking at the schema alone.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::annotations::nearest::shown;

/// The largest schema, as JSON.
const MAX_BYTES: usize = 128 * 1024;
/// The deepest nesting.
const MAX_DEPTH: usize = 48;
/// The most subschemas after every reference is written out. It bounds the
/// work for each value of a config.
const MAX_EXPANDED: u64 = 5_000;
/// The longest chain of references. Together with the depth it bounds the stack
/// that following them takes.
const MAX_CHAIN: usize = 16;
/// The longest regular expression.
const MAX_PATTERN: usize = 1_000;

/// Why a config schema is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is neither an object nor a flag.
    #[error("the config schema is neither an object nor `true` or `false`")]
    NotASchema,
    /// It is too large.
    #[error("the config schema has {bytes} bytes; at most {MAX_BYTES} are taken")]
    TooLarge {
        /// Its size as JSON.
        bytes: usize,
    },
    /// It is nested too deeply.
    #[error(
        "the config schema is nested deeper than {MAX_DEPTH} levels, or has a chain of more than {MAX_CHAIN} \
         references"
    )]
    TooDeep,
    /// A `$ref` leads out of the document.
    #[error(
        "the config schema refers to `{reference}` at `{pointer}`; only references within the schema, \
         such as `#/$defs/name`, are followed"
    )]
    ForeignReference {
        /// Where the reference stands.
        pointer: String,
        /// What it says, cut where it is long.
        reference: String,
    },
    /// A `$ref` leads nowhere.
    #[error("the config schema refers to `{reference}` at `{pointer}`, which is not there")]
    DanglingReference {
        /// Where the reference stands.
        pointer: String,
        /// What it says.
        reference: String,
    },
    /// A `$ref` leads back to where it stands.
    #[error(
        "the config schema refers to `{reference}` from within itself; recursive schemas have no bound and \
         are not used"
    )]
    Recursive {
        /// The reference that closes the circle.
        reference: String,
    },
    /// Written out, it is too large.
    #[error(
        "the config schema has more than {MAX_EXPANDED} subschemas once every reference is written out"
    )]
    Explosive,
    /// It uses something that makes references depend on the place they are
    /// followed from.
    #[error("the config schema uses `{keyword}` at `{pointer}`, which is not supported")]
    Keyword {
        /// Where it stands.
        pointer: String,
        /// What it uses.
        keyword: &'static str,
    },
    /// A regular expression is too long, or one that only an engine that
    /// backtracks can run.
    #[error("the config schema's pattern at `{pointer}` cannot be used: {reason}")]
    Pattern {
        /// Where it stands.
        pointer: String,
        /// Why.
        reason: String,
    },
    /// It is not valid as a JSON Schema.
    #[error("the config schema is not a valid JSON Schema at `{pointer}`: {reason}")]
    Invalid {
        /// Where.
        pointer: String,
        /// Why.
        reason: String,
    },
}

/// Checks a schema. The answer is how many subschemas it has once every
/// reference is written out.
pub(super) fn check(schema: &Value) -> Result<u64, SchemaError> {
    if !schema.is_object() && !schema.is_boolean() {
        return Err(SchemaError::NotASchema);
    }
    if deeper_than(schema, MAX_DEPTH) {
        return Err(SchemaError::TooDeep);
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(SchemaError::TooLarge { bytes });
    }
    let mut walk = Walk {
        root: schema,
        known: HashMap::new(),
        open: Vec::new(),
    };
    let total = walk.cost(schema, "")?;
    if total > MAX_EXPANDED {
        return Err(SchemaError::Explosive);
    }
    Ok(total)
}

/// Whether a value is nested deeper than so many levels; does not recurse.
pub(super) fn deeper_than(value: &Value, levels: usize) -> bool {
    let mut open = vec![(value, 1)];
    while let Some((value, level)) = open.pop() {
        if level > levels {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|v| (v, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|v| (v, level + 1))),
            _ => {}
        }
    }
    false
}

struct Walk<'a> {
    root: &'a Value,
    /// What references cost that were followed already.
    known: HashMap<&'a str, u64>,
    /// The references that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// The subschemas of a schema, itself included. What stands under keywords
    /// that are not known is counted like schemas: that errs on the safe side.
    fn cost(&mut self, schema: &'a Value, pointer: &str) -> Result<u64, SchemaError> {
        let mut total: u64 = 1;
        match schema {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    total = total.saturating_add(self.cost(item, &format!("{pointer}/{i}"))?);
                }
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    let at = format!("{pointer}/{}", super::escape(key));
                    total = total.saturating_add(self.keyword(key, inner, &at)?);
                }
            }
            _ => {}
        }
        Ok(total)
    }

    fn keyword(&mut self, key: &str, value: &'a Value, at: &str) -> Result<u64, SchemaError> {
        match (key, value) {
            // Values, not schemas.
            ("enum" | "const" | "default" | "examples", _) => Ok(1),
            // Only what is referred to counts, but all must be harmless.
            ("$defs" | "definitions", Value::Object(map)) => {
                self.each(map, at)?;
                Ok(0)
            }
            ("properties" | "dependentSchemas" | "dependencies", Value::Object(map)) => {
                self.each(map, at)
            }
            ("patternProperties", Value::Object(map)) => {
                for pattern in map.keys() {
                    pattern_length(pattern, at)?;
                }
                self.each(map, at)
            }
            ("pattern", Value::String(pattern)) => {
                pattern_length(pattern, at)?;
                Ok(1)
            }
            ("$ref", Value::String(reference)) => self.follow(reference, at),
            _ => {
                if let Some(keyword) = refused(key, value, at) {
                    return Err(SchemaError::Keyword {
                        pointer: at.to_owned(),
                        keyword,
                    });
                }
                self.cost(value, at)
            }
        }
    }

    /// The values of an object whose keys are names, not keywords.
    fn each(&mut self, map: &'a Map<String, Value>, pointer: &str) -> Result<u64, SchemaError> {
        let mut total: u64 = 0;
        for (name, schema) in map {
            let at = format!("{pointer}/{}", super::escape(name));
            total = total.saturating_add(self.cost(schema, &at)?);
        }
        Ok(total)
    }

    fn follow(&mut self, reference: &'a str, pointer: &str) -> Result<u64, SchemaError> {
        let Some(target) = reference
            .strip_prefix('#')
            .filter(|t| t.is_empty() || t.starts_with('/'))
        else {
            return Err(SchemaError::ForeignReference {
                pointer: pointer.to_owned(),
                reference: shown(reference),
            });
        };
        if self.open.contains(&reference) || target.is_empty() {
            return Err(SchemaError::Recursive {
                reference: shown(reference),
            });
        }
        if let Some(cost) = self.known.get(reference) {
            return Ok(*cost);
        }
        let Some(schema) = self.root.pointer(target) else {
            return Err(SchemaError::DanglingReference {
                pointer: pointer.to_owned(),
                reference: shown(reference),
            });
        };
        if self.open.len() >= MAX_CHAIN {
            return Err(SchemaError::TooDeep);
        }
        self.open.push(reference);
        let cost = self.cost(schema, target)?;
        self.open.pop();
        self.known.insert(reference, cost);
        Ok(cost)
    }
}

fn pattern_length(pattern: &str, pointer: &str) -> Result<(), SchemaError> {
    if pattern.len() <= MAX_PATTERN {
        return Ok(());
    }
    Err(SchemaError::Pattern {
        pointer: pointer.to_owned(),
        reason: format!(
            "it has {} characters; at most {MAX_PATTERN} are taken",
            pattern.len()
        ),
    })
}

/// Keywords that change what a reference means. The id of the schema itself
/// does not.
fn refused(key: &str, value: &Value, pointer: &str) -> Option<&'static str> {
    let text = value.is_string();
    match key {
        "$dynamicRef" if text => Some("$dynamicRef"),
        "$recursiveRef" if text => Some("$recursiveRef"),
        "$dynamicAnchor" if text => Some("$dynamicAnchor"),
        "$anchor" if text => Some("$anchor"),
        // Older drafts follow `id`, which this check does not.
        "$schema" if text && !is_known_draft(value) => Some("$schema"),
        "$id" if text && pointer != "/$id" => Some("$id"),
        _ => None,
    }
}

fn is_known_draft(value: &Value) -> bool {
    const KNOWN: [&str; 4] = [
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    ];
    value
        .as_str()
        .is_some_and(|uri| KNOWN.contains(&uri.trim_end_matches('#')))
}
