//! Connecting to an instance: from settings to a client that works.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use operator_apim::{
    Applier, ArmClient, ArmError, Azure, Cause, CertificateThere, CloudSettings, Credentials,
    OAuth2Server, OidcOutcome, OidcProvider, OpenGate, ServiceInfo, ServiceRef,
};
use operator_core::certificates::Ending;
use operator_core::instance::spec::Cloud;
use operator_core::instance::{ApimInstanceSpec, Instance, InstanceContext};
use operator_core::mark::OwnershipMark;
use operator_core::names::InstanceName;
use operator_core::tier::published_at;

use super::{Connection, Instances, Observer, Reached, Trouble, access};

impl Instances {
    pub(super) async fn read_vault(&self, vault: &str) -> Result<Instance, Trouble> {
        let azure = self.azure(&self.settings.cloud)?;
        access::implicit_of_vault(&azure, vault, &self.settings.cloud, &self.settings.defaults)
            .await
            .map_err(|(reason, message)| Trouble::new(reason, message))
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
        let context = reached.context;
        let (azure, service, credentials) = self.account(instance).await?;
        let client = azure
            .client(service, &credentials)
            .map_err(|error| Trouble::new("Credentials", error))?;
        let provider = self.provider(instance);
        let mut notes: Vec<String> = provide(&provider, &client).await?.into_iter().collect();
        let servers = self.servers(instance);
        for server in &servers {
            notes.extend(serve(server, &client).await?);
        }
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        let applier = Applier::new(client);
        let called = format!("OpenID provider `{}`", instance.spec.oidc_provider_id);
        let connection = Connection {
            context,
            applier,
            provider: (called, Instant::now()),
            oidc: provider,
            servers,
        };
        Ok((note, Arc::new(connection)))
    }

    /// A client that can write, for a command that a person gave: such a
    /// process stands for no election.
    pub(crate) async fn writer(&self, name: &InstanceName) -> Result<Applier, String> {
        let instance = self.list().into_iter().find(|one| one.name == *name);
        let instance = instance.ok_or_else(|| format!("there is no instance `{name}`"))?;
        let trouble = |trouble: Trouble| trouble.to_string();
        let (_, service, credentials) = self.account(&instance).await.map_err(trouble)?;
        let cloud = self.cloud_of(&instance.spec.cloud).map_err(trouble)?;
        let azure = Azure::new(cloud).map_err(|error| error.to_string())?;
        let azure = azure.with_gate(Arc::new(OpenGate));
        let client = azure.client(service, &credentials);
        Ok(Applier::new(client.map_err(|error| error.to_string())?))
    }

    /// What the instance says of itself, by a client that cannot write.
    pub(super) async fn reach(&self, instance: &Instance) -> Result<Reached, Trouble> {
        let (azure, service, credentials) = self.account(instance).await?;
        let reader = azure
            .reader(service, &credentials)
            .map_err(|error| Trouble::new("Credentials", error))?;
        let info = reader
            .service()
            .await
            .map_err(|error| unreachable(&error, &instance.spec))?;
        // A look at the instance reads them again; that they cannot be had now
        // is no reason not to publish.
        let certificates = reader.certificates().await.unwrap_or_default();
        let context = context(info, &certificates);
        Ok(Reached { context, reader })
    }

    /// Which service, and as whom.
    async fn account(
        &self,
        instance: &Instance,
    ) -> Result<(Arc<Azure>, ServiceRef, Credentials), Trouble> {
        let spec = &instance.spec;
        let azure = self.azure(&self.cloud_of(&spec.cloud)?)?;
        let credentials = self.credentials(spec).await?;
        Ok((azure, access::service(spec), credentials))
    }

    /// The OpenID provider that the instance must have.
    fn provider(&self, instance: &Instance) -> OidcProvider {
        let spec = &instance.spec;
        OidcProvider {
            id: spec.oidc_provider_id.clone(),
            display_name: "Azure AD".to_owned(),
            mark: OwnershipMark::of_instance(&self.settings.cluster).to_string(),
            metadata_endpoint: instance.openid_configuration_url(),
            client_id: spec.client_id.clone(),
        }
    }

    /// The OAuth 2.0 servers that the instance must have.
    fn servers(&self, instance: &Instance) -> Vec<OAuth2Server> {
        let mark = OwnershipMark::of_instance(&self.settings.cluster).to_string();
        let specs = instance.spec.oauth2_servers.iter();
        specs
            .map(|spec| OAuth2Server {
                id: spec.id.clone(),
                display_name: spec.display_name.clone().unwrap_or_else(|| {
                    // As many as the portal shows.
                    spec.id.chars().take(50).collect()
                }),
                mark: mark.clone(),
                authorization_endpoint: spec.authorization_endpoint.clone(),
                token_endpoint: spec.token_endpoint.clone(),
                client_registration_endpoint: spec
                    .client_registration_endpoint
                    .clone()
                    .unwrap_or_else(|| spec.authorization_endpoint.clone()),
                grant_types: spec
                    .grant_types
                    .iter()
                    .map(|grant| grant.as_str().to_owned())
                    .collect(),
                client_id: spec.client_id.clone(),
                default_scope: spec.scopes.join(" "),
            })
            .collect()
    }

    fn cloud_of(&self, spec: &Cloud) -> Result<CloudSettings, Trouble> {
        access::cloud(spec, &self.settings.cloud)
            .map_err(|message| Trouble::new("InvalidSettings", message))
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
        if self.settings.own_credentials {
            return Ok(Credentials::Chain);
        }
        access::credentials(&self.client, &self.settings.namespace, spec)
            .await
            .map_err(|message| Trouble::new("Credentials", message))
    }
}

/// What a service says of itself, as far as it matters to its APIs.
pub(crate) fn context(info: ServiceInfo, certificates: &[CertificateThere]) -> InstanceContext {
    let now = Timestamp::now();
    let ending = |one: &CertificateThere| Ending::of(&one.id, &one.thumbprint, one.expires?, now);
    let (gateway_url, published_at) = published_at(info.network, &info.gateway_url, &info.hosts);
    InstanceContext {
        sku: info.sku,
        gateway_url,
        published_at,
        network: info.network,
        addresses: info.addresses,
        developer_portal: info.developer_portal_url,
        configuration_endpoint: info.configuration_endpoint,
        ending: certificates.iter().filter_map(ending).collect(),
    }
}

/// Why a service could not be read, and which of the settings may be wrong.
fn unreachable(error: &ArmError, spec: &ApimInstanceSpec) -> Trouble {
    let code = error.code.as_deref().unwrap_or_default();
    if error.cause == Cause::Token {
        return Trouble::new(
            "Credentials",
            format!("no token can be had with `credentials`: {error}"),
        );
    }
    if code == "InvalidAuthenticationTokenTenant" {
        return Trouble::new(
            "WrongTenant",
            format!(
                "`subscriptionId` {} belongs to another tenant than the one that `credentials` sign in to; set the \
                 tenant of `credentials` to that of the subscription: {error}",
                spec.subscription_id
            ),
        );
    }
    if error.is_service_absent() || error.status == Some(404) {
        return Trouble::new(
            "ServiceNotFound",
            format!(
                "there is no API Management service `{}` in resource group `{}` of subscription {}; one of \
                 `serviceName`, `resourceGroup` and `subscriptionId` is wrong, or the principal may not see it: {error}",
                spec.service_name, spec.resource_group, spec.subscription_id
            ),
        );
    }
    if error.status == Some(403) {
        return Trouble::new(
            "Forbidden",
            format!(
                "the principal of `credentials` may not read service `{}`: give it the role `API Management Service \
                 Contributor` there: {error}",
                spec.service_name
            ),
        );
    }
    Trouble::new("ServiceUnavailable", error)
}

/// Sees that the instance has an OAuth 2.0 server.
async fn serve(server: &OAuth2Server, client: &ArmClient) -> Result<Option<String>, Trouble> {
    let outcome = client.ensure_oauth2_server(server).await;
    let outcome = outcome.map_err(|error| Trouble::new("AuthorizationServer", error))?;
    let OidcOutcome::Foreign { differences } = outcome else {
        if outcome != OidcOutcome::InPlace {
            tracing::info!(server = server.id, "the OAuth 2.0 server was written");
        }
        return Ok(None);
    };
    let differences: Vec<String> = differences
        .iter()
        .map(|(field, there, wanted)| format!("{field} is `{there}`, not `{wanted}`"))
        .collect();
    Ok(Some(format!(
        "OAuth 2.0 server {} is somebody else's and is left alone: {}; give it another id in `oauth2Servers`",
        server.id,
        differences.join(", ")
    )))
}

/// Sees that the instance has what the policies of its APIs need.
async fn provide(provider: &OidcProvider, client: &ArmClient) -> Result<Option<String>, Trouble> {
    let outcome = client.ensure_oidc_provider(provider).await;
    Ok(
        match outcome.map_err(|error| Trouble::new("OpenIdProvider", error))? {
            OidcOutcome::InPlace => None,
            // What was done once is no state: the next start would take it
            // back from status, which is a write.
            OidcOutcome::Created => {
                tracing::info!(provider = provider.id, "the OpenID provider was created");
                None
            }
            OidcOutcome::Updated => {
                tracing::info!(provider = provider.id, "the OpenID provider was updated");
                None
            }
            OidcOutcome::Foreign { differences } => {
                let differences: Vec<String> = differences
                    .iter()
                    .map(|(field, there, wanted)| format!("{field} is `{there}`, not `{wanted}`"))
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
