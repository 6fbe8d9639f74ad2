//! OpenAPI documents that lie in the cluster: in ConfigMaps and Secrets of the
//! namespaces of their APIs, and in the running Services.
//!
//! A namespace is watched, by metadata alone, while a document of it is named;
//! what a ConfigMap holds is read when it is needed and not kept. The operator
//! may read there only where the platform bound the role for it.

mod services;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use operator_core::annotations::SpecificationFrom;
use operator_core::annotations::nearest::listed;
use operator_core::class::ErrorClass;
use operator_core::names::ObjectKey;
use operator_core::pace::Pace;
use operator_core::profile::SecretKey;
use operator_core::validate::DocumentFacts;
use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::task::AbortHandle;

use crate::secrets::{Asker, Secrets};
use crate::watch::Triggers;
use crate::world::World;
use services::Answers;
pub use services::Running;

/// What the extra ClusterRole is called that is bound where ConfigMaps with
/// documents may be read.
pub const ROLE: &str = "apim-operator-documents";
/// What a trigger is called in metrics.
const CAUSE: &str = "Specification";

/// The documents in the cluster.
pub struct Specifications {
    client: Client,
    secrets: Arc<Secrets>,
    triggers: Triggers,
    spaces: Mutex<HashMap<SmolStr, Space>>,
    answers: Arc<Answers>,
}

/// One namespace with APIs whose documents lie in it.
#[derive(Default)]
struct Space {
    wants: HashMap<SmolStr, Want>,
    watch: Option<Watch>,
}

/// A watch of the ConfigMaps of a namespace.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What one ExposedAPI names.
struct Want {
    from: SpecificationFrom,
    /// What was there when it was read last.
    read: Option<Version>,
    /// What the watch said last.
    heard: Option<Version>,
}

/// Which content is there, without a word of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Absent,
    /// It may not be read, or not as a document; the sentence says why.
    Unfit(String),
    Of(String),
}

impl Space {
    fn has(&self, is: impl Fn(&SpecificationFrom) -> bool) -> bool {
        self.wants.values().any(|want| is(&want.from))
    }
}

impl Specifications {
    /// None of them yet.
    #[must_use]
    pub fn start(
        client: Client,
        secrets: Arc<Secrets>,
        world: Arc<World>,
        triggers: Triggers,
        pace: Pace,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            answers: Answers::new(client.clone(), world, triggers.clone(), pace),
            client,
            secrets,
            triggers,
            spaces: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&this).follow_secrets());
        this
    }

    /// An ExposedAPI names this place from now on, or none.
    pub fn want(self: &Arc<Self>, key: &ObjectKey, from: Option<&SpecificationFrom>) {
        let in_service = matches!(from, Some(SpecificationFrom::Service { .. }));
        self.answers.want(key, in_service);
        let mut spaces = self.spaces.lock();
        let known = spaces
            .get(&key.namespace)
            .and_then(|space| space.wants.get(&key.name));
        if known.map(|want| &want.from) == from {
            return;
        }
        let space = spaces.entry(key.namespace.clone()).or_default();
        match from {
            Some(from) => {
                let want = Want {
                    from: from.clone(),
                    read: None,
                    heard: None,
                };
                space.wants.insert(key.name.clone(), want);
            }
            None => {
                space.wants.remove(&key.name);
            }
        }
        let maps = space.has(|from| matches!(from, SpecificationFrom::ConfigMap { .. }));
        match &space.watch {
            None if maps => {
                let task = tokio::spawn(Arc::clone(self).follow(key.namespace.clone()));
                space.watch = Some(Watch(task.abort_handle()));
            }
            Some(_) if !maps => space.watch = None,
            _ => {}
        }
        if space.wants.is_empty() {
            spaces.remove(&key.namespace);
        }
        let with_secrets = spaces
            .iter()
            .filter(|(_, space)| space.has(SpecificationFrom::is_secret))
            .map(|(namespace, _)| Some(namespace.to_string()))
            .collect();
        self.secrets.want(Asker::Documents, &with_secrets);
    }

    /// The document of an ExposedAPI; `running` is its Service.
    pub async fn take(
        self: &Arc<Self>,
        key: &ObjectKey,
        from: &SpecificationFrom,
        running: Running<'_>,
    ) -> Result<DocumentFacts, kube::Error> {
        match from {
            SpecificationFrom::ConfigMap { name, key: entry } => {
                let (version, facts) = self.in_config_map(&key.namespace, name, entry).await?;
                self.have_read(key, version);
                Ok(facts)
            }
            SpecificationFrom::Secret { name, key: entry } => {
                self.secrets.until_read().await;
                let (version, facts) = self.in_secret(&key.namespace, name, entry);
                self.have_read(key, version);
                Ok(facts)
            }
            SpecificationFrom::Service { path } => self.answers.take(key, path, running).await,
        }
    }

    async fn in_config_map(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<(Version, DocumentFacts), kube::Error> {
        let at = format!("ConfigMap `{namespace}/{name}`");
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = match maps.get_opt(name).await {
            Ok(Some(map)) => map,
            Ok(None) => {
                let message = format!("{at} is not there; make it, or name another one");
                return Ok((Version::Absent, waits(message)));
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let message = format!(
                    "{at} cannot be read: the operator needs the ClusterRole `{ROLE}` in namespace `{namespace}`: {}",
                    status.message
                );
                return Ok((Version::Unfit(message.clone()), waits(message)));
            }
            Err(error) => return Err(error),
        };
        let version = Version::Of(map.resource_version().unwrap_or_default());
        let (texts, bytes) = (map.data.as_ref(), map.binary_data.as_ref());
        let text = texts.and_then(|data| data.get(key)).cloned();
        let binary = || bytes.and_then(|data| data.get(key));
        let facts = match text
            .map(Ok)
            .or_else(|| binary().map(|bytes| String::from_utf8(bytes.0.clone())))
        {
            Some(Ok(text)) => DocumentFacts::Fetched(text),
            Some(Err(_)) => waits(format!("key `{key}` of {at} is no UTF-8 text")),
            None => {
                let names = texts.into_iter().flat_map(|data| data.keys());
                let names = names.chain(bytes.into_iter().flat_map(|data| data.keys()));
                waits(format!(
                    "{at} has no key `{key}`; it has {}",
                    listed(names.map(String::as_str))
                ))
            }
        };
        Ok((version, facts))
    }

    fn in_secret(&self, namespace: &str, name: &str, key: &str) -> (Version, DocumentFacts) {
        let place = SecretKey {
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            key: key.to_owned(),
        };
        match self.secrets.get(&place) {
            Ok(held) => (
                Version::Of(held.version),
                DocumentFacts::Fetched(held.value.expose().clone()),
            ),
            Err(lack) => (Version::Unfit(lack.message.clone()), waits(lack.message)),
        }
    }

    fn have_read(&self, key: &ObjectKey, version: Version) {
        let mut spaces = self.spaces.lock();
        let space = spaces.get_mut(&key.namespace);
        let Some(want) = space.and_then(|space| space.wants.get_mut(&key.name)) else {
            return;
        };
        let other = want.heard.as_ref().is_some_and(|heard| *heard != version);
        want.read = Some(version);
        // It changed while it was read. Once is enough: should the watch be
        // behind, it says so itself.
        want.heard = None;
        drop(spaces);
        if other {
            self.triggers.one(key.clone(), CAUSE);
        }
    }

    /// The watch says what is there now: whoever read something else looks
    /// again.
    fn heard(&self, namespace: &SmolStr, is: impl Fn(&SpecificationFrom) -> Option<Version>) {
        let mut again = Vec::new();
        let mut spaces = self.spaces.lock();
        let wants = spaces
            .get_mut(namespace)
            .into_iter()
            .flat_map(|space| &mut space.wants);
        for (name, want) in wants {
            let Some(now) = is(&want.from) else {
                continue;
            };
            match &want.read {
                Some(read) if *read != now => again.push(name.clone()),
                Some(_) => {}
                // It is being read.
                None => want.heard = Some(now),
            }
        }
        drop(spaces);
        for name in again {
            let key = ObjectKey::new(namespace.clone(), name);
            self.triggers.one(key, CAUSE);
        }
    }

    async fn follow(self: Arc<Self>, namespace: SmolStr) {
        let api: Api<PartialObjectMeta<ConfigMap>> =
            Api::namespaced(self.client.clone(), &namespace);
        let stream = watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(stream);
        let mut listed: BTreeSet<String> = BTreeSet::new();
        let of = |from: &SpecificationFrom, name: &str| matches!(from, SpecificationFrom::ConfigMap { name: wanted, .. } if wanted == name);
        let there = |map: &PartialObjectMeta<ConfigMap>| {
            let (name, version) = (map.name_any(), map.resource_version());
            self.heard(&namespace, |from| {
                of(from, &name).then(|| Version::Of(version.clone().unwrap_or_default()))
            });
        };
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(map)) => {
                    listed.insert(map.name_any());
                    there(&map);
                }
                Ok(Event::Apply(map)) => there(&map),
                Ok(Event::Delete(map)) => {
                    let name = map.name_any();
                    self.heard(&namespace, |from| {
                        of(from, &name).then_some(Version::Absent)
                    });
                }
                Ok(Event::InitDone) => self.heard(&namespace, |from| match from {
                    SpecificationFrom::ConfigMap { name, .. } if !listed.contains(name) => {
                        Some(Version::Absent)
                    }
                    _ => None,
                }),
                Err(error) => {
                    tracing::warn!(%error, %namespace, "the watch of ConfigMaps failed and is started again");
                }
            }
        }
    }

    async fn follow_secrets(self: Arc<Self>) {
        let mut changes = self.secrets.changes();
        while changes.changed().await.is_ok() {
            let namespaces: Vec<SmolStr> = {
                let spaces = self.spaces.lock();
                let with = spaces
                    .iter()
                    .filter(|(_, space)| space.has(SpecificationFrom::is_secret));
                with.map(|(namespace, _)| namespace.clone()).collect()
            };
            for namespace in namespaces {
                self.heard(&namespace, |from| match from {
                    SpecificationFrom::Secret { name, key } => {
                        Some(self.in_secret(&namespace, name, key).0)
                    }
                    _ => None,
                });
            }
        }
    }
}

fn waits(message: String) -> DocumentFacts {
    DocumentFacts::Failed {
        class: ErrorClass::Waiting,
        message,
    }
}
