//! Starts everything and runs until asked to stop.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject};
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{PredicateConfig, WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use operator_apim::specification::{Fetcher, FetcherConfig};
use operator_apim::{CloudSettings, Limits};
use operator_core::names::ObjectKey;
use operator_core::pace::Pace;
use operator_plugin_host::{CompilerCommand, HostConfig, PluginHost};
use operator_plugin_source::{Sources, SourcesConfig};
use tokio::sync::{mpsc, watch};

use crate::config_maps::ConfigMaps;
use crate::events::Events;
use crate::instances::{InstanceSettings, Instances};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::plugins::{Plugins, instance_defaults};
use crate::policy_plugins::{self, PolicyPlugins};
use crate::reconcile::{Context, error_policy, reconcile, subject::Subject};
use crate::resource::{ExposedApis, ResourceError, StatusMode};
use crate::server::{self, Readiness};
use crate::uses::Uses;
use crate::watch::{self as watches, Trigger, Triggers};
use crate::world::World;

/// What running reconciles get to finish in once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(25);
/// Between two looks for the ExposedAPI definition.
const DEFINITION_PAUSE: Duration = Duration::from_secs(5);
/// Below the folder for compiled plugins: the files they were compiled of.
const FILES: &str = "files";
/// Several changes that come at once are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);

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
    /// How fast pauses and periods pass.
    pub pace: Pace,
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
}

/// Runs the operator until `shutdown` is done.
#[expect(
    clippy::too_many_lines,
    reason = "the order of the start, from top to bottom"
)]
pub async fn run(
    client: Client,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let stop = stopping(shutdown);
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
        stopped(stop.clone()),
    ));

    let host = PluginHost::new(HostConfig {
        cache_dir: settings.cache_dir.clone(),
        compiler: settings.compiler.clone(),
        ..HostConfig::default()
    })?;
    let config_maps = ConfigMaps::new(&settings.namespace);
    let plugins = Plugins::new(host, Some(Arc::clone(&metrics)));
    let plugins = Arc::new(plugins.with_documents(Arc::<ConfigMaps>::clone(&config_maps)));
    let builtin = {
        let plugins = Arc::clone(&plugins);
        tokio::task::spawn_blocking(move || plugins.load_builtin())
    };
    let defaults = instance_defaults()?;
    let cluster = cluster_id(&client).await?;
    let Some(exposed) = definition(&client, stop.clone()).await else {
        return Ok(());
    };
    tracing::info!(
        version = exposed.resource().version,
        status = ?exposed.mode(),
        cluster,
        "ExposedAPIs are served"
    );
    if exposed.mode() == StatusMode::Pruned {
        tracing::warn!(
            "the ExposedAPI definition drops status; events and the annotation `applied` stand in for it"
        );
    }

    let (triggers, pending) = Triggers::new(Arc::clone(&metrics));
    let world = Arc::new(World::default());
    let mut synced = watches::start(&client, &world, &triggers);
    let uses = Arc::new(Uses::default());
    synced.push(config_maps.start(client.clone()));
    let instance_settings = InstanceSettings {
        namespace: settings.namespace.clone(),
        key_vault: settings.key_vault,
        cloud: settings.cloud,
        limits: settings.limits,
        defaults,
        cluster: cluster.clone(),
        pace: settings.pace,
    };
    let (instances, instances_synced) = Instances::start(
        client.clone(),
        instance_settings,
        triggers.clone(),
        Arc::clone(&metrics),
    );
    synced.push(instances_synced);
    for unusable in builtin.await? {
        tracing::error!(
            plugin = unusable.origin,
            "a built-in plugin cannot be used: {}",
            unusable.error
        );
    }
    let sources = Sources::new(SourcesConfig {
        cache_dir: settings.cache_dir.as_ref().map(|folder| folder.join(FILES)),
        ..SourcesConfig::default()
    })?;
    let (_policy_plugins, policy_plugins_synced) = PolicyPlugins::start(policy_plugins::Parts {
        client: client.clone(),
        namespace: settings.namespace,
        sources,
        plugins: Arc::clone(&plugins),
        config_maps,
        uses: Arc::clone(&uses),
        triggers: triggers.clone(),
        metrics: Arc::clone(&metrics),
        pace: settings.pace,
    });
    synced.push(policy_plugins_synced);
    if let Some(folder) = settings.plugin_dir {
        load_folder(Arc::clone(&plugins), folder, triggers.clone());
    }
    // Decisions on half a view would write what the other half takes back.
    for watch in synced {
        tokio::select! {
            () = watch.wait() => {}
            () = stopped(stop.clone()) => return Ok(()),
        }
    }

    let fetcher = Fetcher::new(FetcherConfig::default())
        .map_err(|error| RunError::Fetcher(error.to_string()))?;
    let context = Arc::new(Context {
        events: Events::start(client.clone(), Arc::clone(&metrics), &settings.name),
        client,
        exposed,
        world,
        instances,
        plugins,
        uses,
        fetcher,
        metrics,
        memory: Memory::at(settings.pace),
        cluster,
        pace: settings.pace,
    });
    control(
        &context,
        pending,
        settings.concurrency,
        &readiness,
        stop.clone(),
    )
    .await;
    tracing::info!("stopped");
    if let Err(error) = server.await? {
        tracing::warn!(%error, "the server of probes and metrics ended");
    }
    Ok(())
}

/// The main loop.
async fn control(
    context: &Arc<Context>,
    pending: mpsc::UnboundedReceiver<Trigger>,
    concurrency: u16,
    readiness: &Arc<Readiness>,
    stop: watch::Receiver<bool>,
) {
    let resource = context.exposed.resource().clone();
    let writer = reflector::store::Writer::<DynamicObject>::new(resource.clone());
    let reader = writer.as_reader();
    let objects = {
        let context = Arc::clone(context);
        let metrics = Arc::clone(&context.metrics);
        let readiness = Arc::clone(readiness);
        let resource = resource.clone();
        watcher(context.exposed.all(), watcher::Config::default())
            .default_backoff()
            .modify(|object| {
                object.managed_fields_mut().clear();
            })
            .reflect(writer)
            .inspect_ok(move |event| match event {
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                    let subject = Subject::of(object);
                    context
                        .uses
                        .exists(&subject.key, subject.published_plugins());
                    context
                        .world
                        .exposed_api_seen(&subject.key, subject.implementation());
                }
                watcher::Event::Delete(object) => {
                    let key = Subject::of(object).key;
                    context.world.exposed_api_gone(&key);
                    context.uses.gone(&key);
                    context.memory.forget(&key);
                    context.events.forget(&key);
                }
                watcher::Event::InitDone => {
                    tracing::info!(kind = resource.kind, "the view of the cluster is complete");
                    context.uses.listed();
                    readiness.set();
                }
                watcher::Event::Init => {}
            })
            .applied_objects()
            .predicate_filter(content, PredicateConfig::default())
            .inspect_ok(move |_| metrics.triggered("ExposedAPI"))
    };
    let triggered = triggered(pending, reader.clone(), resource.clone());
    let controller = Controller::for_stream_with(objects, reader, resource)
        .with_config(
            ControllerConfig::default()
                .concurrency(concurrency)
                .debounce(DEBOUNCE),
        )
        .reconcile_on(triggered)
        .graceful_shutdown_on(stopped(stop.clone()))
        .run(reconcile, error_policy, Arc::clone(context))
        .for_each(|_| std::future::ready(()));
    let deadline = async {
        stopped(stop).await;
        tracing::info!("stopping: reconciles under way get {GRACE:?} to finish");
        tokio::time::sleep(GRACE).await;
        tracing::warn!("stopped with reconciles under way; the next start completes them");
    };
    tokio::select! {
        () = controller => {}
        () = deadline => {}
    }
}

/// What of an object is worth a reconcile: not status, finalizers or the
/// annotation that the operator writes itself. Its generation does not tell,
/// where status lies in the main resource.
#[expect(clippy::unnecessary_wraps, reason = "the signature is kube's")]
fn content(object: &DynamicObject) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object
        .data
        .get("spec")
        .map(ToString::to_string)
        .hash(&mut hasher);
    for (name, value) in object.annotations() {
        if name != crate::reconcile::APPLIED {
            (name, value).hash(&mut hasher);
        }
    }
    object.labels().hash(&mut hasher);
    object
        .metadata
        .deletion_timestamp
        .is_some()
        .hash(&mut hasher);
    Some(hasher.finish())
}

/// Triggers as references to objects that are there.
fn triggered(
    pending: mpsc::UnboundedReceiver<Trigger>,
    store: Store<DynamicObject>,
    resource: kube::api::ApiResource,
) -> impl futures::Stream<Item = ObjectRef<DynamicObject>> + Send {
    let pending = futures::stream::unfold(pending, async |mut pending| {
        let trigger = pending.recv().await?;
        Some((trigger, pending))
    });
    pending.flat_map(move |trigger| {
        let reference = |key: &ObjectKey| {
            ObjectRef::<DynamicObject>::new_with(&key.name, resource.clone()).within(&key.namespace)
        };
        let references: Vec<_> = match trigger {
            Trigger::One(key, _) => {
                let reference = reference(&key);
                store
                    .get(&reference)
                    .map(|_| reference)
                    .into_iter()
                    .collect()
            }
            Trigger::All(_) => store
                .state()
                .iter()
                .map(|object| reference(&Subject::of(object).key))
                .collect(),
        };
        futures::stream::iter(references)
    })
}

/// Loads a folder of plugins beside everything else.
fn load_folder(plugins: Arc<Plugins>, folder: PathBuf, triggers: Triggers) {
    tokio::task::spawn_blocking(move || {
        let unusable = plugins.load_dir(&folder, || triggers.all("Plugin"));
        for unusable in unusable {
            tracing::error!(plugin = unusable.origin, "skipped: {}", unusable.error);
        }
    });
}

/// The uid that names this cluster in ownership marks.
async fn cluster_id(client: &Client) -> Result<String, kube::Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get_metadata("kube-system").await?;
    Ok(system.metadata.uid.unwrap_or_default())
}

/// Waits until ExposedAPIs are defined; `None` when asked to stop before.
async fn definition(client: &Client, stop: watch::Receiver<bool>) -> Option<ExposedApis> {
    loop {
        match ExposedApis::discover(client).await {
            Ok(exposed) => return Some(exposed),
            Err(
                error @ (ResourceError::NotInstalled
                | ResourceError::NoVersion { .. }
                | ResourceError::Kube(_)),
            ) => {
                tracing::error!("{error}; looking again in {DEFINITION_PAUSE:?}");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(DEFINITION_PAUSE) => {}
            () = stopped(stop.clone()) => return None,
        }
    }
}

fn stopping(shutdown: impl Future<Output = ()> + Send + 'static) -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        shutdown.await;
        tell.send_replace(true);
        // Kept until the process ends, so that who asks later still hears it.
        std::future::pending::<()>().await;
    });
    told
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The other end lives as long as the process.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
