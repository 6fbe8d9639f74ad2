//! The local Azure as a program.
//!
//! It only reads the command line, starts a simulator and says where it is;
//! it must never do anything that the library cannot.

#![forbid(unsafe_code)]

use anyhow::Context as _;
use apim_simulator::{
    LroMode, LroSettings, Seed, Simulator, SimulatorConfig, ThrottleLimits, Transport,
};
use clap::{Parser, ValueEnum};
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Start on a free port and learn where everything is:
    apim-simulator --port 0 --data-dir /tmp/azure
    cat /tmp/azure/endpoints.json

  Get a token and read the service (port 8443):
    curl -s --cacert /tmp/azure/ca.pem https://localhost:8443/11111111-1111-4111-8111-111111111111/oauth2/v2.0/token \\
      -d grant_type=client_credentials -d scope=https://management.azure.com/.default \\
      -d client_id=22222222-2222-4222-8222-000000000001 -d client_secret=operator-secret
    curl --cacert /tmp/azure/ca.pem -H \"Authorization: Bearer $TOKEN\" \\
      'https://localhost:8443/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-apim/providers/Microsoft.ApiManagement/service/apim-local?api-version=2024-05-01'

  Execute policies: call what is published (the key opens every API):
    apim-simulator --gateway-listen 127.0.0.1:8444 --data-dir /tmp/azure
    curl --cacert /tmp/azure/ca.pem -H 'Ocp-Apim-Subscription-Key: local-master-key' \\
      https://localhost:8444/PATH-OF-AN-API/…

  See it in a browser: APIs, what every policy did to every request, calls of ARM:
    apim-simulator --gateway-listen 127.0.0.1:8444 --trace-requests
    open https://localhost:8443/_page

  Read a secret (tell curl where the vault's name leads):
    curl --cacert /tmp/azure/ca.pem --resolve kv-local.vault.localhost:8443:127.0.0.1 \\
      -H \"Authorization: Bearer $VAULT_TOKEN\" 'https://kv-local.vault.localhost:8443/secrets/resource-group?api-version=7.5'

  Let the next two writes fail, then see every call that was made:
    curl --cacert /tmp/azure/ca.pem https://localhost:8443/_control/faults -d '{\"verb\": \"PUT\", \"status\": 503, \"count\": 2}'
    curl --cacert /tmp/azure/ca.pem https://localhost:8443/_control/journal
    curl --cacert /tmp/azure/ca.pem https://localhost:8443/_control     # everything else that can be done

  A seed (YAML or JSON); what is left out is taken from the default seed:
    resourceGroup: my-group
    services: [{ name: my-apim, sku: Consumption, gatewayUrl: 'https://api.example.com' }]
    keyVaults: [{ name: my-vault, secrets: { apim-service-name: my-apim } }]

Standard output holds one line of JSON, as in endpoints.json, once the port is open.
Exit codes: 0 stopped by a signal, 1 it cannot start, 2 wrong usage.";

/// A strict local Azure: Entra ID, managed identity, Key Vault and the ARM
/// interface of API Management on one port.
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
#[derive(Parser)]
#[command(version, about, after_long_help = EXAMPLES)]
struct Arguments {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Where the gateway listens, which executes the policies: without it there
    /// is none. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    gateway_listen: Option<SocketAddr>,
    /// Where a backend listens for APIs that have none: it answers with what it
    /// was sent, as JSON. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    echo_listen: Option<SocketAddr>,
    /// The gateway sends requests for this host to this address, without TLS:
    /// what a load balancer's address would lead to. May be repeated.
    #[arg(long = "backend", value_name = "HOST=ADDRESS:PORT", value_parser = backend)]
    backends: Vec<(String, SocketAddr)>,
    /// Traces every request to the gateway, for the page and `_control/traces`,
    /// and not only those with a debug token.
    #[arg(long, requires = "gateway_listen")]
    trace_requests: bool,
    /// The folder for ca.pem, endpoints.json and the keys, which are kept from
    /// one start to the next.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Plain HTTP instead of HTTPS. The Azure SDK refuses such an authority.
    #[arg(long)]
    http: bool,
    /// What exists from the beginning, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// How requests are answered that may take long.
    #[arg(long, value_enum, default_value_t = Lro::Auto)]
    lro: Lro,
    /// How many looks a long-running operation takes.
    #[arg(long, default_value_t = 1, value_name = "N")]
    lro_polls: u32,
    /// Multiplies ARM's limits (250 reads at once and 25 per second, 200
    /// writes and deletions at once and 10 per second).
    #[arg(
        long,
        default_value_t = 1,
        value_name = "FACTOR",
        conflicts_with = "no_throttle"
    )]
    throttle_factor: u32,
    /// Switches ARM's throttling off.
    #[arg(long)]
    no_throttle: bool,
    /// Ends when standard input does: a program that starts this one and holds
    /// the other end leaves it behind in no case.
    #[arg(long)]
    end_with_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lro {
    /// As recorded for the api-version.
    Auto,
    /// At once.
    Sync,
    /// 201/200, Azure-AsyncOperation and Location.
    AsyncOperation,
    /// 202 and Location.
    Location,
}

impl Arguments {
    fn config(self) -> anyhow::Result<SimulatorConfig> {
        let seed = match &self.seed {
            Some(path) => Seed::from_file(path)?,
            None => Seed::default(),
        };
        let factor = self.throttle_factor;
        let limits = ThrottleLimits::default();
        let throttle = (!self.no_throttle).then_some(ThrottleLimits {
            reads_burst: limits.reads_burst.saturating_mul(factor),
            reads_per_second: limits.reads_per_second.saturating_mul(factor),
            writes_burst: limits.writes_burst.saturating_mul(factor),
            writes_per_second: limits.writes_per_second.saturating_mul(factor),
            deletes_burst: limits.deletes_burst.saturating_mul(factor),
            deletes_per_second: limits.deletes_per_second.saturating_mul(factor),
        });
        Ok(SimulatorConfig {
            address: self.address,
            port: self.port,
            transport: if self.http {
                Transport::Http
            } else {
                Transport::Https
            },
            data_dir: self.data_dir,
            seed,
            lro: LroSettings {
                mode: match self.lro {
                    Lro::Auto => LroMode::Auto,
                    Lro::Sync => LroMode::Sync,
                    Lro::AsyncOperation => LroMode::AsyncOperation,
                    Lro::Location => LroMode::Location,
                },
                polls: self.lro_polls,
                ..LroSettings::default()
            },
            throttle,
            gateway: self.gateway_listen,
            echo: self.echo_listen,
            backends: self.backends.into_iter().collect(),
            trace_requests: self.trace_requests,
        })
    }
}

/// `HOST=ADDRESS:PORT`.
fn backend(text: &str) -> Result<(String, SocketAddr), String> {
    let (host, address) = text
        .split_once('=')
        .ok_or("write HOST=ADDRESS:PORT, as 203.0.113.10=127.0.0.1:8080")?;
    let address = address
        .parse()
        .map_err(|_| format!("`{address}` is no address with a port, as 127.0.0.1:8080"))?;
    Ok((host.to_owned(), address))
}

/// Ready when the process is asked to stop.
async fn stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

/// Ready when standard input has ended.
async fn end_of_stdin() {
    let (sender, ended) = tokio::sync::oneshot::channel::<()>();
    // A read of standard input cannot be given up, and must not hold up the
    // end of the process.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(sender);
    });
    let _ = ended.await;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let end_with_stdin = arguments.end_with_stdin;
    let config = arguments.config()?;
    let simulator = Simulator::start(config)
        .await
        .context("the simulator does not start")?;
    println!("{}", serde_json::to_string(&simulator.endpoints)?);
    // A program reads the line; a person wants to look.
    if std::io::stdout().is_terminal() {
        eprintln!("everything at a glance: {}", simulator.endpoints.page);
    }
    let asked = async move {
        if end_with_stdin {
            tokio::select! {
                () = stop() => {}
                () = end_of_stdin() => {}
            }
        } else {
            stop().await;
        }
    };
    simulator.serve_until(asked).await?;
    Ok(())
}
