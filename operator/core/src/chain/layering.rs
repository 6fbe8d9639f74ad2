//! The layers of a config, and what of them counts where a plugin is
//! mandatory.

use serde_json::Value;

use super::plan::{Candidate, PlannedPlugin};
use crate::annotations;
use crate::config::{Layers, Origin};
use crate::instance::empty_object;
use crate::names::{InstanceName, PluginName};
use crate::policy_plugin::{Governance, Pointer};
use crate::problem::Problem;
use crate::profile::ProfileRef;
use crate::status::reasons::Reason;
use crate::validate::Finding;

/// The layers that the platform writes.
pub(super) fn platform(
    plugin: &PluginName,
    governance: Option<&Governance>,
    instance: &InstanceName,
    instance_config: &Value,
    fallback: Origin,
) -> Layers {
    let mut layers = Layers::new(plugin.clone(), fallback);
    if let Some(governance) = governance {
        layers.push(Origin::PolicyPlugin, governance.defaults.clone());
    }
    layers.push(Origin::Instance(instance.clone()), instance_config.clone());
    layers
}

/// All layers of a candidate. Of a mandatory plugin's, what is not unlocked is
/// left out: with a warning where the spec says it, which may have been written
/// before the plugin was mandatory, and with an error where an annotation
/// does, which can only be about this plugin.
pub(super) fn layers(
    candidate: &Candidate,
    instance: &InstanceName,
    from_spec: Value,
    warnings: &mut Vec<Problem>,
    findings: &mut Vec<Finding>,
) -> Layers {
    let name = &candidate.plugin.name;
    let mut layers = platform(
        name,
        candidate.governance.as_deref(),
        instance,
        &candidate.instance_config,
        Origin::Annotation,
    );
    let locks = candidate
        .governance
        .as_deref()
        .filter(|_| candidate.mandatory)
        .map(|governance| (governance, layers.merged()));
    if let Some((block, _)) = &candidate.block {
        let from_spec = match &locks {
            None => from_spec,
            Some((governance, platform)) => {
                let (part, ignored) = governance.unlocked_part(&from_spec, platform);
                warnings.extend(ignored.iter().map(|pointer| {
                    Problem::of_plugin(
                        name.as_str(),
                        format!("spec.{block}"),
                        format!(
                            "config `{pointer}` that is read from it has no effect: plugin `{name}` is mandatory, \
                             and PolicyPlugin/{name} does not unlock it"
                        ),
                    )
                }));
                part
            }
        };
        layers.push(Origin::SpecBlock(block.clone()), from_spec);
    }
    of_profiles(
        name,
        &candidate.profile_configs,
        locks.as_ref(),
        &mut layers,
        findings,
    );
    if let Some(config) = &candidate.annotation_config {
        let path = annotations::path(&format!("plugin.{name}"));
        findings.extend(locked(name, locks.as_ref(), config, &path));
        layers.push(Origin::Annotation, config.clone());
    }
    layers
}

/// The layers of profiles, the last one last.
fn of_profiles(
    name: &PluginName,
    configs: &[(ProfileRef, Value)],
    locks: Option<&(&Governance, Value)>,
    layers: &mut Layers,
    findings: &mut Vec<Finding>,
) {
    for (profile, config) in configs {
        // Also one of the cluster: it is the object that asks for it.
        let path = profile.config_path(name);
        findings.extend(locked(name, locks, config, &path));
        layers.push(Origin::Profile(profile.clone()), config.clone());
    }
}

/// An error for everything that an annotation sets and may not.
pub(super) fn locked(
    name: &PluginName,
    locks: Option<&(&Governance, Value)>,
    config: &Value,
    path: &str,
) -> Vec<Finding> {
    let Some((governance, platform)) = locks else {
        return Vec::new();
    };
    let open = if governance.unlocked.is_empty() {
        "nothing".to_owned()
    } else {
        annotations::nearest::listed(governance.unlocked.iter().map(Pointer::as_str))
    };
    governance
        .locked(config, platform)
        .into_iter()
        .map(|pointer| {
            Finding::invalid(
                Reason::Locked,
                Problem::of_plugin(
                    name.as_str(),
                    if pointer.is_empty() {
                        path.to_owned()
                    } else {
                        format!("{path} {pointer}")
                    },
                    format!(
                        "plugin `{name}` is mandatory and PolicyPlugin/{name} does not unlock this; remove it \
                         (unlocked: {open})"
                    ),
                ),
            )
        })
        .collect()
}

/// The layers of a plugin that runs for one operation.
pub(super) fn operation_layers(
    planned: &PlannedPlugin,
    operation: &str,
    instance: &InstanceName,
    findings: &mut Vec<Finding>,
) -> Layers {
    let name = &planned.plugin.name;
    let origin = Origin::OperationAnnotation(operation.to_owned());
    let mut layers = platform(
        name,
        planned.governance.as_deref(),
        instance,
        &planned.instance_config,
        origin.clone(),
    );
    let locks = planned
        .governance
        .as_deref()
        .filter(|_| planned.mandatory)
        .map(|governance| (governance, layers.merged()));
    of_profiles(
        name,
        &planned.profile_configs,
        locks.as_ref(),
        &mut layers,
        findings,
    );
    if let Some(config) = &planned.config {
        let path = format!(
            "{} /{}/config/{name}",
            annotations::path("operation-plugins"),
            crate::config::escape(operation)
        );
        findings.extend(locked(name, locks.as_ref(), config, &path));
    }
    layers.push(origin, planned.config.clone().unwrap_or_else(empty_object));
    layers
}
