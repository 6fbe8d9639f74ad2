//! Step: apply to API Management, and what is known to be there.

use operator_apim::apply::Failure;
use operator_apim::{Applier, ApplyError, Silent};
use operator_core::apim::{
    self, AppliedRecord, Membership, Memberships, Move, PlanError, PlanSummary, Published,
};
use operator_core::class::ErrorClass;
use operator_core::desired::{Desired, DesiredApi};
use operator_core::exposure::ExposureFacts;
use operator_core::names::{InstanceName, ProductId};
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use operator_core::validate::ValidatedApi;

use super::claim::Claim;
use super::moves::{left, moved, moved_on, withdraw};
use super::progress::{Told, describe};
use super::subject::Subject;
use super::{Context, Error, Stages, input_hash, report};
use crate::events::EventKind;
use crate::instances::Connection;

/// The state of a paused object's exposure.
pub(super) fn paused_exposure(desired: &Desired) -> Step {
    match desired.exposure.object() {
        Some(_) => Step::Done,
        None => Step::NotNeeded,
    }
}

/// The state of a paused object in API Management.
pub(super) fn paused(desired: &Desired, claim: &Claim) -> Step {
    if desired.api.is_none() {
        return Step::NotNeeded;
    }
    let covered = Published::of(desired).is_ok_and(|published| {
        claim.believed && apim::reads(published, claim.record.as_ref()).is_none()
    });
    if covered { Step::Done } else { Step::Pending }
}

/// What would be written for a paused object; nothing where that cannot be
/// found out now. Only reads.
pub(super) async fn planned(
    ctx: &Context,
    desired: &Desired,
    claim: &Claim,
) -> Option<PlanSummary> {
    let published = Published::of(desired).ok()?;
    let reader = ctx.instances.reader(published.instance)?;
    let mut record = claim.record.clone();
    if let Some(known) = record.as_ref().filter(|_| !claim.believed) {
        record = Some(reader.confirm(desired, known).await.ok()?);
    }
    match reader.review(desired, record.as_ref()).await {
        Ok(review) => Some(PlanSummary {
            writes: review.calls.len(),
            changes: review.changes.count(),
            summary: review.changes.summary(),
        }),
        Err(failure) => {
            tracing::debug!(%failure, "the plan of a paused object could not be made");
            None
        }
    }
}

/// The instance that would have to be called now; none where nobody is.
pub(super) fn place(desired: &Desired, claim: &Claim, stages: &Stages) -> Option<InstanceName> {
    if desired.api.is_none() {
        return claim.record.as_ref().map(|record| record.instance.clone());
    }
    let built =
        matches!(stages.exposure, Step::Done | Step::NotNeeded) && stages.policy == Step::Done;
    let published = Published::of(desired).ok().filter(|_| built)?;
    let known = claim.believed && apim::reads(published, claim.record.as_ref()).is_none();
    (!known).then(|| published.instance.clone())
}

/// The instance that will have to be called once the exposure has an address;
/// none where that is not what is missing.
pub(super) fn awaits_address<'a>(
    desired: &'a Desired,
    stages: &Stages,
) -> Option<&'a InstanceName> {
    let ready = stages.exposure == Step::Done && stages.policy == Step::Done;
    let missing = matches!(Published::of(desired), Err(PlanError::NoServiceUrl));
    desired.instance.as_ref().filter(|_| ready && missing)
}

/// Brings API Management to the desired state.
pub(super) async fn publish(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &mut Claim,
    stages: &Stages,
    facts: &ExposureFacts,
) -> Result<Step, Error> {
    let Some(instance) = desired.instance.as_ref().filter(|_| desired.api.is_some()) else {
        return Ok(withdraw(ctx, subject, claim).await);
    };
    if !matches!(stages.exposure, Step::Done | Step::NotNeeded) || stages.policy != Step::Done {
        return Ok(Step::Pending);
    }
    let published = match Published::of(desired) {
        Ok(published) => published,
        // The exposure says what is missing.
        Err(PlanError::NoServiceUrl) => return Ok(Step::Pending),
        Err(error) => return Ok(Step::failed(ErrorClass::Invalid, error.to_string())),
    };
    if let Some(step) = moved(ctx, claim, published).await {
        return Ok(step);
    }
    let before_path = claim.record.as_ref().and_then(|record| record.path.clone());
    let Some(connection) = ctx.instances.connection(instance) else {
        return Ok(unavailable(ctx));
    };
    let input = input_hash(desired, validated.annotations().retry.as_deref());
    note_made(ctx, subject, published, &connection);
    if let Some((_, failure)) = ctx.memory.waits(&subject.key, &input) {
        return Ok(failure);
    }
    let trace = uuid::Uuid::new_v4().to_string();
    let applier = connection.applier.with_correlation(&trace);
    if let Err(error) = confirm(&applier, desired, claim).await {
        return Ok(failed(&error));
    }
    if let Err(step) = backends(ctx, subject, &applier, desired).await {
        return Ok(step);
    }
    let mandatory = validated.chain().mandatory_hash();
    if apim::reads(published, claim.record.as_ref()).is_none() {
        if let Some(record) = &mut claim.record {
            record.mandatory_hash = mandatory;
        }
        ctx.memory.confirm(&subject.key, claim.record.clone());
        ctx.named_values
            .keep(&subject.key, instance, &desired.named_values);
        return Ok(left(ctx, subject, desired, claim).await);
    }
    if let Err(step) = named_values(ctx, subject, &applier, desired).await {
        return Ok(step);
    }
    // What is about to change is no longer known, should this process die now;
    // and who reads status sees the URL before the first call can arrive.
    let before = AppliedRecord::of(claim.record.as_ref(), published);
    let first = claim.record.is_none();
    claim.record = Some(before.clone().certain(published));
    claim.believed = true;
    report::progressing(ctx, subject, validated, desired, claim, stages, facts).await?;
    let follow = Told {
        ctx,
        subject,
        validated,
        desired,
        stages,
        facts,
        trace: &trace,
    };
    ctx.drift.busy(&subject.key);
    match applier.apply(desired, Some(&before), &follow).await {
        Ok(mut done) => {
            done.record.mandatory_hash = mandatory;
            let all = done.writes.planned + done.writes.repairs;
            ctx.drift
                .wrote(&subject.key, std::mem::take(&mut done.etags), all);
            ctx.memory.confirm(&subject.key, Some(done.record.clone()));
            if all > 0 {
                synced(
                    ctx,
                    subject,
                    &describe(published, &done.record, &before, first),
                );
            }
            claim.record = Some(done.record);
            moved_on(ctx, subject, before_path.as_deref(), &before, claim);
            Ok(left(ctx, subject, desired, claim).await)
        }
        Err(error) => {
            if error.class() == ErrorClass::Waiting {
                // Somebody may have deleted one.
                ctx.named_values.doubt(instance, &desired.named_values);
                ctx.backends.doubt(instance, desired);
            }
            if let Some(record) = &error.record {
                ctx.memory.confirm(&subject.key, Some(record.clone()));
                claim.record = Some(record.clone());
            }
            tracing::warn!(
                correlation = trace,
                class = error.class().label(),
                "{error}"
            );
            Ok(failed(&error))
        }
    }
}

/// The backends that a policy names come before it.
async fn backends(
    ctx: &Context,
    subject: &Subject,
    applier: &Applier,
    desired: &Desired,
) -> Result<(), Step> {
    let Ok(published) = Published::of(desired) else {
        return Ok(());
    };
    let about = subject.reference();
    let ensured = ctx
        .backends
        .ensure(&about, applier.client(), published, desired);
    ensured.await
}

/// The named values that a policy names come before it.
async fn named_values(
    ctx: &Context,
    subject: &Subject,
    applier: &Applier,
    desired: &Desired,
) -> Result<(), Step> {
    let (named, values) = (&ctx.named_values, &desired.named_values);
    let Some(instance) = &desired.instance else {
        return Ok(());
    };
    let ensured = named.ensure(&subject.key, instance, applier.client(), values);
    ensured.await
}

/// What was made since the last attempt need not be waited for any longer.
fn note_made(ctx: &Context, subject: &Subject, published: Published<'_>, connection: &Connection) {
    let (provider, since) = &connection.provider;
    ctx.memory.made(&subject.key, provider, *since);
    for product in &published.api.products {
        if let Some(since) = ctx.made.at(published.instance, product) {
            let what = format!("product `{product}`");
            ctx.memory.made(&subject.key, &what, since);
        }
    }
}

/// What somebody else could have written is believed as far as reads bear it
/// out.
async fn confirm(
    applier: &Applier,
    desired: &Desired,
    claim: &mut Claim,
) -> Result<(), ApplyError> {
    if let Some(record) = claim.record.as_ref().filter(|_| !claim.believed) {
        *claim = Claim {
            record: Some(applier.confirm(desired, record).await?),
            believed: true,
        };
    }
    Ok(())
}

/// Tells of what was written.
fn synced(ctx: &Context, subject: &Subject, note: &str) {
    let object = subject.reference();
    let events = &ctx.events;
    events.publish(&object, EventKind::Normal, "Synced", "Publish", note);
}

/// Writes the policy of a paused object, and nothing else, when what the
/// platform made mandatory has changed since it was published.
pub(super) async fn follow_mandatory(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &mut Claim,
) -> Option<Step> {
    let mandatory = validated.chain().mandatory_hash();
    let published = Published::of(desired).ok()?;
    let record = claim.record.clone().filter(|_| claim.believed)?;
    if record.mandatory_hash == mandatory || record.moves(published) != Move::Stay {
        return None;
    }
    let connection = ctx.instances.connection(published.instance)?;
    let input = input_hash(desired, validated.annotations().retry.as_deref());
    if let Some((_, failure)) = ctx.memory.waits(&subject.key, &input) {
        return Some(failure);
    }
    let (named, values) = (&ctx.named_values, &desired.named_values);
    let client = connection.applier.client();
    let ensured = named.ensure(&subject.key, published.instance, client, values);
    if let Err(step) = ensured.await {
        return Some(step);
    }
    if let Err(step) = backends(ctx, subject, &connection.applier, desired).await {
        return Some(step);
    }
    // As if all but the policy were in place already.
    let api = published.api;
    let pretended = AppliedRecord {
        spec_hash: Some(api.document.hash),
        settings_hash: Some(apim::settings_hash(api)),
        products: pretended_products(api),
        parts: apim::parts::all(&api.parts),
        pending_import: None,
        ..record.clone()
    };
    let applied = connection
        .applier
        .apply(desired, Some(&pretended), &Silent)
        .await;
    let (now, step) = match applied {
        Ok(done) => (Some(done.record), Step::Done),
        Err(error) => (error.record.clone(), failed(&error)),
    };
    if let Some(now) = now {
        let now = AppliedRecord {
            spec_hash: record.spec_hash,
            settings_hash: record.settings_hash,
            products: record.products,
            parts: record.parts,
            operations: record.operations,
            pending_import: record.pending_import,
            mandatory_hash: if step == Step::Done {
                mandatory
            } else {
                record.mandatory_hash
            },
            ..now
        };
        ctx.memory.confirm(&subject.key, Some(now.clone()));
        claim.record = Some(now);
    }
    if step == Step::Done {
        named.settled(&subject.key, published.instance, values);
        synced(
            ctx,
            subject,
            "what the platform made mandatory has changed: the policy was replaced although the object is paused",
        );
        return None;
    }
    Some(step)
}

/// Reads back what was written: of the first APIs that a new version of a
/// plugin reaches, more is known than that Azure took the policy.
pub(super) async fn read_back(ctx: &Context, desired: &Desired, claim: &Claim) -> Step {
    let Ok(published) = Published::of(desired) else {
        return Step::Done;
    };
    let (Some(record), Some(connection)) =
        (&claim.record, ctx.instances.connection(published.instance))
    else {
        return Step::Done;
    };
    match connection.applier.confirm(desired, record).await {
        Ok(confirmed) if apim::reads(published, Some(&confirmed)).is_none() => Step::Done,
        Ok(_) => Step::failed(
            ErrorClass::Invalid,
            "API Management took the policy, but reading it back gives another one",
        ),
        Err(error) => failed(&error),
    }
}

/// The instance cannot be used now; its connecting triggers the next attempt.
pub(super) fn unavailable(ctx: &Context) -> Step {
    let troubles = ctx.instances.troubles();
    let message = if troubles.is_empty() {
        "the instance is being connected".to_owned()
    } else {
        troubles.join("\n")
    };
    Step::Failed {
        reason: Reason::InstanceUnavailable,
        class: ErrorClass::Waiting,
        message,
    }
}

/// What a failed call means for status.
pub(super) fn failed(error: &ApplyError) -> Step {
    let class = error.class();
    match &error.failure {
        Failure::Plan(
            PlanError::NotOurs { .. }
            | PlanError::OtherObjects { .. }
            | PlanError::NotEqual { .. }
            | PlanError::SetNotOurs { .. }
            | PlanError::PageNotOurs { .. },
        ) => Step::Failed {
            reason: Reason::NotOurs,
            class,
            message: error.to_string(),
        },
        Failure::Plan(PlanError::PathTaken { .. }) => Step::Failed {
            reason: Reason::PathConflict,
            class,
            message: error.to_string(),
        },
        Failure::Arm(arm) if class == ErrorClass::Waiting => {
            let message = match &arm.missing {
                Some(missing) => format!("waits for {missing}: {error}"),
                None => error.to_string(),
            };
            Step::Failed {
                reason: Reason::WaitingForDependency,
                class,
                message,
            }
        }
        Failure::Plan(_) | Failure::Arm(_) | Failure::Cancelled => {
            Step::failed(class, error.to_string())
        }
    }
}

/// All products that are wanted, as if the API were in them.
fn pretended_products(api: &DesiredApi) -> Memberships {
    let known = |product: &ProductId| (product.clone(), Membership::Known);
    api.products.iter().map(known).collect()
}
