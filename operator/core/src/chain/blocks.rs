//! Blocks of a spec that ask for something nobody gives.

use serde_json::Value;

use super::catalog::{Catalog, Listing};
use crate::exposed_api::OWN_FIELDS;
use crate::problem::Problem;

/// A warning for each block that asks for something and that is not among
/// those that are read.
pub(super) fn unread(spec: &Value, read: &[&str], catalog: &Catalog) -> Vec<Problem> {
    let Value::Object(fields) = spec else {
        return Vec::new();
    };
    fields
        .iter()
        .filter(|(name, value)| {
            !OWN_FIELDS.contains(&name.as_str()) && !read.contains(&name.as_str()) && asks(value)
        })
        .map(|(name, _)| {
            let readers: Vec<String> = catalog
                .iter()
                .filter_map(|(_, listing)| match listing {
                    Listing::Ready(plugin) => Some(plugin),
                    Listing::Loading | Listing::Failed(_) => None,
                })
                .filter(|plugin| plugin.descriptor.spec_block.as_deref() == Some(name.as_str()))
                .map(|plugin| format!("`{}`", plugin.name))
                .collect();
            let way_out = if readers.is_empty() {
                "no loaded plugin reads it".to_owned()
            } else {
                format!(
                    "{} would: list it in the annotation `plugins`",
                    readers.join(" or ")
                )
            };
            Problem::new(
                format!("spec.{name}"),
                format!("has no effect: no plugin of the chain reads it; {way_out}"),
            )
        })
        .collect()
}

/// Whether a value asks for something: not only empty texts, `false` and
/// blocks with `enabled: false`.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => {
            !text.trim().is_empty() && !text.trim().eq_ignore_ascii_case("false")
        }
        Value::Array(items) => items.iter().any(asks),
        Value::Object(map) => !map.get("enabled").is_some_and(is_off) && map.values().any(asks),
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::String(text) => text.trim().eq_ignore_ascii_case("false"),
        _ => false,
    }
}
