//! Golden cases in the operator's sandbox, composed and checked as the operator
//! does.

use operator_core::chain::PluginInfo;
use operator_core::config::merge;
use operator_core::names::PluginName;
use operator_core::policy::{
    self, Contribution, Diagnostic, Documents, Generated, Grants, PolicyError, ReferenceKind,
    Severity, Target, Tier,
};
use operator_core::policy_plugin::spec::Capabilities;
use operator_plugin_host::{CallError, Plugin, Usage};
use policy_sdk::testing::{Case, Outcome, Reads, Speaker};
use serde_json::{Map, Value, json};

/// A plugin, ready for cases.
pub(crate) struct Sandbox {
    plugin: Plugin,
    info: PluginInfo,
}

/// What came of a case.
pub(crate) struct Ran {
    /// What the plugin and the operator said.
    pub(crate) outcome: Outcome,
    /// What the call of `generate` used; none where there was none.
    pub(crate) usage: Option<Usage>,
}

impl Sandbox {
    /// Checks what the operator checks when it loads a plugin.
    pub(crate) fn new(plugin: Plugin) -> anyhow::Result<Self> {
        let descriptor = plugin.descriptor().clone();
        let name = PluginName::parse(&descriptor.name)?;
        let info = PluginInfo::new(name, descriptor, plugin.digest().to_string())
            .map_err(|error| anyhow::anyhow!("its config schema cannot be used: {error}"))?;
        Ok(Self { plugin, info })
    }

    /// Runs a case. The error is a plugin that crashed, or a case that makes
    /// no sense.
    pub(crate) fn run(&self, case: &Case) -> Result<Ran, String> {
        let mut ran = Ran {
            outcome: Outcome::default(),
            usage: None,
        };
        let Some(config) = self.config(case, &mut ran.outcome)? else {
            return Ok(ran);
        };
        let violations = self.info.schema.violations(&config);
        for violation in &violations {
            ran.outcome.say(
                Speaker::Schema,
                policy_sdk::Severity::Error,
                &violation.pointer,
                &violation.message,
            );
        }
        if !violations.is_empty() {
            return Ok(ran);
        }
        let capabilities = self.capabilities(case)?;
        let (result, usage) = self
            .plugin
            .clone()
            .with_capabilities(capabilities.clone())
            .measure(&case.context, &config)
            .map_err(|error| failure(&error))?;
        ran.usage = Some(usage);
        match result {
            Ok(generated) => {
                let grants = grants(case)?;
                say(&mut ran.outcome, Speaker::Plugin, &generated.warnings);
                match self.compose(case, generated, &grants, &capabilities) {
                    Ok(documents) => print(case, &documents, &mut ran.outcome),
                    Err(errors) => {
                        for error in &errors {
                            ran.outcome.say(
                                Speaker::Operator,
                                policy_sdk::Severity::Error,
                                error.pointer.as_deref().unwrap_or_default(),
                                &sentence(error),
                            );
                        }
                    }
                }
            }
            Err(CallError::Refused(diagnostics)) => {
                say(&mut ran.outcome, Speaker::Plugin, &diagnostics);
            }
            Err(error) => return Err(failure(&error)),
        }
        Ok(ran)
    }

    /// What the case grants, as a PolicyPlugin would; where it says nothing,
    /// what the plugin asks for.
    fn capabilities(&self, case: &Case) -> Result<Capabilities, String> {
        if case.capabilities.is_null() {
            let asked = |name| {
                self.info
                    .descriptor
                    .capabilities
                    .iter()
                    .any(|one| one == name)
            };
            return Ok(Capabilities {
                raw_xml: asked("raw-xml"),
                inline_templates: asked("inline-templates"),
                ..Capabilities::default()
            });
        }
        serde_path_to_error::deserialize(&case.capabilities)
            .map_err(|error| format!("/capabilities {}: {}", error.path(), error.inner()))
    }

    /// The config of a case; none where the spec block ends it.
    pub(crate) fn config(
        &self,
        case: &Case,
        outcome: &mut Outcome,
    ) -> Result<Option<Value>, String> {
        let mut config = Value::Object(Map::new());
        if let Some(spec) = &case.spec {
            if self.info.descriptor.spec_block.is_none() {
                return Err(
                    "the case has a `spec`, and the plugin's descriptor names no `specBlock`"
                        .to_owned(),
                );
            }
            let request = json!({ "dialect": spec.dialect, "block": spec.block });
            match self.plugin.read_spec(&request) {
                Ok(reading) => {
                    config.clone_from(&reading.config);
                    let off = reading.enabled == Some(false);
                    outcome.reads = Some(Reads {
                        enabled: reading.enabled,
                        config: reading.config.as_object().cloned().unwrap_or_default(),
                    });
                    if off {
                        return Ok(None);
                    }
                }
                Err(CallError::Refused(diagnostics)) => {
                    say(outcome, Speaker::ReadSpec, &diagnostics);
                    return Ok(None);
                }
                Err(error) => return Err(failure(&error)),
            }
        }
        merge(&mut config, &case.config);
        Ok(Some(config))
    }

    fn compose(
        &self,
        case: &Case,
        generated: Generated,
        grants: &Grants,
        capabilities: &Capabilities,
    ) -> Result<Documents, Vec<PolicyError>> {
        let strays = strays(case, &generated, self.info.name.as_str());
        if !strays.is_empty() {
            return Err(strays);
        }
        let contribution = Contribution {
            plugin: self.info.name.as_str(),
            phase: self.info.descriptor.phase,
            mandatory: false,
            order: (0, 0),
            sections: &self.info.descriptor.sections,
            capabilities,
            generated,
        };
        let sku = case.context["instance"]["sku"].as_str().unwrap_or_default();
        policy::compose_granted(&[contribution], Tier::from_sku(sku), grants)
    }
}

/// Fragments for operations that the API does not have.
fn strays(case: &Case, generated: &Generated, plugin: &str) -> Vec<PolicyError> {
    let operations = case.context["api"]["operations"].as_array();
    let unknown = |id: &str| operations.is_some_and(|all| all.iter().all(|one| one["id"] != *id));
    let fragments = generated.fragments.iter();
    fragments
        .filter_map(|fragment| match &fragment.target {
            Target::Operation(id) if unknown(id) => Some(PolicyError {
                plugin: Some(plugin.to_owned()),
                pointer: None,
                document: fragment.target.clone(),
                section: Some(fragment.section),
                message: format!("the API has no operation `{id}`"),
            }),
            _ => None,
        })
        .collect()
}

fn print(case: &Case, documents: &Documents, outcome: &mut Outcome) {
    if case.context["operation"].is_null() {
        outcome.policy = Some(policy::print(&documents.api));
    }
    outcome.operations = documents
        .operations
        .iter()
        .map(|(id, document)| (id.clone(), policy::print(document)))
        .collect();
}

fn grants(case: &Case) -> Result<Grants, String> {
    let mut grants = Grants::default();
    for (kind, names) in &case.grants {
        let known = ReferenceKind::of_setting(kind).ok_or_else(|| {
            let kinds: Vec<&str> = ReferenceKind::GRANTABLE.iter().map(|(k, _)| *k).collect();
            format!(
                "/grants: there is no kind `{kind}`; there are {}",
                kinds.join(", ")
            )
        })?;
        grants.0.entry(known).or_default().extend(names.clone());
    }
    Ok(grants)
}

fn say(outcome: &mut Outcome, by: Speaker, diagnostics: &[Diagnostic]) {
    for said in diagnostics {
        let severity = match said.severity {
            Severity::Warning => policy_sdk::Severity::Warning,
            Severity::Error => policy_sdk::Severity::Error,
        };
        outcome.say(by, severity, &said.pointer, &said.message);
    }
}

fn sentence(error: &PolicyError) -> String {
    let section = error
        .section
        .map_or_else(String::new, |section| format!(" in {section}"));
    let document = match &error.document {
        Target::Api => "policy of the API".to_owned(),
        Target::Operation(id) => format!("policy of operation `{id}`"),
    };
    format!("{} ({document}{section})", error.message)
}

/// A call that gave nothing that can be expected.
fn failure(error: &CallError) -> String {
    format!("{}: {error}", error.reason())
}
