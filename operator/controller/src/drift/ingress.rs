//! What others changed of an Ingress.
//!
//! The watch shows a change at once; a sweep has nothing to do here. Whether it
//! was somebody else's is known by the Ingress that was last in place: where the
//! same is still wanted, nobody but others can have changed it.

use k8s_openapi::api::networking::v1::Ingress;
use operator_core::drift::{Difference, Kind, redacted};
use serde_json::Value;

use crate::world::IngressSeen;

/// What is shown of something that is not there.
const ABSENT: &str = "(absent)";
/// The longest text that is shown of a value.
const MAX: usize = 160;

/// Where what is there differs from what is wanted; what others added beside
/// it, such as annotations, does not count.
pub(crate) fn differences(wanted: &Ingress, seen: Option<&IngressSeen>) -> Vec<Difference> {
    let Some(seen) = seen else {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        return vec![Difference::new(
            Kind::Ingress,
            "ingress",
            format!("`{name}`"),
            ABSENT,
        )];
    };
    let mut out = Vec::new();
    let json = |spec| serde_json::to_value(spec).unwrap_or_default();
    walk(
        "ingress/spec",
        &json(wanted.spec.as_ref()),
        &json(seen.spec().as_ref()),
        &mut out,
    );
    for (name, value) in wanted.metadata.annotations.iter().flatten() {
        let there = seen.annotation(name);
        if there != Some(value) {
            out.push(Difference::new(
                Kind::Ingress,
                format!("ingress/annotations/{name}"),
                quoted(value),
                there.map_or_else(|| ABSENT.to_owned(), |there| quoted(there)),
            ));
        }
    }
    out
}

fn walk(path: &str, wanted: &Value, there: &Value, out: &mut Vec<Difference>) {
    match (wanted, there) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let side = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or_default()
                };
                walk(&format!("{path}/{name}"), &side(a), &side(b), out);
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

    fn ingress(class: &str, path: &str) -> Ingress {
        serde_json::from_value(json!({
            "metadata": {"name": "apim-api-ingress-catalog", "annotations": {"a": "b"}},
            "spec": {
                "ingressClassName": class,
                "rules": [{"http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {}}]}}],
            },
        }))
        .unwrap()
    }

    fn told(seen: Option<&Ingress>) -> Vec<String> {
        let seen = seen.map(IngressSeen::of);
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
