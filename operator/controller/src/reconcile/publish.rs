//! Step: apply to API Management, and what is known to be there.

use async_trait::async_trait;
use operator_apim::apply::Failure;
use operator_apim::{Applier, ApplyError, Deleted, Follow, Progress, Silent};
use operator_core::apim::{
    self, AppliedRecord, Membership, Memberships, Move, PartStates, PlanError, PlanSummary,
    Published,
};
use operator_core::class::ErrorClass;
use operator_core::desired::{Desired, DesiredApi};
use operator_core::exposure::ExposureFacts;
use operator_core::mark::OwnershipMark;
use operator_core::names::{InstanceName, ProductId};
use operator_core::status::Step;
use operator_core::status::reasons::Reason;
use operator_core::validate::ValidatedApi;

use super::claim::Claim;
use super::leftovers;
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

/// Tells the log of each step, and status of an import that runs.
struct Told<'a> {
    ctx: &'a Context,
    subject: &'a Subject,
    validated: &'a ValidatedApi,
    desired: &'a Desired,
    stages: &'a Stages,
    facts: &'a ExposureFacts,
    trace: &'a str,
}

#[async_trait]
impl Follow for Told<'_> {
    fn step(&self, progress: Progress<'_>) {
        tracing::info!(
            correlation = self.trace,
            "{} of {}: {}",
            progress.number,
            progress.of,
            progress.step.describe()
        );
    }

    async fn accepted(&self, record: &AppliedRecord) {
        let claim = Claim {
            record: Some(record.clone()),
            believed: true,
        };
        self.ctx
            .memory
            .confirm(&self.subject.key, claim.record.clone());
        let told = report::progressing(
            self.ctx,
            self.subject,
            self.validated,
            self.desired,
            &claim,
            self.stages,
            self.facts,
        );
        // Without it, a restart before the end imports once more.
        if let Err(error) = told.await {
            tracing::warn!(%error, "the import that runs could not be written down");
        }
    }
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

/// What a change of instance or id means for the claim: a move begins with a
/// record that names both places; another id in one instance is refused, if
/// what the record names is the object's. Whoever may write status can name
/// anything there.
async fn moved(ctx: &Context, claim: &mut Claim, published: Published<'_>) -> Option<Step> {
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
fn moved_on(
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
async fn left(ctx: &Context, subject: &Subject, desired: &Desired, claim: &mut Claim) -> Step {
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
async fn withdraw(ctx: &Context, subject: &Subject, claim: &mut Claim) -> Step {
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

/// What changed in the products of an API, for people.
fn products_changed(before: &Memberships, now: &Memberships) -> Vec<String> {
    let listed = |these: &Memberships, those: &Memberships| {
        let only = these.keys().filter(|product| !those.contains_key(*product));
        only.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let entered = Some(listed(now, before)).filter(|all| !all.is_empty());
    let left = Some(listed(before, now)).filter(|all| !all.is_empty());
    entered
        .map(|all| format!("put into product {all}"))
        .into_iter()
        .chain(left.map(|all| format!("taken out of product {all}")))
        .collect()
}

/// What changed in the tags and diagnostics of an API, for people.
fn parts_changed(before: &PartStates, now: &PartStates) -> Vec<String> {
    let written = now
        .iter()
        .filter(|(id, state)| before.get(*id) != Some(*state));
    let removed = before.keys().filter(|id| !now.contains_key(*id));
    written
        .map(|(id, _)| format!("{id} written"))
        .chain(removed.map(|id| format!("{id} removed")))
        .collect()
}

/// What was done, for people.
fn describe(
    published: Published<'_>,
    now: &AppliedRecord,
    before: &AppliedRecord,
    first: bool,
) -> String {
    let place = format!(
        "API {} in instance {}",
        published.api.id, published.instance
    );
    let operations = now
        .operations
        .map(|count| format!(" with {count} operations"))
        .unwrap_or_default();
    if first || before.spec_hash.is_none() && before.policy_hash.is_none() {
        return format!("published {place}{operations}");
    }
    if let Some(revision) = now.rolled_back {
        return format!("{place}: callers were led back to revision {revision}");
    }
    let mut changes = Vec::new();
    if let (Some(from), Some(to)) = (&before.api_revision, &now.api_revision)
        && from != to
    {
        changes.push(format!("revision {to} released in the place of {from}"));
    }
    if now.spec_hash != before.spec_hash {
        changes.push(format!("OpenAPI document imported{operations}"));
    }
    if now.policy_hash != before.policy_hash || now.operation_policies != before.operation_policies
    {
        changes.push("policy replaced".to_owned());
    }
    if now.settings_hash != before.settings_hash {
        changes.push("settings changed".to_owned());
    }
    changes.extend(products_changed(&before.products, &now.products));
    changes.extend(parts_changed(&before.parts, &now.parts));
    if changes.is_empty() {
        changes.push("put right".to_owned());
    }
    format!("{place}: {}", changes.join(", "))
}
