//! What is done besides the reconciles: writing what changed, deleting what
//! nobody uses, looking for what others wrote.

use std::sync::Arc;
use std::time::Duration;

use operator_apim::NamedValueRemoval;
use operator_core::desired::DesiredNamedValue;
use operator_core::names::InstanceName;
use operator_core::profile::{ProfileRef, declared_by};
use tokio::time::Instant;

use super::{NamedValues, Outcome, version};

/// Several changes that come at once are one round.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// After a call that failed.
const AGAIN: Duration = Duration::from_secs(30);
/// After API Management kept what nobody is known to use: an API that was left
/// behind uses it, and nothing tells when that goes.
const RECONSIDER: Duration = Duration::from_hours(1);

/// How far a round looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// At what is known to have changed.
    Changed,
    /// At all that is used: others may have written it.
    All,
}

impl NamedValues {
    pub(super) async fn run(self: Arc<Self>) {
        let mut secrets = self.secrets.changes();
        let mut uses = self.uses.changes();
        let mut connected = self.instances.changes();
        let mut compare = (!self.drift_interval.is_zero())
            .then(|| tokio::time::interval(self.pace.of(self.drift_interval)));
        if let Some(compare) = &mut compare {
            compare.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // The first tick is at once.
            compare.reset();
        }
        // When to try again what failed or was kept.
        let mut again: Option<Instant> = None;
        loop {
            let mut look = Look::Changed;
            let later = async move {
                match again {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let tick = async {
                match &mut compare {
                    Some(compare) => drop(compare.tick().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                _ = secrets.changed() => {}
                _ = uses.changed() => {}
                _ = connected.changed() => {}
                () = later => {
                    again = None;
                    self.ledger.lock().reconsider();
                }
                () = tick => look = Look::All,
            }
            tokio::time::sleep(self.pace.of(DEBOUNCE)).await;
            if !self.leadership.leads() {
                continue;
            }
            let fine = self.round(look).await;
            let pause = if !fine {
                Some(AGAIN)
            } else if self.ledger.lock().keeps_any() {
                Some(RECONSIDER)
            } else {
                None
            };
            let at = pause.map(|pause| Instant::now() + self.pace.of(pause));
            again = [again, at].into_iter().flatten().min();
        }
    }

    /// Writes what changed and deletes what nobody uses. Whether all went well.
    async fn round(&self, look: Look) -> bool {
        let mut fine = true;
        let used = self.ledger.lock().used();
        for (instance, value) in used {
            fine &= self.rotate(&instance, &value, look).await;
        }
        let instances = self.instances.list();
        let idle = self.ledger.lock().idle();
        for (instance, value) in idle {
            let known = instances.iter().find(|known| known.name == instance);
            let prefix = known.map_or("", |known| known.spec.api_id_prefix.as_str());
            // Its instance may call it otherwise by now.
            let current = declared_by(&value.id, prefix);
            let is_current = current == Some((value.profile.clone(), value.secret.as_str()));
            if !is_current || !self.is_needed(&value.profile, &value.secret) {
                fine &= self.remove(&instance, &value.id, &value.mark).await != Removed::Failed;
            }
        }
        for instance in instances {
            let prefix = &instance.spec.api_id_prefix;
            fine &= self.sweep(&instance.name, prefix).await;
        }
        fine
    }

    /// Writes a named value whose Secret changed, or that somebody else wrote.
    /// One that cannot be used any more stays as it was: those who use it say
    /// why.
    async fn rotate(&self, instance: &InstanceName, value: &DesiredNamedValue, look: Look) -> bool {
        let Ok(content) = self.content(value) else {
            return true;
        };
        if look == Look::Changed && self.is_in_place(instance, &value.id, &version(&content)) {
            return true;
        }
        let Some(connection) = self.instances.connection(instance) else {
            // Its connecting wakes us.
            return true;
        };
        let _writing = self.writing(instance).await;
        let client = connection.applier.client();
        match self.put(instance, client, value, content).await {
            Ok(Outcome::InPlace) => true,
            Ok(Outcome::Foreign) => {
                tracing::warn!(
                    %instance, id = value.id,
                    "a named value of a profile lost its mark and is left alone"
                );
                true
            }
            Err(error) => {
                tracing::warn!(%instance, id = value.id, %error, "a named value could not be written");
                false
            }
        }
    }

    /// Whether an API may use a secret that no reconcile of this process has
    /// told of; also while that is not known.
    fn is_needed(&self, profile: &ProfileRef, secret: &str) -> bool {
        match self.uses.profile(profile).map(|used| used.users) {
            None => return true,
            Some(0) => return false,
            Some(_) => {}
        }
        let all = self.profiles.all();
        let declared = all.get(profile).and_then(|state| state.as_ref().ok());
        // What uses one that is gone or cannot be read works on with it.
        declared.is_none_or(|profile| profile.secrets.iter().any(|one| one.name == secret))
    }

    async fn remove(&self, instance: &InstanceName, id: &str, mark: &str) -> Removed {
        let Some(connection) = self.instances.connection(instance) else {
            // Its connecting wakes us.
            return Removed::Gone;
        };
        let _writing = self.writing(instance).await;
        if self.ledger.lock().is_used(instance, id) {
            return Removed::Gone;
        }
        let client = connection.applier.client();
        let removal = client.delete_named_value(id, mark).await;
        let mut ledger = self.ledger.lock();
        match removal {
            Ok(NamedValueRemoval::InUse) => {
                ledger.kept(instance, id);
                Removed::Kept
            }
            Ok(NamedValueRemoval::Gone) => {
                tracing::info!(%instance, id, "a named value that nobody uses any more is gone");
                ledger.gone(instance, id);
                Removed::Gone
            }
            Ok(NamedValueRemoval::Foreign) => {
                tracing::info!(%instance, id, "a named value that nobody uses any more is not ours, and stays");
                ledger.gone(instance, id);
                Removed::Gone
            }
            Err(error) => {
                tracing::warn!(%instance, id, %error, "a named value that nobody uses could not be deleted");
                Removed::Failed
            }
        }
    }

    /// Deletes what earlier processes left behind. Whether all went well.
    async fn sweep(&self, instance: &InstanceName, prefix: &str) -> bool {
        let due = self.ledger.lock().sweep_is_due(instance);
        let Some(connection) = self.instances.connection(instance).filter(|_| due) else {
            return true;
        };
        if !self.uses.is_complete() {
            // The last one that is looked at wakes us.
            return true;
        }
        let reader = connection.applier.client().reader().background();
        let all = match reader.named_values().all().await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%instance, %error, "the named values could not be listed");
                return false;
            }
        };
        let mut kept = false;
        for there in all {
            let Some((profile, secret)) = declared_by(&there.id, prefix) else {
                continue;
            };
            // An id may also be one of an instance with another prefix.
            let mark = profile.mark(&self.cluster);
            if !there.carries(mark.as_str()) || self.is_needed(&profile, secret) {
                continue;
            }
            match self.remove(instance, &there.id, mark.as_str()).await {
                Removed::Gone => {}
                Removed::Kept => kept = true,
                // It is still due.
                Removed::Failed => return false,
            }
        }
        self.ledger.lock().swept(instance, kept);
        true
    }
}

/// What became of what nobody uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    /// It is not there, is not ours, or is used after all.
    Gone,
    /// API Management keeps it.
    Kept,
    /// The call failed.
    Failed,
}
