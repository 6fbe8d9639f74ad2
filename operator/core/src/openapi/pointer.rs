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
