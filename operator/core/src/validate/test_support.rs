//! Objects, instances and plugins for tests, through the real steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Dereferenced, DocumentFacts, Inquiry, Platform, Rejection, ValidatedApi};
use crate::apim::AppliedRecord;
use crate::chain::{Catalog, PluginInfo, Reading, Readings};
use crate::descriptor::{Descriptor, SpecReading};
use crate::exposed_api::ObjectMeta;
use crate::exposure::{ExposureFacts, ObjectFacts};
use crate::instance::spec::{ApimInstanceSpec, DefaultPluginSpec};
use crate::instance::{Instance, InstanceContext, InstanceDefaults};
use crate::names::{InstanceName, PREFIX, PluginName};

pub(crate) const CLUSTER: &str = "0f3c1a2b-77aa-4cce-9f84-f747471063c4";

/// Four plugins: `guard` reads nothing, `share` reads `sharing` and stands
/// before `<base/>`, `throttle` reads `rateLimit`, `headers` reads `headers`.
pub(crate) fn catalog() -> Catalog {
    [
        plugin(
            "guard",
            "authentication",
            None,
            &json!({"audience": {"type": "string"}}),
        ),
        plugin(
            "share",
            "preflight",
            Some("sharing"),
            &json!({"origins": {"type": "array", "items": {"type": "string"}}}),
        ),
        plugin(
            "throttle",
            "traffic",
            Some("rateLimit"),
            &json!({
                "calls": {"type": "integer", "minimum": 1},
                "period": {"type": "integer", "minimum": 1, "maximum": 300},
                "key": {"enum": ["ip", "subscription"]},
            }),
        ),
        plugin(
            "headers",
            "transformation",
            Some("headers"),
            &json!({"set": {"type": "object"}}),
        ),
    ]
    .into_iter()
    .collect()
}

pub(crate) fn plugin(
    name: &str,
    phase: &str,
    block: Option<&str>,
    properties: &Value,
) -> PluginInfo {
    let descriptor: Descriptor = serde_json::from_value(json!({
        "name": name,
        "version": "1.2.3",
        "summary": "A plugin for tests.",
        "phase": phase,
        "sections": ["inbound"],
        "specBlock": block,
        "configSchema": {
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        },
    }))
    .unwrap();
    PluginInfo::new(
        PluginName::parse(name).unwrap(),
        descriptor,
        format!("sha256:{name}"),
    )
    .unwrap()
}

pub(crate) fn defaults() -> InstanceDefaults {
    let specs: Vec<DefaultPluginSpec> = serde_json::from_value(json!([
        {"name": "share", "when": "WhenEnabled"},
        {"name": "guard", "when": "Always"},
        {"name": "throttle", "when": "UnlessDisabled", "config": {"calls": 100, "period": 60}},
    ]))
    .unwrap();
    InstanceDefaults::from_specs(&specs).unwrap()
}

/// An instance that serves everything; `more` is merged over its spec.
pub(crate) fn instance(name: &str, more: &Value) -> Instance {
    try_instance(name, more).unwrap()
}

pub(crate) fn try_instance(
    name: &str,
    more: &Value,
) -> Result<Instance, Vec<crate::problem::Problem>> {
    let mut spec = json!({
        "subscriptionId": "5a3e", "resourceGroup": "rg", "serviceName": "gateway",
        "tenantId": "77aa", "clientId": "c11e", "namespaceSelector": {},
    });
    crate::config::merge(&mut spec, more);
    let spec: ApimInstanceSpec = serde_json::from_value(spec).unwrap();
    Instance::new(InstanceName::parse(name).unwrap(), spec, &defaults())
}

pub(crate) fn meta(annotations: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        namespace: "components".into(),
        name: "catalog".into(),
        uid: "e715b931".into(),
        labels: BTreeMap::from([("team".into(), "shop".into())]),
        annotations: annotations
            .iter()
            .map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()))
            .collect(),
        generation: Some(3),
        deleting: false,
    }
}

/// A canonical spec with an inline document; `more` is merged over it.
pub(crate) fn spec(more: &Value) -> Value {
    let mut spec = json!({
        "name": "productcatalog",
        "apiType": "openapi",
        "implementation": "catalog-svc",
        "port": 8080,
        "path": "/shop/catalog/v4",
        "specification": document(),
    });
    crate::config::merge(&mut spec, more);
    spec
}

pub(crate) fn document() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": "Catalog", "version": "4"},
        "servers": [{"url": "https://backend.example.com/catalog/"}],
        "paths": {
            "/item": {"get": {"operationId": "listItems", "responses": {"200": {"description": "ok"}}}},
            "/item/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "delete": {"operationId": "deleteItem", "responses": {"204": {"description": "gone"}}},
            },
        },
    })
}

/// Everything that is around an object; the defaults make it publishable.
pub(crate) struct World {
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) namespace_labels: BTreeMap<String, String>,
    pub(crate) catalog: Catalog,
    pub(crate) profiles: crate::profile::Profiles,
    pub(crate) applied: Option<AppliedRecord>,
    pub(crate) readings: Readings,
    pub(crate) document: DocumentFacts,
    pub(crate) exposure: ExposureFacts,
    pub(crate) context: Option<InstanceContext>,
}

impl Default for World {
    fn default() -> Self {
        Self::with(instance("default", &json!({})))
    }
}

impl World {
    pub(crate) fn with(instance: Instance) -> Self {
        Self {
            instances: vec![Arc::new(instance)],
            namespace_labels: BTreeMap::new(),
            catalog: catalog(),
            profiles: crate::profile::Profiles::default(),
            applied: None,
            readings: Readings::new(),
            document: DocumentFacts::NotNeeded,
            exposure: ExposureFacts {
                objects: [(
                    "Ingress",
                    ObjectFacts {
                        uid: "8152819f".into(),
                        hostname: Some("lb.example.com".into()),
                        ..ObjectFacts::default()
                    },
                )]
                .into(),
                service_exists: true,
                ready_endpoints: true,
                ..ExposureFacts::default()
            },
            context: Some(InstanceContext {
                sku: "Developer".into(),
                gateway_url: "https://gateway.azure-api.net".into(),
                published_at: crate::tier::PublishedAt::default(),
                network: crate::tier::Network::None,
                addresses: vec!["20.0.0.7".into()],
                developer_portal: None,
                configuration_endpoint: None,
                ending: Vec::new(),
            }),
        }
    }

    /// What a plugin answers when its block is read.
    pub(crate) fn reads(mut self, plugin: &str, enabled: Option<bool>, config: Value) -> Self {
        self.readings.insert(
            PluginName::parse(plugin).unwrap(),
            Reading::Read(SpecReading { enabled, config }),
        );
        self
    }

    pub(crate) fn inquire(&self, meta: &ObjectMeta, spec: &Value) -> Inquiry {
        let platform = Platform {
            instances: &self.instances,
            namespace_labels: &self.namespace_labels,
            catalog: &self.catalog,
            profiles: &self.profiles,
        };
        super::inquire(meta, spec, platform, self.applied.as_ref())
    }

    pub(crate) fn validate(
        &self,
        meta: &ObjectMeta,
        spec: &Value,
    ) -> Result<ValidatedApi, Rejection> {
        super::validate(&Dereferenced {
            inquiry: self.inquire(meta, spec),
            readings: self.readings.clone(),
            document: self.document.clone(),
            exposure: self.exposure.clone(),
            path_holder: None,
            siblings: Vec::new(),
            context: self.context.clone(),
            cluster: CLUSTER.to_owned(),
        })
    }

    /// The messages of a refusal, as `path: message`.
    pub(crate) fn refusal(&self, meta: &ObjectMeta, spec: &Value) -> Vec<String> {
        let rejection = self
            .validate(meta, spec)
            .expect_err("the object was expected to be refused");
        rejection.problems.iter().map(ToString::to_string).collect()
    }
}
