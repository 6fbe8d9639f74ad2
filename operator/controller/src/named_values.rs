//! The named values of API Management that hold the secrets of profiles: made
//! before the first policy that uses them, written anew when the Secret
//! changes or somebody else wrote them, deleted after their last user.
//!
//! Who uses what is known from the reconciles of this process. What it cannot
//! know (which policies an earlier process left behind) API Management does:
//! it deletes no named value that a policy refers to.

mod ledger;
mod round;

use std::sync::Arc;
use std::time::Duration;

use operator_apim::{ArmClient, ArmError, ArmReader, NamedContent, NamedValue, NamedValueOutcome};
use operator_core::apim::ArmCall;
use operator_core::class::ErrorClass;
use operator_core::desired::{Desired, DesiredNamedValue};
use operator_core::names::{InstanceName, ObjectKey};
use operator_core::pace::Pace;
use operator_core::profile::{SecretSource, unfit};
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::instances::Instances;
use crate::leader::Leadership;
use crate::profiles::Profiles;
use crate::secrets::Secrets;
use crate::uses::Uses;
use ledger::{Ledger, Seen};

/// The named values of this process's instances.
pub struct NamedValues {
    instances: Arc<Instances>,
    secrets: Arc<Secrets>,
    profiles: Arc<Profiles>,
    uses: Arc<Uses>,
    leadership: Leadership,
    cluster: String,
    drift_interval: Duration,
    pace: Pace,
    ledger: Mutex<Ledger>,
    wake: Notify,
}

/// What became of what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is as it should be.
    InPlace,
    /// It is somebody else's.
    Foreign,
}

/// What [`NamedValues`] work with.
pub struct Parts {
    /// Where APIs are published.
    pub instances: Arc<Instances>,
    /// What Secrets hold.
    pub secrets: Arc<Secrets>,
    /// What profiles declare.
    pub profiles: Arc<Profiles>,
    /// Who names which profile.
    pub uses: Arc<Uses>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The UID of the cluster.
    pub cluster: String,
    /// Between two looks for what others wrote; zero: there are none.
    pub drift_interval: Duration,
    /// How fast pauses pass.
    pub pace: Pace,
}

impl NamedValues {
    /// Starts to look after them.
    #[must_use]
    pub fn start(parts: Parts) -> Arc<Self> {
        let this = Arc::new(Self {
            instances: parts.instances,
            secrets: parts.secrets,
            profiles: parts.profiles,
            uses: parts.uses,
            leadership: parts.leadership,
            cluster: parts.cluster,
            drift_interval: parts.drift_interval,
            pace: parts.pace,
            ledger: Mutex::default(),
            wake: Notify::new(),
        });
        tokio::spawn(Arc::clone(&this).run());
        this
    }

    /// Whether the secrets that a policy uses can be had, and may stand where it
    /// puts them.
    pub fn check(&self, desired: &mut Desired) -> Step {
        for value in &mut desired.named_values {
            match self.content(value) {
                Ok(content) => value.version = Some(version(&content)),
                Err((class, message)) => {
                    return Step::Failed {
                        reason: Reason::SecretUnusable,
                        class,
                        message,
                    };
                }
            }
        }
        Step::Done
    }

    /// The writes that the secrets of a policy need. Only reads.
    pub(crate) async fn planned(
        &self,
        reader: &ArmReader,
        desired: &Desired,
    ) -> Result<Vec<ArmCall>, ArmError> {
        let mut calls = Vec::new();
        for value in &desired.named_values {
            // One that cannot be used was told already.
            let Ok(content) = self.content(value) else {
                continue;
            };
            let there = reader.named_value(&value.id).await?;
            let wanted = named(value, content);
            if there.is_none_or(|there| !wanted.is(&there)) {
                calls.push(ArmCall {
                    method: "PUT",
                    resource: format!("namedValues/{}", value.id),
                    purpose: format!("write the secret `{}` of {}", value.secret, value.profile),
                });
            }
        }
        Ok(calls)
    }

    /// What a named value is to hold, or why that cannot be.
    fn content(&self, value: &DesiredNamedValue) -> Result<NamedContent, (ErrorClass, String)> {
        let key = match &value.source {
            SecretSource::KeyVault(vault) => return Ok(NamedContent::Vault(vault.clone())),
            SecretSource::Secret(key) => key,
        };
        let held = self.secrets.get(key).map_err(|lack| {
            let class = if lack.passes {
                ErrorClass::Waiting
            } else {
                ErrorClass::Invalid
            };
            (class, format!("{}: {lack}", value.place()))
        })?;
        if let Some(why) = unfit(held.value.expose(), value.standing) {
            let message = format!(
                "{}: key `{}` of Secret `{}` {why}",
                value.place(),
                key.key,
                key.name
            );
            return Err((ErrorClass::Invalid, message));
        }
        Ok(NamedContent::Text {
            value: held.value,
            version: held.version,
        })
    }

    /// Sees that what a policy uses is there before the policy is.
    pub async fn ensure(
        &self,
        key: &ObjectKey,
        instance: &InstanceName,
        client: &ArmClient,
        values: &[DesiredNamedValue],
    ) -> Result<(), Step> {
        if values.is_empty() {
            return Ok(());
        }
        self.keep(key, instance, values);
        let _writing = self.writing(instance).await;
        for value in values {
            let content = self.content(value);
            let content = content.map_err(|(class, message)| Step::Failed {
                reason: Reason::SecretUnusable,
                class,
                message,
            })?;
            if self.is_in_place(instance, &value.id, &version(&content)) {
                continue;
            }
            match self.put(instance, client, value, content).await {
                Ok(Outcome::Foreign) => {
                    return Err(Step::Failed {
                        reason: Reason::NotOurs,
                        class: ErrorClass::Invalid,
                        message: format!(
                            "{}: instance `{instance}` has a named value `{}` that is not of this profile; delete it \
                             there, or give the secret another name",
                            value.place(),
                            value.id
                        ),
                    });
                }
                Ok(Outcome::InPlace) => {}
                Err(error) => {
                    let message = format!("{}: {error}", value.place());
                    return Err(Step::failed(error.class, message));
                }
            }
        }
        Ok(())
    }

    /// An API that is in place uses these, as far as is known.
    pub fn keep(&self, key: &ObjectKey, instance: &InstanceName, values: &[DesiredNamedValue]) {
        if self.ledger.lock().keep(key, instance, values) {
            self.wake.notify_one();
        }
    }

    /// An API is published, in this instance alone and with these alone.
    pub fn settled(&self, key: &ObjectKey, instance: &InstanceName, values: &[DesiredNamedValue]) {
        self.keep(key, instance, values);
        self.release(key, |place, id| {
            place != instance || !values.iter().any(|value| value.id == *id)
        });
    }

    /// An API is gone.
    pub fn gone(&self, key: &ObjectKey) {
        self.release(key, |_, _| true);
    }

    fn release(&self, key: &ObjectKey, from: impl Fn(&InstanceName, &str) -> bool) {
        if self.ledger.lock().release(key, from) {
            self.wake.notify_one();
        }
    }

    /// A policy was refused because a named value is missing: what is believed
    /// of these is wrong.
    pub fn doubt(&self, instance: &InstanceName, values: &[DesiredNamedValue]) {
        self.ledger.lock().doubt(instance, values);
    }

    async fn writing(&self, instance: &InstanceName) -> OwnedMutexGuard<()> {
        let lock = self.ledger.lock().writing(instance);
        lock.lock_owned().await
    }

    fn is_in_place(&self, instance: &InstanceName, id: &str, version: &str) -> bool {
        let ledger = self.ledger.lock();
        let seen = ledger.seen(instance, id);
        seen.is_some_and(|seen| seen.version == version)
    }

    /// Sees that one is there; only who has the right to write may call this.
    async fn put(
        &self,
        instance: &InstanceName,
        client: &ArmClient,
        value: &DesiredNamedValue,
        content: NamedContent,
    ) -> Result<Outcome, ArmError> {
        let version = version(&content);
        let seen = self.ledger.lock().seen(instance, &value.id).cloned();
        let last = seen.filter(|seen| seen.version == version);
        let last = last.and_then(|seen| seen.etag);
        let wanted = named(value, content);
        let etag = match client.ensure_named_value(&wanted, last.as_deref()).await? {
            NamedValueOutcome::Foreign => return Ok(Outcome::Foreign),
            NamedValueOutcome::InPlace(etag) => etag,
            NamedValueOutcome::Written(etag) => {
                tracing::info!(%instance, id = value.id, "a secret of a profile was written as a named value");
                etag
            }
        };
        let seen = Seen { version, etag };
        self.ledger.lock().see(instance, &value.id, seen);
        Ok(Outcome::InPlace)
    }
}

fn named(value: &DesiredNamedValue, content: NamedContent) -> NamedValue {
    NamedValue {
        id: value.id.clone(),
        mark: value.mark.clone(),
        content,
    }
}

/// Which content is meant, without saying what it is.
fn version(content: &NamedContent) -> String {
    match content {
        NamedContent::Text { version, .. } => version.clone(),
        NamedContent::Vault(vault) => {
            let identity = vault.identity_client_id.as_deref().unwrap_or_default();
            format!("{} {identity}", vault.secret_identifier)
        }
    }
}
