//! The plugins that exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{CompiledSchema, SchemaError};
use crate::descriptor::Descriptor;
use crate::desired::PluginUse;
use crate::names::PluginName;

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

/// The plugins of this operator, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    plugins: BTreeMap<PluginName, Listing>,
}

impl Catalog {
    /// Lists a plugin; one of the same name is replaced.
    pub fn insert(&mut self, name: PluginName, listing: Listing) {
        self.plugins.insert(name, listing);
    }

    /// A plugin by name.
    #[must_use]
    pub fn get(&self, name: &PluginName) -> Option<&Listing> {
        self.plugins.get(name)
    }

    /// All plugins, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PluginName, &Listing)> {
        self.plugins.iter()
    }

    /// The names of all plugins.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(PluginName::as_str)
    }
}

impl FromIterator<PluginInfo> for Catalog {
    fn from_iter<I: IntoIterator<Item = PluginInfo>>(plugins: I) -> Self {
        Self {
            plugins: plugins
                .into_iter()
                .map(|plugin| (plugin.name.clone(), Listing::Ready(Arc::new(plugin))))
                .collect(),
        }
    }
}
