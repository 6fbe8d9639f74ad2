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
use crate::backends::{self, Backends};
use crate::component::Components;
use crate::config_maps::ConfigMaps;
use crate::drift;
use crate::events::Events;
use crate::instances::{InstanceSettings, Instances};
use crate::kept::{Kept, Kind};
use crate::leader::Leadership;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::named_values::{self, NamedValues};
use crate::plugins::{Plugins, Unusable, instance_defaults};
use crate::policy_plugins::{self, PolicyPlugins};
use crate::products::{self, Calls, Made};
use crate::profiles::{self, Profiles};
use crate::reconcile::Context;
use crate::resource::{ExposedApis, ResourceError, StatusMode};
use crate::seats::Seats;
use crate::secrets::Secrets;
use crate::shards::{Look, Shards};
use crate::slots::Slots;
use crate::specifications::Specifications;
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
        let profiles = Arc::clone(&self.context.profiles);
        tokio::spawn(async move { profiles.tell_all().await });
        self.triggers.all("Leader");
        let objects = self.context.objects.clone();
        let users = move |name: &str| objects::published_in(&objects, name);
        if let Some(look) = self.look.take() {
            tokio::spawn(Arc::clone(&self.context.shards).watch_over(look));
            let instances = Arc::clone(&self.context.instances);
            tokio::spawn(instances.hold(Box::new(users), self.context.events.clone()));
            products::start(&self.context);
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
    let mut synced = watches::start(&client, &world, &triggers, settings.pace);
    synced.push(config_maps.start(client.clone()));
    let (instances, instances_synced) = Instances::start(
        client.clone(),
        instance_settings(&settings, &cluster)?,
        triggers.clone(),
        Arc::clone(&metrics),
        leadership.clone(),
    );
    synced.push(instances_synced);
    let ground = Ground {
        client,
        cluster,
        triggers,
        world,
        uses: Arc::default(),
        plugins,
        instances,
        leadership: leadership.clone(),
        metrics,
    };
    let shared = ground.shared(&settings, &mut synced);
    let writer = Writer::new(Kind::new(exposed.resource().clone()));
    let context = ground.context(&settings, exposed, &writer, &shared)?;
    let look = ground.look_at_shards(&settings);
    let drift = sweeps(&settings, &context, &ground.triggers);
    synced.push(objects::follow(&context, &ground.triggers, writer));

    complain(builtin.await?);
    let (policy_plugins, policy_plugins_synced) = PolicyPlugins::start(policy_plugins::Parts {
        client: ground.client,
        namespace: settings.namespace,
        sources: sources(settings.cache_dir.as_deref())?,
        plugins: Arc::clone(&ground.plugins),
        config_maps,
        uses: ground.uses,
        triggers: ground.triggers.clone(),
        metrics: ground.metrics,
        leadership: ground.leadership,
        pace: settings.pace,
        tells: look.is_some(),
    });
    synced.push(policy_plugins_synced);
    let (plugins, triggers) = (ground.plugins, ground.triggers);
    let folder = settings
        .plugin_dir
        .map(|folder| load_folder(plugins, folder, triggers.clone()));
    if !all(synced, stop).await {
        return Ok(None);
    }
    // Which namespaces they are in is known now.
    shared.secrets.until_read().await;
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

/// What all the rest is made of.
struct Ground {
    client: Client,
    cluster: String,
    triggers: Triggers,
    world: Arc<World>,
    uses: Arc<Uses>,
    plugins: Arc<Plugins>,
    instances: Arc<Instances>,
    leadership: Leadership,
    metrics: Arc<Metrics>,
}

/// What APIs share by naming it.
struct Shared {
    secrets: Arc<Secrets>,
    profiles: Arc<Profiles>,
    named_values: Arc<NamedValues>,
}

impl Ground {
    /// Starts to follow profiles, and to look after their secrets.
    fn shared(&self, settings: &Settings, synced: &mut Vec<Synced>) -> Shared {
        let secrets = Secrets::new(self.client.clone(), &settings.namespace);
        let (profiles, profiles_synced) = Profiles::start(profiles::Parts {
            client: self.client.clone(),
            plugins: Arc::clone(&self.plugins),
            secrets: Arc::clone(&secrets),
            world: Arc::clone(&self.world),
            uses: Arc::clone(&self.uses),
            triggers: self.triggers.clone(),
            metrics: Arc::clone(&self.metrics),
            leadership: self.leadership.clone(),
            pace: settings.pace,
            tells: settings.shard.is_main(),
            writes_per_second: settings.limits.writes.per_second,
        });
        synced.extend(profiles_synced);
        let named_values = NamedValues::start(named_values::Parts {
            instances: Arc::clone(&self.instances),
            secrets: Arc::clone(&secrets),
            profiles: Arc::clone(&profiles),
            uses: Arc::clone(&self.uses),
            leadership: self.leadership.clone(),
            cluster: self.cluster.clone(),
            drift_interval: settings.drift_interval,
            pace: settings.pace,
        });
        Shared {
            secrets,
            profiles,
            named_values,
        }
    }

    /// What reconciles work with.
    fn context(
        &self,
        settings: &Settings,
        exposed: ExposedApis,
        writer: &Writer<Kept>,
        shared: &Shared,
    ) -> Result<Arc<Context>, RunError> {
        let workers = usize::from(settings.concurrency / SHARES);
        let metrics = || Arc::clone(&self.metrics);
        let events = Events::start(self.client.clone(), metrics(), &settings.name);
        let drift: Arc<drift::Ledger> = Arc::default();
        Ok(Arc::new(Context {
            objects: writer.as_reader(),
            kind: Kind::new(exposed.resource().clone()),
            events: events.clone(),
            client: self.client.clone(),
            exposed,
            world: Arc::clone(&self.world),
            components: Components::start(
                self.client.clone(),
                self.triggers.clone(),
                metrics(),
                settings.pace,
            ),
            instances: Arc::clone(&self.instances),
            plugins: Arc::clone(&self.plugins),
            profiles: Arc::clone(&shared.profiles),
            named_values: Arc::clone(&shared.named_values),
            backends: Backends::start(backends::Parts {
                instances: Arc::clone(&self.instances),
                leadership: self.leadership.clone(),
                events: events.clone(),
                drift: Arc::clone(&drift),
                triggers: self.triggers.clone(),
                cluster: self.cluster.clone(),
                drift_interval: settings.drift_interval,
                pace: settings.pace,
            }),
            uses: Arc::clone(&self.uses),
            paths: Arc::default(),
            triggers: self.triggers.clone(),
            fetcher: fetcher()?,
            specifications: Specifications::start(
                self.client.clone(),
                Arc::clone(&shared.secrets),
                Arc::clone(&self.world),
                self.triggers.clone(),
                settings.pace,
            ),
            metrics: metrics(),
            memory: Memory::at(settings.pace),
            drift,
            made: Made::default(),
            gateway_calls: Calls::default(),
            cluster: self.cluster.clone(),
            leadership: self.leadership.clone(),
            seats: Seats::default(),
            slots: Slots::new(workers, self.triggers.clone()),
            pace: settings.pace,
            shards: Arc::new(Shards::new(settings.shard.clone())),
        }))
    }

    /// What looking after other shards needs, in the one that does.
    fn look_at_shards(&self, settings: &Settings) -> Option<Look> {
        let election = settings.election.as_ref();
        settings.shard.is_main().then(|| Look {
            client: self.client.clone(),
            namespace: settings.namespace.clone(),
            lease: election.map_or_else(|| LEASE.to_owned(), |election| election.lease.clone()),
            metrics: Arc::clone(&self.metrics),
            pace: settings.pace,
        })
    }
}

/// Says which built-in plugins cannot be used.
fn complain(unusable: Vec<Unusable>) {
    for unusable in unusable {
        tracing::error!(
            plugin = unusable.origin,
            "a built-in plugin cannot be used: {}",
            unusable.error
        );
    }
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
