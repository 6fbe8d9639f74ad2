//! How this cluster keeps ExposedAPIs: at which version the operator works and
//! where it may write what it knows.
//!
//! Three definitions are in use. Ours has a status subresource. TM Forum's has
//! none: status lies in the main resource. The original Azure operator's
//! declares a status without fields, so nearly all of what is written there is
//! pruned; the operator then keeps what it must remember in an annotation.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, core::GroupVersionKind};
use operator_core::names::ObjectKey;
use serde_json::{Value, json};

use crate::crd::exposed_api::{CRD_NAME, GROUP, KIND, PLURAL, VERSIONS};

/// The field manager of everything the operator writes to Kubernetes.
pub const FIELD_MANAGER: &str = "apim-operator";

/// Where status can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMode {
    /// A status subresource: owners cannot write it, so what it says of what
    /// was applied is believed.
    Subresource,
    /// The main resource: owners and other operators can write it too.
    MainResource,
    /// The definition prunes what is written: an annotation remembers instead.
    Pruned,
}

impl StatusMode {
    /// Whether only the operator can have written what stands there.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::Subresource)
    }
}

/// Why ExposedAPIs cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// There is no definition.
    #[error(
        "the CustomResourceDefinition {CRD_NAME} is not installed: install ODA Canvas, or apply the output of `apim-operator crd --exposedapi`"
    )]
    NotInstalled,
    /// It serves no version that the operator knows.
    #[error("{CRD_NAME} serves none of the versions {VERSIONS:?} (it has: {found})")]
    NoVersion {
        /// What it has.
        found: String,
    },
    /// The API server could not be asked.
    #[error("reading {CRD_NAME}: {0}")]
    Kube(#[from] kube::Error),
}

/// Access to the ExposedAPIs of a cluster.
#[derive(Clone)]
pub struct ExposedApis {
    client: Client,
    resource: ApiResource,
    mode: StatusMode,
}

impl ExposedApis {
    /// Looks up how the cluster keeps ExposedAPIs.
    pub async fn discover(client: &Client) -> Result<Self, ResourceError> {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definition = definitions
            .get_opt(CRD_NAME)
            .await?
            .ok_or(ResourceError::NotInstalled)?;
        let served: Vec<_> = definition
            .spec
            .versions
            .iter()
            .filter(|version| version.served)
            .collect();
        let version = VERSIONS
            .iter()
            .find_map(|name| served.iter().find(|version| version.name == *name));
        let Some(version) = version else {
            let found = served
                .iter()
                .map(|version| version.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(ResourceError::NoVersion { found });
        };
        let kind = GroupVersionKind::gvk(GROUP, &version.name, KIND);
        Ok(Self {
            client: client.clone(),
            resource: ApiResource::from_gvk_with_plural(&kind, PLURAL),
            mode: status_mode(version),
        })
    }

    /// The resource, for watches and references.
    #[must_use]
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// Where status can be written.
    #[must_use]
    pub fn mode(&self) -> StatusMode {
        self.mode
    }

    /// All ExposedAPIs.
    #[must_use]
    pub fn all(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &self.resource)
    }

    /// Whether an object exists now.
    pub async fn exists(&self, namespace: &str, name: &str) -> Result<bool, kube::Error> {
        let found = self.namespaced(namespace).get_metadata_opt(name).await?;
        Ok(found.is_some())
    }

    fn namespaced(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource)
    }

    /// Reads one object past every cache.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<DynamicObject>, kube::Error> {
        self.namespaced(&key.namespace).get_opt(&key.name).await
    }

    /// Merges `status` into the object's status: a field that is `null` is
    /// removed, one that is absent is left to whoever wrote it.
    pub async fn write_status(
        &self,
        key: &ObjectKey,
        status: &Value,
    ) -> Result<DynamicObject, kube::Error> {
        let api = self.namespaced(&key.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        match self.mode {
            StatusMode::Subresource => api.patch_status(&key.name, &params, &patch).await,
            StatusMode::MainResource | StatusMode::Pruned => {
                api.patch(&key.name, &params, &patch).await
            }
        }
    }

    /// Sets or removes (`None`) one annotation.
    pub async fn annotate(
        &self,
        key: &ObjectKey,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {name: value}}}));
        self.merge(key, &patch).await.map(drop)
    }

    /// Replaces the finalizers and answers the object's version with them. `resource_version` makes it a conflict when
    /// somebody else wrote in between, since the list is replaced whole.
    pub async fn set_finalizers(
        &self,
        key: &ObjectKey,
        finalizers: &[String],
        resource_version: Option<&str>,
    ) -> Result<Option<String>, kube::Error> {
        let patch = Patch::Merge(
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": resource_version}}),
        );
        self.merge(key, &patch).await
    }

    async fn merge(
        &self,
        key: &ObjectKey,
        patch: &Patch<Value>,
    ) -> Result<Option<String>, kube::Error> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.namespaced(&key.namespace)
            .patch_metadata(&key.name, &params, patch)
            .await
            .map(|written| written.metadata.resource_version)
    }
}

/// Status is kept where the version has the subresource, or where its schema
/// does not prune what is written under `status`.
fn status_mode(version: &CustomResourceDefinitionVersion) -> StatusMode {
    if version
        .subresources
        .as_ref()
        .is_some_and(|sub| sub.status.is_some())
    {
        return StatusMode::Subresource;
    }
    let status = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .and_then(|root| root.properties.as_ref())
        .and_then(|properties| properties.get("status"));
    let keeps =
        status.is_some_and(|status| status.x_kubernetes_preserve_unknown_fields == Some(true));
    if keeps {
        StatusMode::MainResource
    } else {
        StatusMode::Pruned
    }
}
