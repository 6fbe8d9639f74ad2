//! The reconcile of an `ApimSubscription`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use operator_apim::{ArmClient, ArmError, Keys};
use operator_core::mark::{self, OwnershipMark};
use operator_core::names::{ContentHash, FINALIZER, InstanceName};
use operator_core::product::rotation::{self, KeyState, Slot, Turn};
use operator_core::product::subscription::{DesiredSubscription, Scope, subscription};

use super::secret::Found;
use super::tell::now;
use super::{AGAIN, DENIED, Error, Fate, Owned, Shared, Stop, WAIT, told};
use crate::crd::ApimSubscription;
use crate::crd::apim_subscription::{ApimSubscriptionStatus, KeysStatus};
use crate::watch::key_of;

/// Between two looks at a subscription that somebody must approve.
const APPROVAL: Duration = Duration::from_secs(30);

impl Owned for ApimSubscription {
    type Status = ApimSubscriptionStatus;
    const KIND: &'static str = "ApimSubscription";

    fn said(&self) -> ApimSubscriptionStatus {
        self.status.clone().unwrap_or_default()
    }

    fn conditions(status: &mut ApimSubscriptionStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }
}

/// Brings one object in place.
pub(super) async fn reconcile(
    object: Arc<ApimSubscription>,
    shared: Arc<Shared>,
) -> Result<Action, Error> {
    let object = &*object;
    let mut status = object.said();
    if object.is_deleting() {
        return leave(&shared, object, status).await;
    }
    status.observed_generation = object.metadata.generation;
    let fate = match bring(&shared, object, &mut status).await {
        Ok(Some(fate)) | Err(Stop::Fate(fate)) => fate,
        Ok(None) => return Ok(Action::await_change()),
        Err(Stop::Arm(error)) => shared.failed(object, &error),
        Err(Stop::Kube(error)) => return Err(error),
    };
    shared.end(object, status, fate).await
}

/// Nothing where the watch brings the object once more.
async fn bring(
    shared: &Shared,
    object: &ApimSubscription,
    status: &mut ApimSubscriptionStatus,
) -> Result<Option<Fate>, Stop> {
    let key = key_of(object);
    let spec = &object.spec.0;
    let (instance, grants) = shared
        .place(&key, spec.instance.as_deref())
        .map_err(Stop::Fate)?;
    let stalled = |reason, message| Err(Stop::Fate(Fate::Stalled(reason, message)));
    if let Some(there) = &status.instance
        && there != instance.name.as_str()
    {
        return stalled(
            "Conflict",
            format!(
                "spec.instance: the subscription is in instance `{there}` and would go to `{}`, with other keys; \
                 set the instance back, or make another object",
                instance.name
            ),
        );
    }
    let desired = match subscription(spec, &key, &instance, &grants) {
        Ok(desired) => desired,
        Err(problems) => return stalled("InvalidSpec", told(&problems)),
    };
    // Before anything is made: keys that have no place must not exist.
    let found = shared.secret(object, &desired.secret).await?;
    match &found {
        Found::Foreign => {
            return stalled(
                "SecretNotOurs",
                format!(
                    "spec.secretName: Secret `{}` exists and is not this object's; it is left alone. Name another \
                     one, or delete it",
                    desired.secret
                ),
            );
        }
        Found::Forbidden(message) => {
            let message = format!(
                "the operator may not keep Secrets in namespace `{}`; have the ClusterRole \
                 apim-operator-subscriptions bound there ({message})",
                key.namespace
            );
            return Err(Stop::Fate(Fate::Waiting(
                "SecretForbidden",
                message,
                DENIED,
            )));
        }
        Found::Absent | Found::Ours(_) => {}
    }
    if !shared.hold(object).await? {
        return Ok(None);
    }
    let hash = ContentHash::of_json(&(&instance.name, desired.hash())).to_string();
    let turn = turn(shared, status, &desired);
    let whole = status
        .keys
        .as_ref()
        .is_some_and(|keys| found.is_whole(keys.current));
    let same = status.hash.as_ref() == Some(&hash) && status.state.as_deref() == Some("active");
    if same && whole && matches!(turn, Turn::Wait(_)) && !shared.must_look(object) {
        note_next(shared, status, &desired);
        return Ok(Some(ready(&desired, turn)));
    }
    let Some(connection) = shared.ctx.instances.connection(&instance.name) else {
        let message = "the instance is being connected".to_owned();
        return Err(Stop::Fate(Fate::Waiting(
            "InstanceUnavailable",
            message,
            WAIT,
        )));
    };
    let client = connection.applier.client();
    let scope = scope(shared, client, &instance.name, &desired).await?;
    status.instance = Some(instance.name.to_string());
    status.subscription_id = Some(desired.id.to_string());
    if status.hash.as_ref() != Some(&hash) {
        status.hash = None;
        shared.write_status(object, status).await?;
    }
    let state = in_place(client, &desired, &scope).await?;
    let active = state == "active";
    status.state = Some(state.clone());
    if !active {
        status.hash = Some(hash);
        return Ok(Some(unusable(&desired, &state)));
    }
    keys(shared, object, status, client, &desired, found).await?;
    status.hash = Some(hash);
    shared.looked(object);
    let turn = self::turn(shared, status, &desired);
    note_next(shared, status, &desired);
    Ok(Some(ready(&desired, turn)))
}

fn ready(desired: &DesiredSubscription, turn: Turn) -> Fate {
    let again = match turn {
        Turn::Wait(Some(left)) => left.min(AGAIN),
        Turn::Wait(None) => AGAIN,
        Turn::Replace(_) | Turn::Resume(_) => Duration::ZERO,
    };
    let message = format!(
        "subscription {} is active; its keys are in Secret {}",
        desired.id, desired.secret
    );
    Fate::Ready(message, again)
}

/// A subscription whose keys open nothing.
fn unusable(desired: &DesiredSubscription, state: &str) -> Fate {
    let id = &desired.id;
    match state {
        "submitted" => Fate::Waiting(
            "AwaitingApproval",
            format!(
                "subscription {id} has to be approved in API Management by whoever owns the product"
            ),
            APPROVAL,
        ),
        "rejected" | "cancelled" => Fate::Stalled(
            "Rejected",
            format!(
                "subscription {id} is {state}, says API Management; whoever owns the product can say why"
            ),
        ),
        other => Fate::Waiting(
            "NotActive",
            format!("subscription {id} is {other}, says API Management; its keys open nothing"),
            APPROVAL,
        ),
    }
}

/// What is to be done with the keys.
fn turn(shared: &Shared, status: &ApimSubscriptionStatus, desired: &DesiredSubscription) -> Turn {
    let every = desired.every.map(|every| shared.ctx.pace.of(every));
    match &status.keys {
        Some(keys) => rotation::turn(&keys.state(), every, now()),
        None => Turn::Wait(None),
    }
}

/// Says when the next key is replaced.
fn note_next(shared: &Shared, status: &mut ApimSubscriptionStatus, desired: &DesiredSubscription) {
    if let Some(keys) = &mut status.keys {
        let every = desired.every.map(|every| shared.ctx.pace.of(every));
        keys.next = every.map(|every| Time(rotation::due(&keys.state(), every)));
    }
}

/// The scope as it is sent: an API of an ExposedAPI must carry its mark.
async fn scope(
    shared: &Shared,
    client: &ArmClient,
    instance: &InstanceName,
    desired: &DesiredSubscription,
) -> Result<String, Stop> {
    match &desired.scope {
        Scope::Product(id) => Ok(format!("/products/{id}")),
        Scope::Api(id) => Ok(format!("/apis/{id}")),
        Scope::Exposed { key, usual } => {
            let known = shared.ctx.memory.confirmed(key);
            let known = known.filter(|record| record.instance == *instance);
            let id = known.map_or_else(|| usual.clone(), |record| record.api_id);
            let mark = OwnershipMark::new(&shared.ctx.cluster, key);
            if client.reader().carries(id.as_str(), mark.as_str()).await? {
                return Ok(format!("/apis/{id}"));
            }
            Err(Stop::Fate(Fate::Waiting(
                "WaitingForDependency",
                format!(
                    "spec.scope.api: waits for ExposedAPI `{}`, which is not published in instance `{instance}`",
                    key.name
                ),
                WAIT,
            )))
        }
    }
}

/// Makes the subscription what it should be, and answers its state.
async fn in_place(
    client: &ArmClient,
    desired: &DesiredSubscription,
    scope: &str,
) -> Result<String, Stop> {
    let id = desired.id.as_str();
    let name = &desired.display_name;
    let Some(found) = client.reader().subscription(id).await? else {
        let submitted = match &desired.scope {
            Scope::Product(product) => {
                let needs = client.reader().needs_approval(product).await?;
                needs.ok_or_else(|| {
                    let message = format!("waits for product `{product}`, which does not exist");
                    Stop::Fate(Fate::Waiting("WaitingForDependency", message, WAIT))
                })?
            }
            Scope::Exposed { .. } | Scope::Api(_) => false,
        };
        client
            .create_subscription(id, scope, name, submitted)
            .await?;
        let state = if submitted { "submitted" } else { "active" };
        return Ok(state.to_owned());
    };
    if !found.scope.eq_ignore_ascii_case(scope) || found.display_name != *name {
        client
            .change_subscription(id, scope, name, found.etag.as_deref())
            .await?;
    }
    Ok(found.state)
}

/// Replaces the older key if that is due, and writes both down.
async fn keys(
    shared: &Shared,
    object: &ApimSubscription,
    status: &mut ApimSubscriptionStatus,
    client: &ArmClient,
    desired: &DesiredSubscription,
    found: Found,
) -> Result<(), Stop> {
    let id = desired.id.as_str();
    let gone = || {
        let message = format!("subscription {id} is gone; it is made anew");
        Stop::Fate(Fate::Waiting("Failed", message, WAIT))
    };
    let mut keys = client.keys(id).await?.ok_or_else(gone)?;
    let current = match turn(shared, status, desired) {
        Turn::Wait(_) => status.keys.as_ref().map(|keys| keys.current),
        Turn::Replace(slot) => {
            // Written down before, so that nobody replaces the other one next
            // should this process die now.
            if let Some(keys) = &mut status.keys {
                keys.replacing = Some(slot);
            }
            shared.write_status(object, status).await?;
            keys = replaced(client, id, slot).await?.ok_or_else(gone)?;
            Some(slot)
        }
        Turn::Resume(slot) => {
            if is_unchanged(&found, &keys, slot) {
                keys = replaced(client, id, slot).await?.ok_or_else(gone)?;
            }
            Some(slot)
        }
    };
    let slot = current.unwrap_or_default();
    let differs = !found.is_whole(slot)
        || is_changed(&found, &keys, Slot::Primary)
        || is_changed(&found, &keys, Slot::Secondary);
    if differs {
        shared
            .keep(object, &desired.secret, found, &keys, slot)
            .await?;
    }
    let before = status.secret_name.replace(desired.secret.clone());
    if let Some(before) = before.filter(|before| *before != desired.secret) {
        shared.drop_secret(object, &before).await?;
    }
    let known = status.keys.as_ref().map(KeysStatus::state);
    let state = match known {
        Some(known) if known.replacing.is_none() && known.current == slot => known,
        _ => KeyState {
            current: slot,
            since: now(),
            replacing: None,
        },
    };
    status.keys = Some(KeysStatus {
        current: state.current,
        since: Time(state.since),
        next: None,
        replacing: None,
    });
    Ok(())
}

async fn replaced(client: &ArmClient, id: &str, slot: Slot) -> Result<Option<Keys>, ArmError> {
    client.regenerate_key(id, slot).await?;
    tracing::info!(subscription = id, "{} was replaced", slot.key());
    client.keys(id).await
}

/// Whether a key is still the one that was written down before its replacement
/// was begun. One that was never written down is replaced in any case.
fn is_unchanged(found: &Found, keys: &Keys, slot: Slot) -> bool {
    found.key(slot).is_none() || !is_changed(found, keys, slot)
}

fn is_changed(found: &Found, keys: &Keys, slot: Slot) -> bool {
    let written = found.key(slot);
    written.is_none_or(|written| written.expose() != keys.of(slot).expose().as_bytes())
}

/// Deletes the subscription, with which its keys end, then their Secret, and
/// lets the object go.
async fn leave(
    shared: &Shared,
    object: &ApimSubscription,
    status: ApimSubscriptionStatus,
) -> Result<Action, Error> {
    if !object.finalizers().iter().any(|one| one == FINALIZER) {
        shared.forget(object);
        return Ok(Action::await_change());
    }
    let key = key_of(object);
    // Only what was written has an instance; and only the id that this object
    // has is its own.
    if let Some(name) = &status.instance {
        let connection = InstanceName::parse(name)
            .ok()
            .and_then(|name| shared.ctx.instances.connection(&name));
        let instances = shared.ctx.instances.list();
        let instance = instances.iter().find(|one| one.name.as_str() == name);
        let (Some(connection), Some(instance)) = (connection, instance) else {
            let message = format!(
                "the subscription cannot be deleted, since instance `{name}` is not connected"
            );
            let fate = Fate::Waiting("InstanceUnavailable", message, WAIT);
            return shared.end(object, status, fate).await;
        };
        if let Ok(id) = mark::api_id(&instance.spec.api_id_prefix, &key) {
            let client = connection.applier.client();
            if let Err(error) = client.delete_subscription(id.as_str()).await {
                let fate = shared.failed(object, &error);
                return shared.end(object, status, fate).await;
            }
        }
    }
    let before = status.secret_name.iter();
    let mut all: Vec<&String> = before.chain([&object.spec.0.secret_name]).collect();
    all.dedup();
    for secret in all {
        shared.drop_secret(object, secret).await?;
    }
    shared.release(object).await?;
    Ok(Action::await_change())
}
