//! Text to a JSON value, with every cost bounded: an owner's document may be
//! hostile, and YAML anchors multiply what a small text holds.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{OpenApiError, TextFormat};

/// The longest text that is read, in bytes.
pub(super) const MAX_TEXT: usize = 10 * 1024 * 1024;
/// The deepest nesting. Real documents stay below 40; the YAML reader recurses,
/// and this many levels fit the stack of a worker thread also in a debug build.
pub(super) const MAX_DEPTH: usize = 64;
/// The most values of one document, after anchors are expanded.
const MAX_NODES: usize = 1_500_000;
/// The most bytes of text in all values, after anchors are expanded.
const MAX_CONTENT: usize = 32 * 1024 * 1024;

/// Reads JSON or YAML.
pub(super) fn parse(text: &str) -> Result<(Value, TextFormat), OpenApiError> {
    if text.trim().is_empty() {
        return Err(OpenApiError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(OpenApiError::TooLargeToRead {
            bytes: text.len(),
            limit: MAX_TEXT,
        });
    }
    if !text.trim_start().starts_with('{') {
        return yaml(text).map(|value| (value, TextFormat::Yaml));
    }
    // A flow mapping of YAML begins like JSON. Where both refuse, JSON's
    // message is the one that the author expects.
    match json(text) {
        Ok(value) => Ok((value, TextFormat::Json)),
        Err(error) => match yaml(text) {
            Ok(value) => Ok((value, TextFormat::Yaml)),
            Err(_) => Err(error),
        },
    }
}

fn json(text: &str) -> Result<Value, OpenApiError> {
    let budget = Budget::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = Node::root(&budget)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    result.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        OpenApiError::Syntax {
            format: TextFormat::Json,
            line: line as u64,
            column: column as u64,
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    })
}

/// What of YAML is read: 1.2, one document, and bounded.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: MAX_CONTENT,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_CONTENT,
            // One anchor that is used often is ordinary; what the aliases
            // make together is bounded below and by `Budget`.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 32,
        },
        // OpenAPI recommends YAML 1.2: `on` and `yes` are texts.
        strict_booleans: true,
        with_snippet: false,
    }
}

fn yaml(text: &str) -> Result<Value, OpenApiError> {
    let budget = Budget::default();
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        Node::root(&budget).deserialize(deserializer)
    })
    .map_err(|error| {
        let (line, column) = error
            .location()
            .map_or((1, 1), |place| (place.line(), place.column()));
        OpenApiError::Syntax {
            format: TextFormat::Yaml,
            line,
            column,
            message: yaml_message(&error),
        }
    })
}

/// What the YAML reader said, in words that do not need its settings.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match error.without_snippet() {
        Error::AliasError { error, .. } => yaml_message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` stands twice in one object")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an anchor holds an alias of itself".into()
        }
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Documents { .. } => "there are several YAML documents; keep one".into(),
            BudgetBreach::Depth { .. } => too_deep(),
            _ => too_much(),
        },
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            too_much()
        }
        Error::NonFiniteFloat { .. } => NOT_FINITE.into(),
        other => {
            // The place is said apart.
            let message = other.to_string();
            match message.rsplit_once(" at line ") {
                Some((message, _)) => message.to_owned(),
                None => message,
            }
        }
    }
}

const NOT_FINITE: &str =
    "the number is not finite, and JSON has no such number; write it as a text";

fn too_deep() -> String {
    format!("the document is nested deeper than {MAX_DEPTH} levels")
}

fn too_much() -> String {
    format!(
        "the document holds more than {MAX_NODES} values or {MAX_CONTENT} bytes of text once its anchors are expanded"
    )
}

/// Whether a value is nested no deeper than what [`parse`] returns.
pub(super) fn is_shallow(value: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::Array(items) => items.iter().all(|item| is_shallow(item, depth + 1)),
        Value::Object(fields) => fields.values().all(|item| is_shallow(item, depth + 1)),
        _ => true,
    }
}

/// What a document has used up.
#[derive(Default)]
struct Budget {
    nodes: Cell<usize>,
    content: Cell<usize>,
}

impl Budget {
    fn spend<E: serde::de::Error>(&self, content: usize) -> Result<(), E> {
        self.nodes.set(self.nodes.get() + 1);
        self.content.set(self.content.get().saturating_add(content));
        if self.nodes.get() > MAX_NODES || self.content.get() > MAX_CONTENT {
            return Err(E::custom(too_much()));
        }
        Ok(())
    }
}

/// One value, in a budget. Unlike `serde_json::Value` it refuses a key that
/// stands twice: the later one would silently win.
struct Node<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl<'b> Node<'b> {
    const fn root(budget: &'b Budget) -> Self {
        Self { budget, depth: 0 }
    }

    fn child<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(too_deep()));
        }
        Ok(Self {
            budget: self.budget,
            depth: self.depth + 1,
        })
    }

    fn float<E: serde::de::Error>(&self, value: f64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom(NOT_FINITE))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Number(value.into()))
    }

    // Beyond 64 bits JSON readers take floating point, as serde_json does.
    #[allow(clippy::cast_precision_loss)]
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.float(value as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.float(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.float(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.budget.spend(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.budget.spend(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.budget.spend(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.child()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.budget.spend(0)?;
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            self.budget.spend(key.len())?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` stands twice in one object"
                )));
            }
            let value = fields.next_value_seed(self.child()?)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
