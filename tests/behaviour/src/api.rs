//! An ExposedAPI, and what the operator makes of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use operator_controller::plugins::{DocumentStore, Plugins, instance_defaults};
use operator_core::build::build;
use operator_core::desired::Desired;
use operator_core::exposed_api::ObjectMeta;
use operator_core::exposure::ExposureFacts;
use operator_core::instance::spec::Grant;
use operator_core::instance::{
    ApimInstanceSpec, Instance, InstanceContext, LabelSelector, example,
};
use operator_core::policy::ReferenceKind;
use operator_core::policy_plugin::spec::ConfigMapKey;
use operator_core::problem::Problem;
use operator_core::profile::Profiles;
use operator_core::validate::{Dereferenced, DocumentFacts, Platform, inquire, validate};
use operator_plugin_host::{HostConfig, Limits, PluginHost, builtin_plugins};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The tenant of the instance.
pub const TENANT: &str = "11111111-1111-1111-1111-111111111111";
/// The application that callers' tokens are for.
pub const CLIENT: &str = "22222222-2222-2222-2222-222222222222";
/// Where traffic enters the cluster.
pub const BACKEND: &str = "https://backend.example.com";
/// The host of the gateway.
pub const GATEWAY: &str = "localhost";

const PREFIX: &str = "apim.oda.tmforum.org/";
const NAMESPACE: &str = "shop";

/// The names of the built-in plugins.
#[must_use]
pub fn built_in() -> Vec<&'static str> {
    builtin_plugins().iter().map(|(name, _)| *name).collect()
}

/// Templates of the platform, by the name of their ConfigMap.
static TEMPLATES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

struct Templates;

impl DocumentStore for Templates {
    fn text(&self, key: &ConfigMapKey) -> Result<String, String> {
        let found = TEMPLATES.lock().get(&key.name).cloned();
        found.ok_or_else(|| format!("there is no ConfigMap `{}`", key.name))
    }

    fn labels(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(format!("{PREFIX}owners-may-name"), "true".to_owned())])
    }
}

/// A template of the platform, as a config names it.
#[must_use]
pub fn template(name: &str, text: &str) -> Value {
    TEMPLATES.lock().insert(name.to_owned(), text.to_owned());
    json!({"configMap": {"name": name, "key": "policy.xml"}})
}

/// The plugins of the process, compiled once.
static PLUGINS: LazyLock<Plugins> = LazyLock::new(|| {
    let host = PluginHost::new(HostConfig {
        cache_dir: kept(),
        limits: Limits {
            // Enough for a busy machine.
            timeout: std::time::Duration::from_secs(10),
            ..Limits::default()
        },
        ..HostConfig::default()
    })
    .expect("a host");
    let plugins = Plugins::new(host, None).with_documents(Arc::new(Templates));
    let unusable = plugins.load_builtin();
    assert!(unusable.is_empty(), "{unusable:?}");
    plugins
});

/// Where compiled plugins are kept from one run to the next: beside the test's
/// own program.
fn kept() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("behaviour-plugin-cache"))
}

/// An instance that grants everything to everybody.
fn instance() -> Instance {
    let defaults = instance_defaults().expect("the defaults");
    let (example, _) = example(&defaults).expect("the example");
    let spec = ApimInstanceSpec {
        tenant_id: TENANT.to_owned(),
        client_id: CLIENT.to_owned(),
        grants: ReferenceKind::GRANTABLE
            .iter()
            .map(|(kind, _)| Grant {
                namespace_selector: Some(LabelSelector::everything()),
                kind: (*kind).to_owned(),
                names: vec!["*".to_owned()],
            })
            .collect(),
        ..example.spec
    };
    Instance::new(example.name, spec, &defaults).expect("an instance")
}

/// The document of the API, unless a test has another.
fn document() -> Value {
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    json!({
        "openapi": "3.0.1",
        "info": {"title": "Catalog", "version": "1"},
        "paths": {
            "/items/{id}": {
                "parameters": [id],
                "get": {"operationId": "getItem", "responses": {"200": {"description": "an item"}}},
                "delete": {"operationId": "deleteItem", "responses": {"204": {"description": "gone"}}},
            },
            "/items": {
                "get": {"operationId": "listItems", "responses": {"200": {"description": "items"}}},
                "post": {"operationId": "addItem", "responses": {"201": {"description": "added"}}},
            },
        },
    })
}

/// An ExposedAPI `shop/catalog` at `/catalog`.
#[derive(Debug, Clone)]
pub struct Api {
    name: String,
    annotations: BTreeMap<String, String>,
    operations: BTreeMap<String, Vec<(String, Value)>>,
    spec: Value,
    sku: String,
}

impl Api {
    /// With the instance's default list of plugins.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            name: "catalog".to_owned(),
            annotations: BTreeMap::new(),
            operations: BTreeMap::new(),
            spec: json!({
                "name": "catalog", "apiType": "openapi", "path": "/catalog",
                "implementation": "catalog", "port": 8080,
                "specification": document().to_string(),
            }),
            sku: "Developer".to_owned(),
        }
    }

    /// With one plugin.
    #[must_use]
    pub fn of(plugin: &str, config: &Value) -> Self {
        Self::chain(&[(plugin, config.clone())])
    }

    /// With these plugins, in this order.
    #[must_use]
    pub fn chain(plugins: &[(&str, Value)]) -> Self {
        let names: Vec<&str> = plugins.iter().map(|(name, _)| *name).collect();
        let mut api = Self::usual().annotated("plugins", &names.join(", "));
        for (name, config) in plugins {
            api = api.configured(name, config);
        }
        api
    }

    /// With this config for a plugin of the chain.
    #[must_use]
    pub fn configured(self, plugin: &str, config: &Value) -> Self {
        self.annotated(&format!("plugin.{plugin}"), &config.to_string())
    }

    /// With an annotation.
    #[must_use]
    pub fn annotated(mut self, name: &str, value: &str) -> Self {
        self.annotations
            .insert(format!("{PREFIX}{name}"), value.to_owned());
        self
    }

    /// With a plugin more for one operation.
    #[must_use]
    pub fn operation(mut self, id: &str, plugin: &str, config: &Value) -> Self {
        let plugins = self.operations.entry(id.to_owned()).or_default();
        plugins.push((plugin.to_owned(), config.clone()));
        self
    }

    /// With another field in its spec.
    #[must_use]
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.spec[field] = value;
        self
    }

    /// With another document.
    #[must_use]
    pub fn document(self, document: &Value) -> Self {
        let text = document.to_string();
        self.spec("specification", text.into())
    }

    /// With another name and path.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.spec["path"] = format!("/{name}").into();
        self
    }

    /// In an instance of another tier.
    #[must_use]
    pub fn sku(mut self, sku: &str) -> Self {
        sku.clone_into(&mut self.sku);
        self
    }

    /// Its path below the gateway.
    #[must_use]
    pub fn path(&self) -> &str {
        self.spec["path"].as_str().unwrap_or_default()
    }

    /// What the operator would publish.
    ///
    /// # Errors
    /// Every problem that the object's owner would be told.
    pub fn desired(&self) -> Result<Desired, Vec<Problem>> {
        let mut annotations = self.annotations.clone();
        if !self.operations.is_empty() {
            let operations: BTreeMap<&String, Value> = self
                .operations
                .iter()
                .map(|(id, plugins)| {
                    let names: Vec<&str> = plugins.iter().map(|(name, _)| name.as_str()).collect();
                    let config: BTreeMap<&str, &Value> = plugins
                        .iter()
                        .map(|(name, config)| (name.as_str(), config))
                        .collect();
                    (id, json!({"plugins": names.join(", "), "config": config}))
                })
                .collect();
            annotations.insert(
                format!("{PREFIX}operation-plugins"),
                json!(operations).to_string(),
            );
        }
        let meta = ObjectMeta {
            namespace: NAMESPACE.to_owned(),
            name: self.name.clone(),
            annotations,
            ..ObjectMeta::default()
        };
        let instances = [Arc::new(instance())];
        let labels = BTreeMap::from([(
            "kubernetes.io/metadata.name".to_owned(),
            NAMESPACE.to_owned(),
        )]);
        let catalog = PLUGINS.catalog();
        let platform = Platform {
            instances: &instances,
            namespace_labels: &labels,
            catalog: &catalog,
            profiles: &Profiles::default(),
        };
        let inquiry = inquire(&meta, &self.spec, platform, None);
        let readings = PLUGINS.read_specs(&inquiry.spec_requests());
        let validated = validate(&Dereferenced {
            inquiry,
            readings,
            document: DocumentFacts::NotNeeded,
            exposure: ExposureFacts {
                assumed_origin: Some(BACKEND.to_owned()),
                ..ExposureFacts::default()
            },
            path_holder: None,
            siblings: Vec::new(),
            context: Some(InstanceContext {
                sku: self.sku.clone(),
                gateway_url: format!("https://{GATEWAY}"),
                published_at: operator_core::tier::PublishedAt::default(),
                network: operator_core::tier::Network::None,
                addresses: Vec::new(),
                developer_portal: None,
                configuration_endpoint: None,
                ending: Vec::new(),
            }),
            cluster: "00000000-0000-0000-0000-000000000000".to_owned(),
        })
        .map_err(|rejection| rejection.problems)?;
        let mut desired = build(&validated);
        let rendered = PLUGINS
            .render(&validated, &desired)
            .map_err(|error| error.problems)?;
        desired.take(rendered);
        Ok(desired)
    }

    /// What the object's owner is told, as lines; for one that is refused.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        let problems = self.desired().map(|_| ()).expect_err("it must be refused");
        problems.iter().map(ToString::to_string).collect()
    }
}
