//! The chain: whatever credentials there are, tried in a fixed order.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use tokio::sync::Mutex;

use super::credentials::Builder;
use crate::secret::Secret;

/// The instance metadata service, the same on every Azure machine.
const IMDS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// It is one hop away: where it does not accept at once, there is none.
const IMDS_CONNECT: Duration = Duration::from_secs(1);
/// For one member of the chain to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries client secret, workload identity, managed identity and Azure CLI, and
/// stays with the first that gives a token: an operator must not change who it
/// is while it runs.
pub(super) struct Chain {
    builder: Builder,
    chosen: Mutex<Option<(Member, Arc<dyn TokenCredential>)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    ClientSecret,
    WorkloadIdentity,
    ManagedIdentity,
    Cli,
}

impl Member {
    const ALL: [Self; 4] = [
        Self::ClientSecret,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::Cli,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ClientSecret => "client secret",
            Self::WorkloadIdentity => "workload identity",
            Self::ManagedIdentity => "managed identity",
            Self::Cli => "Azure CLI",
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").finish_non_exhaustive()
    }
}

impl Chain {
    pub(super) fn new(builder: Builder) -> Self {
        Self {
            builder,
            chosen: Mutex::new(None),
        }
    }

    async fn build(&self, member: Member) -> Result<Arc<dyn TokenCredential>, String> {
        let builder = &self.builder;
        match member {
            Member::ClientSecret => {
                let secret = Secret::new(builder.need("AZURE_CLIENT_SECRET")?.to_owned());
                let tenant = builder.need("AZURE_TENANT_ID")?;
                builder.client_secret(tenant, builder.need("AZURE_CLIENT_ID")?, &secret)
            }
            Member::WorkloadIdentity => builder.workload_identity(None, None),
            Member::ManagedIdentity => {
                // App Service and its like say where to ask; machines do not.
                if builder.environment.get("IDENTITY_ENDPOINT").is_none() {
                    probe(IMDS).await?;
                }
                let client_id = builder.environment.get("AZURE_CLIENT_ID");
                builder.managed_identity(client_id, false)
            }
            Member::Cli => builder.cli(),
        }
    }

    async fn try_member(
        &self,
        member: Member,
        scopes: &[&str],
    ) -> Result<(Arc<dyn TokenCredential>, AccessToken), String> {
        let credential = self.build(member).await?;
        let token = tokio::time::timeout(PATIENCE, credential.get_token(scopes, None))
            .await
            .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
            .map_err(|error| first_line(&error.to_string()))?;
        Ok((credential, token))
    }
}

async fn probe(address: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(IMDS_CONNECT, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!(
            "IDENTITY_ENDPOINT is not set and the metadata service {address} refused: {error}"
        )),
        Err(_) => Err(format!(
            "IDENTITY_ENDPOINT is not set and no metadata service answers at {address}"
        )),
    }
}

/// The SDK's messages go on with links.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut chosen = self.chosen.lock().await;
        if let Some((member, credential)) = chosen.as_ref() {
            return credential
                .get_token(scopes, options)
                .await
                .map_err(|error| {
                    azure_core::Error::with_message(
                        ErrorKind::Credential,
                        format!("{}: {}", member.name(), first_line(&error.to_string())),
                    )
                });
        }
        let mut lacks = Vec::new();
        for member in Member::ALL {
            match self.try_member(member, scopes).await {
                Ok((credential, token)) => {
                    tracing::info!(credential = member.name(), "the chain found its credential");
                    *chosen = Some((member, credential));
                    return Ok(token);
                }
                Err(lack) => lacks.push(format!("{}: {lack}", member.name())),
            }
        }
        Err(azure_core::Error::with_message(
            ErrorKind::Credential,
            format!(
                "none of the credentials of the chain gave a token: {}",
                lacks.join("; ")
            ),
        ))
    }
}
