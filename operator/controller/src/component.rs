//! Components: what is kept of them, and which ExposedAPIs want to be told of
//! in their status.
//!
//! The reconcile of an ExposedAPI writes its entry; a change of a Component
//! that an ExposedAPI has to answer to asks for that reconcile. An entry that
//! is not there yet is waited for without asking again and again: the watch
//! tells when it comes. A cluster without Components, one whose Components
//! cannot be read, and a Component that is not there are data.

mod follow;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use operator_core::component::{
    Attempts, ComponentView, Decision, Missing, Publication, decide, removal,
};
use operator_core::names::ObjectKey;
use operator_core::pace::Pace;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::resource::FIELD_MANAGER;
use crate::watch::Triggers;

/// A Component and its list may come later than its ExposedAPI by so much
/// before anybody is told.
const GRACE: Duration = Duration::from_secs(10);
/// After somebody else rewrote the list in between: the watch shows the new one
/// before that, as a rule.
const CONFLICT_PAUSE: Duration = Duration::from_millis(250);
/// The shortest pause after a write that was refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// How long a deletion waits for its entry to be taken out.
const REMOVAL: Duration = Duration::from_secs(3);

/// Whether Components can be worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Availability {
    /// Nobody has looked yet, or the list is being read.
    Looking,
    /// The cluster has no such kind.
    NotInstalled,
    /// They are known.
    Known,
    /// The API server refuses, or does not answer.
    Unreadable(String),
}

/// What an ExposedAPI wants its Component to say.
#[derive(Debug)]
struct Wish {
    component: ObjectKey,
    publication: Publication,
    attempts: Attempts,
    missing_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Inner {
    views: HashMap<ObjectKey, (ComponentView, u64)>,
    wishes: HashMap<ObjectKey, Wish>,
    children: HashMap<ObjectKey, BTreeSet<String>>,
}

/// The operator's view of Components.
pub struct Components {
    client: Client,
    triggers: Triggers,
    metrics: Arc<Metrics>,
    pace: Pace,
    origin: Instant,
    inner: Mutex<Inner>,
    availability: watch::Sender<(Availability, Option<ApiResource>)>,
    /// Counts changes of views, for who waits for one.
    changes: watch::Sender<u64>,
}

/// What came of telling a Component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The entry says what it should, or nothing can be done before something
    /// changes.
    Done,
    /// It is to be tried again after this.
    Later(Duration),
    /// Somebody should know this; it is to be tried again after the time, if
    /// there is one, and else when something changes.
    Trouble(Trouble, Option<Duration>),
}

/// Why a Component's status does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In a word, for an event.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

impl Components {
    /// Starts to look for Components and to follow them.
    #[must_use]
    pub fn start(
        client: Client,
        triggers: Triggers,
        metrics: Arc<Metrics>,
        pace: Pace,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            client,
            triggers,
            metrics,
            pace,
            origin: Instant::now(),
            inner: Mutex::default(),
            availability: watch::Sender::new((Availability::Looking, None)),
            changes: watch::Sender::new(0),
        });
        tokio::spawn(follow::forever(Arc::clone(&this)));
        this
    }

    /// Sees that the Component says of an ExposedAPI what it should.
    pub async fn tell(&self, key: &ObjectKey, component: &str, publication: Publication) -> Told {
        let component = key.beside(component);
        self.wish(key, &component, publication.clone());
        match self.try_to_tell(key, &component, &publication).await {
            Told::Done => Told::Done,
            Told::Later(pause) => Told::Later(self.pace.of(pause)),
            Told::Trouble(trouble, again) => {
                Told::Trouble(trouble, again.map(|pause| self.pace.of(pause)))
            }
        }
    }

    async fn try_to_tell(
        &self,
        key: &ObjectKey,
        component: &ObjectKey,
        publication: &Publication,
    ) -> Told {
        let (availability, resource) = self.availability.borrow().clone();
        match (availability, resource) {
            (Availability::Known, Some(resource)) => {
                self.carry_out(key, component, publication, &resource).await
            }
            (Availability::Unreadable(why), _) => Told::Trouble(
                Trouble {
                    reason: "ComponentUnreadable",
                    message: format!(
                        "Component `{}` is not told of this API, since Components cannot be read: {why}",
                        component.name
                    ),
                },
                None,
            ),
            // What follows Components asks for a reconcile once they are known.
            _ => Told::Done,
        }
    }

    async fn carry_out(
        &self,
        key: &ObjectKey,
        component: &ObjectKey,
        publication: &Publication,
        resource: &ApiResource,
    ) -> Told {
        let decision = {
            let inner = self.inner.lock();
            let view = inner.views.get(component).map(|(view, _)| view);
            decide(view, publication)
        };
        let told = match decision {
            Decision::InPlace => {
                self.found(key);
                Told::Done
            }
            Decision::Wait(missing) => self.missing(key, component, missing),
            Decision::Patch(patch) => {
                self.found(key);
                self.write(key, component, resource, patch).await
            }
        };
        self.count_waiting();
        told
    }

    /// The entry is not there: nothing to say for a while, then one message.
    fn missing(&self, key: &ObjectKey, component: &ObjectKey, missing: Missing) -> Told {
        let since = {
            let mut inner = self.inner.lock();
            let Some(wish) = inner.wishes.get_mut(key) else {
                return Told::Done;
            };
            *wish.missing_since.get_or_insert_with(Instant::now)
        };
        let left = self.pace.of(GRACE).saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Told::Later(GRACE);
        }
        let name = &component.name;
        let message = match missing {
            Missing::Component => format!(
                "Component `{name}`, which owns this API by its ownerReferences, does not exist; it is told of \
                 the API as soon as it does"
            ),
            Missing::Entry => format!(
                "the status of Component `{name}` lists no API with this object's uid; it gets the URL and \
                 whether it is ready as soon as its operator lists it"
            ),
        };
        let reason = match missing {
            Missing::Component => "ComponentNotFound",
            Missing::Entry => "ComponentEntryMissing",
        };
        Told::Trouble(Trouble { reason, message }, None)
    }

    async fn write(
        &self,
        key: &ObjectKey,
        component: &ObjectKey,
        resource: &ApiResource,
        patch: Value,
    ) -> Told {
        let now = self.now();
        let attempts = {
            let mut inner = self.inner.lock();
            let Some(wish) = inner.wishes.get_mut(key) else {
                return Told::Done;
            };
            let pause = wish.attempts.pause(now);
            if !pause.is_zero() {
                return Told::Later(pause);
            }
            wish.attempts = wish.attempts.and_one(now);
            wish.attempts
        };
        let contested = |again| {
            let message = format!(
                "somebody else keeps changing what the status of Component `{}` says of this API; it is written \
                 again more and more seldom",
                component.name
            );
            let reason = "ComponentContested";
            Told::Trouble(Trouble { reason, message }, again)
        };
        match self.patch(component, resource, patch).await {
            Ok(()) if attempts.is_contested() => contested(None),
            Ok(()) => Told::Done,
            Err(kube::Error::Api(status)) if is_rewritten(&status) => {
                if attempts.is_contested() {
                    contested(Some(attempts.pause(now).max(CONFLICT_PAUSE)))
                } else {
                    Told::Later(CONFLICT_PAUSE)
                }
            }
            // The watch will say so too.
            Err(kube::Error::Api(status)) if status.is_not_found() => Told::Later(CONFLICT_PAUSE),
            Err(error) => Told::Trouble(
                Trouble {
                    reason: "ComponentNotWritten",
                    message: format!(
                        "the status of Component `{}` could not be written: {error}",
                        component.name
                    ),
                },
                Some(attempts.pause(now).max(REFUSED_PAUSE)),
            ),
        }
    }

    /// The time since the start, at the pace at which pauses pass.
    fn now(&self) -> Duration {
        let second = Duration::from_secs(1);
        let factor = second.as_secs_f64() / self.pace.of(second).as_secs_f64();
        self.origin.elapsed().mul_f64(factor)
    }

    /// Sends a JSON Patch and learns from the answer.
    async fn patch(
        &self,
        component: &ObjectKey,
        resource: &ApiResource,
        patch: Value,
    ) -> Result<(), kube::Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &component.namespace, resource);
        let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.metrics.kube_write("Component");
        let result = api
            .patch(&component.name, &params, &Patch::<()>::Json(patch))
            .await;
        self.metrics.component_patch(match &result {
            Ok(_) => "success",
            Err(kube::Error::Api(status)) if is_rewritten(status) => "rewritten",
            Err(_) => "error",
        });
        let written = result?;
        self.learn(&written, false);
        Ok(())
    }

    /// Takes the entry of an ExposedAPI that goes out of its Component's
    /// status. Waits for a list that is being rewritten, but not for long: an
    /// entry that stays holds no deletion.
    pub async fn remove(&self, key: &ObjectKey, component: &str, uid: &str) -> Result<(), String> {
        let component = key.beside(component);
        let (availability, resource) = self.availability.borrow().clone();
        let (Availability::Known, Some(resource)) = (availability, resource) else {
            return Ok(());
        };
        let work = async {
            let mut changes = self.changes.subscribe();
            loop {
                changes.borrow_and_update();
                let patch = {
                    let inner = self.inner.lock();
                    let view = inner.views.get(&component).map(|(view, _)| view);
                    view.and_then(|view| removal(view, uid))
                };
                let Some(patch) = patch else {
                    return Ok(());
                };
                match self.patch(&component, &resource, patch).await {
                    Ok(()) => return Ok(()),
                    Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                    Err(kube::Error::Api(status)) if is_rewritten(&status) => {
                        // The other end is this object's own.
                        let _ = changes.changed().await;
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        tokio::time::timeout(REMOVAL, work)
            .await
            .unwrap_or_else(|_| Err("its list was being rewritten all the time".to_owned()))
    }

    /// Forgets an ExposedAPI.
    pub fn forget(&self, key: &ObjectKey) {
        self.inner.lock().forget(key);
        self.count_waiting();
    }

    fn wish(&self, key: &ObjectKey, component: &ObjectKey, publication: Publication) {
        let mut inner = self.inner.lock();
        match inner.wishes.get_mut(key) {
            Some(wish) if wish.component == *component => {
                if wish.publication != publication {
                    wish.attempts = Attempts::default();
                    wish.publication = publication;
                }
            }
            _ => {
                inner.forget(key);
                inner
                    .children
                    .entry(component.clone())
                    .or_default()
                    .insert(key.name.to_string());
                let wish = Wish {
                    component: component.clone(),
                    publication,
                    attempts: Attempts::default(),
                    missing_since: None,
                };
                inner.wishes.insert(key.clone(), wish);
            }
        }
    }

    fn found(&self, key: &ObjectKey) {
        if let Some(wish) = self.inner.lock().wishes.get_mut(key) {
            wish.missing_since = None;
        }
    }

    fn count_waiting(&self) {
        let inner = self.inner.lock();
        let waiting = inner.wishes.values();
        let waiting = waiting.filter(|wish| wish.missing_since.is_some()).count();
        self.metrics.set_component_entries_missing(waiting);
    }

    /// Takes what matters of a Component, unless something newer is known, and
    /// asks for the ExposedAPIs of which it says something else than it should.
    fn learn(&self, object: &DynamicObject, anew: bool) {
        let key = crate::watch::key_of(object);
        let version = version(object);
        let view = ComponentView::of(object.data.get("status").unwrap_or(&Value::Null));
        let concerned = {
            let mut inner = self.inner.lock();
            let known = inner.views.get(&key).map(|(_, version)| *version);
            if !anew && known.is_some_and(|known| known >= version) {
                return;
            }
            let concerned = inner.concerned(&key, Some(&view));
            inner.views.insert(key, (view, version));
            concerned
        };
        self.changed(concerned);
    }

    fn gone(&self, key: &ObjectKey) {
        let concerned = {
            let mut inner = self.inner.lock();
            inner.views.remove(key);
            inner.concerned(key, None)
        };
        self.changed(concerned);
    }

    fn changed(&self, concerned: Vec<ObjectKey>) {
        self.changes.send_modify(|count| *count += 1);
        for key in concerned {
            self.triggers.one(key, "Component");
        }
    }

    /// Notes whether Components can be worked with. Once they are known,
    /// everything that has one is looked at.
    fn is_now(&self, availability: Availability, resource: Option<ApiResource>) {
        let concerned = {
            let inner = self.inner.lock();
            let known = availability == Availability::Known;
            let concerned = |(key, wish): (&ObjectKey, &Wish)| {
                let view = inner.views.get(&wish.component).map(|(view, _)| view);
                let in_place = decide(view, &wish.publication) == Decision::InPlace;
                (known && !in_place).then(|| key.clone())
            };
            inner.wishes.iter().filter_map(concerned).collect()
        };
        self.availability.send_replace((availability, resource));
        self.changed(concerned);
    }
}

impl Inner {
    fn forget(&mut self, key: &ObjectKey) {
        let Some(wish) = self.wishes.remove(key) else {
            return;
        };
        if let Some(children) = self.children.get_mut(&wish.component) {
            children.remove(key.name.as_str());
            if children.is_empty() {
                self.children.remove(&wish.component);
            }
        }
    }

    /// The ExposedAPIs of a Component that have something to do about it.
    fn concerned(&self, component: &ObjectKey, view: Option<&ComponentView>) -> Vec<ObjectKey> {
        let children = self.children.get(component).into_iter().flatten();
        children
            .map(|name| component.beside(name))
            .filter(|key| {
                self.wishes.get(key).is_some_and(|wish| {
                    match decide(view, &wish.publication) {
                        Decision::InPlace => false,
                        Decision::Patch(_) => true,
                        // Known to be missing: nothing new.
                        Decision::Wait(_) => wish.missing_since.is_none(),
                    }
                })
            })
            .collect()
    }
}

/// Somebody else wrote in between: a test of the patch failed, or the place is
/// not there any more.
fn is_rewritten(status: &kube::core::Status) -> bool {
    status.is_conflict() || status.code == 422
}

fn version(object: &DynamicObject) -> u64 {
    let version = object.metadata.resource_version.as_deref();
    version
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
