//! Where the parts of a config come from.

use serde_json::Value;

use super::merge;
use crate::annotations;
use crate::instance::empty_object;
use crate::names::{InstanceName, PluginName};
use crate::problem::Problem;
use crate::profile::ProfileRef;

/// Who wrote a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The `PolicyPlugin`'s defaults.
    PolicyPlugin,
    /// The instance's default list.
    Instance(InstanceName),
    /// A block of the object's spec, as the plugin read it.
    SpecBlock(String),
    /// A profile that the object names.
    Profile(ProfileRef),
    /// The annotation `plugin.<name>`.
    Annotation,
    /// The annotation `operation-plugins`, for this operation.
    OperationAnnotation(String),
}

impl Origin {
    /// Whether it is the owner of the API, not the platform.
    #[must_use]
    pub const fn is_owners(&self) -> bool {
        match self {
            Self::PolicyPlugin | Self::Instance(_) => false,
            Self::Profile(profile) => profile.is_owners(),
            Self::SpecBlock(_) | Self::Annotation | Self::OperationAnnotation(_) => true,
        }
    }
}

/// One layer of a config.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Who wrote it.
    pub origin: Origin,
    /// What it says: an object.
    pub value: Value,
}

/// The layers of the config of one plugin; later ones win.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    plugin: PluginName,
    stack: Vec<Layer>,
    fallback: Origin,
}

impl Layers {
    /// No layers yet. `fallback` is who should write what nobody has written.
    #[must_use]
    pub fn new(plugin: PluginName, fallback: Origin) -> Self {
        Self {
            plugin,
            stack: Vec::new(),
            fallback,
        }
    }

    /// Adds a layer over the others. One that says nothing is left out.
    pub fn push(&mut self, origin: Origin, value: Value) {
        if value.as_object().is_some_and(|object| !object.is_empty()) {
            self.stack.push(Layer { origin, value });
        }
    }

    /// All layers in one.
    #[must_use]
    pub fn merged(&self) -> Value {
        let mut merged = empty_object();
        for layer in &self.stack {
            merge(&mut merged, &layer.value);
        }
        merged
    }

    /// Who wrote the value at a pointer into the merged config: the topmost
    /// layer that has something there.
    #[must_use]
    pub fn origin(&self, pointer: &str) -> &Origin {
        self.stack
            .iter()
            .rev()
            .find(|layer| {
                layer
                    .value
                    .pointer(pointer)
                    .is_some_and(|value| !value.is_null())
            })
            .map_or(&self.fallback, |layer| &layer.origin)
    }

    /// Whether the API's owner wrote the value at a pointer, or a part of it.
    #[must_use]
    pub fn is_owners(&self, pointer: &str) -> bool {
        self.stack.iter().any(|layer| {
            layer.origin.is_owners() && layer.value.pointer(pointer).is_some_and(|v| !v.is_null())
        })
    }

    /// The path of a [`Problem`] at a pointer into the merged config.
    #[must_use]
    pub fn locate(&self, pointer: &str) -> String {
        let place = match self.origin(pointer) {
            Origin::PolicyPlugin => format!("PolicyPlugin/{} spec.defaults", self.plugin),
            Origin::Instance(instance) => format!(
                "ApimInstance/{instance} spec.plugins[{}].config",
                self.plugin
            ),
            Origin::SpecBlock(block) => format!("spec.{block}"),
            Origin::Profile(profile) => profile.config_path(&self.plugin),
            Origin::Annotation => annotations::path(&format!("plugin.{}", self.plugin)),
            Origin::OperationAnnotation(operation) => format!(
                "{} /{}/config/{}",
                annotations::path("operation-plugins"),
                super::escape(operation),
                self.plugin
            ),
        };
        match (pointer.is_empty(), self.origin(pointer)) {
            (true, _) => place,
            (false, Origin::OperationAnnotation(_)) => format!("{place}{pointer}"),
            (false, _) => format!("{place} {pointer}"),
        }
    }

    /// A problem at a pointer into the merged config.
    #[must_use]
    pub fn problem(&self, pointer: &str, message: impl Into<String>) -> Problem {
        Problem::of_plugin(self.plugin.as_str(), self.locate(pointer), message)
    }
}
