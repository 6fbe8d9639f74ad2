//! What must be written so that a status is as it should be.

use serde_json::{Map, Value};

/// The fields of status that are ours. Others may stand beside them.
const OWNED: [&str; 8] = [
    "apiStatus",
    "implementation",
    "observedGeneration",
    "apim",
    "plugins",
    "pluginNames",
    "warnings",
    "conditions",
];

/// The JSON merge patch (RFC 7386) from one status to another; none where
/// nothing changes. Fields that are not ours are left alone.
#[must_use]
pub fn patch(old: Option<&Value>, new: &Value) -> Option<Value> {
    let empty = Map::new();
    let old = old.and_then(Value::as_object).unwrap_or(&empty);
    let owned = |status: &Map<String, Value>| -> Map<String, Value> {
        OWNED
            .iter()
            .filter_map(|field| Some(((*field).to_owned(), status.get(*field)?.clone())))
            .collect()
    };
    let patch = difference(&owned(old), &owned(new.as_object().unwrap_or(&empty)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The part of a status that nobody but the operator writes.
#[must_use]
pub fn own_fields(status: &Value) -> Map<String, Value> {
    OWNED
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), status.get(*field)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// Whether a status must be written.
#[must_use]
pub fn changed(old: Option<&Value>, new: &Value) -> bool {
    patch(old, new).is_some()
}

fn difference(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let gone = old
        .iter()
        .filter(|(key, value)| !new.contains_key(*key) && !value.is_null())
        .map(|(key, _)| (key.clone(), Value::Null));
    let set = new.iter().filter_map(|(key, value)| {
        let patch = match (old.get(key), value) {
            (Some(old), new) if old == new => return None,
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(difference(old, new)),
            (_, new) => new.clone(),
        };
        Some((key.clone(), patch))
    });
    gone.chain(set).collect()
}
