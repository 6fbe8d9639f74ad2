//! What `PolicyPlugin`s say: which plugins there are beyond those of the binary
//! and the plugin folder, and what the platform decides about all of them.
//!
//! Each object has a task of its own that gets the plugin, keeps it up to date
//! and says on the object how that goes. What the platform decides (who may use
//! a plugin, for whom it is mandatory) holds at once, whatever becomes of the
//! plugin's code; new code takes the place of what serves only once it works.

mod hold;
mod keep;
mod load;
mod tell;
mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use operator_core::names::{ContentHash, ObjectKey, PluginName};
use operator_core::pace::Pace;
use operator_core::policy_plugin::spec::ConfigMapKey;
use operator_core::policy_plugin::{Governance, PolicyPluginSpec};
use operator_plugin_source::Sources;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::config_maps::ConfigMaps;
use crate::crd::PolicyPlugin;
use crate::crd::policy_plugin::PolicyPluginStatus;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::uses::Uses;
use crate::watch::{Follow, Synced, Triggers, follow};

/// What a trigger is called in metrics.
const CAUSE: &str = "PolicyPlugin";

/// The `PolicyPlugin`s of this process.
pub struct PolicyPlugins {
    client: Client,
    /// The namespace whose Secrets and ConfigMaps may be named.
    namespace: String,
    sources: Sources,
    plugins: Arc<Plugins>,
    config_maps: Arc<ConfigMaps>,
    uses: Arc<Uses>,
    triggers: Triggers,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    pace: Pace,
    tells: bool,
    entries: Mutex<HashMap<String, Kept>>,
}

/// One object, and the task that keeps its plugin.
struct Kept {
    spec: PolicyPluginSpec,
    /// The object as it was last seen.
    object: PolicyPlugin,
    /// The status that was last written: the cache may be behind.
    said: Option<PolicyPluginStatus>,
    /// The status that the task began with.
    begun: Option<PolicyPluginStatus>,
    /// Something was not written, because another replica leads.
    unsaid: bool,
    /// What serves.
    serving: Option<load::Loaded>,
    task: AbortHandle,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A new entry.
struct Begun {
    name: PluginName,
    /// Who may use the plugin or for whom it is mandatory is another than
    /// before.
    concerns_all: bool,
}

/// What [`PolicyPlugins`] work with.
pub struct Parts {
    /// Talks to the cluster.
    pub client: Client,
    /// The namespace whose Secrets and ConfigMaps may be named.
    pub namespace: String,
    /// Gets plugins.
    pub sources: Sources,
    /// Calls them.
    pub plugins: Arc<Plugins>,
    /// What the platform put into ConfigMaps.
    pub config_maps: Arc<ConfigMaps>,
    /// Who uses which plugin.
    pub uses: Arc<Uses>,
    /// Asks for reconciles.
    pub triggers: Triggers,
    /// For machines.
    pub metrics: Arc<Metrics>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// How fast pauses pass.
    pub pace: Pace,
    /// Whether this process says on PolicyPlugins how they fare, and holds
    /// them; of several shards one does.
    pub tells: bool,
}

impl PolicyPlugins {
    /// Starts to follow `PolicyPlugin`s.
    #[must_use]
    pub fn start(parts: Parts) -> (Arc<Self>, Synced) {
        let api: Api<PolicyPlugin> = Api::all(parts.client.clone());
        let this = Arc::new(Self {
            client: parts.client,
            namespace: parts.namespace,
            sources: parts.sources,
            plugins: parts.plugins,
            config_maps: parts.config_maps,
            uses: parts.uses,
            triggers: parts.triggers,
            metrics: parts.metrics,
            leadership: parts.leadership,
            pace: parts.pace,
            tells: parts.tells,
            entries: Mutex::default(),
        });
        let synced = follow(api, watcher::Config::default(), Follower(Arc::clone(&this)));
        tokio::spawn(Arc::clone(&this).count());
        tokio::spawn(Arc::clone(&this).reread());
        (this, synced)
    }

    fn changed(self: &Arc<Self>, object: &PolicyPlugin) {
        let key = object.name_any();
        let mut entries = self.entries.lock();
        if let Some(kept) = entries.get_mut(&key)
            && kept.spec == object.spec.0
        {
            kept.object = object.clone();
            drop(entries);
            self.hold(object);
            if object.metadata.deletion_timestamp.is_some() {
                let (this, object) = (Arc::clone(self), object.clone());
                tokio::spawn(async move { this.tell_users(&object).await });
            }
            return;
        }
        let begun = self.begin(&mut entries, object);
        drop(entries);
        self.tell_of(begun, object);
    }

    /// Puts a new entry in the place of the one before, if there was one. Under
    /// one lock, so that nobody puts an older object into the place of a newer.
    fn begin(
        self: &Arc<Self>,
        entries: &mut HashMap<String, Kept>,
        object: &PolicyPlugin,
    ) -> Option<Begun> {
        let key = object.name_any();
        let Ok(name) = PluginName::parse(&key) else {
            // The definition refuses such names; an older one may be installed.
            tracing::error!(plugin = key, "a PolicyPlugin of this name cannot be used");
            return None;
        };
        let spec = object.spec.0.clone();
        let governance = Governance::of(&spec);
        let registry = self.plugins.registry();
        let before = registry.entry(&name).and_then(|entry| entry.governance);
        registry.govern(&name, &governance, spec.rollout.is_some());
        let (said, serving) = entries.remove(&key).map_or((None, None), |mut kept| {
            (kept.said.take(), kept.serving.take())
        });
        let said = said.or_else(|| object.status.clone());
        let task = tokio::spawn(Arc::clone(self).keep(name.clone(), object.clone()));
        entries.insert(
            key,
            Kept {
                spec,
                object: object.clone(),
                said,
                begun: object.status.clone(),
                unsaid: false,
                serving,
                task: task.abort_handle(),
            },
        );
        // For whom it is mandatory and who may use it is read off all objects.
        let reach = |governance: &Governance| {
            (
                governance.mandatory.clone(),
                governance.namespace_selector.clone(),
            )
        };
        let concerns_all = before.as_deref().map(reach) != Some(reach(&governance));
        Some(Begun { name, concerns_all })
    }

    /// Asks for the reconciles of those whom a new entry concerns.
    fn tell_of(self: &Arc<Self>, begun: Option<Begun>, object: &PolicyPlugin) {
        let Some(Begun { name, concerns_all }) = begun else {
            return;
        };
        self.hold(object);
        if concerns_all {
            self.triggers.all(CAUSE);
        } else {
            self.users(&name);
        }
    }

    /// This process begins to lead. What the one before has said since is
    /// taken up as after a restart (how far a rollout came above all), and what
    /// could not be said until now is.
    pub(crate) fn take_over(self: &Arc<Self>) {
        let mut entries = self.entries.lock();
        let stale = |kept: &Kept| kept.unsaid || kept.begun != kept.object.status;
        let taken: Vec<_> = entries.extract_if(|_, kept| stale(kept)).collect();
        let begun: Vec<_> = taken
            .into_iter()
            .map(|(key, kept)| {
                if let Ok(name) = PluginName::parse(&key) {
                    self.plugins.registry().forget(&name);
                }
                let object = kept.object.clone();
                (self.begin(&mut entries, &object), object)
            })
            .collect();
        drop(entries);
        for (begun, object) in begun {
            self.tell_of(begun, &object);
        }
    }

    fn removed(&self, key: &str) {
        self.entries.lock().remove(key);
        let Ok(name) = PluginName::parse(key) else {
            return;
        };
        let governance = self.plugins.registry().entry(&name);
        self.plugins.registry().forget(&name);
        self.plugins.count();
        let mandatory = governance
            .and_then(|entry| entry.governance)
            .is_some_and(|governance| governance.mandatory.is_some());
        if mandatory {
            self.triggers.all(CAUSE);
        } else {
            self.users(&name);
        }
    }

    /// Asks for a reconcile of those whose config names a document that
    /// changed.
    async fn reread(self: Arc<Self>) {
        let mut changes = self.config_maps.changes();
        let mut known: BTreeMap<ConfigMapKey, ContentHash> = BTreeMap::new();
        while changes.changed().await.is_ok() {
            for document in self.uses.documents() {
                let now = self.config_maps.fingerprint(std::iter::once(&document));
                if known.insert(document.clone(), now) != Some(now) {
                    for key in self.uses.readers(&document) {
                        self.triggers.one(key, "ConfigMap");
                    }
                }
            }
        }
    }

    /// Asks for a reconcile of the users of a plugin, also those that wait for
    /// it.
    fn users(&self, name: &PluginName) {
        for key in self.uses.of(name) {
            self.triggers.one(key, CAUSE);
        }
    }
}

struct Follower(Arc<PolicyPlugins>);

impl Follow for Follower {
    type Kind = PolicyPlugin;

    fn kind(&self) -> &'static str {
        "PolicyPlugin"
    }

    fn seen(&self, object: &PolicyPlugin) {
        self.0.changed(object);
    }

    fn gone(&self, key: &ObjectKey) {
        self.0.removed(&key.name);
    }

    fn known(&self) -> Vec<ObjectKey> {
        let entries = self.0.entries.lock();
        entries
            .keys()
            .map(|name| ObjectKey::new("", name))
            .collect()
    }
}
