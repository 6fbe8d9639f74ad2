//! An ExposedAPI as the reconcile takes it from the API server.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use operator_core::exposed_api::{ObjectMeta, service_named};
use operator_core::names::{FINALIZER, InstanceName, ObjectKey, PREFIX};
use serde_json::Value;

use crate::crd::exposed_api::GROUP;
use crate::kept::{KeepError, Kept};

/// The object of one reconcile.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its metadata, as far as decisions need it.
    pub meta: ObjectMeta,
    /// The Component that owns it, by its owner references.
    pub component: Option<String>,
    /// Its spec; `null` where it has none.
    pub spec: Value,
    /// Its status, if it has one.
    pub status: Option<Value>,
    /// When it was created, as RFC 3339 in UTC.
    pub created: String,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// For writes that must not cross somebody else's.
    pub resource_version: Option<String>,
    /// `group/version` of the object.
    pub api_version: String,
}

impl Subject {
    /// The instance that its annotation names.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceName> {
        let annotation = self.meta.annotations.get(&format!("{PREFIX}instance"));
        annotation.and_then(|text| InstanceName::parse(text.trim()).ok())
    }

    /// Takes what matters of an object that was kept.
    pub fn open(kept: &Kept) -> Result<Self, KeepError> {
        kept.open().map(|object| Self::of(&object))
    }

    /// Takes what matters of an object.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        Self {
            key: ObjectKey::new(&namespace, &name),
            meta: ObjectMeta {
                namespace,
                name,
                uid: object.uid().unwrap_or_default(),
                labels: object.labels().clone(),
                annotations: object.annotations().clone(),
                generation: object.metadata.generation,
                deleting: object.metadata.deletion_timestamp.is_some(),
            },
            component: component(object),
            spec: object.data.get("spec").cloned().unwrap_or_default(),
            status: object
                .data
                .get("status")
                .filter(|status| status.is_object())
                .cloned(),
            created: object
                .creation_timestamp()
                .map(|created| created.0.to_string())
                .unwrap_or_default(),
            finalizers: object.finalizers().to_vec(),
            resource_version: object.resource_version(),
            api_version: object
                .types
                .as_ref()
                .map(|types| types.api_version.clone())
                .unwrap_or_default(),
        }
    }

    /// Whether the operator holds the object until it has cleaned up.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.finalizers
            .iter()
            .any(|finalizer| finalizer == FINALIZER)
    }

    /// The plugins that its status says it is published with: name and digest.
    #[must_use]
    pub fn published_plugins(&self) -> Vec<(String, String)> {
        let listed = self
            .status
            .as_ref()
            .and_then(|status| status["plugins"].as_array());
        listed
            .into_iter()
            .flatten()
            .filter_map(|plugin| {
                let text = |field: &str| Some(plugin[field].as_str()?.to_owned());
                Some((text("name")?, text("digest")?))
            })
            .collect()
    }

    /// The version part of its API version.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }

    /// For events.
    #[must_use]
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(crate::crd::exposed_api::KIND.to_owned()),
            namespace: Some(self.key.namespace.to_string()),
            name: Some(self.key.name.to_string()),
            uid: Some(self.meta.uid.clone()),
            ..ObjectReference::default()
        }
    }

    /// The Service that implements it, as far as the spec says one.
    #[must_use]
    pub fn implementation(&self) -> Option<&str> {
        self.spec
            .get("implementation")
            .and_then(Value::as_str)
            // What names none is never asked for: `<external>` is no part of a URL.
            .and_then(service_named)
    }
}

/// The Component among the owners of an object.
fn component(object: &DynamicObject) -> Option<String> {
    let owners = object.owner_references();
    let owner = owners.iter().find(|owner| {
        let group = owner.api_version.split_once('/').map(|(group, _)| group);
        owner.kind == "Component" && group == Some(GROUP)
    })?;
    Some(owner.name.clone())
}
