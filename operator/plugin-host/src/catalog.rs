//! The plugins that are there, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::plugin::Plugin;

/// The plugins that are there, by name.
///
/// A reader gets the map as it is at that moment, and keeps it for as long as
/// it likes: a plugin that is replaced meanwhile serves on until its last user
/// is done. Loading happens outside, so it never holds anybody up.
#[derive(Debug, Default)]
pub struct Catalog {
    plugins: RwLock<Arc<BTreeMap<String, Plugin>>>,
}

impl Catalog {
    /// An empty catalog.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All plugins, as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<BTreeMap<String, Plugin>> {
        Arc::clone(&self.plugins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One plugin, as it is now.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Plugin> {
        self.snapshot().get(name).cloned()
    }

    /// Adds a plugin under its own name, and gives back the one it replaces.
    pub fn insert(&self, plugin: Plugin) -> Option<Plugin> {
        let name = plugin.descriptor().name.clone();
        self.insert_as(name, plugin)
    }

    /// Adds a plugin under a name that somebody else chose.
    pub fn insert_as(&self, name: impl Into<String>, plugin: Plugin) -> Option<Plugin> {
        self.change(|plugins| plugins.insert(name.into(), plugin))
    }

    /// Removes a plugin.
    pub fn remove(&self, name: &str) -> Option<Plugin> {
        self.change(|plugins| plugins.remove(name))
    }

    /// The map is copied, so that nobody sees it half-changed; a plugin is
    /// two pointers.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Plugin>) -> T) -> T {
        let mut current = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current))
    }
}
