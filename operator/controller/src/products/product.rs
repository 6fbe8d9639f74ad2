//! The reconcile of an `ApimProduct`.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use operator_apim::{DeletedProduct, ProductError};
use operator_core::build::build;
use operator_core::class::ErrorClass;
use operator_core::desired::PolicyText;
use operator_core::mark::OwnershipMark;
use operator_core::names::{ContentHash, FINALIZER, InstanceName, ObjectKey, ProductId};
use operator_core::product::policy::{self, Place};
use operator_core::product::{DesiredProduct, product, product_id};
use operator_core::status::reasons::Reason;
use operator_core::tier::Tier;
use operator_core::validate::{Dereferenced, validate};

use super::{AGAIN, Error, Fate, Owned, Shared, WAIT, stays, told};
use crate::crd::ApimProduct;
use crate::crd::apim_product::ApimProductStatus;
use crate::watch::key_of;

impl Owned for ApimProduct {
    type Status = ApimProductStatus;
    const KIND: &'static str = "ApimProduct";

    fn said(&self) -> ApimProductStatus {
        self.status.clone().unwrap_or_default()
    }

    fn conditions(status: &mut ApimProductStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }
}

/// A product and where it goes.
struct Wanted {
    instance: InstanceName,
    desired: DesiredProduct,
    /// Whether the tier has groups.
    groups: bool,
    hash: String,
}

/// Brings one object in place.
pub(super) async fn reconcile(
    object: Arc<ApimProduct>,
    shared: Arc<Shared>,
) -> Result<Action, Error> {
    let object = &*object;
    let mut status = object.said();
    if object.is_deleting() {
        return leave(&shared, object, status).await;
    }
    status.observed_generation = object.metadata.generation;
    let wanted = match wanted(&shared, object, &status).await {
        Ok(wanted) => wanted,
        Err(fate) => return shared.end(object, status, fate).await,
    };
    if !shared.hold(object).await? {
        // The watch brings it with the finalizer.
        return Ok(Action::await_change());
    }
    let in_place = status.hash.as_ref() == Some(&wanted.hash);
    if !in_place || shared.must_look(object) {
        let connection = shared.ctx.instances.connection(&wanted.instance);
        let Some(connection) = connection else {
            let message = "the instance is being connected".to_owned();
            let fate = Fate::Waiting("InstanceUnavailable", message, WAIT);
            return shared.end(object, status, fate).await;
        };
        status.instance = Some(wanted.instance.to_string());
        status.product_id = Some(wanted.desired.id.to_string());
        // Where it may be from the first write on.
        status.hash = None;
        if !in_place {
            shared.write_status(object, &status).await?;
        }
        let client = connection.applier.client();
        match client.apply_product(&wanted.desired, wanted.groups).await {
            Ok(writes) => {
                shared.looked(object);
                if writes > 0 {
                    shared.product_made(&wanted.instance, &wanted.desired.id);
                }
            }
            Err(ProductError::Refused(refused)) => {
                let fate = Fate::Stalled("NotOurs", refused.to_string());
                return shared.end(object, status, fate).await;
            }
            Err(ProductError::Arm(error)) => {
                let fate = shared.failed(object, &error);
                return shared.end(object, status, fate).await;
            }
        }
    }
    status.hash = Some(wanted.hash);
    let message = format!(
        "product {} is in place in instance {}",
        wanted.desired.id, wanted.instance
    );
    shared
        .end(object, status, Fate::Ready(message, AGAIN))
        .await
}

async fn wanted(
    shared: &Shared,
    object: &ApimProduct,
    status: &ApimProductStatus,
) -> Result<Wanted, Fate> {
    let (mut wanted, asked) = settled(shared, object, status)?;
    wanted.desired.policy = policy(shared, asked).await?;
    wanted.hash = ContentHash::of_json(&(&wanted.instance, wanted.desired.hash())).to_string();
    Ok(wanted)
}

/// Makes the policy: calls the plugins and composes what they answer.
async fn policy(shared: &Shared, asked: Option<Dereferenced>) -> Result<Option<PolicyText>, Fate> {
    let Some(input) = asked else {
        return Ok(None);
    };
    let plugins = Arc::clone(&shared.ctx.plugins);
    // A config may be large, and a plugin's code is anybody's.
    let made = tokio::task::spawn_blocking(move || {
        let validated = validate(&input).map_err(|rejection| {
            let problems: Vec<_> = rejection.problems.iter().map(policy::told).collect();
            // What is an annotation of an API is a field of a product.
            let reason = match rejection.reason {
                Reason::InvalidAnnotation => Reason::InvalidSpec.as_str(),
                reason => reason.as_str(),
            };
            match rejection.class {
                ErrorClass::Invalid => Fate::Stalled(reason, told(&problems)),
                _ => Fate::Waiting(reason, told(&problems), WAIT),
            }
        })?;
        let desired = build(&validated);
        let rendered = plugins.render(&validated, &desired).map_err(|error| {
            let problems: Vec<_> = error.problems.iter().map(policy::told).collect();
            Fate::Stalled(error.reason.as_str(), told(&problems))
        })?;
        let text = policy::document(&rendered.policy)
            .map_err(|problem| Fate::Stalled("InvalidPolicy", problem.to_string()))?;
        Ok(Some(text))
    });
    let ended = made.await;
    ended.unwrap_or_else(|error| {
        let message = format!("a thread that calls plugins ended: {error}");
        Err(Fate::Waiting("Failed", message, WAIT))
    })
}

/// What an object asks for, but for its policy; and what its plugins are asked
/// with.
fn settled(
    shared: &Shared,
    object: &ApimProduct,
    status: &ApimProductStatus,
) -> Result<(Wanted, Option<Dereferenced>), Fate> {
    let key = key_of(object);
    let spec = &object.spec.0;
    let (instance, grants) = shared.place(&key, spec.instance.as_deref())?;
    if let Some(there) = &status.instance
        && there != instance.name.as_str()
    {
        return Err(Fate::Stalled(
            "Conflict",
            format!(
                "spec.instance: the product is in instance `{there}` and would go to `{}`; who uses it does not go \
                 with it, so that is not done: set the instance back, or make another object",
                instance.name
            ),
        ));
    }
    let Some(context) = shared.ctx.instances.context(&instance.name) else {
        let message = "the instance is being connected".to_owned();
        return Err(Fate::Waiting("InstanceUnavailable", message, WAIT));
    };
    let sku = &context.sku;
    let cluster = &shared.ctx.cluster;
    let desired = product(spec, &key, &instance, sku, &grants, cluster)
        .map_err(|problems| Fate::Stalled("InvalidSpec", told(&problems)))?;
    let asked = policy::asked(
        spec,
        &key,
        Place {
            instance: &instance,
            context: &context,
            namespace_labels: &shared.ctx.world.namespace_labels(&key.namespace),
            catalog: &shared.ctx.plugins.catalog(),
            cluster,
        },
    );
    let wanted = Wanted {
        hash: String::new(),
        instance: instance.name.clone(),
        groups: Tier::from_sku(sku) != Tier::Consumption,
        desired,
    };
    Ok((wanted, asked))
}

/// Where the product of an object is: as its status says, else where it would
/// go. The mark is read before anything is done there.
fn place(
    shared: &Shared,
    key: &ObjectKey,
    object: &ApimProduct,
    status: &ApimProductStatus,
) -> Option<(InstanceName, ProductId)> {
    if let (Some(instance), Some(id)) = (&status.instance, &status.product_id) {
        return Some((
            InstanceName::parse(instance).ok()?,
            ProductId::parse(id).ok()?,
        ));
    }
    let (instance, _) = shared.place(key, object.spec.0.instance.as_deref()).ok()?;
    Some((instance.name.clone(), product_id(&instance, key).ok()?))
}

/// Deletes the product, when nobody uses it any more, and lets the object go.
async fn leave(
    shared: &Shared,
    object: &ApimProduct,
    status: ApimProductStatus,
) -> Result<Action, Error> {
    if !object.finalizers().iter().any(|one| one == FINALIZER) {
        shared.forget(object);
        return Ok(Action::await_change());
    }
    let key = key_of(object);
    let mark = OwnershipMark::new(&shared.ctx.cluster, &key);
    if let Some((instance, id)) = place(shared, &key, object, &status) {
        let Some(connection) = shared.ctx.instances.connection(&instance) else {
            let message = format!(
                "product {id} cannot be deleted, since instance `{instance}` is not connected"
            );
            let fate = Fate::Waiting("InstanceUnavailable", message, WAIT);
            return shared.end(object, status, fate).await;
        };
        let client = connection.applier.client();
        let result = if stays(object) {
            let released = client.release_product(&id, mark.as_str()).await;
            released.map(|()| DeletedProduct::Gone)
        } else {
            client.delete_product(&id, mark.as_str()).await
        };
        let fate = match result {
            Ok(DeletedProduct::Gone | DeletedProduct::NotOurs) => None,
            Ok(DeletedProduct::InUse(used)) => Some(Fate::Waiting(
                "InUse",
                format!(
                    "product {id} stays while others use it: {used}. It is deleted when nobody does any more; \
                     annotation deletion-policy: Retain leaves it to them"
                ),
                WAIT,
            )),
            Err(error) => Some(shared.failed(object, &error)),
        };
        if let Some(fate) = fate {
            return shared.end(object, status, fate).await;
        }
    }
    shared.release(object).await?;
    Ok(Action::await_change())
}
