//! From what the plugins of a chain made to the policy documents of an API.

use std::collections::{BTreeMap, BTreeSet};

use super::{Chain, ChainedPlugin};
use crate::apim::guard::guarded;
use crate::desired::{DesiredPolicy, Operation, Origins, PluginUse, PolicyText};
use crate::policy::{
    self, Contribution, Documents, Generated, Grants, OwnValues, PolicyError, ReferenceKind, Sends,
    Standing, Target, Tier,
};
use crate::problem::Problem;

/// The policy of an API, and what the plugins had to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The documents.
    pub policy: DesiredPolicy,
    /// The plugins' warnings.
    pub warnings: Vec<Problem>,
    /// What stands around the secrets of profiles, by their ids: of several
    /// places the one that asks most of them.
    pub standings: BTreeMap<String, Standing>,
    /// The certificates of API Management that the documents name.
    pub certificates: BTreeSet<String>,
}

/// Composes and prints the documents. `generated` holds what each plugin of
/// [`Chain::iter`] returned, in that order; `operations` those of the API's
/// document, where they are known; `sku` is the instance's,
/// `grants` what the documents may reference, `sends` where requests
/// go.
pub fn render(
    chain: &Chain,
    generated: Vec<Generated>,
    operations: Option<&[Operation]>,
    sku: &str,
    grants: &Grants,
    sends: &Sends,
) -> Result<Rendered, Vec<Problem>> {
    let count = chain.iter().count();
    if generated.len() != count {
        return Err(vec![Problem::new(
            "policy",
            format!(
                "{count} plugins run, but there are {} results",
                generated.len()
            ),
        )]);
    }
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut contributions = Vec::new();
    for (plugin, generated) in chain.iter().zip(generated) {
        problems.extend(strays(plugin, &generated, operations));
        warnings.extend(generated.warnings.iter().map(|w| plugin.problem(w)));
        let descriptor = &plugin.plugin.descriptor;
        contributions.push(Contribution {
            plugin: plugin.name().as_str(),
            phase: descriptor.phase,
            mandatory: plugin.mandatory,
            order: (i64::from(plugin.order), plugin.position),
            sections: &descriptor.sections,
            capabilities: plugin.capabilities(),
            generated,
        });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut own = OwnValues::new();
    for plugin in chain.iter() {
        let values = own.entry(plugin.name().as_str()).or_default();
        values.extend(plugin.secrets.iter().map(String::as_str));
    }
    let documents = policy::compose_with(&contributions, Tier::from_sku(sku), grants, &own, sends)
        .map_err(|errors| {
            errors
                .iter()
                .map(|e| chain.policy_problem(e))
                .collect::<Vec<_>>()
        })?;
    let text = |document| PolicyText::new(policy::print(document));
    let api = text(&documents.api);
    guard_fits(&api, documents.operations.keys(), Tier::from_sku(sku))
        .map_err(|problem| vec![problem])?;
    let mut plugins: Vec<PluginUse> = Vec::new();
    for plugin in chain.iter().map(|p| p.plugin.to_use()) {
        if !plugins.contains(&plugin) {
            plugins.push(plugin);
        }
    }
    Ok(Rendered {
        policy: DesiredPolicy {
            api,
            operations: documents
                .operations
                .iter()
                .map(|(id, document)| (id.clone(), text(document)))
                .collect(),
            origins: Origins::of(&documents),
            plugins,
        },
        warnings,
        standings: standings(chain, &documents),
        certificates: certificates(&documents),
    })
}

/// The certificates that documents name, by id or thumbprint.
fn certificates(documents: &Documents) -> BTreeSet<String> {
    let references = documents
        .iter()
        .flat_map(|(_, document)| policy::references(document));
    let certificates = references.filter(|one| one.kind == ReferenceKind::Certificate);
    certificates.filter_map(|one| one.name).collect()
}

/// What stands around the secrets of profiles.
fn standings(chain: &Chain, documents: &Documents) -> BTreeMap<String, Standing> {
    let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
    if chain.secrets.is_empty() {
        return standings;
    }
    for (_, document) in documents.iter() {
        for reference in policy::references(document) {
            let Some(name) = reference.name else { continue };
            if chain.secrets.iter().any(|secret| secret.id == name) {
                let there = standings.entry(name).or_default();
                *there = reference.standing.max(*there);
            }
        }
    }
    standings
}

/// While operations with policies of their own are made, the API's document
/// holds a guard for them, with which it must not be too large either.
fn guard_fits<'o>(
    api: &PolicyText,
    operations: impl Iterator<Item = &'o String>,
    tier: Tier,
) -> Result<(), Problem> {
    // What cannot be guarded is refused by the plan, in its own words.
    let size = guarded(&api.text, &operations.cloned().collect()).map_or(0, |text| text.len());
    let limit = tier.max_document_bytes();
    if size <= limit {
        return Ok(());
    }
    Err(Problem::new(
        "policy",
        format!(
            "the API's document has {size} bytes with the passage that guards operations with policies of their \
             own while they are made, but {tier} takes {limit} at most; give fewer operations a policy of their \
             own, or shorten lists in the plugins' config"
        ),
    ))
}

/// Fragments for an operation that is not the plugin's to write, or not there.
fn strays(
    plugin: &ChainedPlugin,
    generated: &Generated,
    operations: Option<&[Operation]>,
) -> Vec<Problem> {
    let problem = |message: String| plugin.layers.problem("", message);
    generated
        .fragments
        .iter()
        .filter_map(|fragment| match (&plugin.operation, &fragment.target) {
            (Some(own), Target::Operation(id)) if own == id => None,
            (Some(own), _) => Some(problem(format!(
                "plugin `{}` was called for operation `{own}` but returned a fragment for something else; \
                 that is a fault of the plugin",
                plugin.name()
            ))),
            (None, Target::Api) => None,
            (None, Target::Operation(id)) => {
                let there = operations.is_none_or(|all| all.iter().any(|o| o.id == *id));
                (!there).then(|| {
                    problem(format!(
                        "plugin `{}` returned a fragment for operation `{id}`, which the API does not have",
                        plugin.name()
                    ))
                })
            }
        })
        .collect()
}

impl Chain {
    /// An error of the composed policy, at the place where the config was
    /// written that caused it.
    #[must_use]
    pub fn policy_problem(&self, error: &PolicyError) -> Problem {
        let section = error
            .section
            .map_or_else(String::new, |s| format!(" in {s}"));
        let document = match &error.document {
            Target::Api => format!("policy of the API{section}"),
            Target::Operation(id) => format!("policy of operation `{id}`{section}"),
        };
        let message = format!("{} ({document})", error.message);
        let Some(name) = &error.plugin else {
            return Problem::new("policy", message);
        };
        let named = |plugin: &&ChainedPlugin| plugin.name().as_str() == name;
        let of_operation = match &error.document {
            Target::Operation(id) => self
                .operations
                .iter()
                .filter(named)
                .find(|p| p.operation.as_ref() == Some(id)),
            Target::Api => None,
        };
        match of_operation.or_else(|| self.api.iter().find(named)) {
            Some(plugin) => {
                match error.pointer.as_deref().unwrap_or_default() {
                    pointer if pointer.is_empty() || pointer.starts_with('/') => {
                        plugin.layers.problem(pointer, message)
                    }
                    // What the plugin wrote as text stands nowhere in the config.
                    line => plugin.layers.problem("", format!("{line}: {message}")),
                }
            }
            None => Problem::of_plugin(name, "policy", message),
        }
    }
}
