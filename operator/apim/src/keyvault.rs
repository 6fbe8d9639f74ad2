//! The implicit instance's settings, from the secrets of a Key Vault.

use azure_core::http::{ClientOptions, StatusCode};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};

use crate::arm::ServiceRef;
use crate::identity::{Azure, Credentials, IdentityError, few_retries};

/// What the vault says of the instance. None of it is secret by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSettings {
    /// The service: secrets `subscription-id`, `resource-group`,
    /// `apim-service-name`.
    pub service: ServiceRef,
    /// The tenant of the callers' tokens: `aad-tenant-id`.
    pub tenant_id: String,
    /// The application that they are for: `aad-client-id`.
    pub client_id: String,
}

/// The secrets, in the order in which they are read.
pub const SECRETS: [&str; 5] = [
    "apim-service-name",
    "resource-group",
    "subscription-id",
    "aad-tenant-id",
    "aad-client-id",
];

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The name cannot be a vault's.
    #[error("`{0}` is no name of a Key Vault: 3 to 24 letters, digits and `-`; see KEY_VAULT_NAME")]
    Name(String),
    /// The credentials cannot work.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Secrets that are not there, or empty; all of them.
    #[error("the Key Vault {vault} lacks {}: set them, or make an ApimInstance named `default`", names.join(", "))]
    Missing {
        /// The vault's URL.
        vault: String,
        /// The secrets.
        names: Vec<&'static str>,
    },
    /// The vault could not be read.
    #[error("the Key Vault {vault} could not be read: {message}")]
    Unreadable {
        /// The vault's URL.
        vault: String,
        /// The HTTP status, where there was an answer.
        status: Option<u16>,
        /// What went wrong.
        message: String,
    },
}

impl Azure {
    /// Reads the settings of the implicit instance.
    pub async fn read_vault(
        &self,
        vault: &str,
        credentials: &Credentials,
    ) -> Result<VaultSettings, VaultError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !(3..=24).contains(&vault.len()) || !vault.chars().all(allowed) {
            return Err(VaultError::Name(vault.to_owned()));
        }
        let principal = self.principal(credentials)?;
        let url = self.cloud.vault_url(vault);
        let unreadable = |error: &azure_core::Error| VaultError::Unreadable {
            vault: url.clone(),
            status: error.http_status().map(u16::from),
            message: error.to_string(),
        };
        let options = SecretClientOptions {
            client_options: ClientOptions {
                transport: Some(self.transports.proxied.clone()),
                retry: few_retries(),
                ..ClientOptions::default()
            },
            // The vault names the resource that its token is for; only one
            // that it is below may be named.
            verify_challenge_resource: Some(true),
            ..SecretClientOptions::default()
        };
        let client = SecretClient::new(&url, principal.credential.clone(), Some(options))
            .map_err(|error| unreadable(&error))?;
        let mut values = Vec::with_capacity(SECRETS.len());
        let mut missing = Vec::new();
        for name in SECRETS {
            let value = match client.get_secret(name, None).await {
                Ok(response) => response
                    .into_model()
                    .map_err(|error| unreadable(&error))?
                    .value
                    .map(|value| value.trim().to_owned()),
                Err(error) if error.http_status() == Some(StatusCode::NotFound) => None,
                Err(error) => return Err(unreadable(&error)),
            };
            match value.filter(|value| !value.is_empty()) {
                Some(value) => values.push(value),
                None => missing.push(name),
            }
        }
        match <[String; 5]>::try_from(values) {
            Ok(
                [
                    service_name,
                    resource_group,
                    subscription_id,
                    tenant_id,
                    client_id,
                ],
            ) => Ok(VaultSettings {
                service: ServiceRef {
                    subscription_id,
                    resource_group,
                    service_name,
                },
                tenant_id,
                client_id,
            }),
            Err(_) => Err(VaultError::Missing {
                vault: url,
                names: missing,
            }),
        }
    }
}
