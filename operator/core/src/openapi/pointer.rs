//! JSON pointers: built for messages, followed for local references.

use serde_json::Value;

/// How many references to references are followed.
const MAX_HOPS: usize = 16;

/// `pointer` with one more step, escaped as RFC 6901 says.
pub(super) fn step(pointer: &str, key: &str) -> String {
    let key = key.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{key}")
}

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target<'a> {
    /// To this value of the same document.
    Value(&'a Value),
    /// Out of the document.
    External,
    /// Nowhere.
    Dangling,
}

/// The value itself, or what its `$ref` leads to.
pub(super) fn resolve<'a>(root: &'a Value, value: &'a Value) -> Target<'a> {
    let mut value = value;
    for _ in 0..MAX_HOPS {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Target::Value(value);
        };
        match follow(root, reference) {
            Target::Value(target) => value = target,
            other => return other,
        }
    }
    Target::Dangling
}

/// What one reference names.
pub(super) fn follow<'a>(root: &'a Value, reference: &str) -> Target<'a> {
    let Some(fragment) = reference.strip_prefix('#') else {
        return Target::External;
    };
    root.pointer(&percent_decoded(fragment))
        .map_or(Target::Dangling, Target::Value)
}

/// Calls with the pointer of each object that is a reference, and what it names.
/// Examples may hold anything, also what looks like one.
pub(super) fn each_reference<'a>(value: &'a Value, call: &mut impl FnMut(&str, &'a str)) {
    fn walk<'a>(value: &'a Value, pointer: &mut String, call: &mut impl FnMut(&str, &'a str)) {
        let length = pointer.len();
        let mut below = |key: &str, value: &'a Value, pointer: &mut String| {
            pointer.push('/');
            pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            walk(value, pointer, call);
            pointer.truncate(length);
        };
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    if !matches!(key.as_str(), "example" | "examples" | "default" | "enum") {
                        below(key, field, pointer);
                    }
                }
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    call(pointer, reference);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    below(&index.to_string(), item, pointer);
                }
            }
            _ => {}
        }
    }
    walk(value, &mut String::new(), call);
}

/// A fragment is a part of a URI, so `{` may stand there as `%7B`.
fn percent_decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(byte) = pair {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_with_percent_signs_and_tildes_is_followed() {
        let root = json!({"paths": {"/a/{id}": {"x": 1}}});
        assert_eq!(
            follow(&root, "#/paths/~1a~1%7Bid%7D/x"),
            Target::Value(&json!(1))
        );
        assert_eq!(follow(&root, "#/paths/%"), Target::Dangling);
        assert_eq!(follow(&root, "other.yaml#/x"), Target::External);
    }

    #[test]
    fn a_reference_that_leads_to_itself_leads_nowhere() {
        let root = json!({"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}});
        assert_eq!(resolve(&root, &root["a"]), Target::Dangling);
    }
}
