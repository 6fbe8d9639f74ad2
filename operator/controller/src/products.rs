//! `ApimProduct`s, `ApimSubscription`s and `SelfHostedGateway`s, from their objects
//! to API Management and back.
//!
//! All are brought in place by the replica that leads, beside the ExposedAPIs:
//! one object at a time each, read before written, and looked at again from
//! time to time. A key or a token leaves this module in one place only: the Secret
//! of its object.

mod gateway;
mod product;
mod secret;
mod subscription;
mod tell;

pub use gateway::Calls;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use operator_apim::ArmError;
use operator_core::class::ErrorClass;
use operator_core::instance::{Instance, select_instance};
use operator_core::names::{FINALIZER, InstanceName, ObjectKey, PREFIX, ProductId};
use operator_core::pace::Pace;
use operator_core::policy::Grants;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use crate::crd::{ApimProduct, ApimSubscription};
use crate::leader;
use crate::reconcile::Context;
use crate::reconcile::subject::Subject;
use crate::said;
use crate::watch::key_of;

/// Objects of each kind that are worked on at the same time.
const CONCURRENCY: u16 = 8;
/// Several changes that come at once are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// An object in place is compared with API Management again after this time.
const AGAIN: Duration = Duration::from_hours(1);
/// Between two looks at what is waited for.
const WAIT: Duration = Duration::from_secs(5);
/// Between two looks whether a kind can be worked on.
const CLOSED: Duration = Duration::from_secs(30);
/// After a first failure that may pass; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// After a refusal: a role assignment takes minutes to spread.
const DENIED: Duration = Duration::from_mins(1);

/// Which products were made since this process started, and when: who waits for
/// one need not wait longer.
#[derive(Debug, Default)]
pub struct Made(Mutex<HashMap<(InstanceName, String), std::time::Instant>>);

impl Made {
    /// When a product was made, should it be one.
    #[must_use]
    pub fn at(&self, instance: &InstanceName, product: &ProductId) -> Option<std::time::Instant> {
        let key = (instance.clone(), product.as_str().to_ascii_lowercase());
        self.0.lock().get(&key).copied()
    }

    fn note(&self, instance: &InstanceName, product: &ProductId) {
        let key = (instance.clone(), product.as_str().to_ascii_lowercase());
        self.0.lock().insert(key, std::time::Instant::now());
    }
}

/// An object of one of these kinds.
pub(crate) trait Owned:
    Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Its status, conditions among it.
    type Status: Serialize + DeserializeOwned + Clone + Default + PartialEq + Send;
    /// For messages.
    const KIND: &'static str;
    /// The file with the rights to work on it.
    const RIGHTS: &'static str = "deploy/rbac-products.yaml";

    /// The status that stands there.
    fn said(&self) -> Self::Status;
    /// The conditions of a status.
    fn conditions(status: &mut Self::Status) -> &mut Vec<Condition>;

    /// Whether it is being deleted.
    fn is_deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }
}

/// How an object fares.
#[derive(Debug)]
pub(crate) enum Fate {
    /// All is in place; looked at again after this time.
    Ready(String, Duration),
    /// Something is missing that may come.
    Waiting(&'static str, String, Duration),
    /// Nothing happens until somebody changes something.
    Stalled(&'static str, String),
}

/// What is remembered of one object.
#[derive(Debug, Default, Clone)]
struct Remembered {
    failures: u32,
    /// When it was last compared with API Management.
    looked: Option<Instant>,
}

/// What the reconciles of these kinds share.
pub(crate) struct Shared {
    pub(crate) ctx: Arc<Context>,
    memory: Mutex<HashMap<(&'static str, ObjectKey), Remembered>>,
}

/// A reconcile that could not do its work for want of the API server.
#[derive(Debug, thiserror::Error)]
#[error("Kubernetes: {}", said(.0))]
pub(crate) struct Error(#[from] kube::Error);

/// Why a reconcile does not go on.
enum Stop {
    Fate(Fate),
    Arm(ArmError),
    Kube(Error),
}

impl From<ArmError> for Stop {
    fn from(error: ArmError) -> Self {
        Self::Arm(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Kube(error)
    }
}

/// Starts to bring objects of these kinds in place. Only where this process
/// leads, and for as long as it lives.
pub(crate) fn start(ctx: &Arc<Context>) {
    let shared = Arc::new(Shared {
        ctx: Arc::clone(ctx),
        memory: Mutex::default(),
    });
    let config = || {
        Config::default()
            .concurrency(CONCURRENCY)
            .debounce(DEBOUNCE)
    };
    let (of_products, ours) = (Arc::clone(&shared), config());
    tokio::spawn(async move {
        let api: Api<ApimProduct> = Api::all(of_products.ctx.client.clone());
        until_open(&api, of_products.ctx.pace).await;
        Controller::new(api, watcher::Config::default())
            .with_config(ours)
            .run(product::reconcile, again, of_products)
            .for_each(|_| std::future::ready(()))
            .await;
    });
    gateway::start(Arc::clone(&shared), config());
    let ours = config();
    tokio::spawn(async move {
        let api: Api<ApimSubscription> = Api::all(shared.ctx.client.clone());
        until_open(&api, shared.ctx.pace).await;
        Controller::new(api, watcher::Config::default())
            .with_config(ours)
            .run(subscription::reconcile, again, shared)
            .for_each(|_| std::future::ready(()))
            .await;
    });
}

/// Waits until a kind is installed and may be watched. Asked before a watch is
/// started: one that is refused says so again and again.
async fn until_open<K: Owned>(api: &Api<K>, pace: Pace) {
    let is_closed = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404 || status.is_forbidden());
    let mut told = false;
    loop {
        let listed = api.list_metadata(&ListParams::default().limit(1)).await;
        let refused = if let Err(error) = listed {
            Some(error)
        } else {
            // Whether it may begin is all that is asked.
            let shortly = WatchParams::default().timeout(1);
            api.watch_metadata(&shortly, "0").await.err()
        };
        if !refused.as_ref().is_some_and(is_closed) {
            return;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(
                "{}s are left alone: they are not installed, or the operator has no right to them; apply deploy/crds \
                 and {} to have them worked on",
                K::KIND,
                K::RIGHTS,
            );
        }
        tokio::time::sleep(pace.of(CLOSED)).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn again<K: Owned>(object: Arc<K>, error: &Error, shared: Arc<Shared>) -> Action {
    if leader::is_refusal(&error.0) {
        return Action::await_change();
    }
    tracing::warn!(object = %key_of(&*object), kind = K::KIND, %error, "tried again");
    Action::requeue(shared.ctx.pace.of(WAIT))
}

impl Shared {
    /// Says how an object fares, and when it is looked at again.
    async fn end<K: Owned>(
        &self,
        object: &K,
        status: K::Status,
        fate: Fate,
    ) -> Result<Action, Error> {
        let (object, pace) = (object, self.ctx.pace);
        let action = match &fate {
            Fate::Ready(_, after) | Fate::Waiting(_, _, after) => Action::requeue(pace.of(*after)),
            Fate::Stalled(..) => Action::requeue(pace.of(AGAIN)),
        };
        if matches!(fate, Fate::Waiting("InstanceUnavailable", ..))
            && self.ctx.instances.is_connecting()
            && !K::conditions(&mut object.said()).is_empty()
        {
            // After a start, what status says is better than that.
            return Ok(action);
        }
        if !matches!(fate, Fate::Waiting(..)) {
            self.remember::<K>(object, |it| it.failures = 0);
        }
        self.tell(object, status, &fate).await?;
        Ok(action)
    }

    fn remember<K: Owned>(&self, object: &K, change: impl FnOnce(&mut Remembered)) {
        let mut memory = self.memory.lock();
        change(memory.entry((K::KIND, key_of(object))).or_default());
    }

    /// Whether it is time to compare an object with API Management, whatever its
    /// status says. The first time after a start is spread over the period.
    fn must_look<K: Owned>(&self, object: &K) -> bool {
        let now = Instant::now();
        let period = self.ctx.pace.of(AGAIN);
        let mut memory = self.memory.lock();
        let it = memory.entry((K::KIND, key_of(object))).or_default();
        let looked = *it.looked.get_or_insert_with(|| {
            let before = period.mul_f64(rand::random());
            now.checked_sub(before).unwrap_or(now)
        });
        now.duration_since(looked) >= period
    }

    fn looked<K: Owned>(&self, object: &K) {
        self.remember(object, |it| it.looked = Some(Instant::now()));
    }

    fn forget<K: Owned>(&self, object: &K) {
        self.memory.lock().remove(&(K::KIND, key_of(object)));
    }

    /// What a failed call means.
    fn failed<K: Owned>(&self, object: &K, error: &ArmError) -> Fate {
        let message = error.to_string();
        tracing::warn!(object = %key_of(object), kind = K::KIND, class = error.class.label(), "{message}");
        match error.class {
            ErrorClass::Invalid => Fate::Stalled("Failed", message),
            ErrorClass::Waiting => {
                let what = error.missing.as_ref();
                let what = what.map_or_else(|| "something".to_owned(), ToString::to_string);
                let message = format!("waits for {what}: {message}");
                Fate::Waiting("WaitingForDependency", message, WAIT)
            }
            ErrorClass::Denied => Fate::Waiting("Denied", message, DENIED),
            ErrorClass::Throttled(time) => Fate::Waiting("Throttled", message, time),
            ErrorClass::Conflict | ErrorClass::Transient => {
                let mut failures = 0;
                self.remember(object, |it| {
                    failures = it.failures;
                    it.failures = failures.saturating_add(1);
                });
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << failures.min(16))
                    .min(LONGEST_PAUSE);
                let pause = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
                Fate::Waiting("Failed", message, pause)
            }
        }
    }

    /// The instance of an object and what it grants to the namespace.
    fn place(
        &self,
        key: &ObjectKey,
        wanted: Option<&str>,
    ) -> Result<(Arc<Instance>, Grants), Fate> {
        let instances = self.ctx.instances.list();
        let labels = self.ctx.world.namespace_labels(&key.namespace);
        let wanted = wanted
            .map(InstanceName::parse)
            .transpose()
            .map_err(|error| Fate::Stalled("InvalidSpec", format!("spec.instance: {error}")))?;
        let instance = select_instance(&instances, &key.namespace, &labels, wanted.as_ref())
            .map_err(|problem| {
                let place = format!("metadata.annotations[{PREFIX}instance]");
                let path = problem.path.replace(&place, "spec.instance");
                // One may be made, or be read for the first time.
                Fate::Waiting("NoInstance", format!("{path}: {}", problem.message), WAIT)
            })?;
        let grants = instance.grants(&labels);
        Ok((Arc::clone(instance), grants))
    }

    /// Holds an object until what belongs to it is gone, and answers whether it
    /// was held already.
    async fn hold<K: Owned>(&self, object: &K) -> Result<bool, Error> {
        if object.finalizers().iter().any(|one| one == FINALIZER) {
            return Ok(true);
        }
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(object, &finalizers).await?;
        Ok(false)
    }

    /// Lets an object go.
    async fn release<K: Owned>(&self, object: &K) -> Result<(), Error> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|one| one != FINALIZER);
        match self.set_finalizers(object, &finalizers).await {
            Err(Error(kube::Error::Api(status))) if status.is_not_found() => {}
            other => other?,
        }
        self.forget(object);
        Ok(())
    }

    async fn set_finalizers<K: Owned>(
        &self,
        object: &K,
        finalizers: &[String],
    ) -> Result<(), Error> {
        let patch = Patch::Merge(json!({"metadata": {
            "finalizers": finalizers,
            "resourceVersion": object.resource_version(),
        }}));
        self.ctx.metrics.kube_write(K::KIND);
        self.api(object)
            .patch_metadata(&object.name_any(), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    fn api<K: Owned>(&self, object: &K) -> Api<K> {
        let namespace = object.namespace().unwrap_or_default();
        Api::namespaced(self.ctx.client.clone(), &namespace)
    }

    /// Asks those ExposedAPIs to look again that name a product.
    fn product_made(&self, instance: &InstanceName, id: &ProductId) {
        self.ctx.made.note(instance, id);
        let annotation = format!("{PREFIX}products");
        for kept in self.ctx.objects.state() {
            let Ok(subject) = Subject::open(&kept) else {
                continue;
            };
            let named = subject.meta.annotations.get(&annotation);
            let is_there = |text: &String| {
                let mut all = text.split(',').map(str::trim);
                all.any(|one| one.eq_ignore_ascii_case(id.as_str()))
            };
            if named.is_some_and(is_there) {
                self.ctx.triggers.one(subject.key, ApimProduct::KIND);
            }
        }
    }
}

/// Whether what belongs to an object stays when it goes.
fn stays<K: Owned>(object: &K) -> bool {
    let policy = object
        .annotations()
        .get(&format!("{PREFIX}deletion-policy"));
    policy.is_some_and(|text| text.trim() == "Retain")
}

/// Several problems as one message.
fn told(problems: &[operator_core::problem::Problem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    all.join("\n")
}
