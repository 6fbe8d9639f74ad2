//! What `PolicyProfile`s and `ClusterPolicyProfile`s say, kept for the
//! reconciles; and who is looked at again when one changes.
//!
//! A change concerns the APIs that name the profile, and they are looked at so
//! many in a time: a profile that thousands use must not keep Azure's writes
//! from everybody else.

mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use operator_core::names::{ObjectKey, ProfileName};
use operator_core::pace::Pace;
use operator_core::policy::Standing;
use operator_core::profile::line::{Line, Rate, Turn};
use operator_core::profile::spec::ProfilePluginSpec;
use operator_core::profile::{
    self, CLUSTER_KIND, KIND, Profile, ProfileRef, ProfileState, SecretSource,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::crd::policy_profile::PolicyProfileStatus;
use crate::crd::{ClusterPolicyProfile, PolicyProfile};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::secrets::{Asker, Secrets};
use crate::uses::Uses;
use crate::watch::{Follow, Synced, Triggers, follow};
use crate::world::World;

/// What a trigger is called in metrics.
const CAUSE: &str = "PolicyProfile";

/// Of so many writes that a principal may make, one is for an API whose profile
/// changed: the rest is for those who changed something themselves.
const SHARE: f64 = 2.0;
/// How many go at once after a pause: a change that few are concerned by is in
/// place at once.
const BURST: u32 = 10;
/// The pace of the slowest settings.
const SLOWEST: Duration = Duration::from_mins(1);

/// How fast the users of a profile that changed are looked at.
fn rate(writes_per_second: f64, pace: Pace) -> Rate {
    let every = Duration::try_from_secs_f64(SHARE / writes_per_second);
    Rate {
        every: pace.of(every.unwrap_or(SLOWEST).min(SLOWEST)),
        burst: BURST,
    }
}

/// The profiles of this process.
pub struct Profiles {
    client: Client,
    plugins: Arc<Plugins>,
    secrets: Arc<Secrets>,
    world: Arc<World>,
    uses: Arc<Uses>,
    triggers: Triggers,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    pace: Pace,
    tells: bool,
    all: RwLock<Arc<profile::Profiles>>,
    entries: Mutex<BTreeMap<ProfileRef, Kept>>,
    line: Mutex<Line>,
    joined: Notify,
}

/// One object.
#[derive(Debug, Clone)]
struct Kept {
    generation: Option<i64>,
    /// The names of its plugins, as written.
    plugin_names: String,
    /// The status that was last seen or written: the cache may be behind.
    said: PolicyProfileStatus,
}

impl Kept {
    fn of(
        meta: &ObjectMeta,
        plugins: &[ProfilePluginSpec],
        said: Option<&PolicyProfileStatus>,
    ) -> Self {
        Self {
            generation: meta.generation,
            plugin_names: joined(plugins.iter().map(|plugin| plugin.name.as_str())),
            said: said.cloned().unwrap_or_default(),
        }
    }
}

/// What [`Profiles`] work with.
pub struct Parts {
    /// Talks to the cluster.
    pub client: Client,
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// What the Secrets hold that profiles name.
    pub secrets: Arc<Secrets>,
    /// The labels of namespaces.
    pub world: Arc<World>,
    /// Who names which profile.
    pub uses: Arc<Uses>,
    /// Asks for reconciles.
    pub triggers: Triggers,
    /// For machines.
    pub metrics: Arc<Metrics>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// How fast pauses pass.
    pub pace: Pace,
    /// Whether this process says on profiles how they fare; of several shards
    /// one does.
    pub tells: bool,
    /// How many writes a second a principal may make in Azure.
    pub writes_per_second: f64,
}

impl Profiles {
    /// Starts to follow the profiles.
    #[must_use]
    pub fn start(parts: Parts) -> (Arc<Self>, Vec<Synced>) {
        let client = parts.client.clone();
        let rate = rate(parts.writes_per_second, parts.pace);
        let this = Arc::new(Self {
            client: parts.client,
            plugins: parts.plugins,
            secrets: parts.secrets,
            world: parts.world,
            uses: parts.uses,
            triggers: parts.triggers,
            metrics: parts.metrics,
            leadership: parts.leadership,
            pace: parts.pace,
            tells: parts.tells,
            all: RwLock::default(),
            entries: Mutex::default(),
            line: Mutex::new(Line::new(rate)),
            joined: Notify::new(),
        });
        let plain = watcher::Config::default;
        let own: Api<PolicyProfile> = Api::all(client.clone());
        let cluster: Api<ClusterPolicyProfile> = Api::all(client);
        let synced = vec![
            follow(own, plain(), Own(Arc::clone(&this))),
            follow(cluster, plain(), OfCluster(Arc::clone(&this))),
        ];
        tokio::spawn(Arc::clone(&this).serve());
        tokio::spawn(Arc::clone(&this).count());
        tokio::spawn(Arc::clone(&this).reread());
        (this, synced)
    }

    /// All profiles, as they are now.
    #[must_use]
    pub fn all(&self) -> Arc<profile::Profiles> {
        Arc::clone(&self.all.read())
    }

    /// Takes profiles for what they would be, for a command that only looks.
    pub(crate) async fn assume(&self, profiles: Vec<(ProfileRef, ProfileState)>) {
        for (reference, state) in profiles {
            Arc::make_mut(&mut self.all.write()).insert(reference, state);
        }
        self.secrets
            .want(Asker::Profiles, &self.secret_namespaces());
        self.secrets.until_read().await;
    }

    fn seen(self: &Arc<Self>, reference: ProfileRef, state: ProfileState, mut kept: Kept) {
        let same = self.all.read().get(&reference) == Some(&state);
        let mut entries = self.entries.lock();
        if let Some(before) = entries.get(&reference) {
            // What was written last is newer than what the watch shows of it.
            kept.said = before.said.clone();
        }
        entries.insert(reference.clone(), kept);
        if !same {
            let mut all = self.all.write();
            Arc::make_mut(&mut all).insert(reference.clone(), state);
        }
        drop(entries);
        if !same {
            self.changed(&reference);
        }
        let this = Arc::clone(self);
        tokio::spawn(async move { this.tell(&reference).await });
    }

    fn gone(self: &Arc<Self>, reference: &ProfileRef) {
        let mut entries = self.entries.lock();
        entries.remove(reference);
        Arc::make_mut(&mut self.all.write()).remove(reference);
        drop(entries);
        self.changed(reference);
    }

    /// Those who name a profile wait to be looked at. One of the other kind and
    /// the same name may be ambiguous now, or no longer.
    fn changed(self: &Arc<Self>, reference: &ProfileRef) {
        self.secrets
            .want(Asker::Profiles, &self.secret_namespaces());
        let users = self.uses.of_profile(reference);
        self.line.lock().join(users);
        self.joined.notify_one();
        let twins = self.twins(reference);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            for twin in twins {
                this.tell(&twin).await;
            }
        });
    }

    /// The namespaces whose Secrets profiles name; none is the operator's.
    fn secret_namespaces(&self) -> BTreeSet<Option<String>> {
        let all = self.all();
        let secrets = all.usable().flat_map(|profile| &profile.secrets);
        let keys = secrets.filter_map(|secret| match &secret.source {
            SecretSource::Secret(key) => Some(key.namespace.clone()),
            SecretSource::KeyVault(_) => None,
        });
        keys.collect()
    }

    /// A Secret changed: what a profile says of itself may be another, and
    /// whoever waits for it can go on. Those who are published need nothing as
    /// long as it can be used: their policies name the secret and do not hold it.
    async fn reread(self: Arc<Self>) {
        let mut changes = self.secrets.changes();
        let mut before: BTreeMap<ProfileRef, Vec<String>> = BTreeMap::new();
        while changes.changed().await.is_ok() {
            let all = self.all();
            let with: Vec<_> = all.usable().filter(|p| !p.secrets.is_empty()).collect();
            let mut now = BTreeMap::new();
            for profile in with {
                let reference = &profile.reference;
                let unfit = self.unfit(profile);
                let users = if unfit.is_empty() || before.get(reference) == Some(&unfit) {
                    self.uses.waiting_for(reference)
                } else {
                    // What is published stays; that it can go no further is
                    // theirs to know.
                    self.uses.of_profile(reference)
                };
                self.line.lock().join(users);
                self.joined.notify_one();
                self.tell(reference).await;
                now.insert(reference.clone(), unfit);
            }
            before = now;
        }
    }

    /// What could keep a user from using a profile's secrets.
    fn unfit(&self, profile: &Profile) -> Vec<String> {
        let sources = profile.secrets.iter().map(|secret| &secret.source);
        let said = sources.filter_map(|source| match source {
            SecretSource::KeyVault(_) => None,
            SecretSource::Secret(key) => match self.secrets.get(key) {
                // Not every user puts it into an expression.
                Ok(held) => profile::unfit(held.value.expose(), Standing::InExpression),
                Err(lack) => (!lack.passes).then_some(lack.message),
            },
        });
        said.collect()
    }

    /// Those of the other kind that have the same name.
    fn twins(&self, reference: &ProfileRef) -> Vec<ProfileRef> {
        let name = &reference.name;
        let all = self.all();
        if reference.namespace.is_none() {
            let namespaces = all.namespaces_with(name);
            return namespaces
                .map(|namespace| ProfileRef {
                    namespace: Some(namespace.to_owned()),
                    name: name.clone(),
                })
                .collect();
        }
        let twin = ProfileRef {
            namespace: None,
            name: name.clone(),
        };
        all.get(&twin).map(|_| twin.clone()).into_iter().collect()
    }

    /// Asks for the reconciles of those who wait, at the rate.
    async fn serve(self: Arc<Self>) {
        let start = Instant::now();
        loop {
            let now = start.elapsed();
            let turn = self.line.lock().next(now);
            match turn {
                Turn::Now(key) => self.triggers.one(key, CAUSE),
                Turn::At(at) => tokio::time::sleep(at.saturating_sub(now)).await,
                Turn::Nobody => self.joined.notified().await,
            }
        }
    }

    /// The profiles there are, for a watch that begins anew.
    fn known(&self, of_cluster: bool) -> Vec<ObjectKey> {
        let entries = self.entries.lock();
        let known = entries.keys();
        known
            .filter(|reference| reference.namespace.is_none() == of_cluster)
            .map(|reference| {
                let namespace = reference.namespace.clone().unwrap_or_default();
                ObjectKey::new(namespace, reference.name.as_str())
            })
            .collect()
    }
}

/// A name that the definition refuses; an older one may be installed.
fn name_of<K: Resource>(object: &K, kind: &'static str) -> Option<ProfileName> {
    let name = object.name_any();
    let parsed = ProfileName::parse(&name);
    if parsed.is_err() {
        tracing::error!(profile = name, "a {kind} of this name cannot be used");
    }
    parsed.ok()
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Follows those of namespaces.
struct Own(Arc<Profiles>);

impl Follow for Own {
    type Kind = PolicyProfile;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn seen(&self, object: &PolicyProfile) {
        let Some(name) = name_of(object, KIND) else {
            return;
        };
        let namespace = object.namespace().unwrap_or_default();
        let spec = &object.spec.0;
        let state = Profile::of_namespace(&namespace, name.clone(), spec);
        let reference = ProfileRef {
            namespace: Some(namespace),
            name,
        };
        let kept = Kept::of(&object.metadata, &spec.plugins, object.status.as_ref());
        self.0.seen(reference, state, kept);
    }

    fn gone(&self, key: &ObjectKey) {
        if let Ok(name) = ProfileName::parse(&key.name) {
            self.0.gone(&ProfileRef {
                namespace: Some(key.namespace.to_string()),
                name,
            });
        }
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.known(false)
    }
}

/// Follows those of the cluster.
struct OfCluster(Arc<Profiles>);

impl Follow for OfCluster {
    type Kind = ClusterPolicyProfile;

    fn kind(&self) -> &'static str {
        CLUSTER_KIND
    }

    fn seen(&self, object: &ClusterPolicyProfile) {
        let Some(name) = name_of(object, CLUSTER_KIND) else {
            return;
        };
        let spec = &object.spec.0;
        let state = Profile::of_cluster(name.clone(), spec);
        let reference = ProfileRef {
            namespace: None,
            name,
        };
        let kept = Kept::of(&object.metadata, &spec.plugins, object.status.as_ref());
        self.0.seen(reference, state, kept);
    }

    fn gone(&self, key: &ObjectKey) {
        if let Ok(name) = ProfileName::parse(&key.name) {
            self.0.gone(&ProfileRef {
                namespace: None,
                name,
            });
        }
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.known(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_writes_are_for_the_users_of_a_profile() {
        let every = |writes: f64| rate(writes, Pace::REAL).every.as_millis();
        assert_eq!(every(10.0), 200);
        assert_eq!(every(1000.0), 2);
        assert_eq!(every(0.5), 4000);
        assert_eq!(every(f64::MIN_POSITIVE), 60_000);
    }
}
