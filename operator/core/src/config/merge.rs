//! JSON Merge Patch (RFC 7386).

use serde_json::{Map, Value};

/// Merges `patch` into `target`: objects deep, everything else replaced, null
/// deletes.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            // Keeps the order of the others: it shows in hashes and messages.
            target.shift_remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
