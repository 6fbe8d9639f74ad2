//! What is remembered of an object that the operator made.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_core::exposure::{ObjectFacts, ObjectKind, covers};
use operator_core::names::ObjectKey;
use serde_json::Value;

use crate::resource::FIELD_MANAGER;

/// An object that exposes an API, as last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where it is reached, and what becomes of it.
    pub facts: ObjectFacts,
    /// The uid of the ExposedAPI that owns it.
    pub owner_uid: Option<String>,
    /// As JSON, which takes a fraction of the tree.
    spec: Option<Box<str>>,
    annotations: BTreeMap<String, String>,
    /// The annotations and fields of the spec that the operator wrote last, a
    /// line each.
    owned: Box<str>,
}

/// What is new about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Something that the operator wrote, or all of it.
    Content,
    /// Only what others say of it: its address above all.
    Address,
}

impl Seen {
    /// Reads what matters of an object.
    #[must_use]
    pub fn of(kind: &ObjectKind, object: &DynamicObject) -> Self {
        Self {
            facts: ObjectFacts {
                uid: object.uid().unwrap_or_default(),
                ..(kind.facts)(&object.data)
            },
            owner_uid: owner(object).map(|owner| owner.uid.clone()),
            spec: object.data.get("spec").map(|spec| spec.to_string().into()),
            annotations: object.annotations().clone(),
            owned: owned(object).into(),
        }
    }

    /// Its spec.
    #[must_use]
    pub fn spec(&self) -> Value {
        let text = self.spec.as_deref().unwrap_or("null");
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&String> {
        self.annotations.get(name)
    }

    /// The annotations and fields of the spec that the operator wrote and does
    /// not want any more.
    #[must_use]
    pub fn stale(&self, wanted: &DynamicObject) -> Vec<String> {
        let wants = |line: &str| match line.split_once(' ') {
            Some((ANNOTATION, name)) => wanted.annotations().contains_key(name),
            Some((_, field)) => wanted
                .data
                .pointer("/spec")
                .is_some_and(|spec| spec.get(field).is_some_and(|value| !value.is_null())),
            None => true,
        };
        let stale = self.owned.lines().filter(|line| !wants(line));
        stale.map(str::to_owned).collect()
    }

    /// Whether all that the operator wants of the object is there, and nothing
    /// that it once wanted. Others may have added annotations, and the API
    /// server defaults.
    #[must_use]
    pub fn has(&self, wanted: &DynamicObject) -> bool {
        covers(
            wanted.data.get("spec").unwrap_or(&Value::Null),
            &self.spec(),
        ) && self.stale(wanted).is_empty()
            && wanted
                .annotations()
                .iter()
                .all(|(name, value)| self.annotations.get(name) == Some(value))
    }

    /// What of a change from `self` to `now` is worth a reconcile: an address,
    /// or something that the operator wrote. Annotations of others are not.
    pub(super) fn news(&self, now: &Self) -> Option<News> {
        let lost = |name: &String, value: &String| now.annotations.get(name) != Some(value);
        let content = (self.spec != now.spec && !covers(&self.spec(), &now.spec()))
            || self.owner_uid != now.owner_uid
            || self
                .annotations
                .iter()
                .any(|(name, value)| lost(name, value));
        let said = |seen: &Self| ObjectFacts {
            uid: String::new(),
            ..seen.facts.clone()
        };
        match (content, said(self) != said(now)) {
            (true, _) => Some(News::Content),
            (false, true) => Some(News::Address),
            (false, false) => None,
        }
    }
}

/// What a line of [`Seen::owned`] begins with.
const ANNOTATION: &str = "annotation";
const FIELD: &str = "spec";

/// What the operator applied last, as the API server remembers it:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.
fn owned(object: &DynamicObject) -> String {
    let names = |fields: &Value, pointer: &str, what: &str| -> Vec<String> {
        let fields = fields.pointer(pointer).and_then(Value::as_object);
        let names = fields.into_iter().flat_map(|fields| fields.keys());
        names
            .filter_map(|name| Some(format!("{what} {}", name.strip_prefix("f:")?)))
            .collect()
    };
    let ours = object.managed_fields().iter().filter(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
    });
    let lines = ours
        .filter_map(|entry| entry.fields_v1.as_ref())
        .flat_map(|fields| {
            let mut lines = names(&fields.0, "/f:metadata/f:annotations", ANNOTATION);
            lines.extend(names(&fields.0, "/f:spec", FIELD));
            lines
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// The key of an object of ours and of the ExposedAPI it belongs to.
pub(super) fn keys(object: &DynamicObject) -> Option<(ObjectKey, ObjectKey)> {
    let namespace = object.namespace()?;
    let name = object.name_any();
    // The owner reference rather than the name: a long name is cut.
    Some((
        ObjectKey::new(&namespace, name),
        ObjectKey::new(&namespace, &owner(object)?.name),
    ))
}

fn owner(object: &DynamicObject) -> Option<&OwnerReference> {
    object
        .owner_references()
        .iter()
        .find(|owner| owner.kind == crate::crd::exposed_api::KIND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_operator_wrote_and_does_not_want_any_more_is_stale() {
        let fields = json!({
            "f:metadata": {"f:annotations": {"f:a/b": {}, "f:c": {}}},
            "f:spec": {"f:tls": {}, "f:rules": {}},
        });
        let others = json!({"f:metadata": {"f:annotations": {"f:theirs": {}}}});
        let entry = |manager: &str, fields: &Value| json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields});
        let object = |annotations: Value, spec: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {
                    "name": "i", "annotations": annotations,
                    "managedFields": [entry("apim-operator", &fields), entry("somebody", &others)],
                },
                "spec": spec,
            }))
            .unwrap()
        };
        let annotations = json!({"a/b": "1", "c": "2", "theirs": "3"});
        let there = object(annotations, json!({"tls": [], "rules": []}));
        let kind = operator_core::exposure::KINDS[0];
        let seen = Seen::of(kind, &there);
        assert!(seen.has(&object(
            json!({"a/b": "1", "c": "2"}),
            json!({"tls": [], "rules": []})
        )));
        let less = object(json!({"c": "2"}), json!({"rules": [], "tls": null}));
        assert_eq!(seen.stale(&less), ["annotation a/b", "spec tls"]);
        assert!(!seen.has(&less));
    }
}
