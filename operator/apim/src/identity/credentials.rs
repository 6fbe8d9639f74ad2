//! The kinds of credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as SdkSecret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_core::time::Duration as SdkDuration;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use operator_core::names::ContentHash;

use super::IdentityError;
use super::chain::Chain;
use crate::cloud::CloudSettings;
use crate::http::Transports;
use crate::secret::Secret;

/// The variables that the credentials read.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, Secret<String>>);

/// Those variables; nothing else of the environment is kept.
const VARIABLES: [&str; 6] = [
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

impl Environment {
    /// The process's.
    #[must_use]
    pub fn of_process() -> Self {
        VARIABLES
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .collect()
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.expose().as_str();
        (!value.is_empty()).then_some(value)
    }
}

impl<'a> FromIterator<(&'a str, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Secret::new(value)))
                .collect(),
        )
    }
}

/// How the operator proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Whatever there is, in this order: a client secret from the environment,
    /// workload identity, managed identity, Azure CLI.
    #[default]
    Chain,
    /// An application's secret.
    ClientSecret {
        /// The application's tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        secret: Secret<String>,
    },
    /// A Kubernetes service account that Entra trusts.
    WorkloadIdentity {
        /// Absent: `AZURE_TENANT_ID`.
        tenant_id: Option<String>,
        /// Absent: `AZURE_CLIENT_ID`.
        client_id: Option<String>,
    },
    /// The identity that Azure gave to the machine.
    ManagedIdentity {
        /// Of a user-assigned identity; absent: the system's.
        client_id: Option<String>,
    },
    /// Whoever is logged in to `az`.
    Cli,
}

impl Credentials {
    /// The kind, as settings spell it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::ClientSecret { .. } => "clientSecret",
            Self::WorkloadIdentity { .. } => "workloadIdentity",
            Self::ManagedIdentity { .. } => "managedIdentity",
            Self::Cli => "cli",
        }
    }

    /// Equal for credentials of the same principal; holds no secret.
    pub(super) fn key(&self) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let parts = match self {
            Self::Chain | Self::Cli => Vec::new(),
            Self::ClientSecret {
                tenant_id,
                client_id,
                secret,
            } => vec![
                tenant_id.clone(),
                client_id.clone(),
                ContentHash::of(secret.expose()).to_string(),
            ],
            Self::WorkloadIdentity {
                tenant_id,
                client_id,
            } => vec![text(tenant_id), text(client_id)],
            Self::ManagedIdentity { client_id } => vec![text(client_id)],
        };
        format!("{}/{}", self.kind(), parts.join("/"))
    }

    pub(super) fn build(
        &self,
        cloud: &CloudSettings,
        transports: &Transports,
        environment: &Environment,
    ) -> Result<Arc<dyn TokenCredential>, IdentityError> {
        let builder = Builder {
            cloud: cloud.clone(),
            transports: transports.clone(),
            environment: environment.clone(),
        };
        let built = match self {
            Self::Chain => return Ok(Arc::new(Chain::new(builder))),
            Self::ClientSecret {
                tenant_id,
                client_id,
                secret,
            } => builder.client_secret(tenant_id, client_id, secret),
            Self::WorkloadIdentity {
                tenant_id,
                client_id,
            } => builder.workload_identity(tenant_id.as_deref(), client_id.as_deref()),
            Self::ManagedIdentity { client_id } => {
                builder.managed_identity(client_id.as_deref(), true)
            }
            Self::Cli => builder.cli(),
        };
        built.map_err(|message| IdentityError {
            kind: self.kind(),
            message,
        })
    }
}

/// Makes the SDK's credentials; errors are what a person has to mend.
pub(super) struct Builder {
    pub(super) cloud: CloudSettings,
    pub(super) transports: Transports,
    pub(super) environment: Environment,
}

/// The SDK's own retries go on for over a minute, in which nobody is told what
/// is wrong; the long ones are the controller's.
pub(crate) fn few_retries() -> RetryOptions {
    RetryOptions::exponential(ExponentialRetryOptions {
        max_retries: 2,
        initial_delay: SdkDuration::milliseconds(300),
        max_total_elapsed: SdkDuration::seconds(20),
        ..ExponentialRetryOptions::default()
    })
}

type Built = Result<Arc<dyn TokenCredential>, String>;

impl Builder {
    fn options(&self, transport: &Transport) -> ClientOptions {
        let mut custom = CustomConfiguration::default();
        custom.authority_host = self.cloud.authority_host.to_string();
        ClientOptions {
            transport: Some(transport.clone()),
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            retry: few_retries(),
            ..ClientOptions::default()
        }
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, String> {
        self.environment
            .get(name)
            .ok_or_else(|| format!("{name} is not set"))
    }

    pub(super) fn client_secret(
        &self,
        tenant_id: &str,
        client_id: &str,
        secret: &Secret<String>,
    ) -> Built {
        let options = ClientSecretCredentialOptions {
            client_options: self.options(&self.transports.proxied),
        };
        let secret = SdkSecret::new(secret.expose().clone());
        let credential =
            ClientSecretCredential::new(tenant_id, client_id.to_owned(), secret, Some(options))
                .map_err(|error| error.to_string())?;
        Ok(credential)
    }

    pub(super) fn workload_identity(
        &self,
        tenant_id: Option<&str>,
        client_id: Option<&str>,
    ) -> Built {
        let or = |given: Option<&str>, name: &str| match given {
            Some(given) => Ok(given.to_owned()),
            None => self.need(name).map(str::to_owned),
        };
        let file = self.need("AZURE_FEDERATED_TOKEN_FILE").map_err(|lack| {
            format!(
                "{lack} (the workload identity webhook sets it on pods labelled azure.workload.identity/use: \"true\")"
            )
        })?;
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: self.options(&self.transports.proxied),
            },
            tenant_id: Some(or(tenant_id, "AZURE_TENANT_ID")?),
            client_id: Some(or(client_id, "AZURE_CLIENT_ID")?),
            token_file_path: Some(PathBuf::from(file)),
        };
        let credential =
            WorkloadIdentityCredential::new(Some(options)).map_err(|error| error.to_string())?;
        Ok(credential)
    }

    /// `patient`: with the SDK's retries, which suit a machine that is known
    /// to have an identity and take over a minute where there is none.
    pub(super) fn managed_identity(&self, client_id: Option<&str>, patient: bool) -> Built {
        let mut client_options = self.options(&self.transports.direct);
        client_options.retry = if patient {
            RetryOptions::default()
        } else {
            RetryOptions::none()
        };
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.to_owned())),
            client_options,
        };
        let credential =
            ManagedIdentityCredential::new(Some(options)).map_err(|error| error.to_string())?;
        Ok(credential)
    }

    #[expect(clippy::unused_self, reason = "one of four that look the same")]
    pub(super) fn cli(&self) -> Built {
        let options = AzureCliCredentialOptions::default();
        let credential =
            AzureCliCredential::new(Some(options)).map_err(|error| error.to_string())?;
        Ok(credential)
    }
}
