//! The cluster and namespace that a command works in.

use std::path::Path;

use anyhow::{Context as _, bail};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::discovery;
use kube::{Client, ResourceExt};
use operator_controller::crd::exposed_api::{CRD_NAME, GROUP, KIND, VERSIONS};

use super::args::ClusterArgs;
use crate::cluster::client_of;
use crate::manifest;

/// The cluster as an owner of APIs sees it.
pub(super) struct Place {
    pub(super) client: Client,
    /// The address of the API server, for errors.
    pub(super) server: String,
    pub(super) namespace: String,
    pub(super) kind: ApiResource,
}

impl Place {
    /// Finds it as kubectl does, and how it keeps ExposedAPIs.
    pub(super) async fn open(args: &ClusterArgs) -> anyhow::Result<Self> {
        let (client, server, default) = client_of(args.context.as_deref()).await?;
        let kind = kind(&client)
            .await
            .with_context(|| format!("the API server {server}"))?;
        Ok(Self {
            client,
            namespace: args.namespace.clone().unwrap_or(default),
            server,
            kind,
        })
    }

    /// The ExposedAPIs of the namespace.
    pub(super) fn objects(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.kind)
    }

    /// Those of all namespaces.
    pub(super) fn all(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &self.kind)
    }

    /// One of them.
    pub(super) async fn get(&self, name: &str) -> anyhow::Result<DynamicObject> {
        let found = self.objects().get_opt(name).await;
        match found.map_err(|error| self.refused(error))? {
            Some(object) => Ok(object),
            None => bail!("{}", self.absent(name).await),
        }
    }

    /// What to say of an object that is not there.
    pub(super) async fn absent(&self, name: &str) -> String {
        let others = self.objects().list_metadata(&ListParams::default()).await;
        let others: Vec<String> = others
            .map(|list| list.items.iter().map(ResourceExt::name_any).collect())
            .unwrap_or_default();
        let there = match others.len() {
            0 => "there are none; another namespace is chosen with -n".to_owned(),
            1..=12 => format!("there are {}", others.join(", ")),
            many => format!("there are {many}, which `apim-operator api list` shows"),
        };
        format!(
            "there is no ExposedAPI `{name}` in namespace `{}`: {there}",
            self.namespace
        )
    }

    /// An error of the API server, said with its address where it did not
    /// answer at all.
    pub(super) fn refused(&self, error: kube::Error) -> anyhow::Error {
        match error {
            kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
            error => anyhow::Error::new(error).context(format!("the API server {}", self.server)),
        }
    }
}

/// At which version the cluster serves ExposedAPIs. Discovery is open to every
/// user, unlike the definitions themselves.
async fn kind(client: &Client) -> anyhow::Result<ApiResource> {
    let group = match discovery::group(client, GROUP).await {
        Ok(group) => group,
        Err(kube::Error::Discovery(_)) => bail!(
            "it has no {CRD_NAME}: install ODA Canvas, or apply the output of `apim-operator crd --exposedapi`"
        ),
        Err(error) => return Err(error.into()),
    };
    let resources = VERSIONS
        .iter()
        .flat_map(|version| group.versioned_resources(version));
    resources
        .map(|(resource, _)| resource)
        .find(|resource| resource.kind == KIND)
        .with_context(|| format!("it serves {CRD_NAME} at none of the versions {VERSIONS:?}"))
}

/// What a file or, as `-`, stdin holds, without the line's end. For texts that
/// command lines must not show.
pub(super) fn secret_of(path: &Path) -> anyhow::Result<String> {
    let (name, text) = manifest::source(path)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("{name} is empty");
    }
    Ok(text.to_owned())
}
