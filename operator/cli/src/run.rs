//! `apim-operator run`.

use anyhow::Context as _;
use operator_apim::{BucketSize, CloudSettings, Limits};
use operator_controller::leader::Election;
use operator_controller::run::{RunError, Settings, run as run_operator};
use operator_core::leader::Timings;
use operator_core::pace::Pace;
use url::Url;

use crate::args::RunArgs;
use crate::{Done, compile};

/// Runs the operator until SIGTERM or Ctrl-C.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Chosen once for the process: the Kubernetes client and the Azure
        // client both use it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = settings(args)?;
        let mut config = kube::Config::infer()
            .await
            .map_err(|error| no_cluster(&error))?;
        // Calls are repeated where it is known whether they may be.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let client =
            kube::Client::try_from(config).with_context(|| format!("the API server {server}"))?;
        match run_operator(client, settings, shutdown()).await {
            Ok(()) => Ok(Done::Fine),
            Err(error @ RunError::Kube(_)) => {
                Err(error).with_context(|| format!("the API server {server}"))
            }
            Err(error) => Err(error.into()),
        }
    })
}

/// Without the environment that a pod has, only the kubeconfig is of interest.
fn no_cluster(error: &kube::config::InferConfigError) -> anyhow::Error {
    let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    match std::error::Error::source(error).filter(|_| !pod) {
        Some(kubeconfig) => anyhow::anyhow!(
            "no cluster: this is no pod, and {kubeconfig}; set KUBECONFIG to a kubeconfig file"
        ),
        None => anyhow::anyhow!("no cluster: {error}"),
    }
}

fn settings(args: &RunArgs) -> anyhow::Result<Settings> {
    let url = |flag: &str, text: &str| {
        Url::parse(text).with_context(|| format!("{flag}: `{text}` is no URL"))
    };
    let authority = url("--authority-host", &args.authority_host)?;
    let mut cloud = CloudSettings::of_authority(authority);
    if let Some(text) = &args.resource_manager_url {
        cloud.resource_manager = url("--resource-manager-url", text)?;
    }
    if let Some(suffix) = &args.key_vault_suffix {
        cloud.key_vault_suffix.clone_from(suffix);
    }
    cloud.api_version.clone_from(&args.api_version);
    cloud.ca_file.clone_from(&args.ca_file);
    let size = |per_second: f64, burst: u32| BucketSize {
        per_second,
        burst: f64::from(burst),
    };
    Ok(Settings {
        listen: args.listen,
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        concurrency: args.concurrency,
        key_vault: args.key_vault_name.clone().filter(|name| !name.is_empty()),
        cloud,
        limits: Limits {
            writes: size(args.arm_writes_per_second, args.arm_write_burst),
            reads: size(args.arm_reads_per_second, args.arm_read_burst),
        },
        plugin_dir: args.plugins.plugin_dir.clone(),
        cache_dir: args.plugins.cache_dir.clone(),
        compiler: Some(compile::compiler()?),
        election: election(args)?,
        pace: Pace::times(args.time_scale),
    })
}

/// How this process stands for election, if it does.
fn election(args: &RunArgs) -> anyhow::Result<Option<Election>> {
    let given = &args.election;
    if !given.enabled {
        return Ok(None);
    }
    let timings = Timings::new(
        given.lease_duration,
        given.renew_deadline,
        given.retry_period,
    )
    .context("--leader-elect-lease-duration, -renew-deadline and -retry-period")?;
    Ok(Some(Election {
        namespace: args.namespace.clone(),
        lease: given.resource_name.clone(),
        name: args.name.clone(),
        timings,
    }))
}

async fn shutdown() {
    let interrupt = tokio::signal::ctrl_c();
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be heard");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = interrupt => {}
        () = terminate => {}
    }
}
