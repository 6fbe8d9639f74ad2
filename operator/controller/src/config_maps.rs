//! The ConfigMaps of the operator's own namespace: plugins, templates and
//! certificates that the platform put there. No other namespace is read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::watcher;
use operator_core::names::{ContentHash, ObjectKey};
use operator_core::policy_plugin::spec::ConfigMapKey;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::watch;

use crate::plugins::DocumentStore;
use crate::watch::{Follow, Synced, follow};

/// What one ConfigMap holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    labels: BTreeMap<String, String>,
    keys: BTreeMap<String, Arc<[u8]>>,
}

/// The ConfigMaps of the operator's namespace.
#[derive(Debug)]
pub struct ConfigMaps {
    namespace: String,
    content: RwLock<BTreeMap<String, Content>>,
    changed: watch::Sender<u64>,
}

/// A key that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingKey {
    /// There is no such ConfigMap.
    #[error(
        "ConfigMap `{name}` is not there in namespace `{namespace}`, the only one that is read"
    )]
    ConfigMap {
        /// Its name.
        name: String,
        /// The operator's namespace.
        namespace: String,
    },
    /// It has no such key.
    #[error("ConfigMap `{namespace}/{name}` has no key `{key}`; it has {there}")]
    Key {
        /// Its name.
        name: String,
        /// The operator's namespace.
        namespace: String,
        /// The key.
        key: String,
        /// The keys that it has.
        there: String,
    },
}

impl ConfigMaps {
    /// None of them yet.
    #[must_use]
    pub fn new(namespace: &str) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.to_owned(),
            content: RwLock::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// Starts to follow them.
    pub fn start(self: &Arc<Self>, client: kube::Client) -> Synced {
        let api: Api<ConfigMap> = Api::namespaced(client, &self.namespace);
        follow(api, watcher::Config::default(), Follower(Arc::clone(self)))
    }

    /// What a key holds.
    pub fn get(&self, key: &ConfigMapKey) -> Result<Arc<[u8]>, MissingKey> {
        let content = self.content.read();
        let Some(Content { keys, .. }) = content.get(&key.name) else {
            return Err(MissingKey::ConfigMap {
                name: key.name.clone(),
                namespace: self.namespace.clone(),
            });
        };
        keys.get(&key.key).cloned().ok_or_else(|| MissingKey::Key {
            name: key.name.clone(),
            namespace: self.namespace.clone(),
            key: key.key.clone(),
            there: if keys.is_empty() {
                "none".to_owned()
            } else {
                let names: Vec<String> = keys.keys().map(|key| format!("`{key}`")).collect();
                names.join(", ")
            },
        })
    }

    /// The labels of a ConfigMap; none where it is not there.
    #[must_use]
    pub fn labels(&self, name: &str) -> BTreeMap<String, String> {
        let content = self.content.read();
        content
            .get(name)
            .map(|content| content.labels.clone())
            .unwrap_or_default()
    }

    /// A digest of what keys hold, to see whether that changed.
    #[must_use]
    pub fn fingerprint<'k>(&self, keys: impl Iterator<Item = &'k ConfigMapKey>) -> ContentHash {
        let parts: Vec<_> = keys
            .map(|key| {
                let content = self.get(key).ok().map(ContentHash::of);
                (content, self.labels(&key.name))
            })
            .collect();
        ContentHash::of_json(&parts)
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn set(&self, name: &str, content: Option<&Content>) {
        let mut all = self.content.write();
        let before = match content {
            Some(content) => all.insert(name.to_owned(), content.clone()),
            None => all.remove(name),
        };
        drop(all);
        if before.as_ref() != content {
            self.changed
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

impl DocumentStore for ConfigMaps {
    fn text(&self, key: &ConfigMapKey) -> Result<String, String> {
        let bytes = self.get(key).map_err(|error| error.to_string())?;
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            format!(
                "key `{}` of ConfigMap `{}` is no UTF-8 text",
                key.key, key.name
            )
        })
    }

    fn labels(&self, name: &str) -> BTreeMap<String, String> {
        Self::labels(self, name)
    }
}

struct Follower(Arc<ConfigMaps>);

impl Follow for Follower {
    type Kind = ConfigMap;

    fn kind(&self) -> &'static str {
        "ConfigMap"
    }

    fn seen(&self, object: &ConfigMap) {
        let texts = object.data.iter().flatten();
        let bytes = object.binary_data.iter().flatten();
        let keys = texts
            .map(|(key, text)| (key.clone(), Arc::from(text.as_bytes())))
            .chain(bytes.map(|(key, bytes)| (key.clone(), Arc::from(bytes.0.as_slice()))))
            .collect();
        let content = Content {
            labels: object.labels().clone(),
            keys,
        };
        self.0.set(&object.name_any(), Some(&content));
    }

    fn gone(&self, key: &ObjectKey) {
        self.0.set(&key.name, None);
    }

    fn known(&self) -> Vec<ObjectKey> {
        let content = self.0.content.read();
        content
            .keys()
            .map(|name| ObjectKey::new(&self.0.namespace, name))
            .collect()
    }
}
