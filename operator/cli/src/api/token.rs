//! `apim-operator api token`.

use anyhow::{Context as _, bail};
use operator_apim::{Azure, CloudSettings, Credentials, Secret};

use super::args::TokenArgs;
use super::place::secret_of;
use crate::Done;

/// Where the secret is read from unless a file is named.
const VARIABLE: &str = "AZURE_CLIENT_SECRET";

pub(super) async fn token(args: &TokenArgs) -> anyhow::Result<Done> {
    let secret = match &args.client_secret_file {
        Some(path) => secret_of(path)?,
        None => match std::env::var(VARIABLE) {
            Ok(secret) if !secret.is_empty() => secret,
            _ => bail!(
                "the application's secret is wanted: --client-secret-file FILE, or the environment variable {VARIABLE}"
            ),
        },
    };
    let scope = match (&args.scope, &args.audience) {
        (Some(scope), _) => scope.clone(),
        (None, Some(audience)) => format!("{audience}/.default"),
        (None, None) => bail!("--audience or --scope is wanted"),
    };
    let mut cloud = CloudSettings::of_authority(args.authority_host.clone());
    cloud.ca_file.clone_from(&args.ca_file);
    let credentials = Credentials::ClientSecret {
        tenant_id: args.tenant_id.clone(),
        client_id: args.client_id.clone(),
        secret: Secret::new(secret),
    };
    let token = Azure::new(cloud)?
        .token(&credentials, &scope)
        .await
        .with_context(|| {
            format!(
                "application {} of tenant {}",
                args.client_id, args.tenant_id
            )
        })?;
    println!("{}", token.expose());
    Ok(Done::Fine)
}
