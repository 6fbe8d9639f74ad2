//! What is done besides the reconciles: deleting what is not needed any more,
//! looking for what others changed.

use std::sync::Arc;
use std::time::Duration;

use operator_apim::BackendOutcome;
use operator_core::annotations::Drift;
use operator_core::names::InstanceName;

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
            let used = self.ledger.lock().used(instance);
            for one in used.iter().filter(|one| one.drift != Drift::Off) {
                fine &= self.compare(instance, connection, one).await;
            }
        }
        fine
    }

    /// Looks whether somebody else changed a backend, and puts it back where
    /// the object does not ask that it be left.
    async fn compare(&self, instance: &InstanceName, connection: &Connection, used: &Used) -> bool {
        let _writing = self.writing(instance).await;
        let client = connection.applier.client();
        let id = &used.backend.id;
        if !self.ledger.lock().is_in_place(instance, &used.backend) {
            // The object has asked for another meanwhile.
            return true;
        }
        let (found, done) = if used.drift == Drift::Correct {
            (
                client.ensure_backend(&used.backend).await,
                "it was put back",
            )
        } else {
            let there = client.reader().background().backend(id).await;
            let found = there.map(|there| match there {
                None => BackendOutcome::Made,
                Some(there) if !there.carries(&used.backend.mark) => {
                    BackendOutcome::Foreign(there.description)
                }
                Some(there) => match used.backend.differs(&there) {
                    fields if fields.is_empty() => BackendOutcome::InPlace,
                    fields => BackendOutcome::Changed(fields),
                },
            });
            (found, "it is left as it is, as the annotation `drift` asks")
        };
        let note = match found {
            Ok(BackendOutcome::InPlace) => return true,
            Ok(BackendOutcome::Made) => format!("others deleted backend `{id}`; {done}"),
            Ok(BackendOutcome::Changed(fields)) => {
                format!(
                    "others changed {} of backend `{id}`; {done}",
                    fields.join(", ")
                )
            }
            Ok(BackendOutcome::Foreign(_)) => {
                format!(
                    "backend `{id}` lost this object's mark, its description, and is left alone"
                )
            }
            Ok(BackendOutcome::NoCertificate(certificate)) => {
                format!(
                    "others changed backend `{id}`, and the service has no certificate `{certificate}` to put it back with"
                )
            }
            Err(error) => {
                tracing::warn!(%instance, id, %error, "a backend could not be looked at");
                return false;
            }
        };
        tracing::info!(%instance, "{note}");
        self.events
            .publish(&used.about, EventKind::Warning, "Drifted", "Sweep", &note);
        true
    }
}
