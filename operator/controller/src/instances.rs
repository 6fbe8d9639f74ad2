//! The APIM instances: which there are, and the connection to each.
//!
//! An instance comes from an ApimInstance or, where none is named `default`,
//! from the secrets of a Key Vault. Connecting is done beside the reconcile and
//! again until it works; wrong settings are data with a message, not a crash.

pub mod access;
mod again;
mod connect;
mod hold;
mod tell;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use operator_apim::{
    Applier, ArmReader, Azure, CallObserver, CloudSettings, Limits, OAuth2Server, OidcProvider,
};
use operator_core::instance::same::{Claimant, ServiceIdentity, rightful};
use operator_core::instance::{ApimInstanceSpec, Instance, InstanceContext, InstanceDefaults};
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::pace::Pace;
use operator_core::shard::LABEL;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::crd::ApimInstance;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::watch::{Follow, Synced, Triggers, follow};

pub(crate) use connect::context;

/// The name of the instance that a Key Vault describes.
const DEFAULT: &str = "default";
/// Between the first two attempts to connect; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Between two attempts to connect at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// What holds for all instances.
pub struct InstanceSettings {
    /// The namespace whose Secrets an ApimInstance may name.
    pub namespace: String,
    /// The Key Vault of the implicit instance.
    pub key_vault: Option<String>,
    /// The cloud of the implicit instance, and what an ApimInstance leaves out.
    pub cloud: CloudSettings,
    /// Calls per principal.
    pub limits: Limits,
    /// Sign in as whoever runs this process, whatever the instances say.
    pub own_credentials: bool,
    /// The plugins of an instance that lists none.
    pub defaults: InstanceDefaults,
    /// The UID of the `kube-system` namespace.
    pub cluster: String,
    /// How fast pauses pass.
    pub pace: Pace,
    /// Whether this process says on ApimInstances how they fare; of several
    /// shards one does.
    pub tells: bool,
}

/// A connection that works.
pub struct Connection {
    /// What Azure says of the instance.
    pub context: InstanceContext,
    /// Publishes APIs there.
    pub applier: Applier,
    /// The OpenID provider that is there since then, in the words of an object
    /// that waits for it.
    pub provider: (String, Instant),
    /// The OpenID provider that it must have.
    pub oidc: OidcProvider,
    /// The OAuth 2.0 servers that it must have.
    pub servers: Vec<OAuth2Server>,
}

/// An instance that is only looked at.
struct Reached {
    context: InstanceContext,
    reader: ArmReader,
}

enum State {
    Connecting,
    Reached(Reached),
    Ready(Arc<Connection>),
    Failed {
        message: String,
        /// It failed for a replica that stood by: one that leads asks anew, and
        /// until then nothing is concluded from it.
        standing_by: bool,
    },
}

impl State {
    fn failed(message: &dyn std::fmt::Display, standing_by: bool) -> Self {
        Self::Failed {
            message: message.to_string(),
            standing_by,
        }
    }
}

struct Entry {
    /// The settings as they are in the cluster; absent for the implicit one.
    spec: Option<ApimInstanceSpec>,
    /// The object as it was last seen; absent for the implicit one.
    object: Option<ApimInstance>,
    instance: Option<Arc<Instance>>,
    /// The instance that has the same service by right.
    rightful: Option<String>,
    state: State,
    /// What connecting had to say.
    said: Option<String>,
    /// Which limits of the tier are near.
    near: Vec<String>,
    task: AbortHandle,
}

impl Entry {
    /// What whoever runs the instance should know, if anything.
    fn note(&self) -> Option<String> {
        let network = match &self.state {
            State::Ready(connection) => connection.context.network.note(),
            State::Connecting | State::Reached(_) | State::Failed { .. } => None,
        };
        let near = (!self.near.is_empty()).then(|| {
            format!(
                "near a limit of the tier: {}; delete what is not needed, or use a larger tier",
                self.near.join(", ")
            )
        });
        let all: Vec<String> = [self.said.clone(), network.map(str::to_owned), near]
            .into_iter()
            .flatten()
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The instances of this process.
pub struct Instances {
    client: Client,
    settings: InstanceSettings,
    triggers: Triggers,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    entries: RwLock<HashMap<String, Entry>>,
    clouds: Mutex<HashMap<String, Arc<Azure>>>,
    /// Told after each attempt to connect.
    changed: watch::Sender<()>,
    /// Told when an object changes or goes.
    seen: watch::Sender<()>,
}

struct Observer(Arc<Metrics>);

impl CallObserver for Observer {
    fn observed(&self, method: &str, kind: &str, status: u16, seconds: f64) {
        self.0.arm_call(
            method,
            kind,
            status,
            Duration::from_secs_f64(seconds.max(0.0)),
        );
    }
}

/// Why an instance cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {message}")]
struct Trouble {
    reason: &'static str,
    message: String,
}

impl Trouble {
    fn new(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}

impl Instances {
    /// Starts to follow ApimInstances.
    #[must_use]
    pub fn start(
        client: Client,
        settings: InstanceSettings,
        triggers: Triggers,
        metrics: Arc<Metrics>,
        leadership: Leadership,
    ) -> (Arc<Self>, Synced) {
        let api: Api<ApimInstance> = Api::all(client.clone());
        let this = Arc::new(Self {
            client,
            settings,
            triggers,
            metrics,
            leadership,
            entries: RwLock::default(),
            clouds: Mutex::default(),
            changed: watch::Sender::new(()),
            seen: watch::Sender::new(()),
        });
        this.start_implicit();
        let synced = follow(api, watcher::Config::default(), Follower(Arc::clone(&this)));
        (this, synced)
    }

    /// All instances whose settings make sense.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Instance>> {
        let entries = self.entries.read();
        let mut list: Vec<_> = entries
            .values()
            .filter(|entry| entry.rightful.is_none())
            .filter_map(|entry| entry.instance.clone())
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// The connection to an instance, once there is one.
    #[must_use]
    pub fn connection(&self, name: &InstanceName) -> Option<Arc<Connection>> {
        match &self.entries.read().get(name.as_str())?.state {
            State::Ready(connection) => Some(Arc::clone(connection)),
            State::Connecting | State::Reached(_) | State::Failed { .. } => None,
        }
    }

    /// What reads an instance, once it is reached.
    #[must_use]
    pub fn reader(&self, name: &InstanceName) -> Option<ArmReader> {
        match &self.entries.read().get(name.as_str())?.state {
            State::Ready(connection) => Some(connection.applier.client().reader().clone()),
            State::Reached(reached) => Some(reached.reader.clone()),
            State::Connecting | State::Failed { .. } => None,
        }
    }

    /// What Azure says of an instance, once it is reached.
    #[must_use]
    pub fn context(&self, name: &InstanceName) -> Option<InstanceContext> {
        match &self.entries.read().get(name.as_str())?.state {
            State::Ready(connection) => Some(connection.context.clone()),
            State::Reached(reached) => Some(reached.context.clone()),
            State::Connecting | State::Failed { .. } => None,
        }
    }

    /// What the label of an instance says of the shard of its APIs.
    #[must_use]
    pub fn shard(&self, name: &InstanceName) -> Option<String> {
        let entries = self.entries.read();
        let object = entries.get(name.as_str())?.object.as_ref()?;
        object.labels().get(LABEL).cloned()
    }

    /// Hears of each attempt to connect from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether an instance is being connected for the first time since the
    /// operator started, its settings changed, or this replica began to lead after
    /// it had failed. When that has ended, well or badly, all objects are
    /// reconciled.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        let leads = self.leadership.leads();
        let entries = self.entries.read();
        entries.values().any(|entry| match entry.state {
            State::Connecting => true,
            State::Failed { standing_by, .. } => standing_by && leads,
            State::Reached(_) | State::Ready(_) => false,
        })
    }

    /// Waits until no instance is being connected for the first time.
    pub async fn until_tried(&self) {
        let mut changes = self.changed.subscribe();
        while self.is_connecting() && changes.changed().await.is_ok() {}
    }

    /// What is wrong with instances, one sentence each.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let entries = self.entries.read();
        let trouble = |(name, entry): (&String, &Entry)| match &entry.state {
            State::Failed { message, .. } => Some(format!("instance `{name}`: {message}")),
            State::Connecting | State::Reached(_) | State::Ready(_) => None,
        };
        entries.iter().filter_map(trouble).collect()
    }

    fn start_implicit(self: &Arc<Self>) {
        let Some(vault) = self.settings.key_vault.clone() else {
            return;
        };
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.connect_implicit(&vault).await }).abort_handle();
        let entry = Entry {
            spec: None,
            object: None,
            instance: None,
            rightful: None,
            state: State::Connecting,
            said: None,
            near: Vec::new(),
            task,
        };
        self.entries.write().insert(DEFAULT.to_owned(), entry);
    }

    fn changed(self: &Arc<Self>, object: &ApimInstance) {
        let name = object.name_any();
        {
            let mut entries = self.entries.write();
            if let Some(entry) = entries.get_mut(&name)
                && entry.spec.as_ref() == Some(&object.spec.0)
            {
                let before = entry.object.replace(object.clone());
                let label = |object: &ApimInstance| object.labels().get(LABEL).cloned();
                let moved = before.as_ref().and_then(label) != label(object);
                drop(entries);
                self.seen.send_replace(());
                if moved {
                    self.triggers.all("ApimInstance");
                }
                return;
            }
        }
        self.begin(object, None);
        self.part();
        self.seen.send_replace(());
        self.triggers.all("ApimInstance");
    }

    /// Begins to connect an instance, or says why not.
    fn begin(self: &Arc<Self>, object: &ApimInstance, rightful: Option<String>) {
        let name = object.name_any();
        let spec = object.spec.0.clone();
        let instance = InstanceName::parse(&name)
            .map_err(|error| error.to_string())
            .and_then(|name| {
                Instance::new(name, spec.clone(), &self.settings.defaults).map_err(|problems| {
                    problems
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join("\n")
                })
            })
            .map(Arc::new);
        let trouble = match (&instance, &rightful) {
            (Err(message), _) => Some(Trouble::new("InvalidSettings", message)),
            (Ok(_), Some(first)) => Some(Trouble::new("SameService", same_service(&spec, first))),
            (Ok(_), None) => None,
        };
        let (this, mut told) = (Arc::clone(self), object.clone());
        let (state, task) = match (&instance, trouble) {
            (Ok(instance), None) => {
                let connecting = Arc::clone(instance);
                let task = async move { this.connect(connecting, Some(told)).await };
                (State::Connecting, tokio::spawn(task).abort_handle())
            }
            (_, trouble) => {
                let trouble = trouble.unwrap_or_else(|| Trouble::new("InvalidSettings", ""));
                tracing::error!(instance = name, "cannot be used: {trouble}");
                let message = trouble.message.clone();
                let task = async move {
                    this.leadership.until_leading().await;
                    this.report(&mut told, Err(&trouble)).await;
                };
                (
                    State::failed(&message, false),
                    tokio::spawn(task).abort_handle(),
                )
            }
        };
        let entry = Entry {
            spec: Some(spec),
            object: Some(object.clone()),
            instance: instance.ok(),
            rightful,
            state,
            said: None,
            near: Vec::new(),
            task,
        };
        self.entries.write().insert(name, entry);
    }

    /// Of instances that are one service, leaves it to the one that was made
    /// first, and gives it to the next when that goes.
    fn part(self: &Arc<Self>) {
        let manager = self.settings.cloud.resource_manager.to_string();
        let begun_anew: Vec<(ApimInstance, Option<String>)> = {
            let entries = self.entries.read();
            let created: HashMap<&str, String> = entries
                .iter()
                .map(|(name, entry)| (name.as_str(), created(entry.object.as_ref())))
                .collect();
            let claimants: Vec<Claimant<'_>> = entries
                .iter()
                .filter_map(|(name, entry)| {
                    Some(Claimant {
                        name,
                        created: created.get(name.as_str())?,
                        service: ServiceIdentity::of(&entry.instance.as_ref()?.spec, &manager),
                    })
                })
                .collect();
            let changed = entries.iter().filter_map(|(name, entry)| {
                let now = rightful(name, &claimants).map(str::to_owned);
                (entry.rightful != now).then(|| Some((entry.object.clone()?, now)))?
            });
            changed.collect()
        };
        for (object, rightful) in begun_anew {
            self.begin(&object, rightful);
        }
    }

    fn removed(self: &Arc<Self>, name: &str) {
        self.entries.write().remove(name);
        if name == DEFAULT {
            self.start_implicit();
        }
        self.part();
        self.seen.send_replace(());
        self.triggers.all("ApimInstance");
    }

    /// Connects, and again until it works.
    async fn connect(self: Arc<Self>, instance: Arc<Instance>, mut object: Option<ApimInstance>) {
        if self.leadership.never_leads() {
            return self.look(&instance).await;
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let mut outcome = self.try_connect(&instance).await;
            // Waiting to lead, it may have failed while it did.
            let leads = self.leadership.leads();
            let name = instance.name.as_str();
            let state = match &outcome {
                Ok((_, connection)) => State::Ready(Arc::clone(connection)),
                Err(trouble) => State::failed(trouble, !leads),
            };
            let known = self
                .entries
                .write()
                .get_mut(name)
                .map(|entry| {
                    entry.state = state;
                    if let Ok((said, _)) = &mut outcome {
                        entry.said = said.take();
                        *said = entry.note();
                    }
                })
                .is_some();
            let ready = self
                .entries
                .read()
                .values()
                .filter(|entry| matches!(entry.state, State::Ready(_)))
                .count();
            self.metrics.set_instances(ready);
            match &outcome {
                Ok((note, connection)) => {
                    let sku = &connection.context.sku;
                    tracing::info!(
                        instance = name,
                        sku,
                        gateway = connection.context.gateway_url,
                        note,
                        "connected"
                    );
                }
                Err(trouble) => tracing::error!(
                    instance = name,
                    "cannot be used: {trouble}; tried again in {pause:?}"
                ),
            }
            self.changed.send_replace(());
            if known {
                self.triggers.all("ApimInstance");
            }
            let told = object.as_mut().filter(|_| leads);
            if outcome.is_ok() {
                if let Some(object) = told {
                    self.report(object, outcome.as_ref()).await;
                }
                return;
            }
            if let Some(object) = told {
                // The next attempt says it again.
                self.told(object, outcome.as_ref()).await;
            }
            if self.rest(pause, leads).await {
                pause = FIRST_PAUSE;
            } else {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Reaches an instance that is only looked at. Tried once: whoever looks
    /// wants to know now.
    async fn look(&self, instance: &Instance) {
        let state = match self.reach(instance).await {
            Ok(reached) => State::Reached(reached),
            Err(trouble) => State::failed(&trouble, false),
        };
        if let Some(entry) = self.entries.write().get_mut(instance.name.as_str()) {
            entry.state = state;
        }
        self.changed.send_replace(());
    }

    /// Waits for so long, or until this process begins to lead; whether it did.
    async fn rest(&self, pause: Duration, leads: bool) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.settings.pace.of(pause)) => false,
            () = self.leadership.until_leading(), if !leads => true,
        }
    }

    async fn connect_implicit(self: Arc<Self>, vault: &str) {
        let mut pause = FIRST_PAUSE;
        let instance = loop {
            match self.read_vault(vault).await {
                Ok(instance) => break Arc::new(instance),
                Err(trouble) => {
                    tracing::error!(
                        vault,
                        "the instance `default` cannot be read: {trouble}; tried again in {pause:?}"
                    );
                    if let Some(entry) = self.entries.write().get_mut(DEFAULT) {
                        entry.state = State::failed(&trouble, !self.leadership.leads());
                    }
                    self.triggers.all("KeyVault");
                }
            }
            tokio::time::sleep(self.settings.pace.of(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        if let Some(entry) = self.entries.write().get_mut(DEFAULT) {
            entry.instance = Some(Arc::clone(&instance));
        }
        self.part();
        self.connect(instance, None).await;
    }
}

/// When an object was made, in a form that sorts by time; the implicit one
/// comes before all others.
fn created(object: Option<&ApimInstance>) -> String {
    object
        .and_then(kube::ResourceExt::creation_timestamp)
        .map(|created| created.0.to_string())
        .unwrap_or_default()
}

fn same_service(spec: &ApimInstanceSpec, first: &str) -> String {
    format!(
        "`subscriptionId`, `resourceGroup` and `serviceName` ({}/{}/{}) are those of instance `{first}`, which was made \
         first; two instances of one service would undo each other's work. Delete one of them, or name another service",
        spec.subscription_id, spec.resource_group, spec.service_name
    )
}

struct Follower(Arc<Instances>);

impl Follow for Follower {
    type Kind = ApimInstance;

    fn kind(&self) -> &'static str {
        "ApimInstance"
    }

    fn seen(&self, object: &ApimInstance) {
        self.0.changed(object);
    }

    fn gone(&self, key: &ObjectKey) {
        self.0.removed(&key.name);
    }

    fn known(&self) -> Vec<ObjectKey> {
        let entries = self.0.entries.read();
        let given = entries.iter().filter(|(_, entry)| entry.spec.is_some());
        given.map(|(name, _)| ObjectKey::new("", name)).collect()
    }
}
