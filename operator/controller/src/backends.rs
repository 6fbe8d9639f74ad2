//! The backends of API Management that APIs have of their own: made before the
//! policy that names them, put back where somebody else changed them, deleted
//! once no policy names them any more.
//!
//! Each belongs to one object, whose mark it carries. What earlier processes
//! left behind is known from one list of each instance.

mod ledger;
mod round;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use operator_apim::{ArmClient, ArmError, ArmReader, Backend, BackendOutcome, Dependency};
use operator_core::annotations::Drift;
use operator_core::apim::{ArmCall, Published};
use operator_core::backend::DesiredBackend;
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::drift::{Area, Difference};
use operator_core::mark::OwnershipMark;
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::pace::Pace;
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::drift;
use crate::events::Events;
use crate::instances::Instances;
use crate::leader::Leadership;
use crate::watch::Triggers;
use ledger::{Ledger, Used};

/// The backends of this process's instances.
pub struct Backends {
    instances: Arc<Instances>,
    leadership: Leadership,
    events: Events,
    drift: Arc<drift::Ledger>,
    triggers: Triggers,
    cluster: String,
    drift_interval: Duration,
    pace: Pace,
    ledger: Mutex<Ledger>,
    wake: Notify,
}

/// What [`Backends`] work with.
pub struct Parts {
    /// Where APIs are published.
    pub instances: Arc<Instances>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// For people.
    pub events: Events,
    /// Where it is told what others changed.
    pub drift: Arc<drift::Ledger>,
    /// Asks for reconciles, which put that into status.
    pub triggers: Triggers,
    /// The UID of the cluster.
    pub cluster: String,
    /// Between two looks for what others wrote; zero: there are none.
    pub drift_interval: Duration,
    /// How fast pauses pass.
    pub pace: Pace,
}

/// What the API of an object needs, where it is published.
fn needed(desired: &Desired) -> Vec<(Backend, Drift)> {
    let Some(api) = &desired.api else {
        return Vec::new();
    };
    let all = desired.backends.iter();
    all.filter_map(|one| Some((Backend::new(one, one.url(api)?), one.drift)))
        .collect()
}

fn foreign(instance: &InstanceName, id: &str, whose: Option<String>) -> Step {
    Step::Failed {
        reason: Reason::NotOurs,
        class: ErrorClass::Invalid,
        message: format!(
            "instance `{instance}` has a backend `{id}` that is not this object's (its description is `{}`); delete it \
             there, or rename the object",
            whose.unwrap_or_default()
        ),
    }
}

fn missing(instance: &InstanceName, missing: &Dependency) -> Step {
    let (field, what) = match missing {
        Dependency::Certificate(id) => ("backendCertificate", format!("certificate `{id}`")),
        Dependency::NamedValue(name) => ("backendCredentials", format!("named value `{name}`")),
    };
    Step::Failed {
        reason: Reason::WaitingForDependency,
        class: ErrorClass::Waiting,
        message: format!(
            "ApimInstance/{instance} spec.exposure.{field}: the service has no {what}; put it there, best from a key \
             vault, and it is used at the next look"
        ),
    }
}

impl Backends {
    /// Starts to look after them.
    #[must_use]
    pub fn start(parts: Parts) -> Arc<Self> {
        let this = Arc::new(Self {
            instances: parts.instances,
            leadership: parts.leadership,
            events: parts.events,
            drift: parts.drift,
            triggers: parts.triggers,
            cluster: parts.cluster,
            drift_interval: parts.drift_interval,
            pace: parts.pace,
            ledger: Mutex::default(),
            wake: Notify::new(),
        });
        tokio::spawn(Arc::clone(&this).run());
        this
    }

    /// The writes that are needed before the policy that names them, or what
    /// stands in their way. Only reads.
    pub(crate) async fn planned(
        &self,
        reader: &ArmReader,
        instance: &InstanceName,
        desired: &Desired,
    ) -> Result<Result<Vec<ArmCall>, Step>, ArmError> {
        let mut calls = Vec::new();
        for (backend, _) in needed(desired) {
            let there = reader.backend(&backend.id).await?;
            let purpose = match there {
                None => "make the backend".to_owned(),
                Some(there) if !there.carries(&backend.mark) => {
                    return Ok(Err(foreign(instance, &backend.id, there.description)));
                }
                Some(there) => match backend.differs(&there) {
                    fields if fields.is_empty() => continue,
                    fields => format!("change the backend: {}", fields.join(", ")),
                },
            };
            if let Some(needed) = reader.missing_for(&backend).await? {
                return Ok(Err(missing(instance, &needed)));
            }
            calls.push(ArmCall {
                method: "PUT",
                resource: format!("backends/{}", backend.id),
                purpose,
            });
        }
        Ok(Ok(calls))
    }

    /// What goes of an object's, once no policy names it any more. Only reads.
    pub(crate) async fn leaving(
        &self,
        reader: &ArmReader,
        instance: &InstanceName,
        mark: &str,
        stay: &[DesiredBackend],
    ) -> Result<Vec<ArmCall>, ArmError> {
        if !self.ledger.lock().is_listed(instance) {
            self.list(instance, reader).await?;
        }
        let mut all = self.ledger.lock().of(instance, mark).unwrap_or_default();
        all.retain(|id| stay.iter().all(|wanted| wanted.id != *id));
        let calls = all.into_iter().map(|id| ArmCall {
            method: "DELETE",
            resource: format!("backends/{id}"),
            purpose: "delete the backend, which no policy names any more".to_owned(),
        });
        Ok(calls.collect())
    }

    /// Sees that what a policy names is there before the policy is.
    pub(crate) async fn ensure(
        &self,
        about: &ObjectReference,
        client: &ArmClient,
        published: Published<'_>,
        desired: &Desired,
    ) -> Result<(), Step> {
        let instance = published.instance;
        let needed = needed(desired);
        if needed.is_empty() {
            return Ok(());
        }
        let _writing = self.writing(instance).await;
        for (backend, drift) in needed {
            if self.ledger.lock().is_in_place(instance, &backend) {
                continue;
            }
            let id = backend.id.clone();
            match client.ensure_backend(&backend).await {
                Ok(BackendOutcome::Foreign(whose)) => {
                    return Err(foreign(instance, &id, whose));
                }
                Ok(BackendOutcome::Missing(needed)) => {
                    return Err(missing(instance, &needed));
                }
                Ok(outcome) => {
                    if outcome != BackendOutcome::InPlace {
                        tracing::info!(%instance, id, "a backend was written");
                    }
                    let used = Used {
                        backend,
                        drift,
                        about: about.clone(),
                    };
                    self.ledger.lock().uses(instance, used);
                }
                Err(error) => {
                    return Err(Step::failed(
                        error.class,
                        format!("backend `{id}`: {error}"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// What an object says now of what others change.
    pub(crate) fn mind(&self, key: &ObjectKey, desired: &Desired) {
        let of_backends = |one: &Difference| one.kind.area() == Area::Backends;
        if desired.backends.is_empty()
            && self.drift.reported(key).differences.iter().any(of_backends)
        {
            let areas = BTreeSet::from([Area::Backends]);
            self.drift.report(key, &areas, Vec::new(), Reason::Reported);
        }
        let Some(instance) = &desired.instance else {
            return;
        };
        let mut ledger = self.ledger.lock();
        for backend in &desired.backends {
            ledger.mind(instance, &backend.id, backend.drift);
        }
    }

    /// A policy was refused because something is missing: what is believed of
    /// these is wrong.
    pub(crate) fn doubt(&self, instance: &InstanceName, desired: &Desired) {
        let mut ledger = self.ledger.lock();
        for backend in &desired.backends {
            ledger.doubt(instance, &backend.id);
        }
    }

    /// An API is published in this instance, with these backends and no others.
    pub(crate) fn settled(&self, published: Published<'_>, desired: &Desired) {
        let ids: BTreeSet<String> = desired.backends.iter().map(|one| one.id.clone()).collect();
        let (instance, mark) = (published.instance, &published.api.mark);
        if self.ledger.lock().settle(instance, mark, ids) {
            self.wake.notify_one();
        }
    }

    /// An API is gone from an instance: its backends go, too.
    pub(crate) async fn remove(
        &self,
        instance: &InstanceName,
        client: &ArmClient,
        mark: &str,
    ) -> Result<(), ArmError> {
        let _writing = self.writing(instance).await;
        for id in self.of(instance, client, mark).await? {
            client.delete_backend(&id, mark).await?;
            self.ledger.lock().gone(instance, &id);
        }
        self.ledger.lock().forget(instance, mark);
        Ok(())
    }

    /// An API stays behind without its mark: its backends do, too.
    pub(crate) async fn release(
        &self,
        instance: &InstanceName,
        client: &ArmClient,
        mark: &str,
    ) -> Result<(), ArmError> {
        let _writing = self.writing(instance).await;
        for id in self.of(instance, client, mark).await? {
            client.release_backend(&id, mark).await?;
            self.ledger.lock().gone(instance, &id);
        }
        self.ledger.lock().forget(instance, mark);
        Ok(())
    }

    /// The backends that carry a mark.
    async fn of(
        &self,
        instance: &InstanceName,
        client: &ArmClient,
        mark: &str,
    ) -> Result<Vec<String>, ArmError> {
        let known = self.ledger.lock().of(instance, mark);
        if let Some(known) = known {
            return Ok(known);
        }
        match self.list(instance, client.reader()).await {
            Ok(()) => {}
            // Nothing is left where there is no service.
            Err(error) if error.is_service_absent() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        Ok(self.ledger.lock().of(instance, mark).unwrap_or_default())
    }

    /// Learns which backends are there and are this cluster's.
    async fn list(&self, instance: &InstanceName, reader: &ArmReader) -> Result<(), ArmError> {
        let here = OwnershipMark::of_instance(&self.cluster);
        let all = reader.backends().all().await?;
        let ours = all.into_iter().filter_map(|one| {
            let mark = OwnershipMark::parse(one.description.as_deref()?)?;
            (mark.cluster() == here.cluster()).then(|| (one.id, mark.to_string()))
        });
        self.ledger.lock().listed(instance, ours.collect());
        Ok(())
    }

    async fn writing(&self, instance: &InstanceName) -> OwnedMutexGuard<()> {
        let lock = self.ledger.lock().writing(instance);
        lock.lock_owned().await
    }
}
