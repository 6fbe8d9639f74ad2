//! APIs that move: to another instance, to another path, or out of API
//! Management. What is new comes first; what was before goes when that is in
//! place.

use operator_apim::Deleted;
use operator_core::apim::{self, AppliedRecord, Move, Published};
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::mark::OwnershipMark;
use operator_core::names::InstanceName;
use operator_core::status::Step;
use operator_core::status::reasons::Reason;

use super::claim::Claim;
use super::publish::{failed, unavailable};
use super::subject::Subject;
use super::{Context, leftovers};
use crate::events::EventKind;
use crate::instances::Connection;

/// What a change of instance or id means for the claim: a move begins with a
/// record that names both places; another id in one instance is refused, if
/// what the record names is the object's. Whoever may write status can name
/// anything there.
pub(super) async fn moved(
    ctx: &Context,
    claim: &mut Claim,
    published: Published<'_>,
) -> Option<Step> {
    let record = claim.record.as_ref()?;
    match record.moves(published) {
        Move::Stay => None,
        // What is left is believed from anybody: nothing is deleted there that
        // does not carry the object's mark.
        Move::Leave(on_the_way) => {
            *claim = Claim {
                record: Some(*on_the_way),
                believed: true,
            };
            None
        }
        Move::Refused(anew) => {
            let Some(reader) = ctx.instances.reader(published.instance) else {
                return Some(unavailable(ctx));
            };
            let mark = &published.api.mark;
            match reader.carries(record.api_id.as_str(), mark).await {
                Ok(false) => {
                    *claim = Claim {
                        record: Some(*anew),
                        believed: false,
                    };
                    None
                }
                Ok(true) => Some(Step::Failed {
                    reason: Reason::Conflict,
                    class: ErrorClass::Invalid,
                    message: format!(
                        "the API is published as `{}` in instance `{}`, and would become `{}` there; API Management \
                         lets no two APIs hold one path, so that is not done while it is published: set the \
                         annotation back, or delete the object and make it anew",
                        record.api_id, record.instance, published.api.id
                    ),
                }),
                Err(error) => Some(Step::failed(error.class, error.to_string())),
            }
        }
    }
}

/// Asks those to look again who may have a path now, since the API left it, or
/// shares it as one of several versions.
pub(super) fn moved_on(
    ctx: &Context,
    subject: &Subject,
    before_path: Option<&str>,
    before: &AppliedRecord,
    claim: &Claim,
) {
    if let Some(now) = &claim.record
        && let Some(path) = &now.path
        && !leftovers::sets(&before.parts).eq(leftovers::sets(&now.parts))
    {
        call_others(ctx, subject, path);
    }
    if let Some(path) = before_path {
        freed(ctx, subject, path, claim);
    }
}

/// Asks those to look again who wait for a path that the API held before.
fn freed(ctx: &Context, subject: &Subject, path: &str, claim: &Claim) {
    let now = claim
        .record
        .as_ref()
        .and_then(|record| record.path.as_deref());
    if now.is_some_and(|now| apim::same_path(now, path)) {
        return;
    }
    call_others(ctx, subject, path);
}

/// Asks those to look again who ask for a path: it went, or can be shared now.
fn call_others(ctx: &Context, subject: &Subject, path: &str) {
    for (other, _) in ctx.paths.at(path) {
        if other != subject.key {
            ctx.triggers.one(other, "Path");
        }
    }
}

/// Takes the API away from where it was before a move, and says which secrets
/// of profiles it uses from now on.
pub(super) async fn left(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    claim: &mut Claim,
) -> Step {
    let step = leave(ctx, subject, claim).await;
    if let (Step::Done, Some(instance)) = (&step, &desired.instance) {
        ctx.named_values
            .settled(&subject.key, instance, &desired.named_values);
        if let Ok(published) = Published::of(desired) {
            ctx.backends.settled(published, desired);
        }
    }
    step
}

/// Takes the API away from where it was before a move, now that it is in place
/// where it belongs. Until that has been done, the record names both.
async fn leave(ctx: &Context, subject: &Subject, claim: &mut Claim) -> Step {
    #[cfg(feature = "defects")]
    if operator_apim::defects::is_on(operator_apim::defects::Defect::ForgetsWhereItWas)
        && let Some(record) = &mut claim.record
    {
        record.leaving.clear();
    }
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    while let Some(record) = &claim.record
        && let Some(place) = record.leaving.first().cloned()
    {
        let Some(connection) = ctx.instances.connection(&place.instance) else {
            return Step::Failed {
                reason: Reason::InstanceUnavailable,
                class: ErrorClass::Transient,
                message: format!(
                    "the API is in place in instance `{}`, but could not be deleted where it was: instance `{}` \
                     is not connected. Restore that ApimInstance",
                    record.instance, place.instance
                ),
            };
        };
        let deleted = connection
            .applier
            .delete_whole(
                &place.api_id,
                mark.as_str(),
                leftovers::of(ctx, subject, &place),
            )
            .await;
        if let Err(error) = deleted {
            let message = format!(
                "the API is in place in instance `{}`, but could not be deleted in instance `{}`, where it was: {error}",
                record.instance, place.instance
            );
            return Step::failed(error.class(), message);
        }
        if let Err(step) = without_backends(ctx, &connection, &place.instance, &mark).await {
            return step;
        }
        let note = format!(
            "API {} is in place in instance {} and was deleted in instance {}",
            record.api_id, record.instance, place.instance
        );
        ctx.events.publish(
            &subject.reference(),
            EventKind::Normal,
            "Moved",
            "Publish",
            &note,
        );
        if let Some(record) = &mut claim.record {
            record.leaving.retain(|left| *left != place);
        }
        ctx.memory.confirm(&subject.key, claim.record.clone());
    }
    Step::Done
}

/// Deletes the backends of an API that is gone.
pub(super) async fn without_backends(
    ctx: &Context,
    connection: &Connection,
    instance: &InstanceName,
    mark: &OwnershipMark,
) -> Result<(), Step> {
    let client = connection.applier.client();
    let removed = ctx.backends.remove(instance, client, mark.as_str()).await;
    removed.map_err(|error| {
        let message =
            format!("its backends in instance `{instance}` could not be deleted: {error}");
        Step::failed(error.class, message)
    })
}

/// Takes an API out of API Management that does not belong there any more.
pub(super) async fn withdraw(ctx: &Context, subject: &Subject, claim: &mut Claim) -> Step {
    let Some(record) = claim.record.clone() else {
        return Step::NotNeeded;
    };
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    for place in record.places() {
        let Some(connection) = ctx.instances.connection(&place.instance) else {
            return unavailable(ctx);
        };
        match connection
            .applier
            .delete_whole(
                &place.api_id,
                mark.as_str(),
                leftovers::of(ctx, subject, &place),
            )
            .await
        {
            Ok(Deleted::Gone) => {
                let note = format!(
                    "API {} was deleted in instance {}",
                    place.api_id, place.instance
                );
                ctx.events.publish(
                    &subject.reference(),
                    EventKind::Normal,
                    "Withdrawn",
                    "Withdraw",
                    &note,
                );
            }
            Ok(_) => {}
            Err(error) => return failed(&error),
        }
        if let Err(step) = without_backends(ctx, &connection, &place.instance, &mark).await {
            return step;
        }
    }
    ctx.named_values.gone(&subject.key);
    ctx.memory.confirm(&subject.key, None);
    *claim = Claim::default();
    if let Some(path) = &record.path {
        freed(ctx, subject, path, claim);
    }
    Step::NotNeeded
}
