//! The chain: which plugins run for an API, with which config.
//!
//! Two steps, because what a block of a spec means is the plugin's to say: a
//! [`Plan`] names the candidates and the blocks that must be read, and
//! [`Plan::decide`] makes the chain of what was read. No plugin is known here by
//! name.

mod blocks;
mod catalog;
mod decide;
mod layering;
mod plan;
mod render;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use catalog::{Catalog, Entry, Listing, PluginInfo};
pub(crate) use decide::{KnownOperations, operation_named};
pub use decide::{Reading, Readings};
pub(crate) use plan::planned;
pub use plan::{Plan, SpecRequest, Target};
pub use render::{Rendered, render};

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use crate::config::Layers;
use crate::names::{ContentHash, PluginName};
use crate::policy::Diagnostic;
use crate::policy_plugin::{Capabilities, Governance};
use crate::problem::Problem;
use crate::profile::NamedSecret;

/// A plugin that runs, with the config it runs with.
#[derive(Debug, Clone)]
pub struct ChainedPlugin {
    /// The plugin.
    pub plugin: Arc<PluginInfo>,
    /// Whether the platform made it mandatory.
    pub mandatory: bool,
    /// The text of the template that the platform names for it.
    pub template: Option<Arc<str>>,
    /// Its place in its phase: the platform's order.
    pub order: i32,
    /// Its place among those of the same order.
    pub position: usize,
    /// What the platform says of it; absent where no `PolicyPlugin` names it.
    pub governance: Option<Arc<Governance>>,
    /// Its merged config, valid by its schema.
    pub config: Value,
    /// Where the parts of the config come from.
    pub layers: Layers,
    /// The named values of its config that come from profiles, by their ids:
    /// it may use them, and no other plugin of the chain may.
    pub secrets: BTreeSet<String>,
    /// The operation it runs for, by its id in API Management; absent: the
    /// whole API.
    pub operation: Option<String>,
}

impl ChainedPlugin {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &PluginName {
        &self.plugin.name
    }

    /// What the platform lets it do beyond writing known policies in their
    /// usual places; nothing where no `PolicyPlugin` names it.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        static NONE: LazyLock<Capabilities> = LazyLock::new(Capabilities::default);
        self.governance
            .as_ref()
            .map_or(&*NONE, |governance| &governance.capabilities)
    }

    /// What the plugin said of its config, at the place where that was
    /// written.
    #[must_use]
    pub fn problem(&self, diagnostic: &Diagnostic) -> Problem {
        self.layers
            .problem(&diagnostic.pointer, &diagnostic.message)
    }
}

/// What runs for one API.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The plugins that run for the whole API, in order.
    pub api: Vec<ChainedPlugin>,
    /// Those that run for single operations besides, in order.
    pub operations: Vec<ChainedPlugin>,
    /// The secrets of profiles that they use.
    pub secrets: Vec<NamedSecret>,
    /// What the owner should know.
    pub warnings: Vec<Problem>,
}

impl Chain {
    /// A hash of the mandatory plugins and of what they are called with;
    /// nothing where there are none.
    #[must_use]
    pub fn mandatory_hash(&self) -> Option<ContentHash> {
        let mandatory: Vec<_> = self
            .iter()
            .filter(|plugin| plugin.mandatory)
            .map(|plugin| {
                (
                    plugin.name().as_str(),
                    &plugin.plugin.digest,
                    &plugin.config,
                    plugin.template.as_deref(),
                    &plugin.operation,
                )
            })
            .collect();
        (!mandatory.is_empty()).then(|| ContentHash::of_json(&mandatory))
    }

    /// All plugins, the API's first.
    pub fn iter(&self) -> impl Iterator<Item = &ChainedPlugin> {
        self.api.iter().chain(&self.operations)
    }
}
