//! How commands reach the cluster and Azure.

use std::time::Duration;

use anyhow::Context as _;
use kube::config::KubeConfigOptions;
use operator_apim::CloudSettings;
use operator_controller::run::{RunError, Settings};
use url::Url;

use crate::args::{LookArgs, ReachArgs};
use crate::compile;

/// How long the API server may say nothing to a command that somebody waits
/// for.
const SILENCE: Duration = Duration::from_secs(30);

/// Runs a command to its end.
pub(crate) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // Chosen once for the process: the Kubernetes client and the Azure client
    // both use it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = runtime.block_on(command);
    // Watches that nobody needs any more end with it.
    runtime.shutdown_background();
    done
}

/// A client of the cluster, as kubectl finds it, and the server's address, for
/// a command that ends.
pub(crate) async fn client() -> anyhow::Result<(kube::Client, String)> {
    let (client, server, _) = client_of(None).await?;
    Ok((client, server))
}

/// The same for an operator, whose watches may be quiet for as long as they
/// like.
pub(crate) async fn client_that_stays() -> anyhow::Result<(kube::Client, String)> {
    let (client, server, _) = connected(found(None).await?)?;
    Ok((client, server))
}

/// The same for a context of the kubeconfig, if one is named, with the
/// namespace that is meant where none is named.
pub(crate) async fn client_of(
    context: Option<&str>,
) -> anyhow::Result<(kube::Client, String, String)> {
    let mut config = found(context).await?;
    config.read_timeout = Some(SILENCE);
    connected(config)
}

async fn found(context: Option<&str>) -> anyhow::Result<kube::Config> {
    Ok(match context {
        None => kube::Config::infer()
            .await
            .map_err(|error| no_cluster(&error))?,
        Some(context) => {
            let options = KubeConfigOptions {
                context: Some(context.to_owned()),
                ..KubeConfigOptions::default()
            };
            kube::Config::from_kubeconfig(&options)
                .await
                .with_context(|| format!("context `{context}` of the kubeconfig"))?
        }
    })
}

fn connected(mut config: kube::Config) -> anyhow::Result<(kube::Client, String, String)> {
    // Calls are repeated where it is known whether they may be.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let client =
        kube::Client::try_from(config).with_context(|| format!("the API server {server}"))?;
    Ok((client, server, namespace))
}

/// An error of the operator, with the server where that is to blame.
pub(crate) fn told(error: RunError, server: &str) -> anyhow::Error {
    match error {
        error @ RunError::Kube(_) => {
            anyhow::Error::new(error).context(format!("the API server {server}"))
        }
        error => error.into(),
    }
}

/// Without the environment that a pod has, only the kubeconfig is of interest.
pub(crate) fn no_cluster(error: &kube::config::InferConfigError) -> anyhow::Error {
    let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match std::error::Error::source(error).filter(|_| !pod) {
        Some(kubeconfig) => anyhow::anyhow!(
            "no cluster: this is no pod, and {kubeconfig}; set KUBECONFIG to a kubeconfig file"
        ),
        None => anyhow::anyhow!("no cluster: {error}"),
    }
}

/// The Key Vault of the implicit instance.
pub(crate) fn key_vault(reach: &ReachArgs) -> Option<String> {
    reach.key_vault_name.clone().filter(|name| !name.is_empty())
}

/// The cloud of the implicit instance.
pub(crate) fn cloud(reach: &ReachArgs) -> anyhow::Result<CloudSettings> {
    let url = |flag: &str, text: &str| {
        Url::parse(text).with_context(|| format!("{flag}: `{text}` is no URL"))
    };
    let authority = url("--authority-host", &reach.authority_host)?;
    let mut cloud = CloudSettings::of_authority(authority);
    if let Some(text) = &reach.resource_manager_url {
        cloud.resource_manager = url("--resource-manager-url", text)?;
    }
    if let Some(suffix) = &reach.key_vault_suffix {
        cloud.key_vault_suffix.clone_from(suffix);
    }
    cloud.api_version.clone_from(&reach.api_version);
    cloud.ca_file.clone_from(&reach.ca_file);
    Ok(cloud)
}

/// The settings of a command that only looks.
pub(crate) fn look(args: &LookArgs) -> anyhow::Result<Settings> {
    Ok(Settings {
        key_vault: key_vault(&args.reach),
        plugin_dir: args.plugins.plugin_dir.clone(),
        cache_dir: args.plugins.cache_dir.clone(),
        compiler: Some(compile::compiler()?),
        own_credentials: args.own_credentials,
        ..Settings::looking(args.operator_namespace.clone(), cloud(&args.reach)?)
    })
}
