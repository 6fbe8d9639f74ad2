//! Which candidates run, and their config.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::plan::{Candidate, PlannedOperation};
use super::{Chain, ChainedPlugin, Plan, PluginInfo, layering};
use crate::annotations::nearest::did_you_mean;
use crate::annotations::{self, nearest::listed};
use crate::config::{Layers, Origin};
use crate::descriptor::SpecReading;
use crate::desired::Operation;
use crate::documents;
use crate::instance::{When, empty_object};
use crate::names::PluginName;
use crate::policy::{Diagnostic, Severity};
use crate::policy_plugin::Governance;
use crate::problem::Problem;
use crate::profile::{self, NamedSecret};
use crate::status::reasons::Reason;
use crate::validate::Finding;

/// How a plugin answered `read-spec`.
#[derive(Debug, Clone)]
pub enum Reading {
    /// What the block means.
    Read(SpecReading),
    /// The block cannot be understood; pointers lead into the block.
    Refused(Vec<Diagnostic>),
    /// The call failed: the plugin trapped, took too long, or answered
    /// nonsense.
    Failed(String),
}

/// The answers of `read-spec`, by plugin.
pub type Readings = BTreeMap<PluginName, Reading>;

/// The operations of an API's document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownOperations<'a> {
    /// All of them.
    pub(crate) list: &'a [Operation],
    /// Whether a problem may name them.
    pub(crate) told: bool,
}

impl Plan {
    /// Makes the chain. `operations` are those of the API's document; absent
    /// where the document is not known.
    pub fn decide(
        &self,
        readings: &Readings,
        operations: Option<&[Operation]>,
    ) -> Result<Chain, Vec<Problem>> {
        let known = operations.map(|list| KnownOperations { list, told: true });
        let (chain, findings) = self.decision(readings, known);
        if findings.is_empty() {
            Ok(chain)
        } else {
            Err(findings.into_iter().map(|f| f.problem).collect())
        }
    }

    pub(crate) fn decision(
        &self,
        readings: &Readings,
        operations: Option<KnownOperations<'_>>,
    ) -> (Chain, Vec<Finding>) {
        let mut chain = Chain {
            warnings: self.warnings.clone(),
            ..Chain::default()
        };
        let mut findings = Vec::new();
        for (position, candidate) in self.candidates.iter().enumerate() {
            let reading = match read(candidate, readings) {
                Ok(reading) => reading,
                Err(mut found) => {
                    findings.append(&mut found);
                    continue;
                }
            };
            match verdict(candidate, reading.enabled) {
                Verdict::Runs => {}
                Verdict::RunsAnyway(warning) => chain.warnings.push(warning),
                Verdict::Rests(warning) => {
                    chain.warnings.extend(warning);
                    continue;
                }
            }
            let layers = layering::layers(
                candidate,
                &self.instance,
                reading.config,
                &mut chain.warnings,
                &mut findings,
            );
            let governance = candidate.governance.as_deref();
            let valid = self.valid(&candidate.plugin, governance, &layers, &mut findings);
            if let Some((config, secrets)) = valid {
                chain.api.push(ChainedPlugin {
                    plugin: candidate.plugin.clone(),
                    mandatory: candidate.mandatory,
                    template: candidate.template.clone(),
                    order: order(governance),
                    governance: candidate.governance.clone(),
                    position,
                    config,
                    layers,
                    secrets,
                    operation: None,
                });
            }
        }
        for planned in &self.operations {
            self.decide_operation(planned, operations, &mut chain, &mut findings);
        }
        let used = |secret: &&NamedSecret| chain.iter().any(|p| p.secrets.contains(&secret.id));
        chain.secrets = self.secrets.iter().filter(used).cloned().collect();
        (chain, findings)
    }

    /// The merged config, if it is valid by the plugin's schema and holds nothing
    /// that the platform must grant, and the secrets of profiles in it.
    fn valid(
        &self,
        plugin: &PluginInfo,
        governance: Option<&Governance>,
        layers: &Layers,
        findings: &mut Vec<Finding>,
    ) -> Option<(Value, BTreeSet<String>)> {
        let config = layers.merged();
        let before = findings.len();
        let violations = plugin.schema.violations(&config);
        findings.extend(violations.into_iter().map(|violation| {
            Finding::invalid(
                config_reason(layers.origin(&violation.pointer)),
                layers.problem(&violation.pointer, violation.message),
            )
        }));
        let forbidden = documents::forbidden_templates(plugin, governance, &config, layers);
        findings.extend(
            forbidden
                .into_iter()
                .map(|(origin, problem)| Finding::invalid(config_reason(&origin), problem)),
        );
        let secrets = self.secrets_of(&config, layers, findings);
        (findings.len() == before).then_some((config, secrets))
    }

    /// The secrets of profiles that a config names. Only the profile itself may
    /// do so: whoever may use a secret where the platform put it could send it
    /// anywhere else from there.
    fn secrets_of(
        &self,
        config: &Value,
        layers: &Layers,
        findings: &mut Vec<Finding>,
    ) -> BTreeSet<String> {
        let ids = |text: &str| {
            let mut secrets = self.secrets.iter();
            let found = secrets.find(|secret| secret.id == text)?;
            Some(found.id.as_str())
        };
        let mut used = BTreeSet::new();
        for (pointer, id) in profile::texts(config, &ids) {
            let Some(secret) = self.secrets.iter().find(|secret| secret.id == id) else {
                continue;
            };
            let by_profile = Origin::Profile(secret.profile.clone());
            if *layers.origin(&pointer) == by_profile {
                used.insert(id.to_owned());
            } else {
                findings.push(Finding::invalid(
                    Reason::Forbidden,
                    layers.problem(
                        &pointer,
                        format!(
                            "`{id}` is a secret of {}, which alone may name it; take it out",
                            secret.profile
                        ),
                    ),
                ));
            }
        }
        used
    }

    fn decide_operation(
        &self,
        planned: &PlannedOperation,
        operations: Option<KnownOperations<'_>>,
        chain: &mut Chain,
        findings: &mut Vec<Finding>,
    ) {
        if operations.is_none() {
            chain.warnings.push(Problem::new(
                operation_path(&planned.operation),
                "the operations of the API's document are not known to the operator, so this is taken for \
                 the id of one in API Management",
            ));
        }
        let id = match operation_id(&planned.operation, operations) {
            Ok(id) => id,
            Err(problem) => {
                findings.push(Finding::invalid(Reason::InvalidAnnotation, problem));
                return;
            }
        };
        for (position, planned_plugin) in planned.plugins.iter().enumerate() {
            let plugin = &planned_plugin.plugin;
            let layers = layering::operation_layers(
                planned_plugin,
                &planned.operation,
                &self.instance,
                findings,
            );
            let governance = planned_plugin.governance.as_deref();
            if let Some((config, secrets)) = self.valid(plugin, governance, &layers, findings) {
                chain.operations.push(ChainedPlugin {
                    plugin: plugin.clone(),
                    mandatory: planned_plugin.mandatory,
                    template: planned_plugin.template.clone(),
                    order: order(governance),
                    governance: planned_plugin.governance.clone(),
                    position,
                    config,
                    layers,
                    secrets,
                    operation: Some(id.clone()),
                });
            }
        }
    }
}

/// The platform's order of a plugin.
fn order(governance: Option<&Governance>) -> i32 {
    governance.map_or(0, |governance| governance.order)
}

/// What the candidate's block says; nothing where it has none.
fn read(candidate: &Candidate, readings: &Readings) -> Result<SpecReading, Vec<Finding>> {
    let name = &candidate.plugin.name;
    let nothing = SpecReading {
        enabled: None,
        config: empty_object(),
    };
    let Some((block, _)) = &candidate.block else {
        return Ok(nothing);
    };
    let field = format!("spec.{block}");
    let failed = |why: &str| {
        vec![Finding::invalid(
            Reason::PluginFailed,
            Problem::of_plugin(
                name.as_str(),
                &field,
                format!("plugin `{name}` could not read it: {why}"),
            ),
        )]
    };
    match readings.get(name) {
        Some(Reading::Read(reading)) if reading.config.is_object() => Ok(reading.clone()),
        Some(Reading::Read(reading)) if reading.config.is_null() => Ok(SpecReading {
            enabled: reading.enabled,
            ..nothing
        }),
        Some(Reading::Read(_)) => Err(failed("its answer's `config` is not an object")),
        Some(Reading::Refused(diagnostics)) => {
            let mut findings: Vec<Finding> = diagnostics
                .iter()
                .filter(|d| d.severity == Severity::Error)
                .map(|diagnostic| {
                    Finding::invalid(
                        Reason::InvalidSpec,
                        Problem::of_plugin(
                            name.as_str(),
                            format!("{field}{}", dotted(&diagnostic.pointer)),
                            &diagnostic.message,
                        ),
                    )
                })
                .collect();
            if findings.is_empty() {
                findings = failed("it refused it without saying why");
            }
            Err(findings)
        }
        Some(Reading::Failed(why)) => Err(failed(why)),
        None => Err(failed("it was not asked")),
    }
}

enum Verdict {
    Runs,
    RunsAnyway(Problem),
    Rests(Option<Problem>),
}

fn verdict(candidate: &Candidate, enabled: Option<bool>) -> Verdict {
    let name = &candidate.plugin.name;
    let block = candidate
        .plugin
        .descriptor
        .spec_block
        .as_deref()
        .unwrap_or_default();
    let off = enabled == Some(false);
    let configured = candidate.annotation_config.is_some();
    let warn = |message: String| {
        let place = if configured {
            annotations::path(&format!("plugin.{name}"))
        } else {
            format!("spec.{block}")
        };
        Problem::of_plugin(name.as_str(), place, message)
    };
    match candidate.when {
        Some(When::Always) if off => Verdict::RunsAnyway(Problem::of_plugin(
            name.as_str(),
            format!("spec.{block}"),
            if candidate.mandatory {
                format!("plugin `{name}` runs all the same: PolicyPlugin/{name} makes it mandatory")
            } else {
                format!("plugin `{name}` runs all the same: the instance runs it for every API")
            },
        )),
        when if runs(when, enabled) => Verdict::Runs,
        // That is what the owner wrote; only config that is lost needs a word.
        Some(When::UnlessDisabled | When::Always) => Verdict::Rests(configured.then(|| {
            warn(format!(
                "plugin `{name}` does not run, because `spec.{block}` switches it off; switch it on there \
                 to use this config"
            ))
        })),
        Some(When::WhenEnabled) => Verdict::Rests(configured.then(|| {
            warn(format!(
                "plugin `{name}` does not run, because the instance runs it only where `spec.{block}` \
                 switches it on; do that, or list it in the annotation `plugins`"
            ))
        })),
        None => Verdict::Rests(Some(warn(match &candidate.profile {
            Some(profile) => format!(
                "plugin `{name}` is listed in {profile} but does not run, because `spec.{block}` \
                 switches it off; switch it on there"
            ),
            None => format!(
                "plugin `{name}` is listed in the annotation `plugins` but does not run, because `spec.{block}` \
                 switches it off; switch it on there"
            ),
        }))),
    }
}

/// Whether a plugin runs: by the instance's rule, or because the object lists
/// it and does not switch it off.
const fn runs(when: Option<When>, enabled: Option<bool>) -> bool {
    match (when, enabled) {
        (Some(When::Always), _) | (Some(When::WhenEnabled), Some(true)) => true,
        (Some(When::WhenEnabled), _) => false,
        (Some(When::UnlessDisabled) | None, enabled) => !matches!(enabled, Some(false)),
    }
}

/// The reason for what is wrong with the config that `origin` wrote.
const fn config_reason(origin: &Origin) -> Reason {
    match origin {
        Origin::PolicyPlugin => Reason::InvalidPolicyPlugin,
        Origin::Instance(_) => Reason::InvalidInstance,
        Origin::SpecBlock(_) => Reason::InvalidSpec,
        Origin::Profile(_) => Reason::InvalidProfile,
        Origin::Annotation | Origin::OperationAnnotation(_) => Reason::InvalidAnnotation,
    }
}

/// The id in API Management of the operation that an annotation names.
fn operation_id(name: &str, known: Option<KnownOperations<'_>>) -> Result<String, Problem> {
    let Some(known) = known else {
        return Ok(name.to_owned());
    };
    match operation_named(name, known) {
        Ok(operation) => Ok(operation.id.clone()),
        Err(message) => Err(Problem::new(operation_path(name), message)),
    }
}

/// The operation of this name in the document, or of this id in API
/// Management; what to say where there is none.
pub(crate) fn operation_named<'o>(
    name: &str,
    KnownOperations {
        list: operations,
        told,
    }: KnownOperations<'o>,
) -> Result<&'o Operation, String> {
    let by_name = operations
        .iter()
        .find(|o| o.operation_id.as_deref() == Some(name))
        .or_else(|| operations.iter().find(|o| o.id == name));
    if let Some(operation) = by_name {
        return Ok(operation);
    }
    let names = || {
        operations
            .iter()
            .map(|o| o.operation_id.as_deref().unwrap_or(&o.id))
    };
    let hint = if told {
        did_you_mean(name, names())
    } else {
        "; which ones it has stands in the document, which is not told here, since it lies in a Secret".to_owned()
    };
    Err(format!(
        "the API has no operation `{}`{}",
        annotations::nearest::shown(name),
        if hint.is_empty() {
            format!("; its operations are {}", listed(names()))
        } else {
            hint
        }
    ))
}

fn operation_path(name: &str) -> String {
    format!(
        "{} /{}",
        annotations::path("operation-plugins"),
        crate::config::escape(name)
    )
}

/// A JSON pointer into a block as a field path: `/a/0` becomes `.a[0]`.
fn dotted(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            if !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit()) {
                format!("[{step}]")
            } else {
                format!(".{step}")
            }
        })
        .collect()
}
