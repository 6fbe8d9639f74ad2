//! What is done besides the reconciles: deleting what is not needed any more,
//! looking for what others changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use operator_apim::{ArmError, Backend, BackendOutcome, Dependency};
use operator_core::annotations::Drift;
use operator_core::drift::{Area, Difference, DriftReport, Kind};
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::status::reasons::Reason;

use super::Backends;
use super::ledger::Used;
use crate::events::EventKind;
use crate::instances::Connection;

/// Several changes that come at once are one round.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// After a call that failed.
const AGAIN: Duration = Duration::from_secs(30);

impl Backends {
    pub(super) async fn run(self: Arc<Self>) {
        let mut connected = self.instances.changes();
        let mut compare = (!self.drift_interval.is_zero())
            .then(|| tokio::time::interval(self.pace.of(self.drift_interval)));
        if let Some(compare) = &mut compare {
            compare.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // The first tick is at once.
            compare.reset();
        }
        let mut failed = false;
        loop {
            let again = async {
                if failed {
                    tokio::time::sleep(self.pace.of(AGAIN)).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let tick = async {
                match &mut compare {
                    Some(compare) => drop(compare.tick().await),
                    None => std::future::pending().await,
                }
            };
            let look = tokio::select! {
                () = self.wake.notified() => false,
                _ = connected.changed() => false,
                () = again => false,
                () = tick => true,
            };
            tokio::time::sleep(self.pace.of(DEBOUNCE)).await;
            if !self.leadership.leads() {
                continue;
            }
            failed = false;
            for instance in self.instances.list() {
                let Some(connection) = self.instances.connection(&instance.name) else {
                    // Its connecting wakes us.
                    continue;
                };
                failed |= !self.round(&instance.name, &connection, look).await;
            }
        }
    }

    /// Whether all went well.
    async fn round(&self, instance: &InstanceName, connection: &Connection, look: bool) -> bool {
        let client = connection.applier.client();
        let mut fine = true;
        if !self.ledger.lock().is_listed(instance) {
            let _writing = self.writing(instance).await;
            let listed = self.list(instance, &client.reader().background()).await;
            if let Err(error) = listed {
                tracing::warn!(%instance, %error, "the backends could not be listed");
                return false;
            }
        }
        let idle = self.ledger.lock().idle(instance);
        for (id, mark) in idle {
            let _writing = self.writing(instance).await;
            // Somebody may have begun to need it.
            if !self.ledger.lock().is_idle(instance, &id) {
                continue;
            }
            match client.delete_backend(&id, &mark).await {
                Ok(_) => {
                    tracing::info!(%instance, id, "a backend that no policy names any more is gone");
                    self.ledger.lock().gone(instance, &id);
                }
                Err(error) => {
                    fine = false;
                    tracing::warn!(%instance, id, %error, "a backend that is not needed could not be deleted");
                }
            }
        }
        if look {
            fine &= self.look(instance, connection).await;
        }
        fine
    }

    /// Looks whether somebody else changed a backend, and puts it back where the
    /// object does not ask that it be left; that is told by the object's status.
    async fn look(&self, instance: &InstanceName, connection: &Connection) -> bool {
        let mut objects: BTreeMap<ObjectKey, Vec<Used>> = BTreeMap::new();
        for used in self.ledger.lock().used(instance) {
            if used.drift != Drift::Off {
                objects.entry(used.key()).or_default().push(used);
            }
        }
        let mut fine = true;
        for (key, all) in objects {
            let mut left = Vec::new();
            for used in &all {
                match self.compare(instance, connection, used).await {
                    Ok(found) => left.extend(found),
                    Err(error) => {
                        fine = false;
                        let id = &used.backend.id;
                        tracing::warn!(%instance, id, %error, "a backend could not be looked at");
                    }
                }
            }
            self.tell(&key, &all[0].about, left);
        }
        fine
    }

    /// What differs of a backend and is left as it is.
    async fn compare(
        &self,
        instance: &InstanceName,
        connection: &Connection,
        used: &Used,
    ) -> Result<Vec<Difference>, ArmError> {
        let _writing = self.writing(instance).await;
        let client = connection.applier.client();
        let Used { backend, about, .. } = used;
        // The object may have asked for another meanwhile, or for this to be left.
        let Some(now) = self.ledger.lock().in_place(instance, backend) else {
            return Ok(Vec::new());
        };
        let outcome = if now.drift == Drift::Correct {
            client.ensure_backend(backend).await?
        } else {
            match client.reader().background().backend(&backend.id).await? {
                None => BackendOutcome::Made,
                Some(there) if !there.carries(&backend.mark) => {
                    BackendOutcome::Foreign(there.description)
                }
                Some(there) => match backend.differs(&there) {
                    fields if fields.is_empty() => BackendOutcome::InPlace,
                    fields => BackendOutcome::Changed(fields),
                },
            }
        };
        let found = differences(backend, &outcome);
        let is_put_back = matches!(outcome, BackendOutcome::Made | BackendOutcome::Changed(_));
        if now.drift == Drift::Correct && is_put_back {
            let report = DriftReport { differences: found };
            tracing::info!(%instance, "others changed it:\n{report}");
            let note = format!("put back what others had changed:\n{report}");
            self.events
                .publish(about, EventKind::Normal, "DriftCorrected", "Sweep", &note);
            return Ok(Vec::new());
        }
        Ok(found)
    }

    /// Says what is left, once.
    fn tell(&self, key: &ObjectKey, about: &ObjectReference, left: Vec<Difference>) {
        let areas = BTreeSet::from([Area::Backends]);
        let note = DriftReport {
            differences: left.clone(),
        };
        // The reconcile knows better why.
        let (_, changed) = self.drift.report(key, &areas, left, Reason::Reported);
        if !changed {
            return;
        }
        if !note.is_empty() {
            let note = note.to_string();
            self.events
                .publish(about, EventKind::Warning, "Drifted", "Sweep", &note);
        }
        self.triggers.one(key.clone(), "Drift");
    }
}

/// In what a backend differs, place by place.
fn differences(backend: &Backend, outcome: &BackendOutcome) -> Vec<Difference> {
    const OURS: &str = "what the operator wrote";
    let at = |field: &str| format!("backends/{}{field}", backend.id);
    let one = |field: &str, expected: &str, found: &str| {
        Difference::new(Kind::Backends, at(field), expected, found)
    };
    match outcome {
        BackendOutcome::InPlace => Vec::new(),
        BackendOutcome::Made => vec![one("", "there", "(absent)")],
        BackendOutcome::Changed(fields) => {
            let each = |field: &&str| one(&format!("/{field}"), OURS, "something else");
            fields.iter().map(each).collect()
        }
        BackendOutcome::Foreign(_) => {
            vec![one("/description", "the object's mark", "something else")]
        }
        BackendOutcome::Missing(missing) => {
            let expected = match missing {
                Dependency::Certificate(id) => format!("certificate `{id}`"),
                Dependency::NamedValue(name) => format!("named value `{name}`"),
            };
            vec![one(
                "/credentials",
                &expected,
                "none of that name in the service",
            )]
        }
    }
}
