//! The Secrets that profiles and ExposedAPIs name: those of their namespaces that carry the
//! label `apim.oda.tmforum.org/readable: "true"`, and no others.
//!
//! A namespace is watched while one of them needs it. What a Secret holds leaves
//! this module as [`Secret`] only; nothing that is said of it quotes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use operator_apim::Secret;
use operator_core::profile::{READABLE, SecretKey, trimmed};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What the extra ClusterRole is called that is bound where Secrets may be
/// read.
pub const ROLE: &str = "apim-operator-secrets";

/// How long a start waits for the Secrets before it goes on without them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Secrets of some namespaces.
pub struct Secrets {
    client: Client,
    /// The operator's namespace, where the profiles of the cluster have theirs.
    own: String,
    spaces: RwLock<BTreeMap<String, Space>>,
    wanted: Mutex<BTreeMap<Asker, BTreeSet<String>>>,
    changed: watch::Sender<u64>,
}

/// Who needs Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The profiles.
    Profiles,
    /// ExposedAPIs whose document lies in one.
    Documents,
}

/// One namespace.
struct Space {
    state: State,
    secrets: BTreeMap<String, Content>,
    task: AbortHandle,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Not all has been read yet.
    Reading,
    /// All has.
    Read,
    /// The operator may not.
    Refused(String),
}

/// One Secret.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    version: String,
    /// Nothing stands for what is no text.
    keys: BTreeMap<String, Option<Secret<String>>>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The content.
    pub value: Secret<String>,
    /// Another one after each change of the Secret; says nothing of the
    /// content.
    pub version: String,
}

/// Why a key cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Whether that will end without anybody's doing.
    pub passes: bool,
    /// A sentence without what any Secret holds.
    pub message: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Secrets {
    /// Those of no namespace yet; `own` is the operator's.
    #[must_use]
    pub fn new(client: Client, own: &str) -> Arc<Self> {
        Arc::new(Self {
            client,
            own: own.to_owned(),
            spaces: RwLock::default(),
            wanted: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// The namespaces that somebody needs from now on; none is the operator's.
    pub fn want(self: &Arc<Self>, asker: Asker, namespaces: &BTreeSet<Option<String>>) {
        let namespaces = namespaces
            .iter()
            .map(|namespace| namespace.as_ref().unwrap_or(&self.own).clone())
            .collect();
        let mut all = self.wanted.lock();
        all.insert(asker, namespaces);
        let wanted: BTreeSet<&String> = all.values().flatten().collect();
        let mut spaces = self.spaces.write();
        spaces.retain(|namespace, _| wanted.contains(namespace));
        for namespace in wanted {
            if !spaces.contains_key(namespace) {
                let task = tokio::spawn(Arc::clone(self).follow(namespace.clone()));
                let space = Space {
                    state: State::Reading,
                    secrets: BTreeMap::new(),
                    task: task.abort_handle(),
                };
                spaces.insert(namespace.clone(), space);
            }
        }
    }

    /// What a key holds, without the line break at its end.
    pub fn get(&self, key: &SecretKey) -> Result<Held, Lack> {
        let namespace = key.namespace.as_ref().unwrap_or(&self.own);
        let at = format!("Secret `{namespace}/{}`", key.name);
        let lack = |message: String| Lack {
            passes: false,
            message,
        };
        let spaces = self.spaces.read();
        let reading = || Lack {
            passes: true,
            message: format!("{at} is being read"),
        };
        let space = spaces.get(namespace).ok_or_else(reading)?;
        let Some(content) = space.secrets.get(&key.name) else {
            return Err(match &space.state {
                State::Reading => reading(),
                State::Refused(why) => lack(format!(
                    "{at} cannot be read: the operator needs the ClusterRole `{ROLE}` in namespace `{namespace}`: {why}"
                )),
                State::Read => lack(format!(
                    "{at} is not there, or does not carry the label `{}: \"{}\"`",
                    READABLE.0, READABLE.1
                )),
            });
        };
        let Some(value) = content.keys.get(&key.key) else {
            let names: Vec<&str> = content.keys.keys().map(String::as_str).collect();
            return Err(lack(format!(
                "{at} has no key `{}`; it has {}",
                key.key,
                operator_core::annotations::nearest::listed(names)
            )));
        };
        match value {
            Some(value) => Ok(Held {
                value: value.clone(),
                version: content.version.clone(),
            }),
            None => Err(lack(format!("key `{}` of {at} is no UTF-8 text", key.key))),
        }
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits, but not for ever, until the namespaces that are wanted now have
    /// been read.
    pub async fn until_read(&self) {
        let mut changes = self.changes();
        let read = async {
            loop {
                changes.mark_unchanged();
                let reading = {
                    let spaces = self.spaces.read();
                    spaces.values().any(|space| space.state == State::Reading)
                };
                if !reading || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, read).await;
    }

    async fn follow(self: Arc<Self>, namespace: String) {
        let api: Api<KubeSecret> = Api::namespaced(self.client.clone(), &namespace);
        let labelled = watcher::Config::default().labels(&format!("{}={}", READABLE.0, READABLE.1));
        let stream = watcher(api, labelled).default_backoff();
        pin_mut!(stream);
        let mut listed: BTreeSet<String> = BTreeSet::new();
        while let Some(event) = stream.next().await {
            self.heard(&namespace, event, &mut listed);
        }
    }

    fn heard(
        &self,
        namespace: &str,
        event: watcher::Result<Event<KubeSecret>>,
        listed: &mut BTreeSet<String>,
    ) {
        let mut spaces = self.spaces.write();
        let Some(space) = spaces.get_mut(namespace) else {
            return;
        };
        let changed = match event {
            Ok(Event::Init) => {
                listed.clear();
                false
            }
            Ok(Event::InitApply(object)) => {
                listed.insert(object.name_any());
                space.put(&object)
            }
            Ok(Event::Apply(object)) => space.put(&object),
            Ok(Event::Delete(object)) => space.secrets.remove(&object.name_any()).is_some(),
            Ok(Event::InitDone) => {
                let before = space.secrets.len();
                space.secrets.retain(|name, _| listed.contains(name));
                let first = space.state != State::Read;
                space.state = State::Read;
                first || before != space.secrets.len()
            }
            Err(error) => {
                tracing::warn!(%error, namespace, "the watch of Secrets failed and is started again");
                match refusal(&error) {
                    Some(why) => {
                        let now = State::Refused(why);
                        // What was read before the right was taken away is not
                        // known any more.
                        space.secrets.clear();
                        std::mem::replace(&mut space.state, now.clone()) != now
                    }
                    None => false,
                }
            }
        };
        drop(spaces);
        if changed {
            self.changed
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

impl Space {
    /// Whether it is another than before.
    fn put(&mut self, object: &KubeSecret) -> bool {
        let uid = object.uid().unwrap_or_default();
        let first: String = uid.chars().take(8).collect();
        let version = object.resource_version().unwrap_or_default();
        let data = object.data.iter().flatten();
        let content = Content {
            version: format!("of-{first}-{version}"),
            keys: data
                .map(|(key, bytes)| {
                    let text = std::str::from_utf8(&bytes.0).ok();
                    let value = text.map(|text| Secret::new(trimmed(text).to_owned()));
                    (key.clone(), value)
                })
                .collect(),
        };
        let name = object.name_any();
        let same = self
            .secrets
            .get(&name)
            .is_some_and(|before| before.keys == content.keys);
        if same {
            // Somebody wrote a label: the content is what it was.
            return false;
        }
        self.secrets.insert(name, content);
        true
    }
}

/// Why the operator may not read, where it may not.
fn refusal(error: &watcher::Error) -> Option<String> {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
            if status.is_forbidden() =>
        {
            Some(status.message.clone())
        }
        WatchError(status) if status.is_forbidden() => Some(status.message.clone()),
        _ => None,
    }
}
