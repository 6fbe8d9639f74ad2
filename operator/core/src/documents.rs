//! The platform's documents that plugins work on: texts such as templates, kept
//! as keys of `ConfigMap`s in the operator's namespace.
//!
//! Which documents a call needs is said here; whoever makes the call reads
//! them and passes their texts to [`context::generate_with`](crate::context::generate_with). A
//! plugin never sees where they come from, and cannot ask for more.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::annotations::nearest::shown;
use crate::chain::{ChainedPlugin, PluginInfo};
use crate::config::{Layers, Origin};
use crate::names::PREFIX;
use crate::policy_plugin::spec::ConfigMapKey;
use crate::policy_plugin::{Capabilities, Governance};
use crate::problem::Problem;

/// The label, without our prefix, of a `ConfigMap` whose keys API owners may
/// name; its value is `true`.
const FOR_OWNERS: &str = "owners-may-name";

/// The longest name and key of a `ConfigMap` (Kubernetes' own limit).
const MAX_NAME: usize = 253;

/// Where a call's request names a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The `PolicyPlugin`'s `spec.template`.
    Template,
    /// The config value at this JSON pointer, which the descriptor lists.
    Config(String),
}

/// A document that a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is named.
    pub place: Place,
    /// Where it is kept.
    pub key: ConfigMapKey,
    /// Whether an API owner named it, not the platform.
    pub by_owner: bool,
}

impl Wanted {
    /// Whether whoever named it may name a `ConfigMap` with these labels: the
    /// platform any in the operator's namespace, an owner only one that is
    /// labelled for that. So an annotation reads nothing that the platform did
    /// not mean to be read.
    pub fn admit(&self, labels: &BTreeMap<String, String>) -> Result<(), String> {
        let label = format!("{PREFIX}{FOR_OWNERS}");
        if !self.by_owner || labels.get(&label).is_some_and(|value| value == "true") {
            return Ok(());
        }
        Err(format!(
            "ConfigMap `{}` in the operator's namespace is not there, or is not for the owners of APIs: \
             the platform says that it is with the label `{label}: \"true\"`",
            shown(&self.key.name)
        ))
    }

    /// Something that is wrong with the document, at the place where it is
    /// named.
    #[must_use]
    pub fn problem(&self, plugin: &ChainedPlugin, message: impl Into<String>) -> Problem {
        match &self.place {
            Place::Template => Problem::of_plugin(
                plugin.name().as_str(),
                format!("PolicyPlugin/{} spec.template", plugin.name()),
                message,
            ),
            Place::Config(pointer) => plugin.layers.problem(pointer, message),
        }
    }
}

/// The texts of the documents of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    texts: BTreeMap<Place, String>,
}

impl Documents {
    /// No documents.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            texts: BTreeMap::new(),
        }
    }

    /// Adds a text at the place where it is named.
    pub fn insert(&mut self, place: Place, text: impl Into<String>) {
        self.texts.insert(place, text.into());
    }

    /// The text of the `PolicyPlugin`'s `spec.template`.
    pub(crate) fn template(&self) -> Option<&str> {
        self.texts.get(&Place::Template).map(String::as_str)
    }

    /// The texts that the config names, by pointer.
    pub(crate) fn of_config(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().filter_map(|(place, text)| match place {
            Place::Config(pointer) => Some((pointer.as_str(), text.as_str())),
            Place::Template => None,
        })
    }
}

/// The documents that a call of a plugin needs: its `PolicyPlugin`'s
/// `spec.template`, and what its config names at the pointers that its
/// descriptor lists.
pub fn wanted(
    plugin: &ChainedPlugin,
    template: Option<&ConfigMapKey>,
) -> Result<Vec<Wanted>, Vec<Problem>> {
    let mut wanted: Vec<Wanted> = template
        .map(|key| Wanted {
            place: Place::Template,
            key: key.clone(),
            by_owner: false,
        })
        .into_iter()
        .collect();
    let mut problems = Vec::new();
    for pointer in &plugin.plugin.descriptor.documents {
        let value = plugin.config.pointer(pointer);
        let Some(value) = value.filter(|value| !value.is_null()) else {
            continue;
        };
        match config_map_key(value) {
            Ok(key) => wanted.push(Wanted {
                place: Place::Config(pointer.clone()),
                key,
                by_owner: plugin.layers.is_owners(pointer),
            }),
            Err(message) => problems.push(plugin.layers.problem(pointer, message)),
        }
    }
    if problems.is_empty() {
        Ok(wanted)
    } else {
        Err(problems)
    }
}

/// Reads `{configMap: {name, key}}`.
fn config_map_key(value: &Value) -> Result<ConfigMapKey, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Reference {
        config_map: ConfigMapKey,
    }
    let key = Reference::deserialize(value)
        .map_err(|error| {
            format!(
                "expected `{{configMap: {{name: …, key: …}}}}`, a key of a ConfigMap in the operator's \
                 namespace: {error}"
            )
        })?
        .config_map;
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text.len() <= MAX_NAME
            && text.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || b"-.".contains(&b)
                    || more.contains(&b)
            })
    };
    let upper: Vec<u8> = (b'A'..=b'Z').chain([b'_']).collect();
    if !plain(&key.name, b"") {
        return Err(format!(
            "`{}` is no name of a ConfigMap: lower-case letters, digits, `-` and `.`, at most {MAX_NAME}",
            shown(&key.name)
        ));
    }
    if !plain(&key.key, &upper) {
        return Err(format!(
            "`{}` is no key of a ConfigMap: letters, digits, `-`, `_` and `.`, at most {MAX_NAME}",
            shown(&key.key)
        ));
    }
    Ok(key)
}

/// The templates that stand in a config although the platform did not grant
/// the plugin `inlineTemplates`.
pub(crate) fn forbidden_templates(
    plugin: &PluginInfo,
    governance: Option<&Governance>,
    config: &Value,
    layers: &Layers,
) -> Vec<(Origin, Problem)> {
    if governance.is_some_and(|governance| governance.capabilities.inline_templates) {
        return Vec::new();
    }
    plugin
        .descriptor
        .inline_templates
        .iter()
        .filter(|pointer| config.pointer(pointer).is_some_and(|v| !v.is_null()))
        .map(|pointer| {
            let message = format!(
                "a template in the config needs the capability `inlineTemplates`, which the platform has not \
                 granted to `{name}`: set `spec.capabilities.inlineTemplates: true` in PolicyPlugin `{name}`, \
                 or put the template into a ConfigMap and name that",
                name = plugin.name
            );
            (
                layers.origin(pointer).clone(),
                layers.problem(pointer, message),
            )
        })
        .collect()
}

/// The capabilities as a plugin's context lists them.
pub(crate) fn granted(capabilities: &Capabilities) -> Vec<&'static str> {
    let Capabilities {
        raw_xml,
        passthrough_elements,
        preflight_elements,
        inline_templates,
    } = capabilities;
    [
        (*raw_xml, "raw-xml"),
        (!passthrough_elements.is_empty(), "passthrough-elements"),
        (!preflight_elements.is_empty(), "preflight-elements"),
        (*inline_templates, "inline-templates"),
    ]
    .into_iter()
    .filter_map(|(has, word)| has.then_some(word))
    .collect()
}
