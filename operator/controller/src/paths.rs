//! Which ExposedAPIs ask for which path: an index over all objects, so that
//! two that ask for one path are found before either is written.
//!
//! Who of them gets it is decided in [`operator_core::paths`]; this is only
//! what it decides on.

use std::collections::HashMap;

use operator_core::apim::AppliedRecord;
use operator_core::exposed_api::{ApiPath, in_api_management};
use operator_core::names::{InstanceName, ObjectKey};
use parking_lot::RwLock;
use smol_str::{SmolStr, StrExt as _};

use crate::links::Links;
use crate::reconcile::subject::Subject;

/// What an object asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it was created.
    pub created: SmolStr,
    /// The instance that its annotation names.
    pub instance: Option<InstanceName>,
    /// What its status says of where it is published; absent where others
    /// could have written that.
    pub held: Option<Held>,
    path: SmolStr,
}

/// Where an object is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The instance.
    pub instance: InstanceName,
    /// The path that it holds there, as far as it is known.
    pub path: Option<SmolStr>,
}

impl From<AppliedRecord> for Held {
    fn from(record: AppliedRecord) -> Self {
        Self {
            instance: record.instance,
            path: record.path.map(Into::into),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    asked: HashMap<ObjectKey, Asked>,
    by_path: Links<SmolStr, ObjectKey>,
}

impl Inner {
    fn take_out(&mut self, key: &ObjectKey) -> Option<Asked> {
        let asked = self.asked.remove(key)?;
        self.by_path.remove(&asked.path, key);
        Some(asked)
    }

    fn others_at(&self, path: &SmolStr, but: &ObjectKey) -> Vec<ObjectKey> {
        let keys = self.by_path.of(path);
        keys.filter(|key| *key != but).cloned().collect()
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Paths {
    inner: RwLock<Inner>,
}

impl Paths {
    /// Records what an object asks for, and answers who may now have what it
    /// asked for before. `trusted`: nobody but the operator writes its status.
    pub fn seen(&self, subject: &Subject, trusted: bool) -> Vec<ObjectKey> {
        let key = &subject.key;
        let now = asked(subject, trusted);
        let mut inner = self.inner.write();
        let before = inner.take_out(key);
        let place = |asked: &Asked| (asked.path.clone(), asked.instance.clone());
        let left = before
            .filter(|before| now.as_ref().map(place) != Some(place(before)))
            .map(|before| inner.others_at(&before.path, key));
        if let Some(now) = now {
            inner.by_path.insert(now.path.clone(), key.clone());
            inner.asked.insert(key.clone(), now);
        }
        left.unwrap_or_default()
    }

    /// Forgets an object, and answers who may now have what it asked for.
    pub fn gone(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        match inner.take_out(key) {
            Some(asked) => inner.others_at(&asked.path, key),
            None => Vec::new(),
        }
    }

    /// The objects that ask for a path.
    #[must_use]
    pub fn at(&self, path: &str) -> Vec<(ObjectKey, Asked)> {
        let inner = self.inner.read();
        let path = normal(path);
        let keys = inner.by_path.of(&path);
        keys.filter_map(|key| Some((key.clone(), inner.asked.get(key)?.clone())))
            .collect()
    }
}

fn asked(subject: &Subject, trusted: bool) -> Option<Asked> {
    if !in_api_management(&subject.spec) {
        return None;
    }
    let path = ApiPath::parse(subject.spec.get("path")?.as_str()?).ok()?;
    let record = subject.status.as_ref().filter(|_| trusted);
    Some(Asked {
        created: subject.created.as_str().into(),
        instance: subject.instance(),
        held: record
            .and_then(operator_core::status::applied)
            .map(Held::from),
        path: normal(path.as_api_management()),
    })
}

/// One text for all spellings that API Management takes for one path.
fn normal(path: &str) -> SmolStr {
    path.trim_matches('/').to_ascii_lowercase_smolstr()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subject(name: &str, path: &str) -> Subject {
        let object = serde_json::from_value(json!({
            "apiVersion": "oda.tmforum.org/v1",
            "kind": "ExposedAPI",
            "metadata": {
                "namespace": "team",
                "name": name,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"path": path, "implementation": "svc", "port": 80},
        }));
        Subject::of(&object.unwrap())
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("team", name)
    }

    #[test]
    fn who_asks_for_one_path_is_found_in_any_spelling() {
        let paths = Paths::default();
        paths.seen(&subject("a", "/Shop"), true);
        paths.seen(&subject("b", "shop/"), true);
        let at: Vec<_> = paths.at("SHOP").into_iter().map(|(key, _)| key).collect();
        assert_eq!(at, [key("a"), key("b")]);
        assert_eq!(paths.at("shop")[0].1.created, "2026-01-01T00:00:00Z");
    }

    #[test]
    fn who_leaves_a_path_frees_it_for_the_others() {
        let paths = Paths::default();
        paths.seen(&subject("a", "/shop"), true);
        paths.seen(&subject("b", "/shop"), true);
        assert_eq!(paths.seen(&subject("a", "/shop"), true), []);
        assert_eq!(paths.seen(&subject("a", "/other"), true), [key("b")]);
        assert_eq!(paths.gone(&key("a")), []);
        paths.seen(&subject("c", "/shop"), true);
        assert_eq!(paths.gone(&key("b")), [key("c")]);
        assert_eq!(paths.gone(&key("b")), []);
    }
}
