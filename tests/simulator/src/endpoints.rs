//! What a client must know to use a simulator, in a form for programs.

use crate::config::{Seed, Transport};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;

/// URLs and ids; written to `endpoints.json` and printed once as one line.
/// It holds the secrets of the seed: they are made up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The port that is listened on.
    pub port: u16,
    /// ARM's base URL, also the audience that its tokens may have.
    pub resource_manager: String,
    /// The authority of Entra ID, without a tenant.
    pub authority: String,
    /// The managed identity endpoint, for `IDENTITY_ENDPOINT`.
    pub identity_endpoint: String,
    /// The value for `IDENTITY_HEADER`.
    pub identity_header: String,
    /// What follows a vault's name in its host, port included.
    pub key_vault_suffix: String,
    /// The vaults' URLs.
    pub key_vaults: Vec<String>,
    /// The base URL of the control interface.
    pub control: String,
    /// The page that shows what there is, for a browser.
    pub page: String,
    /// The base URL of the gateway, if there is one.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The key of the subscription that opens every API there.
    #[serde(default)]
    pub gateway_key: Option<String>,
    /// The base URL of the backend that answers with what it was sent, if there
    /// is one.
    #[serde(default)]
    pub echo: Option<String>,
    /// The authority's certificate, if one was written.
    pub ca_file: Option<String>,
    /// The default tenant.
    pub tenant_id: String,
    /// The default subscription.
    pub subscription_id: String,
    /// The default resource group.
    pub resource_group: String,
    /// The first service's name.
    pub service_name: String,
    /// The first service's ARM id.
    pub service_id: String,
    /// The applications of all tenants.
    pub applications: Vec<ApplicationEndpoint>,
}

/// One application that a client can be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationEndpoint {
    /// A name for people.
    pub name: String,
    /// Its tenant.
    pub tenant_id: String,
    /// Its client id.
    pub client_id: String,
    /// Its first secret, if it has one.
    pub client_secret: Option<String>,
}

impl Endpoints {
    pub(crate) fn new(
        seed: &Seed,
        transport: Transport,
        address: SocketAddr,
        data_dir: Option<&Path>,
    ) -> Self {
        let scheme = match transport {
            Transport::Https => "https",
            Transport::Http => "http",
        };
        let port = address.port();
        let base = format!("{scheme}://localhost:{port}");
        let service = &seed.services[0];
        let service_id = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ApiManagement/service/{}",
            service
                .subscription_id
                .as_ref()
                .unwrap_or(&seed.subscription_id),
            service
                .resource_group
                .as_ref()
                .unwrap_or(&seed.resource_group),
            service.name
        );
        Self {
            port,
            resource_manager: base.clone(),
            authority: base.clone(),
            identity_endpoint: format!("{base}/msi/token"),
            identity_header: seed.identity_header.clone(),
            key_vault_suffix: format!("vault.localhost:{port}"),
            key_vaults: seed
                .key_vaults
                .iter()
                .map(|vault| format!("{scheme}://{}.vault.localhost:{port}", vault.name))
                .collect(),
            control: format!("{base}/_control"),
            page: format!("{base}{}", crate::page::ROOT),
            gateway: None,
            gateway_key: None,
            echo: None,
            ca_file: data_dir
                .filter(|_| transport == Transport::Https)
                .map(|dir| dir.join("ca.pem").display().to_string()),
            tenant_id: seed.tenant_id.clone(),
            subscription_id: seed.subscription_id.clone(),
            resource_group: seed.resource_group.clone(),
            service_name: service.name.clone(),
            service_id,
            applications: seed
                .tenants
                .iter()
                .flat_map(|tenant| tenant.applications.iter().map(move |app| (tenant, app)))
                .map(|(tenant, app)| ApplicationEndpoint {
                    name: app.display_name.clone(),
                    tenant_id: tenant.id.clone(),
                    client_id: app.client_id.clone(),
                    client_secret: app.secrets.first().cloned(),
                })
                .collect(),
        }
    }
}
