//! Which plugins are candidates, and what must be read before it is decided
//! which of them run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::blocks;
use super::catalog::{Catalog, Entry, Listing, PluginInfo};
use crate::annotations::nearest::{self, did_you_mean};
use crate::annotations::{self, Annotations, OperationPlugins};
use crate::descriptor::Dialect;
use crate::instance::{Instance, When, empty_object};
use crate::names::{InstanceName, PluginName};
use crate::policy_plugin::Governance;
use crate::problem::Problem;
use crate::profile::{NamedSecret, Profile, ProfileRef, Resolved};
use crate::status::reasons::Reason;
use crate::validate::Finding;

/// A plugin that runs unless a rule or its reading says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) plugin: Arc<PluginInfo>,
    pub(super) governance: Option<Arc<Governance>>,
    pub(super) template: Option<Arc<str>>,
    /// Whether it runs whatever the object says.
    pub(super) mandatory: bool,
    /// The instance's rule; none where the object lists the plugin itself.
    pub(super) when: Option<When>,
    /// The profile that lists it, where neither the object nor an instance that
    /// runs it always does.
    pub(super) profile: Option<ProfileRef>,
    pub(super) instance_config: Value,
    /// What the object's profiles say, the last one last.
    pub(super) profile_configs: Vec<(ProfileRef, Value)>,
    pub(super) annotation_config: Option<Value>,
    /// The block that it reads, if that is there.
    pub(super) block: Option<(String, Value)>,
}

/// The candidates of one API.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) instance: InstanceName,
    pub(super) dialect: Dialect,
    names: BTreeSet<PluginName>,
    mandatory: BTreeSet<PluginName>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) operations: Vec<PlannedOperation>,
    pub(super) warnings: Vec<Problem>,
    /// The secrets of the object's profiles.
    pub(super) secrets: Vec<NamedSecret>,
}

/// The plugins of one operation.
#[derive(Debug, Clone)]
pub(super) struct PlannedOperation {
    pub(super) operation: String,
    pub(super) plugins: Vec<PlannedPlugin>,
}

/// A plugin that runs for an operation.
#[derive(Debug, Clone)]
pub(super) struct PlannedPlugin {
    pub(super) plugin: Arc<PluginInfo>,
    pub(super) governance: Option<Arc<Governance>>,
    pub(super) template: Option<Arc<str>>,
    /// Whether it is mandatory for the API, and its config locked with that.
    pub(super) mandatory: bool,
    pub(super) instance_config: Value,
    /// What the operation's profiles say, the last one last.
    pub(super) profile_configs: Vec<(ProfileRef, Value)>,
    pub(super) config: Option<Value>,
}

/// What a chain is planned for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The namespace of the API.
    pub namespace: &'a str,
    /// Its labels, which the platform writes.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The API's own labels, which its owner writes.
    pub labels: &'a BTreeMap<String, String>,
    /// Where it is published.
    pub instance: &'a Instance,
    /// The profiles that it names.
    pub(crate) profiles: &'a Resolved,
    /// How its spec is written.
    pub dialect: Dialect,
    /// Its spec.
    pub spec: &'a Value,
}

/// A call of `read-spec` that must be made before the chain can be decided.
#[derive(Debug, Clone)]
pub struct SpecRequest {
    /// The plugin.
    pub plugin: Arc<PluginInfo>,
    /// The block, as a field of the spec.
    pub block: String,
    /// The document that the plugin is given: `{dialect, block}`.
    pub request: Value,
}

/// Names the candidates for an API. What can be planned in spite of a problem
/// is planned, so that all problems are seen at once.
pub(crate) fn planned(
    annotations: &Annotations,
    target: Target<'_>,
    catalog: &Catalog,
) -> (Plan, Vec<Finding>) {
    let instance = target.instance;
    let mut findings = Vec::new();
    let mut warnings = Vec::new();
    let listing = listing(annotations, target, catalog);
    let mut candidates = Vec::new();
    for listed in &listing {
        let (name, place) = (&listed.name, listed.place(instance));
        let Some((plugin, entry)) = find(catalog, target, listed, &place, &mut findings) else {
            continue;
        };
        if let Some(notice) = &entry.notice {
            warnings.push(Problem::of_plugin(
                name.as_str(),
                format!("PolicyPlugin/{name}"),
                notice,
            ));
        }
        if !listed.by_name && annotations.plugins.is_some() {
            warnings.push(Problem::of_plugin(
                name.as_str(),
                annotations::path("plugins"),
                format!("plugin `{name}` runs besides what is listed: PolicyPlugin/{name} makes it mandatory"),
            ));
        }
        if listed.when() == Some(When::WhenEnabled) && plugin.descriptor.spec_block.is_none() {
            findings.push(Finding::invalid(
                Reason::InvalidInstance,
                Problem::of_plugin(
                    name.as_str(),
                    format!("{place}.when"),
                    format!(
                        "`WhenEnabled` never comes true for `{name}`, which reads no block of the spec; \
                         write `Always` or remove the plugin"
                    ),
                ),
            ));
        }
        candidates.push(Candidate {
            when: listed.when(),
            mandatory: listed.mandatory,
            governance: entry.governance.clone(),
            template: entry.template.clone(),
            profile: listed.profile.clone(),
            instance_config: instance_config(instance, name),
            profile_configs: profile_configs(&target.profiles.api, name, instance),
            annotation_config: annotations.configs.get(name).cloned(),
            block: plugin.descriptor.spec_block.as_ref().and_then(|block| {
                let value = target.spec.get(block).filter(|v| !v.is_null())?;
                Some((block.clone(), value.clone()))
            }),
            plugin,
        });
    }
    for name in annotations.configs.keys() {
        if !listing.iter().any(|listed| listed.name == *name) {
            findings.push(config_without_plugin(name, &listing, catalog));
        }
    }
    let operations = annotations
        .operation_plugins
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let profiles = target.profiles.operations.get(index);
            let profiles = profiles.map_or(&[][..], Vec::as_slice);
            operation(entry, profiles, target, catalog, &mut findings)
        })
        .collect();
    let read: Vec<&str> = candidates
        .iter()
        .filter_map(|c| c.plugin.descriptor.spec_block.as_deref())
        .collect();
    // A plugin that is missing may be the one that reads a block.
    if findings.is_empty() {
        warnings.extend(blocks::unread(target.spec, &read, catalog));
    }
    let plan = Plan {
        instance: instance.name.clone(),
        dialect: target.dialect,
        names: names(annotations, target.profiles, &listing),
        mandatory: listing
            .iter()
            .filter(|listed| listed.mandatory)
            .map(|listed| listed.name.clone())
            .collect(),
        candidates,
        operations,
        warnings,
        secrets: target.profiles.secrets(&instance.spec.api_id_prefix),
    };
    (plan, findings)
}

/// Every plugin that the chain names, also those that cannot be used.
fn names(
    annotations: &Annotations,
    profiles: &Resolved,
    listing: &[Listed],
) -> BTreeSet<PluginName> {
    let of_operations = annotations
        .operation_plugins
        .iter()
        .flat_map(|entry| &entry.plugins);
    let of_their_profiles = profiles
        .operations
        .iter()
        .flatten()
        .flat_map(|profile| profile.plugins.iter().map(|plugin| &plugin.name));
    listing
        .iter()
        .map(|listed| &listed.name)
        .chain(of_operations)
        .chain(of_their_profiles)
        .cloned()
        .collect()
}

impl Plan {
    /// Every plugin that the chain names, also those that cannot be used or do
    /// not run.
    #[must_use]
    pub const fn names(&self) -> &BTreeSet<PluginName> {
        &self.names
    }

    /// Those of them that are mandatory.
    #[must_use]
    pub const fn mandatory(&self) -> &BTreeSet<PluginName> {
        &self.mandatory
    }

    /// The calls of `read-spec` that must be made: one for each candidate
    /// whose block is there.
    pub fn requests(&self) -> impl Iterator<Item = SpecRequest> {
        self.candidates.iter().filter_map(|candidate| {
            let (block, value) = candidate.block.as_ref()?;
            Some(SpecRequest {
                plugin: Arc::clone(&candidate.plugin),
                block: block.clone(),
                request: json!({"dialect": self.dialect, "block": value}),
            })
        })
    }
}

/// A name in the chain, and who put it there.
struct Listed {
    name: PluginName,
    /// The instance's rule, where the instance lists it.
    rule: Option<When>,
    /// Whether the platform made it mandatory.
    mandatory: bool,
    /// Whether anyone but the platform listed it.
    by_name: bool,
    /// The profile that lists it, where that decides that it runs.
    profile: Option<ProfileRef>,
}

impl Listed {
    /// When it runs; none where the object lists it itself.
    const fn when(&self) -> Option<When> {
        if self.mandatory {
            Some(When::Always)
        } else {
            self.rule
        }
    }

    /// The field that names it.
    fn place(&self, instance: &Instance) -> String {
        let name = &self.name;
        if let Some(profile) = &self.profile {
            return format!("{profile} spec.plugins[{name}]");
        }
        match (self.by_name, self.rule) {
            (false, _) => format!("PolicyPlugin/{name} spec.mandatory"),
            (true, Some(_)) => format!("ApimInstance/{} spec.plugins[{name}]", instance.name),
            (true, None) => annotations::path("plugins"),
        }
    }
}

/// The names in the chain: what the object or the instance lists, and what is
/// mandatory besides.
fn listing(annotations: &Annotations, target: Target<'_>, catalog: &Catalog) -> Vec<Listed> {
    let mandatory: BTreeSet<&PluginName> = catalog
        .entries()
        .filter(|(_, entry)| {
            entry.governance.as_ref().is_some_and(|governance| {
                governance.is_mandatory(target.namespace_labels, target.labels)
            })
        })
        .map(|(name, _)| name)
        .collect();
    let listed = |name: &PluginName, rule| Listed {
        name: name.clone(),
        rule,
        mandatory: mandatory.contains(name),
        by_name: true,
        profile: None,
    };
    let mut all: Vec<Listed> = if let Some(names) = &annotations.plugins {
        names.iter().map(|name| listed(name, None)).collect()
    } else {
        let defaults = target.instance.plugins.iter();
        defaults.map(|p| listed(&p.name, Some(p.when))).collect()
    };
    for profile in &target.profiles.api {
        for plugin in &profile.plugins {
            let by_profile = Listed {
                profile: Some(profile.reference.clone()),
                ..listed(&plugin.name, None)
            };
            match all.iter_mut().find(|there| there.name == plugin.name) {
                None => all.push(by_profile),
                // Whoever names the profile asks for what stands in it.
                Some(there) if !matches!(there.rule, None | Some(When::Always)) => {
                    *there = by_profile;
                }
                Some(_) => {}
            }
        }
    }
    for name in mandatory {
        if !all.iter().any(|listed| listed.name == *name) {
            all.push(Listed {
                name: name.clone(),
                rule: None,
                mandatory: true,
                by_name: false,
                profile: None,
            });
        }
    }
    all
}

fn profile_configs(
    profiles: &[Arc<Profile>],
    name: &PluginName,
    instance: &Instance,
) -> Vec<(ProfileRef, Value)> {
    let prefix = &instance.spec.api_id_prefix;
    let of = profiles.iter().flat_map(|profile| {
        let plugins = profile.plugins.iter().filter(|plugin| plugin.name == *name);
        plugins.map(|plugin| {
            (
                profile.reference.clone(),
                profile.config_for(plugin, prefix),
            )
        })
    });
    of.collect()
}

fn instance_config(instance: &Instance, name: &PluginName) -> Value {
    instance
        .plugins
        .iter()
        .find(|p| p.name == *name)
        .map_or_else(empty_object, |p| p.config.clone())
}

fn operation(
    entry: &OperationPlugins,
    profiles: &[Arc<Profile>],
    target: Target<'_>,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> PlannedOperation {
    let mut named: Vec<(&PluginName, Option<&ProfileRef>)> =
        entry.plugins.iter().map(|name| (name, None)).collect();
    for profile in profiles {
        for plugin in &profile.plugins {
            if !named.iter().any(|(name, _)| **name == plugin.name) {
                named.push((&plugin.name, Some(&profile.reference)));
            }
        }
    }
    let plugin = |(name, profile): (&PluginName, Option<&ProfileRef>)| {
        let governance = catalog.entry(name).and_then(|e| e.governance.as_ref());
        let listed = Listed {
            name: name.clone(),
            rule: None,
            mandatory: governance
                .is_some_and(|g| g.is_mandatory(target.namespace_labels, target.labels)),
            by_name: true,
            profile: profile.cloned(),
        };
        let place = match profile {
            Some(_) => listed.place(target.instance),
            None => entry.path("/plugins"),
        };
        let (plugin, entry_of) = find(catalog, target, &listed, &place, findings)?;
        Some(PlannedPlugin {
            plugin,
            governance: entry_of.governance.clone(),
            template: entry_of.template.clone(),
            mandatory: listed.mandatory,
            instance_config: instance_config(target.instance, name),
            profile_configs: profile_configs(profiles, name, target.instance),
            config: entry.configs.get(name).cloned(),
        })
    };
    PlannedOperation {
        operation: entry.operation.clone(),
        plugins: named.into_iter().filter_map(plugin).collect(),
    }
}

/// A plugin that can be called and that the namespace may use, or a finding.
fn find<'c>(
    catalog: &'c Catalog,
    target: Target<'_>,
    listed: &Listed,
    place: &str,
    findings: &mut Vec<Finding>,
) -> Option<(Arc<PluginInfo>, &'c Entry)> {
    let name = &listed.name;
    let problem = |message: String| Problem::of_plugin(name.as_str(), place, message);
    let Some(entry) = catalog.entry(name) else {
        findings.push(Finding::invalid(
            Reason::PluginNotFound,
            problem(format!(
                "there is no plugin `{name}`{}; loaded are {}",
                did_you_mean(name.as_str(), catalog.names()).trim_end_matches('?'),
                nearest::listed(catalog.names())
            )),
        ));
        return None;
    };
    let governance = entry.governance.as_deref();
    if !listed.mandatory && !governance.is_none_or(|g| g.admits(target.namespace_labels)) {
        findings.push(Finding::invalid(
            Reason::Forbidden,
            problem(format!(
                "plugin `{name}` may not be used in namespace `{}`: PolicyPlugin/{name} spec.namespaceSelector \
                 does not select it; its APIs may use {}",
                target.namespace,
                nearest::listed(catalog.usable(target.namespace_labels))
            )),
        ));
        return None;
    }
    findings.push(match &entry.listing {
        Listing::Ready(plugin) => return Some((Arc::clone(plugin), entry)),
        Listing::Loading => Finding::waiting(
            Reason::PluginLoading,
            problem(format!("plugin `{name}` is still being loaded")),
        ),
        Listing::Failed(why) => Finding::invalid(
            Reason::PluginFailed,
            problem(format!("plugin `{name}` cannot be used: {why}")),
        ),
    });
    None
}

fn config_without_plugin(name: &PluginName, listing: &[Listed], catalog: &Catalog) -> Finding {
    let names = || listing.iter().map(|listed| listed.name.as_str());
    let key = format!("plugin.{name}");
    // A name that is itself misspelt is no advice.
    let there = listing
        .iter()
        .filter(|listed| catalog.get(&listed.name).is_some());
    let hint = did_you_mean(name.as_str(), there.map(|listed| listed.name.as_str()));
    Finding::invalid(
        Reason::InvalidAnnotation,
        Problem::new(
            annotations::path(&key),
            format!(
                "`{name}` is not in the chain, which is {}{}",
                nearest::listed(names()),
                if hint.is_empty() {
                    "; list it in the annotation `plugins`, or remove its config".to_owned()
                } else {
                    hint
                }
            ),
        ),
    )
}
