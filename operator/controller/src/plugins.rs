//! The plugins of this process: what they say of themselves, for decisions, and
//! how to call them.
//!
//! Plugins are loaded beside the reconcile, one after the other; an API waits
//! only for those that it uses. Calls block, so a reconcile makes them on a
//! thread for that.

mod registry;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use operator_core::certificates;
use operator_core::chain::{
    self, Catalog, ChainedPlugin, Listing, PluginInfo, Reading, Readings, Rendered, SpecRequest,
};
use operator_core::class::ErrorClass;
use operator_core::context;
use operator_core::desired::Desired;
use operator_core::documents::{self, Documents, Place};
use operator_core::instance::{InstanceDefaults, spec::DefaultPluginSpec};
use operator_core::names::PluginName;
use operator_core::policy::{Generated, Severity};
use operator_core::policy_plugin::spec::ConfigMapKey;
use operator_core::problem::Problem;
use operator_core::status::{Step, reasons::Reason};
use operator_core::validate::ValidatedApi;
use operator_plugin_host::{CallError, LoadError, Plugin, PluginHost, builtin_plugins};

pub use registry::{Registry, Version, View};

use crate::metrics::Metrics;

/// The default list: data, so that no code knows a plugin by name.
const DEFAULTS: &str = include_str!("../../../plugins/defaults.yaml");

/// Why the default list cannot be used: a mistake of whoever built this binary.
#[derive(Debug, thiserror::Error)]
#[error("the built-in list of default plugins: {0}")]
pub struct DefaultsError(String);

/// The default list of plugins.
pub fn instance_defaults() -> Result<InstanceDefaults, DefaultsError> {
    let specs: Vec<DefaultPluginSpec> =
        serde_saphyr::from_str(DEFAULTS).map_err(|error| DefaultsError(error.to_string()))?;
    InstanceDefaults::from_specs(&specs).map_err(|problems| {
        DefaultsError(
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
    })
}

/// A plugin that cannot be used, and where it came from.
#[derive(Debug)]
pub struct Unusable {
    /// The name of its folder or its file.
    pub origin: String,
    /// Why.
    pub error: String,
}

/// The platform's documents: keys of ConfigMaps in the operator's namespace.
pub trait DocumentStore: Send + Sync {
    /// The text of a key, or a sentence that says why there is none.
    fn text(&self, key: &ConfigMapKey) -> Result<String, String>;
    /// The labels of the ConfigMap of this name.
    fn labels(&self, name: &str) -> BTreeMap<String, String>;
}

/// No documents, as where there is no cluster.
struct NoDocuments;

impl DocumentStore for NoDocuments {
    fn text(&self, key: &ConfigMapKey) -> Result<String, String> {
        Err(format!(
            "key `{}` of ConfigMap `{}` is not known here",
            key.key, key.name
        ))
    }

    fn labels(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Why there is no policy.
#[derive(Debug)]
pub struct RenderError {
    /// For the condition.
    pub reason: Reason,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl RenderError {
    /// As a step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        Step::Failed {
            reason: self.reason,
            class: ErrorClass::Invalid,
            message: operator_core::status::summary(&self.problems),
        }
    }
}

/// The plugins of this process.
pub struct Plugins {
    host: PluginHost,
    registry: Registry,
    documents: Arc<dyn DocumentStore>,
    metrics: Option<Arc<Metrics>>,
}

impl Plugins {
    /// No plugins yet.
    #[must_use]
    pub fn new(host: PluginHost, metrics: Option<Arc<Metrics>>) -> Self {
        Self {
            host,
            registry: Registry::default(),
            documents: Arc::new(NoDocuments),
            metrics,
        }
    }

    /// With documents of the platform for plugins that work on such.
    #[must_use]
    pub fn with_documents(mut self, documents: Arc<dyn DocumentStore>) -> Self {
        self.documents = documents;
        self
    }

    /// Which plugin a name means.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What loads plugins.
    #[must_use]
    pub const fn host(&self) -> &PluginHost {
        &self.host
    }

    /// What the plugins say of themselves.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.registry.catalog()
    }

    /// A plugin by name.
    #[must_use]
    pub fn get(&self, name: &PluginName) -> Option<Plugin> {
        match self.registry.catalog().get(name)? {
            Listing::Ready(info) => self.registry.code(info),
            Listing::Loading | Listing::Failed(_) => None,
        }
    }

    /// Loads the plugins in the binary. Blocks.
    pub fn load_builtin(&self) -> Vec<Unusable> {
        self.load_builtin_telling(|_, _| ())
    }

    /// The same, and says before and after each how many of how many are
    /// loaded. Blocks.
    pub fn load_builtin_telling(&self, tell: impl Fn(usize, usize)) -> Vec<Unusable> {
        let all = builtin_plugins().len();
        tell(0, all);
        let mut unusable = Vec::new();
        for (done, (folder, plugin)) in (1..).zip(self.host.each_builtin()) {
            unusable.extend(self.add(folder, plugin).err());
            tell(done, all);
        }
        unusable
    }

    /// Loads every `*.wasm` of a folder and calls `each` after each of them.
    /// Until then, the file's name stands for the plugin. Blocks.
    pub fn load_dir(&self, folder: &Path, each: impl Fn()) -> Vec<Unusable> {
        let mut files: Vec<_> = match std::fs::read_dir(folder) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .collect(),
            Err(error) => {
                return vec![Unusable {
                    origin: folder.display().to_string(),
                    error: error.to_string(),
                }];
            }
        };
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        files.sort();
        let names: Vec<Option<PluginName>> = files.iter().map(|file| name_of(file)).collect();
        for name in names.iter().flatten() {
            if self.registry.base(name).is_none() {
                self.registry.set_base(name, Listing::Loading, None);
            }
        }
        let mut unusable = Vec::new();
        for (file, name) in files.iter().zip(&names) {
            let outcome = self.add(&file.display().to_string(), self.host.load_file(file));
            if let Some(name) = name {
                let failure = outcome
                    .as_ref()
                    .err()
                    .map(|unusable| unusable.error.clone());
                self.settle(name, failure);
            }
            unusable.extend(outcome.err());
            each();
        }
        unusable
    }

    /// Loads one file and adds it to the catalog. Blocks.
    pub fn add_file(&self, file: &Path) -> Result<PluginName, Unusable> {
        let origin = file.display().to_string();
        let plugin = self.host.load_file(file);
        let name = plugin
            .as_ref()
            .map(|plugin| plugin.descriptor().name.clone())
            .unwrap_or_default();
        self.add(&origin, plugin)?;
        PluginName::parse(&name).map_err(|error| Unusable {
            origin,
            error: error.to_string(),
        })
    }

    /// Loads one file. Blocks.
    pub fn load_file(&self, file: &Path) -> Result<Plugin, LoadError> {
        self.host.load_file(file)
    }

    fn add(&self, origin: &str, plugin: Result<Plugin, LoadError>) -> Result<(), Unusable> {
        let unusable = |error: String| Unusable {
            origin: origin.to_owned(),
            error,
        };
        let plugin = plugin.map_err(|error| unusable(error.to_string()))?;
        let descriptor = plugin.descriptor().clone();
        let name =
            PluginName::parse(&descriptor.name).map_err(|error| unusable(error.to_string()))?;
        let info = PluginInfo::new(name.clone(), descriptor, plugin.digest().to_string())
            .map_err(|error| unusable(format!("its config schema cannot be used: {error}")))?;
        // A file may not take the place of what is there: whoever wrote an
        // annotation for that one would get another policy.
        if matches!(self.registry.base(&name), Some(Listing::Ready(_))) {
            return Err(unusable(format!(
                "a plugin named `{name}` is loaded already; give this one another name"
            )));
        }
        self.registry
            .set_base(&name, Listing::Ready(Arc::new(info)), Some(plugin));
        self.count();
        Ok(())
    }

    /// Ends the state in which a file's name stood for a plugin.
    fn settle(&self, name: &PluginName, failure: Option<String>) {
        if self.registry.base(name) != Some(Listing::Loading) {
            return;
        }
        match failure {
            Some(failure) => self.registry.set_base(name, Listing::Failed(failure), None),
            // It has another name than its file.
            None => self.registry.remove_base(name),
        }
    }

    /// Tells how many plugins can be called.
    pub fn count(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.set_plugins(self.registry.ready());
        }
    }

    /// Asks plugins what the blocks of a spec mean. Blocks.
    #[must_use]
    pub fn read_specs(&self, requests: &[SpecRequest]) -> Readings {
        let read = |request: &SpecRequest| {
            let plugin = self.same(&request.plugin)?;
            self.timed(&request.plugin, "read-spec", || {
                plugin.read_spec(&request.request)
            })
        };
        let reading = |request: &SpecRequest| match read(request) {
            Ok(reading) => Reading::Read(reading),
            Err(CallError::Refused(diagnostics)) => Reading::Refused(diagnostics),
            Err(error) => Reading::Failed(format!("{}: {error}", error.reason())),
        };
        requests
            .iter()
            .map(|request| (request.plugin.name.clone(), reading(request)))
            .collect()
    }

    /// Makes the policy of an API: calls its plugins and composes what they
    /// return. Blocks.
    pub fn render(
        &self,
        validated: &ValidatedApi,
        desired: &Desired,
    ) -> Result<Rendered, RenderError> {
        let mut generated = Vec::new();
        let mut failure: Option<Reason> = None;
        let mut problems = Vec::new();
        for plugin in validated.chain().iter() {
            let documents = match self.documents(plugin) {
                Ok(documents) => documents,
                Err(mut found) => {
                    failure.get_or_insert(Reason::DocumentMissing);
                    problems.append(&mut found);
                    continue;
                }
            };
            match self.generate(validated, desired, plugin, &documents) {
                Ok(one) => generated.push(one),
                Err(CallError::Refused(diagnostics)) => {
                    failure.get_or_insert(Reason::InvalidPolicy);
                    let errors = diagnostics
                        .iter()
                        .filter(|said| said.severity == Severity::Error);
                    problems.extend(errors.map(|said| plugin.problem(said)));
                }
                Err(error) => {
                    failure = Some(call_reason(&error));
                    let message = format!("{}: {error}", error.reason());
                    problems.push(plugin.layers.problem("", message));
                }
            }
        }
        if let Some(reason) = failure {
            return Err(RenderError { reason, problems });
        }
        let operations = desired
            .api
            .as_ref()
            .and_then(|api| api.document.operations.as_deref());
        let context = validated
            .instance_with_context()
            .map(|(_, context)| context);
        let sku = context.map_or("", |context| &context.sku);
        let mut rendered = chain::render(
            validated.chain(),
            generated,
            operations,
            sku,
            validated.grants(),
            validated.sends(),
        )
        .map_err(|problems| RenderError {
            reason: Reason::InvalidPolicy,
            problems,
        })?;
        let ending = context.map_or(&[][..], |context| &context.ending);
        let shown = desired.backends.iter();
        let shown = shown.filter_map(|one| one.certificate.clone()).collect();
        let named = (&rendered.certificates, certificates::Use::Policy);
        for (names, used) in [named, (&shown, certificates::Use::Backend)] {
            let warnings = certificates::warnings(names, used, ending);
            rendered.warnings.extend(warnings);
        }
        Ok(rendered)
    }

    fn generate(
        &self,
        validated: &ValidatedApi,
        desired: &Desired,
        chained: &ChainedPlugin,
        documents: &Documents,
    ) -> Result<Generated, CallError> {
        let plugin = self.same(&chained.plugin)?;
        let Some(context) = context::generate_with(validated, desired, chained, documents) else {
            return Ok(Generated::default());
        };
        self.timed(&chained.plugin, "generate", || {
            plugin.generate(&context, &chained.config)
        })
    }

    /// The texts that a plugin works on: the template that the platform names
    /// for it, and what its config names.
    fn documents(&self, chained: &ChainedPlugin) -> Result<Documents, Vec<Problem>> {
        let mut documents = Documents::none();
        if let Some(template) = &chained.template {
            documents.insert(Place::Template, template.as_ref());
        }
        let mut problems = Vec::new();
        for wanted in documents::wanted(chained, None)? {
            // Whoever may not name it does not learn whether it is there.
            let admitted = wanted.admit(&self.documents.labels(&wanted.key.name));
            match admitted.and_then(|()| self.documents.text(&wanted.key)) {
                Ok(text) => documents.insert(wanted.place, text),
                Err(message) => problems.push(wanted.problem(chained, message)),
            }
        }
        if problems.is_empty() {
            Ok(documents)
        } else {
            Err(problems)
        }
    }

    /// The plugin that the chain was decided with.
    fn same(&self, info: &PluginInfo) -> Result<Plugin, CallError> {
        self.registry
            .code(info)
            .ok_or_else(|| CallError::InvalidOutput {
                reason: "another version was loaded meanwhile; it is tried again".to_owned(),
            })
    }

    fn timed<T>(
        &self,
        info: &PluginInfo,
        call: &'static str,
        body: impl FnOnce() -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let result = body();
        if let Some(metrics) = &self.metrics {
            let label = result
                .as_ref()
                .map_or_else(CallError::reason, |_| "success");
            metrics.plugin_call(info.name.as_str(), call, label, started.elapsed());
        }
        result
    }
}

/// The condition's reason for a call that failed through the plugin's fault.
fn call_reason(error: &CallError) -> Reason {
    match error {
        CallError::Timeout { .. } => Reason::PluginTimeout,
        CallError::OutOfMemory { .. } => Reason::PluginOutOfMemory,
        CallError::Trap { .. } => Reason::PluginTrap,
        CallError::InputTooLarge { .. } => Reason::PluginInputTooLarge,
        CallError::OutputTooLarge { .. } => Reason::PluginOutputTooLarge,
        CallError::InvalidOutput { .. } => Reason::PluginInvalidOutput,
        _ => Reason::PluginFailed,
    }
}

fn name_of(file: &Path) -> Option<PluginName> {
    PluginName::parse(file.file_stem()?.to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_list_is_usable() {
        assert!(!instance_defaults().unwrap().plugins.is_empty());
    }
}
