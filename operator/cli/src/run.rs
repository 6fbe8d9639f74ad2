//! `apim-operator run`.

use anyhow::Context as _;
use operator_apim::{BucketSize, Limits};
use operator_controller::leader::Election;
use operator_controller::run::{Settings, run as run_operator};
use operator_core::leader::Timings;
use operator_core::pace::Pace;
use operator_core::shard::Shard;

use crate::args::RunArgs;
use crate::{Done, cluster, compile};

/// Runs the operator until SIGTERM or Ctrl-C.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Done> {
    cluster::block_on(async {
        let settings = settings(args)?;
        let (client, server) = cluster::client_that_stays().await?;
        match run_operator(client, settings, shutdown()).await {
            Ok(()) => Ok(Done::Fine),
            Err(error) => Err(cluster::told(error, &server)),
        }
    })
}

fn settings(args: &RunArgs) -> anyhow::Result<Settings> {
    let reach = &args.reach;
    let size = |per_second: f64, burst: u32| BucketSize {
        per_second,
        burst: f64::from(burst),
    };
    Ok(Settings {
        listen: args.listen,
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        concurrency: args.concurrency,
        key_vault: cluster::key_vault(reach),
        cloud: cluster::cloud(reach)?,
        limits: Limits {
            writes: size(args.arm_writes_per_second, args.arm_write_burst),
            reads: size(args.arm_reads_per_second, args.arm_read_burst),
        },
        drift_interval: args.drift_interval,
        plugin_dir: args.plugins.plugin_dir.clone(),
        cache_dir: args.plugins.cache_dir.clone(),
        compiler: Some(compile::compiler()?),
        own_credentials: false,
        election: election(args)?,
        shard: shard(args),
        pace: Pace::times(args.time_scale),
    })
}

/// How this process stands for election, if it does.
fn election(args: &RunArgs) -> anyhow::Result<Option<Election>> {
    let given = &args.election;
    if !given.enabled {
        anyhow::ensure!(
            args.shard.is_none(),
            "--shard needs --leader-elect: each shard has a lease of its own, by which the others know that it is served"
        );
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
        lease: shard(args).lease(&given.resource_name),
        name: args.name.clone(),
        timings,
    }))
}

fn shard(args: &RunArgs) -> Shard {
    args.shard.clone().map_or(Shard::MAIN, Shard::named)
}

/// Done when the process is asked to stop.
pub(crate) async fn shutdown() {
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
