//! Putting YAML into the cluster as `kubectl apply --server-side` does.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, Client, ResourceExt};

use crate::wait::{WaitError, wait_for, wait_until};

/// The field manager of what tests apply.
const MANAGER: &str = "test-harness";
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Why something could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The text is not YAML, or a document is no Kubernetes object.
    #[error("YAML: {0}")]
    Yaml(String),
    /// The API server said no.
    #[error("{object}: {source}")]
    Kube {
        /// Kind and name.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The definition was accepted and is not served.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

/// Applies every document of `yaml` in order; objects without a namespace go
/// to `default`. What was applied is given back as the server has it. After a
/// `CustomResourceDefinition` it is waited until its kind is served.
pub async fn apply_yaml(client: &Client, yaml: &str) -> Result<Vec<DynamicObject>, ApplyError> {
    apply_yaml_in(client, "default", yaml).await
}

/// As [`apply_yaml`], where objects without a namespace go to `namespace`.
pub async fn apply_yaml_in(
    client: &Client,
    namespace: &str,
    yaml: &str,
) -> Result<Vec<DynamicObject>, ApplyError> {
    let documents: Vec<Option<serde_json::Value>> =
        serde_saphyr::from_multiple(yaml).map_err(|error| ApplyError::Yaml(error.to_string()))?;
    let mut applied = Vec::new();
    for document in documents.into_iter().flatten() {
        let object: DynamicObject = serde_json::from_value(document)
            .map_err(|error| ApplyError::Yaml(error.to_string()))?;
        applied.push(apply_one(client, namespace, object).await?);
    }
    Ok(applied)
}

async fn apply_one(
    client: &Client,
    namespace: &str,
    object: DynamicObject,
) -> Result<DynamicObject, ApplyError> {
    let name = object.name_any();
    let types = object.types.clone().unwrap_or_default();
    let label = format!("{} {name}", types.kind);
    let failed = |source| ApplyError::Kube {
        object: label.clone(),
        source: Box::new(source),
    };
    let kind = GroupVersionKind::try_from(&types)
        .map_err(|error| ApplyError::Yaml(format!("{label}: apiVersion: {error}")))?;
    let (resource, capabilities) = pinned_kind(client, &kind).await.map_err(failed)?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    let params = PatchParams::apply(MANAGER).force();
    let applied = api
        .patch(&name, &params, &Patch::Apply(&object))
        .await
        .map_err(failed)?;
    if kind.kind == "CustomResourceDefinition" {
        wait_until_served(client, &name).await?;
    }
    Ok(applied)
}

/// Applies one definition and waits until every version of it is served.
pub async fn install_crd(
    client: &Client,
    definition: &CustomResourceDefinition,
) -> Result<(), ApplyError> {
    let name = definition.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.patch(
        &name,
        &PatchParams::apply(MANAGER).force(),
        &Patch::Apply(definition),
    )
    .await
    .map_err(|source| ApplyError::Kube {
        object: format!("CustomResourceDefinition {name}"),
        source: Box::new(source),
    })?;
    wait_until_served(client, &name).await
}

/// Established is the condition; discovery follows a moment later.
async fn wait_until_served(client: &Client, name: &str) -> Result<(), ApplyError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let established = wait_for(
        &api,
        name,
        "CustomResourceDefinition established",
        ESTABLISHED,
        |crd| {
            is_crd_established()
                .matches_object(crd)
                .then(|| crd.cloned())
                .flatten()
        },
    )
    .await?;
    let spec = &established.spec;
    for version in spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
        wait_until(
            &format!("{}/{} in discovery", spec.group, version.name),
            ESTABLISHED,
            async || pinned_kind(client, &kind).await,
        )
        .await?;
    }
    Ok(())
}

/// Makes a namespace `<prefix>-<five characters>` that no other test has.
pub async fn unique_namespace(client: &Client, prefix: &str) -> Result<String, ApplyError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.generate_name = Some(format!("{prefix}-"));
    let made = api
        .create(&PostParams::default(), &namespace)
        .await
        .map_err(|source| ApplyError::Kube {
            object: format!("Namespace {prefix}-"),
            source: Box::new(source),
        })?;
    Ok(made.name_any())
}
