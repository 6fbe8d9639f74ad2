//! Profiles: named lists of plugins with config, which objects name in the
//! annotation `profiles`.
//!
//! A profile of a namespace is its owners' and may say no more than they may
//! write themselves; one of the cluster is the platform's, which says who may
//! name it.

pub mod line;
mod secrets;
mod settings;
pub mod spec;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::annotations::nearest::{did_you_mean, listed};
use crate::annotations::{self, Annotations};
use crate::instance::Instance;
use crate::instance::pattern::{any_matches, display};
use crate::instance::selector::LabelSelector;
use crate::mark::OwnershipMark;
use crate::names::{ObjectKey, PluginName, ProfileName};
use crate::problem::Problem;
use crate::status::reasons::Reason;
use crate::validate::Finding;

pub(crate) use secrets::texts;
pub use secrets::{
    NamedSecret, ProfileSecret, READABLE, SecretKey, SecretSource, VaultSecret, declared_by, place,
    trimmed, unfit,
};

/// The kind of a profile of a namespace.
pub const KIND: &str = "PolicyProfile";
/// The kind of a profile of the cluster.
pub const CLUSTER_KIND: &str = "ClusterPolicyProfile";

/// Which profile: as messages name it, `PolicyProfile/<namespace>/<name>` or
/// `ClusterPolicyProfile/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileRef {
    /// Its namespace; none for one of the cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: ProfileName,
}

impl ProfileRef {
    /// Whether those who own the namespace's APIs wrote it, not the platform.
    #[must_use]
    pub const fn is_owners(&self) -> bool {
        self.namespace.is_some()
    }

    /// Where it holds the config of a plugin.
    #[must_use]
    pub fn config_path(&self, plugin: &PluginName) -> String {
        format!("{self} spec.plugins[{plugin}].config")
    }

    /// What marks that as its own which is made for it in API Management.
    #[must_use]
    pub fn mark(&self, cluster: &str) -> OwnershipMark {
        match &self.namespace {
            Some(namespace) => {
                let key = ObjectKey::new(namespace.as_str(), self.name.as_str());
                OwnershipMark::new(cluster, &key)
            }
            None => OwnershipMark::of_instance(cluster),
        }
    }

    /// Whether an API of this namespace means it by its name.
    #[must_use]
    pub fn is_of(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

impl fmt::Display for ProfileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{KIND}/{namespace}/{}", self.name),
            None => write!(f, "{CLUSTER_KIND}/{}", self.name),
        }
    }
}

/// A profile whose settings make sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Which one it is.
    pub reference: ProfileRef,
    /// Its plugins, each at most once.
    pub plugins: Vec<ProfilePlugin>,
    /// Its secrets, each at most once.
    pub secrets: Vec<ProfileSecret>,
    /// The namespaces whose APIs may name it; absent: none. One of a namespace
    /// is for that namespace alone, whatever stands here.
    pub namespace_selector: Option<LabelSelector>,
}

/// A plugin of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfilePlugin {
    /// The plugin.
    pub name: PluginName,
    /// The profile's config for it: an object.
    pub config: Value,
}

impl Profile {
    fn admits(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        match &self.reference.namespace {
            Some(own) => own == namespace,
            None => self
                .namespace_selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels)),
        }
    }
}

/// What is known of a profile: its settings, or what is wrong with them.
pub type ProfileState = Result<Arc<Profile>, Vec<Problem>>;

/// All profiles.
#[derive(Debug, Clone, Default)]
pub struct Profiles(BTreeMap<ProfileName, Named>);

/// The profiles that an object names, as far as they can be used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    /// Those of the whole API, in its order.
    pub(crate) api: Vec<Arc<Profile>>,
    /// Those of each entry of `operation-plugins`, in its order.
    pub(crate) operations: Vec<Vec<Arc<Profile>>>,
}

impl Resolved {
    /// The secrets of all of them, each once, as an instance with this prefix
    /// names them.
    pub(crate) fn secrets(&self, prefix: &str) -> Vec<NamedSecret> {
        let all = self.api.iter().chain(self.operations.iter().flatten());
        let each: BTreeMap<_, _> = all.map(|profile| (&profile.reference, profile)).collect();
        let secrets = each
            .values()
            .flat_map(|profile| profile.named_secrets(prefix));
        secrets.collect()
    }
}

/// Those of one name.
#[derive(Debug, Clone, Default)]
struct Named {
    cluster: Option<ProfileState>,
    namespaced: BTreeMap<String, ProfileState>,
}

impl Profiles {
    /// Puts one in the place of the one of the same name and namespace.
    pub fn insert(&mut self, reference: ProfileRef, state: ProfileState) {
        let named = self.0.entry(reference.name).or_default();
        match reference.namespace {
            Some(namespace) => {
                named.namespaced.insert(namespace, state);
            }
            None => named.cluster = Some(state),
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, reference: &ProfileRef) {
        let Some(named) = self.0.get_mut(&reference.name) else {
            return;
        };
        match &reference.namespace {
            Some(namespace) => {
                named.namespaced.remove(namespace);
            }
            None => named.cluster = None,
        }
        if named.cluster.is_none() && named.namespaced.is_empty() {
            self.0.remove(&reference.name);
        }
    }

    /// The state of one.
    #[must_use]
    pub fn get(&self, reference: &ProfileRef) -> Option<&ProfileState> {
        let named = self.0.get(&reference.name)?;
        match &reference.namespace {
            Some(namespace) => named.namespaced.get(namespace),
            None => named.cluster.as_ref(),
        }
    }

    /// The namespaces that have one of this name.
    pub fn namespaces_with(&self, name: &ProfileName) -> impl Iterator<Item = &str> {
        let named = self.0.get(name).into_iter();
        named.flat_map(|named| named.namespaced.keys().map(String::as_str))
    }

    /// The profiles that an API of a namespace names, as far as they can be
    /// used, and what is wrong with the others.
    pub(crate) fn resolve(
        &self,
        annotations: &Annotations,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        instance: &Instance,
    ) -> (Resolved, Vec<Finding>) {
        let mut findings = Vec::new();
        let mut told = BTreeSet::new();
        let mut all = |names: &[ProfileName], field: &str| {
            let mut found = Vec::new();
            for name in names {
                let first = told.insert(name.clone());
                match self.one(name, namespace, labels, field) {
                    Ok(profile) => {
                        if first {
                            findings.extend(beyond_owners(&profile, instance));
                        }
                        found.push(profile);
                    }
                    Err(mut wrong) if first => findings.append(&mut wrong),
                    Err(_) => {}
                }
            }
            found
        };
        let api = all(&annotations.profiles, &annotations::path("profiles"));
        let operations = annotations.operation_plugins.iter();
        let operations = operations
            .map(|operation| all(&operation.profiles, &operation.path("/profiles")))
            .collect();
        (Resolved { api, operations }, findings)
    }

    fn one(
        &self,
        name: &ProfileName,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        field: &str,
    ) -> Result<Arc<Profile>, Vec<Finding>> {
        let wrong = |reason, message: String| {
            let problem = Problem::new(field, message);
            vec![Finding::invalid(reason, problem)]
        };
        let named = self.0.get(name);
        let own = named.and_then(|named| named.namespaced.get(namespace));
        let state = match (own, named.and_then(|named| named.cluster.as_ref())) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    Reason::AmbiguousProfile,
                    format!(
                        "`{name}` is both a {KIND} of namespace `{namespace}` and a {CLUSTER_KIND}; give one of \
                         them another name"
                    ),
                ));
            }
            (Some(state), None) | (None, Some(state)) => state,
            (None, None) => {
                let there = || self.names_for(namespace, labels);
                return Err(wrong(
                    Reason::ProfileNotFound,
                    format!(
                        "there is no {KIND} `{name}` in namespace `{namespace}` and no {CLUSTER_KIND} of that \
                         name{}; its APIs may name {}",
                        did_you_mean(name.as_str(), there()).trim_end_matches('?'),
                        listed(there())
                    ),
                ));
            }
        };
        let profile = state.as_ref().map_err(|problems| {
            let problems = problems.iter().cloned();
            problems
                .map(|problem| Finding::invalid(Reason::InvalidProfile, problem))
                .collect::<Vec<_>>()
        })?;
        if !profile.admits(namespace, labels) {
            return Err(wrong(
                Reason::Forbidden,
                format!(
                    "{} may not be named in namespace `{namespace}`: its spec.namespaceSelector does not select \
                     it; its APIs may name {}",
                    profile.reference,
                    listed(self.names_for(namespace, labels))
                ),
            ));
        }
        Ok(Arc::clone(profile))
    }

    /// Those whose settings make sense.
    pub fn usable(&self) -> impl Iterator<Item = &Arc<Profile>> {
        let named = self.0.values();
        let all = named.flat_map(|named| named.cluster.iter().chain(named.namespaced.values()));
        all.filter_map(|state| state.as_ref().ok())
    }

    /// The names that APIs of a namespace may use.
    fn names_for<'p>(
        &'p self,
        namespace: &'p str,
        labels: &'p BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'p str> {
        let usable = self.0.iter().filter(move |(_, named)| {
            let own = named.namespaced.get(namespace);
            own.or(named.cluster.as_ref())
                .and_then(|state| state.as_ref().ok())
                .is_some_and(|profile| profile.admits(namespace, labels))
        });
        usable.map(|(name, _)| name.as_str())
    }
}

/// What a profile of a namespace says that the owners of its APIs may not write
/// on an API either.
fn beyond_owners(profile: &Profile, instance: &Instance) -> Vec<Finding> {
    if !profile.reference.is_owners() {
        return Vec::new();
    }
    let refused = |plugin: &ProfilePlugin, field: &str, annotation: &str| {
        let reference = &profile.reference;
        Finding::invalid(
            Reason::Forbidden,
            Problem::of_plugin(
                plugin.name.as_str(),
                format!("{reference} spec.plugins[{}]{field}", plugin.name),
                format!(
                    "instance `{}` does not let API owners set `{annotation}`, so a {KIND} cannot either; they may \
                     set {}. Ask the platform team to add it to `ownerMay`, or for a {CLUSTER_KIND}",
                    instance.name,
                    display(&instance.owner_may)
                ),
            ),
        )
    };
    let mut findings = Vec::new();
    for plugin in &profile.plugins {
        let by_default = instance.plugins.iter().any(|p| p.name == plugin.name);
        if !by_default && !any_matches(&instance.owner_may, "plugins") {
            findings.push(refused(plugin, "", "plugins"));
        }
        let annotation = format!("plugin.{}", plugin.name);
        let says = plugin.config.as_object().is_some_and(|o| !o.is_empty());
        if says && !any_matches(&instance.owner_may, &annotation) {
            findings.push(refused(plugin, ".config", &annotation));
        }
    }
    findings
}
