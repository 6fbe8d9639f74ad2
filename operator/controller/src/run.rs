//! Starts everything, stands by, leads, and ends in order.
//!
//! Every replica watches, loads its plugins and reaches its instances; only the
//! one that leads reconciles and writes.

mod control;
mod objects;
mod set_up;
mod stop;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use operator_apim::{CloudSettings, Limits};
use operator_core::leader::Loss;
use operator_core::pace::Pace;
use operator_core::shard::Shard;
use operator_plugin_host::CompilerCommand;

use crate::drift;
use crate::leader::{Campaign, Election, Leadership};
use crate::metrics::Metrics;
use crate::resource::ExposedApis;
use crate::server::{self, Readiness};
pub(crate) use set_up::Ready;
use set_up::set_up;
use stop::Stop;

/// How long a new leader waits for its instances to be ready, so that it looks
/// at each object once: they were reached before.
const INSTANCES: Duration = Duration::from_millis(500);

/// How the operator is set up.
pub struct Settings {
    /// The address of probes and metrics.
    pub listen: SocketAddr,
    /// The namespace whose Secrets an ApimInstance may name.
    pub namespace: String,
    /// The name of this process in events.
    pub name: String,
    /// ExposedAPIs that are worked on at the same time.
    pub concurrency: u16,
    /// The Key Vault of the implicit instance.
    pub key_vault: Option<String>,
    /// The cloud of the implicit instance.
    pub cloud: CloudSettings,
    /// Calls to Azure per principal.
    pub limits: Limits,
    /// A folder of plugins.
    pub plugin_dir: Option<PathBuf>,
    /// Where compiled plugins are kept.
    pub cache_dir: Option<PathBuf>,
    /// The program that compiles plugins; none: this process.
    pub compiler: Option<CompilerCommand>,
    /// Sign in to Azure as whoever runs this process rather than as the
    /// instances say.
    pub own_credentials: bool,
    /// How this process stands for election; none: it is the only one.
    pub election: Option<Election>,
    /// What it works on.
    pub shard: Shard,
    /// Between two sweeps for what others changed; zero: there are none.
    pub drift_interval: Duration,
    /// How fast pauses and periods pass.
    pub pace: Pace,
}

impl Settings {
    /// Of a process that only looks: no server, no election, Azure's own
    /// limits.
    #[must_use]
    pub fn looking(namespace: String, cloud: CloudSettings) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            namespace,
            name: "apim-operator".to_owned(),
            concurrency: 1,
            key_vault: None,
            cloud,
            limits: Limits::default(),
            plugin_dir: None,
            cache_dir: None,
            compiler: None,
            own_credentials: false,
            election: None,
            shard: Shard::MAIN,
            drift_interval: Duration::ZERO,
            pace: Pace::REAL,
        }
    }
}

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The API server cannot be reached, or refuses.
    #[error("Kubernetes: {0}")]
    Kube(#[from] kube::Error),
    /// ExposedAPIs cannot be worked with.
    #[error(transparent)]
    Definition(#[from] crate::resource::ResourceError),
    /// The WebAssembly host does not start.
    #[error(transparent)]
    Host(#[from] operator_plugin_host::HostError),
    /// The cache of plugins cannot be opened.
    #[error(transparent)]
    Sources(#[from] operator_plugin_source::SourceError),
    /// The list of default plugins is broken.
    #[error(transparent)]
    Defaults(#[from] crate::plugins::DefaultsError),
    /// The HTTP client for documents cannot be made.
    #[error("the HTTP client for OpenAPI documents: {0}")]
    Fetcher(String),
    /// A thread ended badly.
    #[error("a thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
    /// Another replica may write now. This one has ended, so that its next life
    /// begins with nothing remembered.
    #[error("leadership is lost: {0}")]
    Lost(Loss),
}

/// Runs the operator until `shutdown` is done, or leadership is lost.
///
/// `client` should not repeat calls itself (`Config::default_retry`): a
/// repetition would not be asked whether this process still leads.
pub async fn run(
    client: Client,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let stop = Stop::when(shutdown);
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::default());
    let listener = server::bind(settings.listen)
        .await
        .map_err(|source| RunError::Listen {
            address: settings.listen,
            source,
        })?;
    let server = tokio::spawn(server::serve(
        listener,
        Arc::clone(&readiness),
        Arc::clone(&metrics),
        stop.clone().asked(),
    ));
    let election = settings.election.clone();
    let leadership = match &election {
        Some(election) => Leadership::standby(election, Arc::clone(&metrics)),
        None => Leadership::alone(),
    };
    let guarded = leadership.guard(&client);
    let Some(ready) = set_up(guarded, settings, &leadership, metrics, &stop).await? else {
        return Ok(());
    };
    readiness.set();
    ready.context.metrics.ready();

    // Not before everything is known: a replica that cannot start takes no
    // lease from one that can.
    let campaign = election.map(|election| Campaign::start(leadership.clone(), client, election));
    let outcome = lead(ready, &leadership, &stop).await;
    if let Some(campaign) = campaign {
        campaign.release().await;
    }
    outcome?;
    tracing::info!("stopped");
    if let Err(error) = server.await? {
        tracing::warn!(%error, "the server of probes and metrics ended");
    }
    Ok(())
}

/// What a process has that only looks: the view, the plugins and the instances
/// of a replica, and nothing that writes.
pub(crate) async fn look(client: &Client, settings: Settings) -> Result<Ready, RunError> {
    // Asked before anything waits for it.
    ExposedApis::discover(client).await?;
    let leadership = Leadership::never();
    let guarded = leadership.guard(client);
    let metrics = Arc::new(Metrics::new());
    match set_up(guarded, settings, &leadership, metrics, &Stop::never()).await? {
        Some(ready) => Ok(ready),
        // It ends without only when it is asked to stop, and nobody asks.
        None => std::future::pending().await,
    }
}

/// Stands by until this replica leads, then does its work until it is asked to
/// stop.
async fn lead(mut ready: Ready, leadership: &Leadership, stop: &Stop) -> Result<(), RunError> {
    tokio::select! {
        biased;
        () = leadership.until_leading() => {}
        () = stop.clone().asked() => return Ok(()),
        // Nobody works on them, and everything is looked at on taking over.
        () = ready.drop_triggers() => {}
    }
    ready.take_over();
    let _sweeps = ready.drift.take().map(drift::start);
    // Their connections end in a look at everything anyway.
    let _ = tokio::time::timeout(INSTANCES, ready.context.instances.until_tried()).await;
    tokio::select! {
        () = control::control(ready, leadership, stop) => Ok(()),
        loss = leadership.until_lost() => Err(RunError::Lost(loss)),
    }
}
