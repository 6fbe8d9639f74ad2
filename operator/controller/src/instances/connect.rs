//! Connecting to an instance: from settings to a client that works.

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;
use operator_apim::{
    Applier, ArmClient, Azure, CloudSettings, Credentials, OidcOutcome, OidcProvider, Secret,
    ServiceRef,
};
use operator_core::instance::spec::Cloud;
use operator_core::instance::{
    ApimInstanceSpec, ImplicitSettings, Instance, InstanceContext, implicit,
};
use operator_core::mark::OwnershipMark;
use url::Url;

use super::{Connection, Instances, Observer, Trouble};

impl Instances {
    pub(super) async fn read_vault(&self, vault: &str) -> Result<Instance, Trouble> {
        let azure = self.azure(&self.settings.cloud)?;
        let found = azure.read_vault(vault, &Credentials::Chain).await;
        let found = found.map_err(|error| Trouble::new("KeyVault", error))?;
        let settings = ImplicitSettings {
            service_name: found.service.service_name,
            resource_group: found.service.resource_group,
            subscription_id: found.service.subscription_id,
            tenant_id: found.tenant_id,
            client_id: found.client_id,
        };
        let cloud = &self.settings.cloud;
        let cloud = Cloud {
            authority_host: Some(cloud.authority_host.to_string()),
            resource_manager: Some(cloud.resource_manager.to_string()),
            key_vault_suffix: Some(cloud.key_vault_suffix.clone()),
            api_version: Some(cloud.api_version.clone()),
            ca_file: cloud
                .ca_file
                .as_ref()
                .map(|path| path.display().to_string()),
        };
        implicit(settings, cloud, &self.settings.defaults).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Trouble::new(
                "InvalidSettings",
                format!("Key Vault {vault}: {}", problems.join("; ")),
            )
        })
    }

    /// Connects. A replica that stands by reads and then waits: what the
    /// instance itself must have is written by the one that leads.
    pub(super) async fn try_connect(
        &self,
        instance: &Instance,
    ) -> Result<(Option<String>, Arc<Connection>), Trouble> {
        let mut reached = self.reach(instance).await?;
        if !self.leadership.leads() {
            tracing::info!(instance = %instance.name, "reached; it is connected when this replica leads");
            self.leadership.until_leading().await;
            // That may have been long ago.
            reached = self.reach(instance).await?;
        }
        let (client, context) = reached;
        let note = self.provide(instance, &client).await?;
        let applier = Applier::new(client);
        Ok((note, Arc::new(Connection { context, applier })))
    }

    /// A client that works, and what the instance says of itself. Only reads.
    async fn reach(&self, instance: &Instance) -> Result<(ArmClient, InstanceContext), Trouble> {
        let spec = &instance.spec;
        let azure = self.azure(&self.cloud_of(&spec.cloud)?)?;
        let credentials = self.credentials(spec).await?;
        let service = ServiceRef {
            subscription_id: spec.subscription_id.clone(),
            resource_group: spec.resource_group.clone(),
            service_name: spec.service_name.clone(),
        };
        let client = azure
            .client(service, &credentials)
            .map_err(|error| Trouble::new("Credentials", error))?;
        let info = client
            .reader()
            .service()
            .await
            .map_err(|error| Trouble::new("ServiceUnavailable", error))?;
        let context = InstanceContext {
            sku: info.sku,
            gateway_url: info.gateway_url,
        };
        Ok((client, context))
    }

    /// Sees that the instance has what the policies of its APIs need.
    async fn provide(
        &self,
        instance: &Instance,
        client: &ArmClient,
    ) -> Result<Option<String>, Trouble> {
        let spec = &instance.spec;
        let provider = OidcProvider {
            id: spec.oidc_provider_id.clone(),
            display_name: "Azure AD".to_owned(),
            mark: OwnershipMark::of_instance(&self.settings.cluster).to_string(),
            metadata_endpoint: instance.openid_configuration_url(),
            client_id: spec.client_id.clone(),
        };
        let outcome = client.ensure_oidc_provider(&provider).await;
        Ok(
            match outcome.map_err(|error| Trouble::new("OpenIdProvider", error))? {
                OidcOutcome::InPlace => None,
                OidcOutcome::Created => Some(format!("OpenID provider {} created", provider.id)),
                OidcOutcome::Updated => Some(format!("OpenID provider {} updated", provider.id)),
                OidcOutcome::Foreign { differences } => {
                    let differences: Vec<String> = differences
                        .iter()
                        .map(|(field, there, wanted)| {
                            format!("{field} is `{there}`, not `{wanted}`")
                        })
                        .collect();
                    Some(format!(
                        "OpenID provider {} is somebody else's and is left alone: {}; name another one in `oidcProviderId`",
                        provider.id,
                        differences.join(", ")
                    ))
                }
            },
        )
    }

    fn cloud_of(&self, spec: &Cloud) -> Result<CloudSettings, Trouble> {
        let url = |field: &str, text: &str| {
            Url::parse(text).map_err(|error| {
                Trouble::new(
                    "InvalidSettings",
                    format!("cloud.{field}: `{text}` is no URL: {error}"),
                )
            })
        };
        let mut cloud = match &spec.authority_host {
            Some(text) => CloudSettings::of_authority(url("authorityHost", text)?),
            None => self.settings.cloud.clone(),
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
            .or_else(|| self.settings.cloud.ca_file.clone());
        Ok(cloud)
    }

    /// One Azure per cloud, so that all its clients share budgets and locks.
    fn azure(&self, cloud: &CloudSettings) -> Result<Arc<Azure>, Trouble> {
        let key = format!("{cloud:?}");
        let mut clouds = self.clouds.lock();
        if let Some(azure) = clouds.get(&key) {
            return Ok(Arc::clone(azure));
        }
        let azure =
            Azure::new(cloud.clone()).map_err(|error| Trouble::new("InvalidSettings", error))?;
        let observer = Arc::new(Observer(Arc::clone(&self.metrics)));
        let azure = Arc::new(
            azure
                .with_gate(Arc::new(self.leadership.clone()))
                .at(self.settings.pace)
                .with_limits(self.settings.limits)
                .with_observer(observer),
        );
        clouds.insert(key, Arc::clone(&azure));
        Ok(azure)
    }

    async fn credentials(&self, spec: &ApimInstanceSpec) -> Result<Credentials, Trouble> {
        let Some(credentials) = &spec.credentials else {
            return Ok(Credentials::Chain);
        };
        if let Some(given) = &credentials.client_secret {
            let api: Api<KubeSecret> =
                Api::namespaced(self.client.clone(), &self.settings.namespace);
            let at = format!(
                "Secret {}/{}",
                self.settings.namespace, given.secret_ref.name
            );
            let found = api.get_opt(&given.secret_ref.name).await;
            let found =
                found.map_err(|error| Trouble::new("Credentials", format!("{at}: {error}")))?;
            let found =
                found.ok_or_else(|| Trouble::new("Credentials", format!("{at} does not exist")))?;
            let value = found
                .data
                .as_ref()
                .and_then(|data| data.get(&given.secret_ref.key));
            let value = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
            let value = value.ok_or_else(|| {
                Trouble::new(
                    "Credentials",
                    format!("{at} has no text under the key `{}`", given.secret_ref.key),
                )
            })?;
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
}
