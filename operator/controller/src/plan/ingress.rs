//! What would be done to an object that exposes an API.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_core::apim::FieldChange;
use operator_core::exposure::ObjectKind;
use serde_json::Value;

use super::KubeCall;
use crate::world::Seen;

/// The write that makes what is there what is wanted; none where it is.
pub(super) fn change(there: Option<&Seen>, wanted: &DynamicObject) -> Option<KubeCall> {
    let kind = wanted.types.as_ref().map(|types| types.kind.as_str());
    let resource = format!("{} {}", kind.unwrap_or_default(), wanted.name_any());
    let Some(there) = there else {
        return Some(KubeCall {
            verb: "create",
            resource,
            changes: fields(None, wanted),
        });
    };
    (!there.has(wanted)).then(|| KubeCall {
        verb: "change",
        resource,
        changes: fields(Some(there), wanted),
    })
}

/// The write that takes an object away.
pub(super) fn removal(kind: &ObjectKind, name: &str) -> KubeCall {
    KubeCall {
        verb: "delete",
        resource: format!("{} {name}", kind.kind),
        changes: Vec::new(),
    }
}

fn fields(there: Option<&Seen>, wanted: &DynamicObject) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let before = there.map(Seen::spec).unwrap_or_default();
    let spec = wanted.data.get("spec").unwrap_or(&Value::Null);
    if wanted
        .types
        .as_ref()
        .is_some_and(|types| types.kind == "Ingress")
    {
        ingress(&before, spec, &mut changes);
    } else {
        leaves(&before, spec, &mut changes);
    }
    for (name, value) in wanted.annotations() {
        let from = there.and_then(|there| there.annotation(name));
        if from != Some(value) {
            changes.push(FieldChange {
                field: "annotation",
                from: from.map(|from| format!("{name}: {from}")),
                to: Some(format!("{name}: {value}")),
            });
        }
    }
    let stale = there.map(|there| there.stale(wanted)).unwrap_or_default();
    changes.extend(stale.into_iter().map(|from| FieldChange {
        field: "no longer",
        from: Some(from),
        to: None,
    }));
    changes
}

/// In the words that people use for it.
fn ingress(before: &Value, now: &Value, changes: &mut Vec<FieldChange>) {
    let mut field = |field, of: &dyn Fn(&Value) -> Option<String>| {
        let (from, to) = (of(before), of(now));
        if from != to {
            changes.push(FieldChange { field, from, to });
        }
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    field("ingressClassName", &|spec| text(&spec["ingressClassName"]));
    field("host", &|spec| text(&spec["rules"][0]["host"]));
    field("paths", &|spec| {
        let paths = spec["rules"][0]["http"]["paths"].as_array()?;
        let paths = paths.iter().filter_map(|path| path["path"].as_str());
        Some(paths.collect::<Vec<_>>().join(", "))
    });
    field("backend", &|spec| {
        let service = &spec["rules"][0]["http"]["paths"][0]["backend"]["service"];
        let name = service["name"].as_str()?;
        Some(format!("{name}:{}", service["port"]["number"].as_i64()?))
    });
    field("routes", &routes);
    field("tls", &|spec| text(&spec["tls"][0]["secretName"]));
}

/// The paths that do not lead where the first one does.
fn routes(spec: &Value) -> Option<String> {
    let paths = spec["rules"][0]["http"]["paths"].as_array()?;
    let first = paths.first()?;
    let others = paths
        .iter()
        .filter(|path| path["backend"] != first["backend"]);
    let told = others.filter_map(|path| {
        let service = &path["backend"]["service"];
        let (at, name) = (path["path"].as_str()?, service["name"].as_str()?);
        let below = if path["pathType"] == "Exact" {
            ""
        } else {
            "/…"
        };
        Some(format!(
            "{at}{below} → {name}:{}",
            service["port"]["number"]
        ))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Value by value, each with its path.
fn leaves(before: &Value, now: &Value, changes: &mut Vec<FieldChange>) {
    let mut from = BTreeMap::new();
    collect("", before, &mut from);
    let mut to = BTreeMap::new();
    collect("", now, &mut to);
    for (path, value) in to {
        let was = from.get(&path);
        if was != Some(&value) {
            changes.push(FieldChange {
                field: "spec",
                from: was.map(|was| format!("{path}: {was}")),
                to: Some(format!("{path}: {value}")),
            });
        }
    }
}

fn collect(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                collect(&below(name), value, out);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect(&below(&index.to_string()), value, out);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            out.insert(path.to_owned(), text.clone());
        }
        value => {
            out.insert(path.to_owned(), value.to_string());
        }
    }
}
