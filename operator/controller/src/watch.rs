//! Watches that feed the [`World`] and ask for reconciles.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use kube::{Client, Resource, ResourceExt as _};
use operator_core::names::ObjectKey;
use operator_core::pace::Pace;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;
use crate::world::World;

mod kinds;

pub(crate) use kinds::{is_installed, resource};

/// The label of every object that the operator makes.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "apim-operator");

/// The cause where an object of ours got its address, or another.
pub(crate) const ADDRESS: &str = "Address";

/// What must be reconciled, and why.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// One ExposedAPI.
    One(ObjectKey, &'static str),
    /// All of them.
    All(&'static str),
}

/// Asks for reconciles.
#[derive(Clone)]
pub struct Triggers {
    queue: mpsc::UnboundedSender<Trigger>,
    metrics: Arc<Metrics>,
}

impl Triggers {
    /// A sender, and the other end for the controller.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, mpsc::UnboundedReceiver<Trigger>) {
        let (queue, receiver) = mpsc::unbounded_channel();
        (Self { queue, metrics }, receiver)
    }

    /// Asks for one ExposedAPI.
    pub fn one(&self, key: ObjectKey, cause: &'static str) {
        self.metrics.triggered(cause);
        // The other end is gone only while the process shuts down.
        let _ = self.queue.send(Trigger::One(key, cause));
    }

    /// Asks again for what was asked for before, and put off.
    pub(crate) fn again(&self, key: ObjectKey, cause: &'static str) {
        let _ = self.queue.send(Trigger::One(key, cause));
    }

    /// Asks for all of them.
    pub fn all(&self, cause: &'static str) {
        self.metrics.triggered(cause);
        let _ = self.queue.send(Trigger::All(cause));
    }
}

/// Tells when a watch has seen everything that was there when it started.
#[derive(Clone)]
pub struct Synced(watch::Receiver<bool>);

impl Synced {
    /// Told by the other end, once it says `true`.
    pub(crate) fn new(told: watch::Receiver<bool>) -> Self {
        Self(told)
    }

    /// Waits until then.
    pub async fn wait(mut self) {
        // An error means that the watch ended, which it does only with the
        // process.
        let _ = self.0.wait_for(|synced| *synced).await;
    }
}

/// Follows one kind of object.
pub(crate) trait Follow: Send + Sync + 'static {
    type Kind: Resource + Clone + DeserializeOwned + Debug + Send + 'static;
    /// For messages.
    fn kind(&self) -> &'static str;
    fn seen(&self, object: &Self::Kind);
    fn gone(&self, key: &ObjectKey);
    fn known(&self) -> Vec<ObjectKey>;
}

/// A kind that is followed.
struct Watched {
    /// Whether everything was seen that was there when it started.
    done: watch::Sender<bool>,
    /// Whether not every cluster has it.
    optional: bool,
}

pub(crate) fn follow<F: Follow>(api: Api<F::Kind>, config: watcher::Config, follower: F) -> Synced {
    let (done, synced) = watch::channel(false);
    tokio::spawn(async move {
        let watched = Watched {
            done,
            optional: false,
        };
        run(api, config, &watched, &follower).await;
    });
    Synced(synced)
}

/// Follows a kind; ends where it is optional and turns out not to be installed.
async fn run<F: Follow>(
    api: Api<F::Kind>,
    config: watcher::Config,
    watched: &Watched,
    follower: &F,
) {
    let stream = watcher(api, config).default_backoff();
    pin_mut!(stream);
    // What a new list holds, while it is being read: what is known but not
    // in it was deleted while nobody watched.
    let mut listed: HashSet<ObjectKey> = HashSet::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(key_of(&object));
                follower.seen(&object);
            }
            Ok(Event::InitDone) => {
                for key in follower.known() {
                    if !listed.contains(&key) {
                        follower.gone(&key);
                    }
                }
                listed.clear();
                watched.done.send_replace(true);
            }
            Ok(Event::Apply(object)) => follower.seen(&object),
            Ok(Event::Delete(object)) => follower.gone(&key_of(&object)),
            Err(error) if watched.optional && is_out_of_reach(&error) => return,
            Err(error) => {
                let kind = follower.kind();
                tracing::warn!(%error, kind, "a watch failed and is started again");
                // Where the kind is not installed there is nothing to wait
                // for; should it be installed later, the watch finds it.
                if is_not_installed(&error) {
                    watched.done.send_replace(true);
                }
            }
        }
    }
}

/// Whether the kind is not installed, or this process may not read it.
fn is_out_of_reach(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let (InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))) =
        error
    else {
        return false;
    };
    status.code == 404 || status.is_forbidden()
}

fn is_not_installed(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_not_found())
}

pub(crate) fn key_of<K: Resource>(object: &K) -> ObjectKey {
    ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

struct Slices(Arc<World>, Triggers);

impl Slices {
    fn trigger(&self, keys: Vec<ObjectKey>) {
        for key in keys {
            self.1.one(key, "EndpointSlice");
        }
    }
}

impl Follow for Slices {
    type Kind = EndpointSlice;

    fn kind(&self) -> &'static str {
        "EndpointSlice"
    }

    fn seen(&self, object: &EndpointSlice) {
        self.trigger(self.0.slice_seen(object));
    }

    fn gone(&self, key: &ObjectKey) {
        self.trigger(self.0.slice_gone(key));
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.slices()
    }
}

struct Services(Arc<World>, Triggers);

impl Services {
    fn trigger(&self, keys: Vec<ObjectKey>) {
        for key in keys {
            self.1.one(key, "Service");
        }
    }
}

impl Follow for Services {
    type Kind = PartialObjectMeta<Service>;

    fn kind(&self) -> &'static str {
        "Service"
    }

    fn seen(&self, object: &PartialObjectMeta<Service>) {
        self.trigger(self.0.service_seen(&key_of(object)));
    }

    fn gone(&self, key: &ObjectKey) {
        self.trigger(self.0.service_gone(key));
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0.services()
    }
}

struct Namespaces(Arc<World>, Triggers);

impl Follow for Namespaces {
    type Kind = PartialObjectMeta<Namespace>;

    fn kind(&self) -> &'static str {
        "Namespace"
    }

    fn seen(&self, object: &PartialObjectMeta<Namespace>) {
        if self.0.namespace_seen(&object.name_any(), object.labels()) {
            self.1.all("Namespace");
        }
    }

    fn gone(&self, key: &ObjectKey) {
        self.0.namespace_gone(&key.name);
    }

    fn known(&self) -> Vec<ObjectKey> {
        self.0
            .namespaces()
            .into_iter()
            .map(|name| ObjectKey::new("", name))
            .collect()
    }
}

/// Starts the watches of everything but ExposedAPIs and instances.
#[must_use]
pub fn start(client: &Client, world: &Arc<World>, triggers: &Triggers, pace: Pace) -> Vec<Synced> {
    let plain = watcher::Config::default;
    let mut synced = kinds::start(client, world, triggers, pace);
    synced.extend([
        follow(
            Api::all(client.clone()),
            plain(),
            Slices(Arc::clone(world), triggers.clone()),
        ),
        follow(
            Api::all(client.clone()),
            plain(),
            Services(Arc::clone(world), triggers.clone()),
        ),
        follow(
            Api::all(client.clone()),
            plain(),
            Namespaces(Arc::clone(world), triggers.clone()),
        ),
    ]);
    synced
}
