//! The plugins that exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{CompiledSchema, SchemaError};
use crate::descriptor::Descriptor;
use crate::desired::PluginUse;
use crate::names::PluginName;
use crate::policy_plugin::Governance;

/// A plugin that can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginInfo {
    /// Its name in the cluster.
    pub name: PluginName,
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// The digest of its code.
    pub digest: String,
    /// Its config schema.
    pub schema: CompiledSchema,
}

impl PluginInfo {
    /// A plugin, once its config schema is found to be harmless.
    pub fn new(
        name: PluginName,
        descriptor: Descriptor,
        digest: impl Into<String>,
    ) -> Result<Self, SchemaError> {
        let schema = CompiledSchema::compile(&descriptor.config_schema)?;
        Ok(Self {
            name,
            descriptor,
            digest: digest.into(),
            schema,
        })
    }

    /// As status names it.
    #[must_use]
    pub fn to_use(&self) -> PluginUse {
        PluginUse {
            name: self.name.to_string(),
            version: self.descriptor.version.clone(),
            digest: self.digest.clone(),
        }
    }
}

/// The state of a plugin whose name is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// It can be called.
    Ready(Arc<PluginInfo>),
    /// It is being compiled; that ends without anybody's doing.
    Loading,
    /// It cannot be used, for this reason.
    Failed(String),
}

/// A name that is known: the state of the plugin, and what the platform says
/// of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its state.
    pub listing: Listing,
    /// The platform's decisions; absent where no `PolicyPlugin` names it: it
    /// may be used by all, without defaults and capabilities.
    pub governance: Option<Arc<Governance>>,
    /// The text of the template that the platform names for it.
    pub template: Option<Arc<str>>,
    /// What its users should know although it works: that a newer version
    /// could not be loaded.
    pub notice: Option<String>,
}

/// The plugins of this operator, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    plugins: BTreeMap<PluginName, Entry>,
}

impl Catalog {
    /// Lists a plugin that no `PolicyPlugin` names; one of the same name is
    /// replaced.
    pub fn insert(&mut self, name: PluginName, listing: Listing) {
        let entry = Entry {
            listing,
            governance: None,
            template: None,
            notice: None,
        };
        self.plugins.insert(name, entry);
    }

    /// Lists a plugin with all that is known of it.
    pub fn insert_entry(&mut self, name: PluginName, entry: Entry) {
        self.plugins.insert(name, entry);
    }

    /// The state of a plugin.
    #[must_use]
    pub fn get(&self, name: &PluginName) -> Option<&Listing> {
        self.plugins.get(name).map(|entry| &entry.listing)
    }

    /// All that is known of a plugin.
    #[must_use]
    pub fn entry(&self, name: &PluginName) -> Option<&Entry> {
        self.plugins.get(name)
    }

    /// All plugins, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PluginName, &Listing)> {
        self.plugins
            .iter()
            .map(|(name, entry)| (name, &entry.listing))
    }

    /// All plugins with all that is known of them, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&PluginName, &Entry)> {
        self.plugins.iter()
    }

    /// The names of all plugins.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(PluginName::as_str)
    }

    /// The names of those that a namespace with these labels may use.
    pub fn usable<'c>(
        &'c self,
        namespace_labels: &'c BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'c str> {
        self.plugins
            .iter()
            .filter(|(_, entry)| {
                entry
                    .governance
                    .as_ref()
                    .is_none_or(|governance| governance.admits(namespace_labels))
            })
            .map(|(name, _)| name.as_str())
    }
}

impl FromIterator<PluginInfo> for Catalog {
    fn from_iter<I: IntoIterator<Item = PluginInfo>>(plugins: I) -> Self {
        let mut catalog = Self::default();
        for plugin in plugins {
            catalog.insert(plugin.name.clone(), Listing::Ready(Arc::new(plugin)));
        }
        catalog
    }
}
