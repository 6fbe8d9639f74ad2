//! From an instance's settings to what reaching it takes: the same for the
//! operator and for a command that looks once.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::Client;
use kube::api::Api;
use operator_apim::{Azure, CloudSettings, Credentials, Secret, ServiceRef};
use operator_core::instance::spec::Cloud;
use operator_core::instance::{
    ApimInstanceSpec, ImplicitSettings, Instance, InstanceDefaults, implicit,
};
use url::Url;

/// The service of an instance.
#[must_use]
pub fn service(spec: &ApimInstanceSpec) -> ServiceRef {
    ServiceRef {
        subscription_id: spec.subscription_id.clone(),
        resource_group: spec.resource_group.clone(),
        service_name: spec.service_name.clone(),
    }
}

/// The cloud of an instance; `other` is what it leaves out.
pub fn cloud(spec: &Cloud, other: &CloudSettings) -> Result<CloudSettings, String> {
    let url = |field: &str, text: &str| {
        Url::parse(text).map_err(|error| format!("cloud.{field}: `{text}` is no URL: {error}"))
    };
    let mut cloud = match &spec.authority_host {
        Some(text) => CloudSettings::of_authority(url("authorityHost", text)?),
        None => other.clone(),
    };
    if let Some(text) = &spec.resource_manager {
        cloud.resource_manager = url("resourceManager", text)?;
    }
    if let Some(suffix) = &spec.key_vault_suffix {
        cloud.key_vault_suffix.clone_from(suffix);
    }
    if let Some(version) = &spec.api_version {
        cloud.api_version.clone_from(version);
    }
    cloud.ca_file = spec
        .ca_file
        .as_ref()
        .map(PathBuf::from)
        .or_else(|| other.ca_file.clone());
    Ok(cloud)
}

/// The credentials of an instance; a Secret is read from `namespace` only.
pub async fn credentials(
    client: &Client,
    namespace: &str,
    spec: &ApimInstanceSpec,
) -> Result<Credentials, String> {
    let Some(credentials) = &spec.credentials else {
        return Ok(Credentials::Chain);
    };
    if let Some(given) = &credentials.client_secret {
        let api: Api<KubeSecret> = Api::namespaced(client.clone(), namespace);
        let at = format!("Secret {namespace}/{}", given.secret_ref.name);
        let found = api.get_opt(&given.secret_ref.name).await;
        let found = found
            .map_err(|error| format!("{at}: {error}"))?
            .ok_or_else(|| format!("{at} does not exist"))?;
        let value = found
            .data
            .as_ref()
            .and_then(|data| data.get(&given.secret_ref.key));
        let value = value
            .and_then(|value| String::from_utf8(value.0.clone()).ok())
            .ok_or_else(|| format!("{at} has no text under the key `{}`", given.secret_ref.key))?;
        return Ok(Credentials::ClientSecret {
            tenant_id: given.tenant_id.clone(),
            client_id: given.client_id.clone(),
            secret: Secret::new(value.trim().to_owned()),
        });
    }
    if let Some(given) = &credentials.workload_identity {
        return Ok(Credentials::WorkloadIdentity {
            tenant_id: given.tenant_id.clone(),
            client_id: given.client_id.clone(),
        });
    }
    if let Some(given) = &credentials.managed_identity {
        return Ok(Credentials::ManagedIdentity {
            client_id: given.client_id.clone(),
        });
    }
    Ok(if credentials.cli.is_some() {
        Credentials::Cli
    } else {
        Credentials::Chain
    })
}

/// The instance that a Key Vault describes; an error is a reason in a word and
/// a sentence.
pub async fn implicit_of_vault(
    azure: &Azure,
    vault: &str,
    cloud: &CloudSettings,
    defaults: &InstanceDefaults,
) -> Result<Instance, (&'static str, String)> {
    let found = azure.read_vault(vault, &Credentials::Chain).await;
    let found = found.map_err(|error| ("KeyVault", error.to_string()))?;
    let settings = ImplicitSettings {
        service_name: found.service.service_name,
        resource_group: found.service.resource_group,
        subscription_id: found.service.subscription_id,
        tenant_id: found.tenant_id,
        client_id: found.client_id,
    };
    let spec = Cloud {
        authority_host: Some(cloud.authority_host.to_string()),
        resource_manager: Some(cloud.resource_manager.to_string()),
        key_vault_suffix: Some(cloud.key_vault_suffix.clone()),
        api_version: Some(cloud.api_version.clone()),
        ca_file: cloud
            .ca_file
            .as_ref()
            .map(|path| path.display().to_string()),
    };
    implicit(settings, spec, defaults).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (
            "InvalidSettings",
            format!("Key Vault {vault}: {}", problems.join("; ")),
        )
    })
}
