//! Deletion: first the API, then its Ingress, then the object may go.
//!
//! The order is that of creation turned round, so that API Management never
//! sends callers to an Ingress that is gone. Nothing depends on Kubernetes'
//! garbage collection.

use std::time::Duration;

use operator_apim::{Deleted, Released};
use operator_core::annotations::{self, Annotations, DeletionPolicy};
use operator_core::apim::{AppliedRecord, Place};
use operator_core::class::ErrorClass;
use operator_core::exposure::name_of;
use operator_core::mark::{self, OwnershipMark};
use operator_core::names::{ContentHash, FINALIZER};
use operator_core::protection;
use operator_core::retry::{Next, Outcome};
use operator_core::status::Step;
use operator_core::status::reasons::Reason;

use super::claim;
use super::subject::Subject;
use super::{Context, End, Error, exposure, leftovers, monitor, moves, publish, report};
use crate::events::EventKind;

/// How long a deletion waits for a mark to be taken off.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(20);

/// Cleans up after an object that is being deleted, and lets it go.
pub(super) async fn cleanup(ctx: &Context, subject: &Subject) -> Result<End, Error> {
    if !subject.is_held() {
        forget(ctx, subject);
        return Ok(End::DONE);
    }
    let claim = claim::claim(ctx, subject);
    let (annotations, _) = annotations::read(&subject.meta.annotations);
    let input = ContentHash::of_json(&("deletion", &subject.meta.annotations));
    if annotations.deletion_policy == DeletionPolicy::Retain {
        if let Some(step) = refused(ctx, subject, &annotations, &claim) {
            report::deleting(ctx, subject, &claim, &step).await?;
            return Ok(End {
                failed: true,
                next: Next::AwaitChange,
            });
        }
        let places = places(ctx, subject, claim.record.as_ref());
        // Whether the mark can be taken off is known when the instance is
        // connected, or is known not to be.
        if ctx.instances.is_connecting() && !places.iter().all(|place| is_connected(ctx, place)) {
            return Ok(End::DONE);
        }
        for place in &places {
            release_api(ctx, subject, place).await;
        }
    } else {
        if let Some((left, _)) = ctx.memory.waits(&subject.key, &input) {
            return Ok(End {
                failed: true,
                next: Next::After(left),
            });
        }
        let places = places(ctx, subject, claim.record.as_ref());
        // No failure yet: when the instance is connected, or is known not to
        // be, all objects are reconciled.
        if ctx.instances.is_connecting() && !places.iter().all(|place| is_connected(ctx, place)) {
            return Ok(End::DONE);
        }
        if let Err(step) = delete_all(ctx, subject, places).await {
            // The next replica that leads goes on with it.
            if !ctx.leadership.may_begin() {
                return Ok(End::DONE);
            }
            report::deleting(ctx, subject, &claim, &step).await?;
            let class = match &step {
                Step::Failed { class, .. } => *class,
                _ => ErrorClass::Transient,
            };
            let next =
                ctx.memory
                    .deletion_failed(&subject.key, &input, Outcome::Failed(class), step);
            return Ok(End { failed: true, next });
        }
    }
    match unexpose(ctx, subject).await {
        Ok(()) => {}
        Err(error) => {
            // An object that is being deleted is never given up.
            let (reason, class) = match error.step() {
                Step::Failed {
                    reason,
                    class: class @ ErrorClass::Denied,
                    ..
                } => (reason, class),
                _ => (Reason::Failed, ErrorClass::Transient),
            };
            let message = error.to_string();
            let step = Step::Failed {
                reason,
                class,
                message,
            };
            report::deleting(ctx, subject, &claim, &step).await?;
            let outcome = Outcome::Failed(class);
            let next = ctx
                .memory
                .deletion_failed(&subject.key, &input, outcome, step);
            return Ok(End { failed: true, next });
        }
    }
    // It is the object's property, and goes with it anyway.
    if let Err(error) = monitor::removed(ctx, subject).await {
        tracing::warn!(%error, "the ServiceMonitor could not be deleted, and is left to Kubernetes");
    }
    leave_component(ctx, subject).await;
    release(ctx, subject).await?;
    forget(ctx, subject);
    Ok(End::DONE)
}

/// Deletes what exposes the API, and then what protected that. An Ingress is looked for even where none is
/// known: a cluster's view can be behind.
async fn unexpose(ctx: &Context, subject: &Subject) -> Result<(), exposure::ExposureError> {
    for kind in protection::kinds() {
        let mut names: Vec<_> = exposure::made(ctx, subject, kind).collect();
        if names.is_empty() && kind.kind == "Ingress" {
            names.push(name_of(kind, &subject.key));
        }
        for name in names {
            let deleted =
                exposure::delete(&ctx.client, kind, &subject.key, &name, &subject.meta.uid).await?;
            if deleted {
                ctx.metrics.kube_write(kind.kind);
            }
        }
    }
    Ok(())
}

fn is_connected(ctx: &Context, place: &Place) -> bool {
    ctx.instances.connection(&place.instance).is_some()
}

/// Leaves the API where it is and takes the object's mark off. The object goes
/// whatever comes of it: that is what its owner asked for.
async fn release_api(ctx: &Context, subject: &Subject, place: &Place) {
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    let Place { instance, api_id } = place;
    let released = match ctx.instances.connection(instance) {
        None => Err("the instance is not connected".to_owned()),
        Some(connection) => {
            let call = async {
                let client = connection.applier.client();
                let backends = ctx.backends.release(instance, client, mark.as_str()).await;
                if let Err(error) = backends {
                    tracing::warn!(%instance, %error, "the backends of an API that stays keep its mark");
                }
                if leftovers::of(ctx, subject, place).page {
                    let page = client.release_page(api_id, mark.as_str()).await;
                    if let Err(error) = page {
                        tracing::warn!(%instance, %error, "the page of an API that stays keeps its mark");
                    }
                }
                connection.applier.release(api_id, mark.as_str()).await
            };
            match tokio::time::timeout(RELEASE_TIMEOUT, call).await {
                Ok(Ok(released)) => Ok(released),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("API Management did not answer in time".to_owned()),
            }
        }
    };
    let (kind, reason, note) = match released {
        Ok(Released::NothingOfOurs) => return,
        Ok(Released::Unmarked) => (
            EventKind::Normal,
            "Retained",
            format!(
                "API {api_id} stays in instance {instance} as deletion-policy asks, without the object's mark"
            ),
        ),
        Err(why) => (
            EventKind::Warning,
            "MarkStayed",
            format!(
                "API {api_id} stays in instance {instance} as deletion-policy asks, but the object's mark could not \
                 be taken off: {why}. `apim-operator orphans` lists it"
            ),
        ),
    };
    ctx.events
        .publish(&subject.reference(), kind, reason, "Delete", &note);
}

/// Whether the instance lets owners keep an API. Neither ignored nor obeyed:
/// the object waits until the annotation goes or the platform allows it. An
/// instance that is not there any more refuses nothing.
fn refused(
    ctx: &Context,
    subject: &Subject,
    annotations: &Annotations,
    claim: &claim::Claim,
) -> Option<Step> {
    let at = annotations::path("deletion-policy");
    let places = places(ctx, subject, claim.record.as_ref());
    let instances = ctx.instances.list();
    let problem = instances
        .iter()
        .filter(|instance| places.iter().any(|place| place.instance == instance.name))
        .flat_map(|instance| annotations.forbidden(&subject.key, instance))
        .find(|problem| problem.path == at)?;
    Some(Step::Failed {
        reason: Reason::Forbidden,
        class: ErrorClass::Invalid,
        message: problem.to_string(),
    })
}

/// Where an API of this object can be: where the record says, and where it
/// would have been published. A record can be lost where others write status;
/// looking in both places costs a read.
fn places(ctx: &Context, subject: &Subject, record: Option<&AppliedRecord>) -> Vec<Place> {
    let mut places: Vec<Place> = record.into_iter().flat_map(AppliedRecord::places).collect();
    if record.is_none() || !ctx.exposed.mode().is_trusted() {
        for place in usual_places(ctx, subject) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// Where an API of this object is published unless somebody asks for another
/// place.
fn usual_places(ctx: &Context, subject: &Subject) -> Vec<Place> {
    let mut places = Vec::new();
    let labels = ctx.world.namespace_labels(&subject.key.namespace);
    for instance in ctx
        .instances
        .list()
        .iter()
        .filter(|instance| instance.serves(&labels))
    {
        let Ok(id) = mark::api_id(&instance.spec.api_id_prefix, &subject.key) else {
            continue;
        };
        places.push(Place {
            instance: instance.name.clone(),
            api_id: id,
        });
    }
    places
}

/// Deletes the API wherever it can be. Where the record was true, it is found
/// there; where it was not, since somebody wrote into status, the API is looked
/// for in its usual places as well, at the cost of a read each.
async fn delete_all(ctx: &Context, subject: &Subject, places: Vec<Place>) -> Result<(), Step> {
    let mut found = false;
    for place in &places {
        found |= delete(ctx, subject, place).await?;
    }
    if found {
        return Ok(());
    }
    for place in usual_places(ctx, subject) {
        if !places.contains(&place) && is_connected(ctx, &place) {
            delete(ctx, subject, &place).await?;
        }
    }
    Ok(())
}

/// Deletes the API in one place; whether there is nothing more to look for.
async fn delete(ctx: &Context, subject: &Subject, place: &Place) -> Result<bool, Step> {
    let Some(connection) = ctx.instances.connection(&place.instance) else {
        let mut message = format!(
            "API {} cannot be deleted: instance `{}` is not connected. Restore it, or set the annotation \
             apim.oda.tmforum.org/deletion-policy to Retain to let the object go without it",
            place.api_id, place.instance
        );
        for trouble in ctx.instances.troubles() {
            message.push('\n');
            message.push_str(&trouble);
        }
        return Err(Step::Failed {
            reason: Reason::InstanceUnavailable,
            class: ErrorClass::Transient,
            message,
        });
    };
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    let mut found = true;
    let left = leftovers::of(ctx, subject, place);
    let deleted = connection
        .applier
        .delete_whole(&place.api_id, mark.as_str(), left)
        .await;
    if deleted.is_ok() {
        moves::without_backends(ctx, &connection, &place.instance, &mark).await?;
    }
    let note = match deleted {
        Ok(Deleted::Gone) => format!(
            "API {} was deleted in instance {}",
            place.api_id, place.instance
        ),
        Ok(Deleted::WasAbsent) => return Ok(false),
        Ok(Deleted::ServiceAbsent) => {
            format!("instance {} does not exist any more", place.instance)
        }
        Ok(Deleted::NotOurs { whose }) => {
            found = false;
            let whose = whose.map_or_else(
                || "it carries no mark".to_owned(),
                |whose| format!("its mark is `{whose}`"),
            );
            format!(
                "API {} in instance {} is not this object's ({whose}) and was left alone",
                place.api_id, place.instance
            )
        }
        Err(error) => {
            let Step::Failed {
                reason,
                class,
                message,
            } = publish::failed(&error)
            else {
                return Ok(true);
            };
            let message = format!(
                "API {} could not be deleted: {message}. To let the object go without it, set the annotation \
                 apim.oda.tmforum.org/deletion-policy to Retain",
                place.api_id
            );
            // An object that is being deleted is never given up.
            let class = if class == ErrorClass::Invalid {
                ErrorClass::Transient
            } else {
                class
            };
            return Err(Step::Failed {
                reason,
                class,
                message,
            });
        }
    };
    ctx.events.publish(
        &subject.reference(),
        EventKind::Normal,
        "Deleted",
        "Delete",
        &note,
    );
    Ok(found)
}

async fn release(ctx: &Context, subject: &Subject) -> Result<(), Error> {
    let rest: Vec<String> = subject
        .finalizers
        .iter()
        .filter(|name| *name != FINALIZER)
        .cloned()
        .collect();
    ctx.metrics.kube_write("ExposedAPI");
    match ctx
        .exposed
        .set_finalizers(&subject.key, &rest, subject.resource_version.as_deref())
        .await
    {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Takes the object's entry out of its Component's status. The Component is
/// somebody else's: what cannot be done there holds nothing up.
async fn leave_component(ctx: &Context, subject: &Subject) {
    let Some(component) = &subject.component else {
        return;
    };
    let left = ctx
        .components
        .remove(&subject.key, component, &subject.meta.uid);
    if let Err(error) = left.await {
        tracing::warn!(
            component,
            "the entry of this API stays in the status of its Component: {error}"
        );
    }
}

fn forget(ctx: &Context, subject: &Subject) {
    ctx.components.forget(&subject.key);
    ctx.memory.forget(&subject.key);
    ctx.world.exposed_api_gone(&subject.key);
}
