//! The policy of a product, made by the same plugins as those of APIs.
//!
//! A plugin is asked as it is for an API: one of the product's name that stands
//! for all that are in it, without a document. What it answers is composed and
//! checked as for an API. Mandatory plugins are those of the APIs: they run
//! there, and not twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::spec::ApimProductSpec;
use crate::chain::{Catalog, Readings};
use crate::desired::{DesiredPolicy, PolicyText};
use crate::exposed_api::ObjectMeta;
use crate::exposure::ExposureFacts;
use crate::instance::{Instance, InstanceContext, InstanceDefaults};
use crate::names::{ObjectKey, PREFIX, PluginName};
use crate::problem::Problem;
use crate::profile::Profiles;
use crate::validate::{Dereferenced, DocumentFacts, Platform, inquire};

/// The platform as a product sees it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// What Azure says of it.
    pub context: &'a InstanceContext,
    /// The labels of the namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The plugins.
    pub catalog: &'a Catalog,
    /// The UID of the `kube-system` namespace.
    pub cluster: &'a str,
}

/// What the plugins of a product are asked with; none where it has none.
#[must_use]
pub fn asked(spec: &ApimProductSpec, key: &ObjectKey, place: Place<'_>) -> Option<Dereferenced> {
    if spec.plugins.is_empty() {
        return None;
    }
    let names: Vec<&str> = spec.plugins.iter().map(|one| one.name.as_str()).collect();
    let mut annotations = BTreeMap::from([(format!("{PREFIX}plugins"), names.join(","))]);
    for plugin in &spec.plugins {
        if let Some(config) = &plugin.config {
            let name = format!("{PREFIX}plugin.{}", plugin.name);
            annotations.insert(name, config.to_string());
        }
    }
    let meta = ObjectMeta {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        uid: String::new(),
        labels: BTreeMap::new(),
        annotations,
        generation: None,
        deleting: false,
    };
    let product = json!({
        "apiType": "openapi",
        "path": format!("/{}", key.name),
        "implementation": key.name,
        "port": 443,
        "apiKeyVerification": {"enabled": spec.subscription_required},
    });
    let instance = Arc::new(free(place.instance));
    let catalog = without_others(place.catalog, &names);
    let platform = Platform {
        instances: std::slice::from_ref(&instance),
        namespace_labels: place.namespace_labels,
        catalog: &catalog,
        // A product has its own list of plugins.
        profiles: &Profiles::default(),
    };
    Some(Dereferenced {
        inquiry: inquire(&meta, &product, platform, None),
        readings: Readings::default(),
        document: DocumentFacts::NotNeeded,
        exposure: ExposureFacts::default(),
        path_holder: None,
        siblings: Vec::new(),
        context: Some(place.context.clone()),
        cluster: place.cluster.to_owned(),
    })
}

/// The instance, in which who may make a product may configure its plugins: what
/// owners may annotate is about ExposedAPIs. Which plugins a namespace may use
/// stays the platform's to say.
fn free(instance: &Instance) -> Instance {
    let mut spec = instance.spec.clone();
    spec.owner_may = Some(vec!["*".to_owned()]);
    spec.path_ownership = Vec::new();
    // Nothing of it runs for a product.
    spec.plugins = Some(Vec::new());
    let free = Instance::new(instance.name.clone(), spec, &InstanceDefaults::default());
    free.unwrap_or_else(|_| instance.clone())
}

/// The plugins without those that the platform made mandatory and the product
/// does not name.
fn without_others(catalog: &Catalog, names: &[&str]) -> Catalog {
    let mut kept = Catalog::default();
    let stays = |name: &PluginName| {
        let entry = catalog.entry(name);
        let governance = entry.and_then(|entry| entry.governance.as_ref());
        names.contains(&name.as_str())
            || governance.is_none_or(|governance| governance.mandatory.is_none())
    };
    for (name, _) in catalog.iter().filter(|(name, _)| stays(name)) {
        if let Some(entry) = catalog.entry(name) {
            kept.insert_entry(name.clone(), entry.clone());
        }
    }
    kept
}

/// The document of a product; a plugin that writes for single operations has no
/// place there.
pub fn document(policy: &DesiredPolicy) -> Result<PolicyText, Problem> {
    match policy.operations.keys().next() {
        None => Ok(policy.api.clone()),
        Some(operation) => Err(Problem::new(
            "spec.plugins",
            format!(
                "a plugin writes a policy for operation `{operation}` alone, and a product has no operations; use \
                 it for the APIs"
            ),
        )),
    }
}

/// A problem of the object that was asked about, as one of the product.
#[must_use]
pub fn told(problem: &Problem) -> Problem {
    let path = problem.path.strip_prefix("metadata.annotations[");
    let path = path.and_then(|rest| rest.strip_prefix(PREFIX));
    let Some((key, rest)) = path.and_then(|rest| rest.split_once(']')) else {
        return problem.clone();
    };
    let field = match key.strip_prefix("plugin.") {
        Some(name) => format!("spec.plugins[{name}].config{rest}"),
        None => format!("spec.{key}{rest}"),
    };
    Problem {
        path: field,
        ..problem.clone()
    }
}

/// An object with any fields, as Kubernetes keeps it.
pub(crate) fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
