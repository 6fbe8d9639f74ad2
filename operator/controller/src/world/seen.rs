//! What is remembered of an object that the operator made.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_core::exposure::{ObjectFacts, ObjectKind, covers};
use operator_core::names::ObjectKey;
use serde_json::Value;

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

    /// Whether all that the operator wants of the object is there. Others may
    /// have added annotations, and the API server defaults.
    #[must_use]
    pub fn has(&self, wanted: &DynamicObject) -> bool {
        covers(
            wanted.data.get("spec").unwrap_or(&Value::Null),
            &self.spec(),
        ) && wanted
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
