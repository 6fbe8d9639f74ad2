//! Which plugin a name means: for everybody, and for those APIs that a rollout
//! has reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use operator_core::chain::{Catalog, Entry, Listing, PluginInfo};
use operator_core::names::{ObjectKey, PluginName};
use operator_core::policy_plugin::Governance;
use operator_plugin_host::Plugin;
use parking_lot::RwLock;

/// Codes of one name that are kept: reconciles under way may have been decided
/// with the one before.
const KEPT: usize = 3;

/// A plugin that can be called, and what it was loaded with.
#[derive(Debug, Clone)]
pub struct Version {
    /// What it says of itself.
    pub info: Arc<PluginInfo>,
    /// Its code.
    pub plugin: Plugin,
}

/// A version that has not reached all of its users yet.
#[derive(Debug, Clone)]
struct Next {
    entry: Entry,
    admitted: BTreeSet<ObjectKey>,
    /// Those whose policy is read back once it is written.
    checked: BTreeSet<ObjectKey>,
}

#[derive(Default)]
struct Inner {
    /// What holds where no rollout is under way.
    catalog: Arc<Catalog>,
    /// Plugins of the binary and of the folder, whether a `PolicyPlugin` stands
    /// over them or not.
    base: BTreeMap<PluginName, Listing>,
    /// What `PolicyPlugin`s say.
    governed: BTreeMap<PluginName, Entry>,
    next: BTreeMap<PluginName, Next>,
    /// Those that wait for a version that is not staged yet.
    reserved: BTreeMap<PluginName, BTreeSet<ObjectKey>>,
    code: BTreeMap<PluginName, Vec<Plugin>>,
}

/// The plugins by name.
#[derive(Default)]
pub struct Registry(RwLock<Inner>);

/// The plugins as one API sees them.
#[derive(Debug, Clone)]
pub struct View {
    /// The plugins.
    pub catalog: Arc<Catalog>,
    /// Those of them that are new and on their way to all.
    pub staged: BTreeSet<PluginName>,
    /// Whether the API's policy is read back once it is written.
    pub checked: bool,
}

impl Registry {
    /// The plugins as everybody sees them.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read().catalog)
    }

    /// The plugins as one API sees them.
    pub fn view(&self, key: &ObjectKey) -> View {
        let inner = self.0.read();
        let mut view = View {
            catalog: Arc::clone(&inner.catalog),
            staged: BTreeSet::new(),
            checked: false,
        };
        for (name, keys) in &inner.reserved {
            if keys.contains(key) && !inner.next.contains_key(name) {
                let catalog = Arc::make_mut(&mut view.catalog);
                if let Some(mut entry) = catalog.entry(name).cloned() {
                    entry.listing = Listing::Loading;
                    catalog.insert_entry(name.clone(), entry);
                }
            }
        }
        for (name, next) in &inner.next {
            if !next.admitted.contains(key) {
                continue;
            }
            Arc::make_mut(&mut view.catalog).insert_entry(name.clone(), next.entry.clone());
            view.staged.insert(name.clone());
            view.checked |= next.checked.contains(key);
        }
        view
    }

    /// The code of a plugin, as it was decided with.
    pub fn code(&self, info: &PluginInfo) -> Option<Plugin> {
        let inner = self.0.read();
        let kept = inner.code.get(&info.name)?;
        kept.iter()
            .find(|plugin| plugin.digest().to_string() == info.digest)
            .cloned()
    }

    /// The plugin that the binary or the folder has under this name.
    pub fn base(&self, name: &PluginName) -> Option<Listing> {
        self.0.read().base.get(name).cloned()
    }

    /// The names that the binary and the folder have.
    pub fn base_names(&self) -> Vec<String> {
        self.0.read().base.keys().map(ToString::to_string).collect()
    }

    /// Whether plugins are being loaded.
    pub fn is_loading(&self) -> bool {
        let inner = self.0.read();
        let loading = |listing: &Listing| matches!(listing, Listing::Loading);
        inner.catalog.iter().any(|(_, listing)| loading(listing))
    }

    /// How many plugins can be called.
    pub fn ready(&self) -> usize {
        let inner = self.0.read();
        let ready = |listing: &Listing| matches!(listing, Listing::Ready(_));
        inner.catalog.iter().filter(|(_, l)| ready(l)).count()
    }

    /// Lists a plugin of the binary or of the folder.
    pub fn set_base(&self, name: &PluginName, listing: Listing, code: Option<Plugin>) {
        self.change(|inner| {
            inner.base.insert(name.clone(), listing);
            inner.keep(name, code);
        });
    }

    /// Takes a name out that stood for a file of another name.
    pub fn remove_base(&self, name: &PluginName) {
        self.change(|inner| {
            inner.base.remove(name);
        });
    }

    /// Says at once what the platform decides about a plugin. Its code stays
    /// what it was; where none was there, it is being loaded. What a rollout
    /// carries (the defaults) changes with the code.
    pub fn govern(&self, name: &PluginName, governance: &Governance, staged_defaults: bool) {
        self.change(|inner| {
            let current = inner.governed.get(name);
            let listing = current
                .map(|entry| entry.listing.clone())
                .or_else(|| inner.base.get(name).cloned())
                .unwrap_or(Listing::Loading);
            let mut governance = governance.clone();
            let before = current.and_then(|entry| entry.governance.as_ref());
            if let Some(before) = before.filter(|_| staged_defaults) {
                governance.defaults.clone_from(&before.defaults);
                governance.capabilities.clone_from(&before.capabilities);
            }
            let notice = current.and_then(|entry| entry.notice.clone());
            let template = current.and_then(|entry| entry.template.clone());
            let entry = Entry {
                listing,
                governance: Some(Arc::new(governance)),
                template,
                notice,
            };
            inner.governed.insert(name.clone(), entry);
        });
    }

    /// What a `PolicyPlugin` made of a name.
    pub fn entry(&self, name: &PluginName) -> Option<Entry> {
        self.0.read().governed.get(name).cloned()
    }

    /// Puts a version in the place of the one that serves. Whether that changes
    /// anything for its users.
    pub fn install(&self, name: &PluginName, entry: Entry, code: Option<Plugin>) -> bool {
        self.change(|inner| {
            let changed = inner.governed.get(name) != Some(&entry) || inner.next.contains_key(name);
            inner.next.remove(name);
            inner.reserved.remove(name);
            inner.governed.insert(name.clone(), entry);
            inner.keep(name, code);
            changed
        })
    }

    /// Changes what is said of a name, not what a rollout carries. Whether that
    /// changes anything.
    pub fn update(&self, name: &PluginName, entry: Entry) -> bool {
        self.change(|inner| {
            let changed = inner.governed.get(name) != Some(&entry);
            inner.governed.insert(name.clone(), entry);
            changed
        })
    }

    /// Keeps a version ready for those that are admitted to it. Those that were
    /// admitted to the same one, or for whom it is reserved, stay so; whether
    /// that is the case.
    pub fn stage(&self, name: &PluginName, entry: Entry, code: Plugin) -> bool {
        self.change(|inner| {
            let reserved = inner.reserved.remove(name);
            let before = inner.next.remove(name).filter(|next| next.entry == entry);
            let same = before.is_some() || reserved.as_ref().is_some_and(|keys| !keys.is_empty());
            let next = before.unwrap_or(Next {
                entry,
                admitted: reserved.unwrap_or_default(),
                checked: BTreeSet::new(),
            });
            inner.next.insert(name.clone(), next);
            inner.keep(name, Some(code));
            same
        })
    }

    /// Takes up what served before a restart. APIs that had a newer version by
    /// then are not given this one: until the newer is staged, the plugin is
    /// being loaded for them.
    pub fn resume(
        &self,
        name: &PluginName,
        entry: Entry,
        code: Plugin,
        newer: BTreeSet<ObjectKey>,
    ) {
        self.change(|inner| {
            inner.governed.insert(name.clone(), entry);
            inner.reserved.insert(name.clone(), newer);
            inner.keep(name, Some(code));
        });
    }

    /// The APIs that are given the version that is staged.
    pub fn admitted(&self, name: &PluginName) -> Vec<ObjectKey> {
        let inner = self.0.read();
        let next = inner.next.get(name);
        next.into_iter()
            .flat_map(|next| next.admitted.iter().cloned())
            .collect()
    }

    /// Gives APIs the version that is staged.
    pub fn admit(&self, name: &PluginName, keys: &[ObjectKey], checked: bool) {
        self.change(|inner| {
            if let Some(next) = inner.next.get_mut(name) {
                next.admitted.extend(keys.iter().cloned());
                if checked {
                    next.checked.extend(keys.iter().cloned());
                }
            }
        });
    }

    /// Puts the version that is staged in the place of the one that serves.
    pub fn promote(&self, name: &PluginName) {
        self.change(|inner| {
            if let Some(next) = inner.next.remove(name) {
                inner.governed.insert(name.clone(), next.entry);
            }
        });
    }

    /// Forgets what a `PolicyPlugin` said; what the binary or the folder has
    /// under the name stands again.
    pub fn forget(&self, name: &PluginName) {
        self.change(|inner| {
            inner.governed.remove(name);
            inner.next.remove(name);
            inner.reserved.remove(name);
            if !inner.base.contains_key(name) {
                inner.code.remove(name);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.write();
        let answer = change(&mut inner);
        let mut catalog = Catalog::default();
        for (name, listing) in &inner.base {
            catalog.insert(name.clone(), listing.clone());
        }
        for (name, entry) in &inner.governed {
            catalog.insert_entry(name.clone(), entry.clone());
        }
        inner.catalog = Arc::new(catalog);
        answer
    }
}

impl Inner {
    fn keep(&mut self, name: &PluginName, code: Option<Plugin>) {
        let Some(code) = code else { return };
        let kept = self.code.entry(name.clone()).or_default();
        kept.retain(|known| known.digest() != code.digest());
        kept.insert(0, code);
        kept.truncate(KEPT);
    }
}
