//! What every replica has, whether it leads or not: its view of the cluster,
//! its plugins, its connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use operator_apim::specification::{Fetcher, FetcherConfig};
use operator_plugin_host::{HostConfig, PluginHost};
use operator_plugin_source::{Sources, SourcesConfig};
use tokio::sync::mpsc;

use super::objects;
use super::stop::Stop;
use super::{RunError, Settings};
use crate::component::Components;
use crate::config_maps::ConfigMaps;
use crate::drift;
use crate::events::Events;
use crate::instances::{InstanceSettings, Instances};
use crate::kept::Kind;
use crate::leader::Leadership;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::plugins::{Plugins, instance_defaults};
use crate::policy_plugins::{self, PolicyPlugins};
use crate::reconcile::Context;
use crate::resource::{ExposedApis, ResourceError, StatusMode};
use crate::seats::Seats;
use crate::shards::{Look, Shards};
use crate::slots::Slots;
use crate::uses::Uses;
use crate::watch::{self as watches, Synced, Trigger, Triggers};
use crate::world::World;

/// Between two looks for the ExposedAPI definition.
const DEFINITION_PAUSE: Duration = Duration::from_secs(5);
/// How many instances must hang to keep all workers busy.
const SHARES: u16 = 4;
/// What the Leases of shards begin with where this process has none.
const LEASE: &str = "apim-operator";
/// Below the folder for compiled plugins: the files they were compiled of.
const FILES: &str = "files";

/// A replica that can take over.
pub(crate) struct Ready {
    pub(crate) context: Arc<Context>,
    pub(super) concurrency: u16,
    pub(super) pending: mpsc::UnboundedReceiver<Trigger>,
    /// Ends when the folder of plugins has been read.
    pub(crate) folder: Option<tokio::task::JoinHandle<()>>,
    /// What the sweeps for changes by others need; the one that leads makes
    /// them.
    pub(super) drift: Option<drift::Parts>,
    triggers: Triggers,
    policy_plugins: Arc<PolicyPlugins>,
    /// What looking after other shards needs; absent in those.
    look: Option<Look>,
}

impl Ready {
    /// Throws away what asks for reconciles, for ever.
    pub(super) async fn drop_triggers(&mut self) {
        while self.pending.recv().await.is_some() {}
    }

    /// Everything is looked at; what the one before may have left is completed.
    pub(super) fn take_over(&mut self) {
        self.context.uses.listed();
        self.policy_plugins.take_over();
        self.triggers.all("Leader");
        let objects = self.context.objects.clone();
        let users = move |name: &str| objects::published_in(&objects, name);
        if let Some(look) = self.look.take() {
            tokio::spawn(Arc::clone(&self.context.shards).watch_over(look));
            let instances = Arc::clone(&self.context.instances);
            tokio::spawn(instances.hold(Box::new(users), self.context.events.clone()));
        }
    }
}

/// Starts all that a replica has and waits until it knows everything; nothing
/// when asked to stop before.
pub(crate) async fn set_up(
    client: Client,
    settings: Settings,
    leadership: &Leadership,
    metrics: Arc<Metrics>,
    stop: &Stop,
) -> Result<Option<Ready>, RunError> {
    let config_maps = ConfigMaps::new(&settings.namespace);
    let plugins = plugins(&settings, &config_maps, &metrics)?;
    let builtin = {
        let plugins = Arc::clone(&plugins);
        tokio::task::spawn_blocking(move || plugins.load_builtin())
    };
    let cluster = cluster_id(&client).await?;
    let Some(exposed) = definition(&client, stop).await else {
        return Ok(None);
    };
    announce(&exposed, &cluster);

    let (triggers, pending) = Triggers::new(Arc::clone(&metrics));
    let world = Arc::new(World::default());
    let uses = Arc::new(Uses::default());
    let mut synced = watches::start(&client, &world, &triggers);
    synced.push(config_maps.start(client.clone()));
    let (instances, instances_synced) = Instances::start(
        client.clone(),
        instance_settings(&settings, &cluster)?,
        triggers.clone(),
        Arc::clone(&metrics),
        leadership.clone(),
    );
    synced.push(instances_synced);
    let kind = Kind::new(exposed.resource().clone());
    let writer = Writer::new(kind.clone());
    let context = Arc::new(Context {
        objects: writer.as_reader(),
        kind,
        events: Events::start(client.clone(), Arc::clone(&metrics), &settings.name),
        client: client.clone(),
        exposed,
        world,
        components: Components::start(
            client.clone(),
            triggers.clone(),
            Arc::clone(&metrics),
            settings.pace,
        ),
        instances,
        plugins: Arc::clone(&plugins),
        uses: Arc::clone(&uses),
        paths: Arc::default(),
        triggers: triggers.clone(),
        fetcher: fetcher()?,
        metrics: Arc::clone(&metrics),
        memory: Memory::at(settings.pace),
        drift: Arc::default(),
        cluster,
        leadership: leadership.clone(),
        seats: Seats::default(),
        slots: Slots::new(usize::from(settings.concurrency / SHARES), triggers.clone()),
        pace: settings.pace,
        shards: Arc::new(Shards::new(settings.shard.clone())),
    });
    let look = look_at_shards(&settings, &client, &metrics);
    let drift = sweeps(&settings, &context, &triggers);
    synced.push(objects::follow(&context, &triggers, writer));

    for unusable in builtin.await? {
        tracing::error!(
            plugin = unusable.origin,
            "a built-in plugin cannot be used: {}",
            unusable.error
        );
    }
    let (policy_plugins, policy_plugins_synced) = PolicyPlugins::start(policy_plugins::Parts {
        client,
        namespace: settings.namespace,
        sources: sources(settings.cache_dir.as_deref())?,
        plugins: Arc::clone(&plugins),
        config_maps,
        uses,
        triggers: triggers.clone(),
        metrics,
        leadership: leadership.clone(),
        pace: settings.pace,
        tells: look.is_some(),
    });
    synced.push(policy_plugins_synced);
    let folder = settings
        .plugin_dir
        .map(|folder| load_folder(plugins, folder, triggers.clone()));
    if !all(synced, stop).await {
        return Ok(None);
    }
    Ok(Some(Ready {
        drift: Some(drift),
        context,
        concurrency: settings.concurrency,
        pending,
        folder,
        triggers,
        policy_plugins,
        look,
    }))
}

fn instance_settings(settings: &Settings, cluster: &str) -> Result<InstanceSettings, RunError> {
    Ok(InstanceSettings {
        namespace: settings.namespace.clone(),
        key_vault: settings.key_vault.clone(),
        cloud: settings.cloud.clone(),
        limits: settings.limits,
        defaults: instance_defaults()?,
        cluster: cluster.to_owned(),
        own_credentials: settings.own_credentials,
        pace: settings.pace,
        tells: settings.shard.is_main(),
    })
}

/// What looking after other shards needs, in the one that does.
fn look_at_shards(settings: &Settings, client: &Client, metrics: &Arc<Metrics>) -> Option<Look> {
    let election = settings.election.as_ref();
    settings.shard.is_main().then(|| Look {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        lease: election.map_or_else(|| LEASE.to_owned(), |election| election.lease.clone()),
        metrics: Arc::clone(metrics),
        pace: settings.pace,
    })
}

/// What the sweeps for changes by others need.
fn sweeps(settings: &Settings, context: &Context, triggers: &Triggers) -> drift::Parts {
    drift::Parts {
        interval: settings.drift_interval,
        reads_per_second: settings.limits.reads.per_second,
        pace: settings.pace,
        instances: Arc::clone(&context.instances),
        ledger: Arc::clone(&context.drift),
        triggers: triggers.clone(),
        metrics: Arc::clone(&context.metrics),
    }
}

/// Waits until each watch has seen everything: decisions on half a view would
/// write what the other half takes back. Whether it came to that.
async fn all(synced: Vec<Synced>, stop: &Stop) -> bool {
    for watch in synced {
        tokio::select! {
            () = watch.wait() => {}
            () = stop.clone().asked() => return false,
        }
    }
    true
}

fn plugins(
    settings: &Settings,
    config_maps: &Arc<ConfigMaps>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Plugins>, RunError> {
    let host = PluginHost::new(HostConfig {
        cache_dir: settings.cache_dir.clone(),
        compiler: settings.compiler.clone(),
        ..HostConfig::default()
    })?;
    let plugins = Plugins::new(host, Some(Arc::clone(metrics)));
    Ok(Arc::new(
        plugins.with_documents(Arc::<ConfigMaps>::clone(config_maps)),
    ))
}

fn sources(cache_dir: Option<&Path>) -> Result<Sources, RunError> {
    Ok(Sources::new(SourcesConfig {
        cache_dir: cache_dir.map(|folder| folder.join(FILES)),
        ..SourcesConfig::default()
    })?)
}

fn fetcher() -> Result<Fetcher, RunError> {
    Fetcher::new(FetcherConfig::default()).map_err(|error| RunError::Fetcher(error.to_string()))
}

/// Loads a folder of plugins beside everything else.
fn load_folder(
    plugins: Arc<Plugins>,
    folder: PathBuf,
    triggers: Triggers,
) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let unusable = plugins.load_dir(&folder, || triggers.all("Plugin"));
        for unusable in unusable {
            tracing::error!(plugin = unusable.origin, "skipped: {}", unusable.error);
        }
    })
}

/// The uid that names this cluster in ownership marks.
async fn cluster_id(client: &Client) -> Result<String, kube::Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get_metadata("kube-system").await?;
    Ok(system.metadata.uid.unwrap_or_default())
}

/// Waits until ExposedAPIs are defined; `None` when asked to stop before.
async fn definition(client: &Client, stop: &Stop) -> Option<ExposedApis> {
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
            () = stop.clone().asked() => return None,
        }
    }
}

fn announce(exposed: &ExposedApis, cluster: &str) {
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
}
