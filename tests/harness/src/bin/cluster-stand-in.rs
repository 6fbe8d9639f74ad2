//! Runs `test_harness::stand_in` as a process of its own, for the demo.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use test_harness::stand_in::{Address, Options, StandIn};
use tokio::signal::unix::{SignalKind, signal};

/// A STAND-IN for an ingress controller, a kubelet and the endpoint
/// controller, for tests and the demo. Never run it in a real cluster.
///
/// It watches all namespaces and writes what those would write: Ingresses get
/// a load balancer's address in their status, Services with a selector get an
/// EndpointSlice with one ready endpoint. It serves no traffic.
///
/// Prints "cluster-stand-in: ready" once it watches, and runs until SIGTERM.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Per object:
  Service  annotation cluster-stand-in/ready: \"false\"   its endpoint is not ready
  Ingress  annotation cluster-stand-in/hold: \"true\"     it gets no address

Example:
  cluster-stand-in --kubeconfig admin.kubeconfig --address lb.example.com \\
      --ingress-class istio --address-delay 2.5"
)]
struct Arguments {
    /// The cluster to write to; absent: as kubectl chooses it.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The IP address or host name that Ingresses get.
    #[arg(long, default_value = "203.0.113.10")]
    address: String,

    /// Only for Ingresses of this class; may be repeated; absent: all.
    #[arg(long = "ingress-class", value_name = "CLASS")]
    ingress_classes: Vec<String>,

    /// How long an Ingress waits for its address.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    address_delay: Duration,

    /// A Service whose endpoint is not ready; may be repeated.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    unready: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected seconds, as in 2 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter("warn")
        .init();
    // An error means that a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let config = match &arguments.kubeconfig {
        None => Config::infer().await.context("no cluster to connect to")?,
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let stand_in = StandIn::start(
        Client::try_from(config)?,
        Options {
            address: Address::parse(&arguments.address),
            ingress_classes: arguments.ingress_classes.into_iter().collect(),
            address_delay: arguments.address_delay,
            unready: BTreeSet::from_iter(arguments.unready),
        },
    )
    .await;
    writeln!(std::io::stdout(), "cluster-stand-in: ready")?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    stand_in.stop().await;
    Ok(())
}
