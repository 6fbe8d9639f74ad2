//! Which ExposedAPIs ask for which path: an index over all objects, so that
//! two that ask for one path are found before either is written.
//!
//! Who of them gets it is decided in [`operator_core::paths`]; this is only
//! what it decides on.

use std::collections::{BTreeSet, HashMap};

use operator_core::apim::AppliedRecord;
use operator_core::exposed_api::{ApiPath, in_api_management};
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::versions::Member;
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
    /// Which version it is, where it is one of several that share the path.
    pub member: Option<Box<Member>>,
    /// The path, in one spelling.
    pub path: SmolStr,
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
    by_set: Links<SmolStr, ObjectKey>,
}

impl Inner {
    fn take_out(&mut self, key: &ObjectKey) -> Option<Asked> {
        let asked = self.asked.remove(key)?;
        self.by_path.remove(&asked.path, key);
        if let Some(member) = &asked.member {
            self.by_set.remove(&set(key, &member.set.name), key);
        }
        Some(asked)
    }

    /// Those at the same path or in the same version set.
    fn others(&self, asked: &Asked, but: &ObjectKey) -> BTreeSet<ObjectKey> {
        let at_path = self.by_path.of(&asked.path);
        let set = asked.member.iter().map(|member| set(but, &member.set.name));
        let in_set = set.flat_map(|set| self.by_set.of(&set).cloned().collect::<Vec<_>>());
        let all = at_path.cloned().chain(in_set);
        all.filter(|key| key != but).collect()
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
        let place = |asked: &Asked| {
            let member = asked.member.clone();
            (asked.path.clone(), asked.instance.clone(), member)
        };
        let mut left = before
            .filter(|before| now.as_ref().map(place) != Some(place(before)))
            .map(|before| inner.others(&before, key));
        if let Some(now) = now {
            // Who disagreed with it may agree now.
            if let (Some(left), Some(_)) = (&mut left, &now.member) {
                left.extend(inner.others(&now, key));
            }
            inner.by_path.insert(now.path.clone(), key.clone());
            if let Some(member) = &now.member {
                let set = set(key, &member.set.name);
                inner.by_set.insert(set, key.clone());
            }
            inner.asked.insert(key.clone(), now);
        }
        left.into_iter().flatten().collect()
    }

    /// Forgets an object, and answers who may now have what it asked for.
    pub fn gone(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut inner = self.inner.write();
        match inner.take_out(key) {
            Some(asked) => inner.others(&asked, key).into_iter().collect(),
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

    /// The objects of a namespace that are in its version set of a name.
    #[must_use]
    pub fn in_set(&self, namespace: &str, name: &str) -> Vec<(ObjectKey, Asked)> {
        let inner = self.inner.read();
        let set = set(&ObjectKey::new(namespace, ""), name);
        let keys = inner.by_set.of(&set);
        keys.filter_map(|key| Some((key.clone(), inner.asked.get(key)?.clone())))
            .collect()
    }
}

/// A version set of a namespace.
fn set(key: &ObjectKey, name: &str) -> SmolStr {
    format!("{}/{name}", key.namespace).into()
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
        member: Member::in_object(&subject.meta.annotations).map(Box::new),
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

    #[test]
    fn who_changes_or_leaves_a_version_set_is_told_to_its_siblings() {
        let version = |name: &str, path: &str, version: &str| {
            let mut subject = subject(name, path);
            for (key, value) in [("version-set", "shop"), ("version", version)] {
                let key = format!("apim.oda.tmforum.org/{key}");
                subject.meta.annotations.insert(key, value.to_owned());
            }
            subject
        };
        let paths = Paths::default();
        assert_eq!(paths.seen(&version("a", "/shop", "v1"), true), []);
        assert_eq!(paths.seen(&version("b", "/other", "v2"), true), []);
        let all = paths.in_set("team", "shop");
        let all: Vec<_> = all.into_iter().map(|(key, _)| key).collect();
        assert_eq!(all, [key("a"), key("b")]);
        assert_eq!(paths.seen(&version("a", "/shop", "v1"), true), []);
        assert_eq!(paths.seen(&version("a", "/shop", "v3"), true), [key("b")]);
        assert_eq!(paths.seen(&version("b", "/shop", "v2"), true), [key("a")]);
        assert_eq!(paths.gone(&key("a")), [key("b")]);
        assert_eq!(paths.in_set("team", "other"), []);
    }
}
