//! Which plugins are candidates, and what must be read before it is decided
//! which of them run.

use std::sync::Arc;

use serde_json::{Value, json};

use super::blocks;
use super::catalog::{Catalog, Listing, PluginInfo};
use crate::annotations::nearest::{did_you_mean, listed};
use crate::annotations::{self, Annotations, OperationPlugins};
use crate::descriptor::Dialect;
use crate::instance::{Instance, When, empty_object};
use crate::names::{InstanceName, PluginName};
use crate::problem::Problem;
use crate::status::reasons::Reason;
use crate::validate::Finding;

/// A plugin that runs unless a rule or its reading says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) plugin: Arc<PluginInfo>,
    /// The instance's rule; none where the object lists the plugin itself.
    pub(super) when: Option<When>,
    pub(super) instance_config: Value,
    pub(super) annotation_config: Option<Value>,
    /// The block that it reads, if that is there.
    pub(super) block: Option<(String, Value)>,
}

/// The candidates of one API.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) instance: InstanceName,
    pub(super) dialect: Dialect,
    pub(super) candidates: Vec<Candidate>,
    pub(super) operations: Vec<PlannedOperation>,
    pub(super) warnings: Vec<Problem>,
}

/// The plugins of one operation.
#[derive(Debug, Clone)]
pub(super) struct PlannedOperation {
    pub(super) operation: String,
    pub(super) plugins: Vec<(Arc<PluginInfo>, Value, Option<Value>)>,
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
    instance: &Instance,
    dialect: Dialect,
    spec: &Value,
    catalog: &Catalog,
) -> (Plan, Vec<Finding>) {
    let mut findings = Vec::new();
    let listing = listing(annotations, instance);
    let mut candidates = Vec::new();
    for (name, when) in &listing {
        let place = when.map_or_else(
            || annotations::path("plugins"),
            |_| format!("ApimInstance/{} spec.plugins[{name}]", instance.name),
        );
        let Some(plugin) = find(catalog, name, &place, &mut findings) else {
            continue;
        };
        if *when == Some(When::WhenEnabled) && plugin.descriptor.spec_block.is_none() {
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
            when: *when,
            instance_config: instance_config(instance, name),
            annotation_config: annotations.configs.get(name).cloned(),
            block: plugin.descriptor.spec_block.as_ref().and_then(|block| {
                let value = spec.get(block).filter(|v| !v.is_null())?;
                Some((block.clone(), value.clone()))
            }),
            plugin,
        });
    }
    for name in annotations.configs.keys() {
        if !listing.iter().any(|(listed, _)| listed == name) {
            findings.push(config_without_plugin(name, &listing, catalog));
        }
    }
    let operations = annotations
        .operation_plugins
        .iter()
        .map(|entry| operation(entry, instance, catalog, &mut findings))
        .collect();
    let read: Vec<&str> = candidates
        .iter()
        .filter_map(|c| c.plugin.descriptor.spec_block.as_deref())
        .collect();
    // A plugin that is missing may be the one that reads a block.
    let warnings = if findings.is_empty() {
        blocks::unread(spec, &read, catalog)
    } else {
        Vec::new()
    };
    let plan = Plan {
        instance: instance.name.clone(),
        dialect,
        candidates,
        operations,
        warnings,
    };
    (plan, findings)
}

/// Names the candidates for an API, or everything that is wrong.
pub fn plan_chain(
    annotations: &Annotations,
    instance: &Instance,
    dialect: Dialect,
    spec: &Value,
    catalog: &Catalog,
) -> Result<Plan, Vec<Problem>> {
    let (plan, findings) = planned(annotations, instance, dialect, spec, catalog);
    if findings.is_empty() {
        Ok(plan)
    } else {
        Err(findings.into_iter().map(|f| f.problem).collect())
    }
}

impl Plan {
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

/// The names in the chain, with the instance's rule where it listed them.
fn listing(annotations: &Annotations, instance: &Instance) -> Vec<(PluginName, Option<When>)> {
    annotations.plugins.as_ref().map_or_else(
        || {
            instance
                .plugins
                .iter()
                .map(|p| (p.name.clone(), Some(p.when)))
                .collect()
        },
        |names| names.iter().map(|name| (name.clone(), None)).collect(),
    )
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
    instance: &Instance,
    catalog: &Catalog,
    findings: &mut Vec<Finding>,
) -> PlannedOperation {
    let place = format!(
        "{} /{}/plugins",
        annotations::path("operation-plugins"),
        crate::config::escape(&entry.operation)
    );
    PlannedOperation {
        operation: entry.operation.clone(),
        plugins: entry
            .plugins
            .iter()
            .filter_map(|name| {
                let plugin = find(catalog, name, &place, findings)?;
                let config = entry.configs.get(name).cloned();
                Some((plugin, instance_config(instance, name), config))
            })
            .collect(),
    }
}

fn find(
    catalog: &Catalog,
    name: &PluginName,
    place: &str,
    findings: &mut Vec<Finding>,
) -> Option<Arc<PluginInfo>> {
    let problem = |message: String| Problem::of_plugin(name.as_str(), place, message);
    findings.push(match catalog.get(name) {
        Some(Listing::Ready(plugin)) => return Some(Arc::clone(plugin)),
        Some(Listing::Loading) => Finding::waiting(
            Reason::PluginLoading,
            problem(format!("plugin `{name}` is still being loaded")),
        ),
        Some(Listing::Failed(why)) => Finding::invalid(
            Reason::PluginFailed,
            problem(format!("plugin `{name}` cannot be used: {why}")),
        ),
        None => Finding::invalid(
            Reason::PluginNotFound,
            problem(format!(
                "there is no plugin `{name}`{}; loaded are {}",
                did_you_mean(name.as_str(), catalog.names()).trim_end_matches('?'),
                listed(catalog.names())
            )),
        ),
    });
    None
}

fn config_without_plugin(
    name: &PluginName,
    listing: &[(PluginName, Option<When>)],
    catalog: &Catalog,
) -> Finding {
    let names = || listing.iter().map(|(name, _)| name.as_str());
    let key = format!("plugin.{name}");
    // A name that is itself misspelt is no advice.
    let there = listing
        .iter()
        .filter(|(name, _)| catalog.get(name).is_some());
    let hint = did_you_mean(name.as_str(), there.map(|(name, _)| name.as_str()));
    Finding::invalid(
        Reason::InvalidAnnotation,
        Problem::new(
            annotations::path(&key),
            format!(
                "`{name}` is not in the chain, which is {}{}",
                listed(names()),
                if hint.is_empty() {
                    "; list it in the annotation `plugins`, or remove its config".to_owned()
                } else {
                    hint
                }
            ),
        ),
    )
}
