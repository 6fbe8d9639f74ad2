//! Which API uses which plugin, and how it fares: who must be looked at when a
//! plugin changes, and how far a rollout has come.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use operator_core::names::{ObjectKey, PluginName, ProfileName};
use operator_core::policy_plugin::spec::ConfigMapKey;
use operator_core::profile::ProfileRef;
use operator_core::validate::Inquiry;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How the last reconcile of an API ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It has not, or it is being tried again.
    #[default]
    Pending,
    /// What should be published is.
    Published,
    /// It cannot be published as it is; the sentence says why.
    Refused(String),
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Use {
    names: Arc<BTreeSet<PluginName>>,
    mandatory: Arc<BTreeSet<PluginName>>,
    profiles: Arc<BTreeSet<ProfileName>>,
    staged: BTreeSet<PluginName>,
    documents: BTreeSet<ConfigMapKey>,
    health: Health,
    /// Another operator works on it: it counts, and nobody here waits for it.
    elsewhere: bool,
}

#[derive(Debug, Default)]
struct Inner {
    /// What is in the cluster and has not been looked at yet.
    unseen: HashSet<ObjectKey>,
    uses: HashMap<ObjectKey, Use>,
    /// What was published before this process started: name and digest.
    published: HashMap<ObjectKey, Arc<Vec<(String, String)>>>,
    listed: bool,
    sets: Shared<BTreeSet<PluginName>>,
    profiles: Shared<BTreeSet<ProfileName>>,
    lists: Shared<Vec<(String, String)>>,
}

/// Equal values, once: thousands of APIs use the same few plugins.
#[derive(Debug)]
struct Shared<T>(HashSet<Arc<T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Shared<T> {
    fn share(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.0.get(&value) {
            return Arc::clone(known);
        }
        if self.0.len() == self.0.capacity() {
            // What nobody has any more makes room.
            self.0.retain(|value| Arc::strong_count(value) > 1);
        }
        let value = Arc::new(value);
        self.0.insert(Arc::clone(&value));
        value
    }
}

impl Inner {
    #[expect(clippy::type_complexity, reason = "three sets, each of its own")]
    fn shared(
        &mut self,
        named: Named,
    ) -> (
        Arc<BTreeSet<PluginName>>,
        Arc<BTreeSet<PluginName>>,
        Arc<BTreeSet<ProfileName>>,
    ) {
        (
            self.sets.share(named.plugins),
            self.sets.share(named.mandatory),
            self.profiles.share(named.profiles),
        )
    }

    fn users_of<'i>(
        &'i self,
        profile: &'i ProfileRef,
    ) -> impl Iterator<Item = (&'i ObjectKey, &'i Use)> {
        let uses = self.uses.iter();
        uses.filter(|(key, one)| {
            one.profiles.contains(&profile.name) && profile.is_of(&key.namespace)
        })
    }
}

/// Who uses what.
#[derive(Debug)]
pub struct Uses {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

/// How many APIs use a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// All of them.
    pub users: u32,
    /// Those for which it is mandatory.
    pub mandatory: u32,
}

/// What an API names, whether it is there or not.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Plugins, also those that its profiles bring.
    pub plugins: BTreeSet<PluginName>,
    /// Those of them that are mandatory.
    pub mandatory: BTreeSet<PluginName>,
    /// Profiles.
    pub profiles: BTreeSet<ProfileName>,
}

impl Named {
    /// What was found out about an API.
    #[must_use]
    pub fn of(inquiry: &Inquiry) -> Self {
        Self {
            plugins: inquiry.plugin_names(),
            mandatory: inquiry.mandatory_plugins(),
            profiles: inquiry.profile_names(),
        }
    }
}

/// The APIs that name a profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileUse {
    /// How many they are.
    pub users: u32,
    /// Those that cannot be published because of it, and why; by their names.
    pub refused: Vec<(ObjectKey, String)>,
}

impl Uses {
    /// An API is in the cluster; its status says that it is published with
    /// plugins of these digests.
    pub fn exists(&self, key: &ObjectKey, plugins: Vec<(String, String)>) {
        let mut inner = self.inner.lock();
        if !inner.listed {
            let plugins = inner.lists.share(plugins);
            inner.published.insert(key.clone(), plugins);
        }
        if !inner.uses.contains_key(key) {
            inner.unseen.insert(key.clone());
        }
    }

    /// All APIs that were there at the start have been named.
    pub fn listed(&self) {
        self.inner.lock().listed = true;
        self.tell();
    }

    /// Waits until then.
    pub async fn until_listed(&self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if self.inner.lock().listed || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The APIs that were published with a version of a plugin before this
    /// process started.
    #[must_use]
    pub fn published_with(&self, name: &PluginName, digest: &str) -> Vec<ObjectKey> {
        let inner = self.inner.lock();
        let with = inner.published.iter().filter(|(_, plugins)| {
            plugins
                .iter()
                .any(|(plugin, found)| plugin == name.as_str() && found == digest)
        });
        with.map(|(key, _)| key.clone()).collect()
    }

    /// A version that was staged is no longer.
    pub fn forget_staged(&self, name: &PluginName) {
        let mut inner = self.inner.lock();
        for one in inner.uses.values_mut() {
            one.staged.remove(name);
        }
    }

    /// An API names this.
    pub fn seen(&self, key: &ObjectKey, uses: Named) {
        let mut inner = self.inner.lock();
        let first = inner.unseen.remove(key);
        let (names, mandatory, profiles) = inner.shared(uses);
        let entry = inner.uses.entry(key.clone()).or_default();
        let changed = first
            || entry.elsewhere
            || entry.names != names
            || entry.mandatory != mandatory
            || entry.profiles != profiles;
        entry.names = names;
        entry.mandatory = mandatory;
        entry.profiles = profiles;
        entry.elsewhere = false;
        drop(inner);
        if changed {
            self.tell();
        }
    }

    /// An API that another operator works on names this.
    pub fn elsewhere(&self, key: &ObjectKey, uses: Named) {
        let mut inner = self.inner.lock();
        let (names, mandatory, profiles) = inner.shared(uses);
        let now = Use {
            names,
            mandatory,
            profiles,
            elsewhere: true,
            ..Use::default()
        };
        let first = inner.unseen.remove(key);
        let changed = inner.uses.get(key) != Some(&now);
        inner.uses.insert(key.clone(), now);
        drop(inner);
        if first || changed {
            self.tell();
        }
    }

    /// An API's config names these documents.
    pub fn wants(&self, key: &ObjectKey, documents: BTreeSet<ConfigMapKey>) {
        let mut inner = self.inner.lock();
        if !documents.is_empty() || inner.uses.contains_key(key) {
            inner.uses.entry(key.clone()).or_default().documents = documents;
        }
    }

    /// The documents that any API's config names.
    #[must_use]
    pub fn documents(&self) -> BTreeSet<ConfigMapKey> {
        let inner = self.inner.lock();
        let wanted = inner.uses.values().flat_map(|one| &one.documents);
        wanted.cloned().collect()
    }

    /// The APIs whose config names a document.
    #[must_use]
    pub fn readers(&self, document: &ConfigMapKey) -> Vec<ObjectKey> {
        let inner = self.inner.lock();
        let readers = inner
            .uses
            .iter()
            .filter(|(_, one)| one.documents.contains(document));
        readers.map(|(key, _)| key.clone()).collect()
    }

    /// A reconcile of an API ended, for which these plugins were staged ones.
    pub fn ended(&self, key: &ObjectKey, health: Health, staged: BTreeSet<PluginName>) {
        let mut inner = self.inner.lock();
        inner.unseen.remove(key);
        let entry = inner.uses.entry(key.clone()).or_default();
        let changed = entry.health != health || entry.staged != staged;
        entry.health = health;
        entry.staged = staged;
        drop(inner);
        if changed {
            self.tell();
        }
    }

    /// An API is gone.
    pub fn gone(&self, key: &ObjectKey) {
        let mut inner = self.inner.lock();
        inner.unseen.remove(key);
        let known = inner.uses.remove(key).is_some();
        drop(inner);
        if known {
            self.tell();
        }
    }

    /// The APIs that name a plugin, also those that wait for it, as far as this
    /// operator works on them.
    #[must_use]
    pub fn of(&self, name: &PluginName) -> BTreeSet<ObjectKey> {
        let inner = self.inner.lock();
        let uses = inner
            .uses
            .iter()
            .filter(|(_, one)| !one.elsewhere && one.names.contains(name));
        uses.map(|(key, _)| key.clone()).collect()
    }

    /// The APIs that mean a profile by a name of theirs, also those that wait for
    /// it, as far as this operator works on them.
    #[must_use]
    pub fn of_profile(&self, profile: &ProfileRef) -> Vec<ObjectKey> {
        let inner = self.inner.lock();
        let users = inner.users_of(profile).filter(|(_, one)| !one.elsewhere);
        users.map(|(key, _)| key.clone()).collect()
    }

    /// Those of them that are not published as they should be.
    #[must_use]
    pub fn waiting_for(&self, profile: &ProfileRef) -> Vec<ObjectKey> {
        let inner = self.inner.lock();
        let users = inner.users_of(profile);
        let waiting = users.filter(|(_, one)| !one.elsewhere && one.health != Health::Published);
        waiting.map(|(key, _)| key.clone()).collect()
    }

    /// Who uses a profile; nothing until every API has been looked at.
    #[must_use]
    pub fn profile(&self, profile: &ProfileRef) -> Option<ProfileUse> {
        let inner = self.inner.lock();
        if !inner.listed || !inner.unseen.is_empty() {
            return None;
        }
        let place = format!("{profile} ");
        let users = inner.users_of(profile).count();
        let refused = inner
            .users_of(profile)
            .filter_map(|(key, one)| match &one.health {
                Health::Refused(why) if why.contains(&place) => Some((key.clone(), why.clone())),
                _ => None,
            });
        let mut refused: Vec<_> = refused.collect();
        refused.sort();
        Some(ProfileUse {
            users: u32::try_from(users).unwrap_or(u32::MAX),
            refused,
        })
    }

    /// How an API fares, and whether that is with the staged version of the
    /// plugin.
    #[must_use]
    pub fn health(&self, key: &ObjectKey, name: &PluginName) -> (Health, bool) {
        let inner = self.inner.lock();
        inner.uses.get(key).map_or_else(Default::default, |one| {
            (one.health.clone(), one.staged.contains(name))
        })
    }

    /// Whether every API has been looked at.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let inner = self.inner.lock();
        inner.listed && inner.unseen.is_empty()
    }

    /// How many use a plugin; none until every API has been looked at.
    #[must_use]
    pub fn count(&self, name: &PluginName) -> Option<Count> {
        let inner = self.inner.lock();
        if !inner.listed || !inner.unseen.is_empty() {
            return None;
        }
        let count = |chosen: fn(&Use) -> &BTreeSet<PluginName>| {
            let chosen = inner.uses.values().filter(|one| chosen(one).contains(name));
            u32::try_from(chosen.count()).unwrap_or(u32::MAX)
        };
        Some(Count {
            users: count(|one| &one.names),
            mandatory: count(|one| &one.mandatory),
        })
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<PluginName> {
        list.iter()
            .map(|name| PluginName::parse(name).unwrap())
            .collect()
    }

    fn named(plugins: BTreeSet<PluginName>, mandatory: BTreeSet<PluginName>) -> Named {
        Named {
            plugins,
            mandatory,
            ..Named::default()
        }
    }

    #[test]
    fn the_users_of_a_profile_are_those_of_its_namespace_or_of_all() {
        let uses = Uses::default();
        let gold = ProfileName::parse("gold").unwrap();
        let (here, there) = (ObjectKey::new("a", "one"), ObjectKey::new("b", "two"));
        for key in [&here, &there] {
            uses.exists(key, vec![]);
            let profiles = BTreeSet::from([gold.clone()]);
            let named = Named {
                profiles,
                ..Named::default()
            };
            uses.seen(key, named);
        }
        let cluster = ProfileRef {
            namespace: None,
            name: gold.clone(),
        };
        let own = ProfileRef {
            namespace: Some("a".to_owned()),
            name: gold,
        };
        assert_eq!(uses.profile(&own), None);
        uses.listed();
        assert_eq!(uses.of_profile(&own), std::slice::from_ref(&here));
        assert_eq!(uses.profile(&own).unwrap().users, 1);
        assert_eq!(uses.profile(&cluster).unwrap().users, 2);
        let why = "PolicyProfile/a/gold spec.plugins[x]: no".to_owned();
        uses.ended(&here, Health::Refused(why.clone()), BTreeSet::new());
        uses.ended(
            &there,
            Health::Refused("spec.port: no".into()),
            BTreeSet::new(),
        );
        assert_eq!(uses.profile(&own).unwrap().refused, [(here, why)]);
        assert_eq!(uses.profile(&cluster).unwrap().refused, []);
    }

    #[test]
    fn nothing_is_counted_before_every_api_has_been_looked_at() {
        let uses = Uses::default();
        let cors = PluginName::parse("cors").unwrap();
        let (one, two) = (ObjectKey::new("a", "one"), ObjectKey::new("a", "two"));
        uses.exists(&one, vec![]);
        uses.exists(&two, vec![]);
        uses.seen(&one, named(names(&["cors"]), names(&[])));
        assert_eq!(uses.count(&cors), None);
        uses.listed();
        assert_eq!(uses.count(&cors), None);
        uses.seen(&two, named(names(&["cors", "jwt"]), names(&["cors"])));
        assert_eq!(
            uses.count(&cors),
            Some(Count {
                users: 2,
                mandatory: 1
            })
        );
        uses.gone(&two);
        assert_eq!(
            uses.count(&cors),
            Some(Count {
                users: 1,
                mandatory: 0
            })
        );
    }

    #[test]
    fn an_api_that_another_operator_works_on_is_counted_and_not_waited_for() {
        let uses = Uses::default();
        let cors = PluginName::parse("cors").unwrap();
        let (here, there) = (ObjectKey::new("a", "here"), ObjectKey::new("b", "there"));
        for key in [&here, &there] {
            uses.exists(key, vec![]);
        }
        uses.listed();
        uses.seen(&here, named(names(&["cors"]), names(&[])));
        assert_eq!(uses.count(&cors), None);
        uses.elsewhere(&there, named(names(&["cors"]), names(&["cors"])));
        let both = Count {
            users: 2,
            mandatory: 1,
        };
        assert_eq!(uses.count(&cors), Some(both));
        assert_eq!(uses.of(&cors), BTreeSet::from([here.clone()]));
        uses.seen(&there, named(names(&["cors"]), names(&["cors"])));
        assert_eq!(uses.of(&cors), BTreeSet::from([here, there]));
    }

    #[test]
    fn only_changes_are_told() {
        let uses = Uses::default();
        let key = ObjectKey::new("a", "one");
        uses.seen(&key, named(names(&["cors"]), names(&[])));
        let mut changes = uses.changes();
        changes.mark_unchanged();
        uses.seen(&key, named(names(&["cors"]), names(&[])));
        assert!(!changes.has_changed().unwrap());
        uses.ended(&key, Health::Published, names(&[]));
        assert!(changes.has_changed().unwrap());
    }
}
