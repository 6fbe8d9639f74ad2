//! What others changed of the object that exposes an API.
//!
//! The watch shows a change at once; a sweep has nothing to do here. Whether it
//! was somebody else's is known by the object that was last in place: where the
//! same is still wanted, nobody but others can have changed it.

use kube::api::DynamicObject;
use operator_core::drift::{Difference, Kind, redacted};
use serde_json::Value;

use crate::world::Seen;

/// What is shown of something that is not there.
const ABSENT: &str = "(absent)";
/// The longest text that is shown of a value.
const MAX: usize = 160;

/// Where what is there differs from what is wanted; what others added beside
/// it, such as annotations, does not count.
pub(crate) fn differences(wanted: &DynamicObject, seen: Option<&Seen>) -> Vec<Difference> {
    let kind = wanted.types.as_ref().map(|types| types.kind.to_lowercase());
    let kind = kind.unwrap_or_default();
    let Some(seen) = seen else {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        return vec![Difference::new(
            Kind::Ingress,
            kind,
            format!("`{name}`"),
            ABSENT,
        )];
    };
    let mut out = Vec::new();
    let spec = wanted.data.get("spec").unwrap_or(&Value::Null);
    walk(&format!("{kind}/spec"), spec, &seen.spec(), &mut out);
    for (name, value) in wanted.metadata.annotations.iter().flatten() {
        let there = seen.annotation(name);
        if there != Some(value) {
            out.push(Difference::new(
                Kind::Ingress,
                format!("{kind}/annotations/{name}"),
                quoted(value),
                there.map_or_else(|| ABSENT.to_owned(), |there| quoted(there)),
            ));
        }
    }
    out
}

/// What others add to an object, or the API server's defaults, is no
/// difference; a list is owned whole.
fn walk(path: &str, wanted: &Value, there: &Value, out: &mut Vec<Difference>) {
    match (wanted, there) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, wanted) in a {
                let there = b.get(name).unwrap_or(&Value::Null);
                walk(&format!("{path}/{name}"), wanted, there, out);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let side = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                walk(&format!("{path}/{index}"), &side(a), &side(b), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(Difference::new(Kind::Ingress, path, shown(a), shown(b))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => ABSENT.to_owned(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    let text = redacted(text);
    let end = text.floor_char_boundary(text.len().min(MAX));
    format!("`{}`", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ingress(class: &str, path: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "apim-api-ingress-catalog", "annotations": {"a": "b"}},
            "spec": {
                "ingressClassName": class,
                "rules": [{"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {}}]}}],
            },
        }))
        .unwrap()
    }

    fn told(seen: Option<&DynamicObject>) -> Vec<String> {
        let seen = seen.map(|seen| Seen::of(operator_core::exposure::KINDS[0], seen));
        differences(&ingress("istio", "/catalog"), seen.as_ref())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_others_changed_is_told_with_its_path() {
        assert_eq!(
            told(None),
            ["ingress: expected `apim-api-ingress-catalog`, found (absent)"]
        );
        assert_eq!(told(Some(&ingress("istio", "/catalog"))), [""; 0]);
        let mut changed = ingress("nginx", "/other");
        changed.metadata.annotations = None;
        assert_eq!(
            told(Some(&changed)),
            [
                "ingress/spec/ingressClassName: expected `istio`, found `nginx`",
                "ingress/spec/rules/0/http/paths/0/path: expected `/catalog`, found `/other`",
                "ingress/annotations/a: expected `b`, found (absent)",
            ]
        );
    }

    #[test]
    fn what_others_added_is_no_drift() {
        let mut more = ingress("istio", "/catalog");
        let annotations = more.metadata.annotations.get_or_insert_default();
        annotations.insert("kubectl.kubernetes.io/x".into(), "1".into());
        assert_eq!(told(Some(&more)), [""; 0]);
    }
}
