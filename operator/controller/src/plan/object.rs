//! The plan of one object: the steps of the reconcile up to the first write.

use std::sync::Arc;

use operator_apim::ArmError;
use operator_apim::apply::Failure;
use operator_core::annotations::{self, DeletionPolicy};
use operator_core::apim::{AppliedRecord, ArmCall, Move, Place, PlanError, Published};
use operator_core::build::build;
use operator_core::class::ErrorClass;
use operator_core::desired::Desired;
use operator_core::mark::OwnershipMark;
use operator_core::protection;
use operator_core::status::reasons::Reason;
use operator_core::status::{Step, summary};
use operator_core::validate::validate;

use super::{KubeCall, ObjectPlan, PlanResult, ingress};
use crate::reconcile::subject::Subject;
use crate::reconcile::{Claim, Context, claim, dereference, exposure, leftovers};

/// What stands for the address of an Ingress that has none yet.
const NO_ADDRESS: &str = "http://address-of-the-ingress.invalid";

/// The plan of an object as it is now.
pub(super) async fn plan(ctx: &Context, subject: &Subject) -> ObjectPlan {
    let plan = ObjectPlan::new(subject);
    if subject.meta.deleting {
        return match deletion(ctx, subject, plan.clone()).await {
            Ok(plan) => plan,
            Err(error) => plan.without(PlanResult::Failed, Reason::Failed, error.to_string()),
        };
    }
    match Box::pin(change(ctx, subject, plan.clone())).await {
        Ok(plan) => plan,
        Err(error) => plan.without(PlanResult::Failed, Reason::Failed, error.to_string()),
    }
}

async fn change(
    ctx: &Context,
    subject: &Subject,
    mut plan: ObjectPlan,
) -> Result<ObjectPlan, crate::reconcile::Error> {
    let mut claim = claim(ctx, subject);
    let view = ctx.plugins.registry().view(&subject.key);
    let mut seat = ctx.seats.sit().await;
    let mut input = dereference(ctx, subject, &mut claim, &view.catalog, &mut seat).await?;
    if let Some(instance) = input.inquiry.instance() {
        plan.instance = Some(instance.name.to_string());
    }
    input.exposure.assumed_origin = Some(NO_ADDRESS.to_owned());
    let validated =
        match tokio::task::spawn_blocking(move || validate(&input)).await? {
            Ok(validated) => validated,
            Err(rejection) => {
                let result = match rejection.class {
                    ErrorClass::Invalid => PlanResult::Refused,
                    ErrorClass::Waiting => PlanResult::Waiting,
                    _ => PlanResult::Failed,
                };
                let mut problems = rejection.problems.clone();
                if matches!(
                    rejection.reason,
                    Reason::NoInstance | Reason::InstanceUnavailable
                ) {
                    problems.extend(ctx.instances.troubles().into_iter().map(|trouble| {
                        operator_core::problem::Problem::new("ApimInstance", trouble)
                    }));
                }
                return Ok(plan.without(result, rejection.reason, summary(&problems)));
            }
        };
    let mut desired = build(&validated);
    plan.api_id = desired.api.as_ref().map(|api| api.id.to_string());
    if desired.api.is_some() {
        let plugins = Arc::clone(&ctx.plugins);
        let (given, snapshot) = (validated.clone(), desired.clone());
        match tokio::task::spawn_blocking(move || plugins.render(&given, &snapshot)).await? {
            Ok(rendered) => {
                desired.take(rendered);
                if let Step::Failed {
                    reason, message, ..
                } = ctx.named_values.check(&mut desired)
                {
                    return Ok(plan.without(PlanResult::Refused, reason, message));
                }
            }
            Err(error) => {
                let problems = summary(&error.problems);
                return Ok(plan.without(PlanResult::Refused, Reason::InvalidPolicy, problems));
            }
        }
    }
    plan.warnings = desired.warnings.iter().map(ToString::to_string).collect();
    if !subject.is_held() {
        plan.kubernetes.push(KubeCall {
            verb: "change",
            resource: "finalizers of the ExposedAPI".to_owned(),
            changes: Vec::new(),
        });
    }
    match azure(ctx, subject, &desired, claim.clone(), &mut plan).await {
        Ok(()) => {}
        Err(Stop::Failure(failure)) => return Ok(refused(plan, &failure)),
        Err(Stop::Refused(result, reason, message)) => {
            return Ok(plan.without(result, reason, message));
        }
    }
    if let Some(object) = desired.exposure.object() {
        let address = format!("http://<address that the {} will get>", object.kind().kind);
        for field in &mut plan.changes.settings {
            if let Some(to) = field.to.as_mut().filter(|to| to.contains(NO_ADDRESS)) {
                *to = to.replace(NO_ADDRESS, &address);
            }
        }
    }
    kubernetes(ctx, subject, &desired, &claim, &mut plan);
    if validated.annotations().paused {
        plan.message = Some("the object is paused: none of this is done".to_owned());
    }
    if !(plan.kubernetes.is_empty() && plan.azure.is_empty()) {
        plan.result = PlanResult::Change;
    }
    Ok(plan)
}

/// Why there is no plan of the writes to Azure.
enum Stop {
    Failure(Failure),
    Refused(PlanResult, Reason, String),
}

impl From<ArmError> for Stop {
    fn from(error: ArmError) -> Self {
        Self::Failure(error.into())
    }
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        Self::Failure(error.into())
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The writes to Azure.
async fn azure(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    claim: Claim,
    plan: &mut ObjectPlan,
) -> Result<(), Stop> {
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    let mark = mark.as_str();
    let Some(instance) = desired.instance.as_ref().filter(|_| desired.api.is_some()) else {
        // It is not published any more.
        for place in claim.record.iter().flat_map(AppliedRecord::places) {
            plan.azure.extend(removal(ctx, subject, &place).await?);
        }
        return Ok(());
    };
    let published = Published::of(desired)?;
    let Some(reader) = ctx.instances.reader(instance) else {
        return Ok(());
    };
    plan.azure
        .extend(ctx.named_values.planned(&reader, desired).await?);
    match ctx.backends.planned(&reader, instance, desired).await? {
        Ok(calls) => plan.azure.extend(calls),
        Err(Step::Failed {
            reason, message, ..
        }) => {
            let result = match reason {
                Reason::WaitingForDependency => PlanResult::Waiting,
                _ => PlanResult::Refused,
            };
            return Err(Stop::Refused(result, reason, message));
        }
        Err(_) => {}
    }
    let Claim {
        mut record,
        mut believed,
    } = claim;
    let mut leaving = Vec::new();
    if let Some(known) = &record {
        match known.moves(published) {
            Move::Stay => leaving.clone_from(&known.leaving),
            Move::Leave(on_the_way) => {
                leaving.clone_from(&on_the_way.leaving);
                record = Some(*on_the_way);
            }
            Move::Refused(anew) => {
                let (id, mark) = (known.api_id.as_str(), &published.api.mark);
                if reader.carries(id, mark).await? {
                    let message = format!(
                        "the API is published as `{id}`, and its id is not changed while it is"
                    );
                    return Err(Stop::Refused(
                        PlanResult::Refused,
                        Reason::Conflict,
                        message,
                    ));
                }
                record = Some(*anew);
                believed = false;
            }
        }
    }
    if let Some(known) = record.as_ref().filter(|_| !believed) {
        record = Some(reader.confirm(desired, known).await?);
    }
    let review = reader.review(desired, record.as_ref()).await?;
    plan.azure.extend(review.calls);
    plan.changes = review.changes;
    for place in &leaving {
        plan.azure.extend(removal(ctx, subject, place).await?);
    }
    let backends = ctx
        .backends
        .leaving(&reader, instance, mark, &desired.backends);
    plan.azure.extend(backends.await?);
    Ok(())
}

/// What takes the API away in one place, with all that it has there.
async fn removal(
    ctx: &Context,
    subject: &Subject,
    place: &Place,
) -> Result<Vec<ArmCall>, ArmError> {
    let Some(reader) = ctx.instances.reader(&place.instance) else {
        // What it has is not known; that it goes is.
        return Ok(vec![ArmCall {
            method: "DELETE",
            resource: format!("apis/{}", place.api_id),
            purpose: format!("delete the API in instance {}", place.instance),
        }]);
    };
    let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
    let mark = mark.as_str();
    let left = leftovers::of(ctx, subject, place);
    let deletion = reader.plan_deletion(&place.api_id, mark, &left);
    let mut calls = deletion.await?;
    let leaving = ctx.backends.leaving(&reader, &place.instance, mark, &[]);
    calls.extend(leaving.await?);
    Ok(calls)
}

/// What takes the mark off an API that stays, and before that off its backends
/// and its page.
async fn release(
    ctx: &Context,
    subject: &Subject,
    place: &Place,
) -> Result<Vec<ArmCall>, ArmError> {
    let mut calls = Vec::new();
    if let Some(reader) = ctx.instances.reader(&place.instance) {
        let mark = OwnershipMark::new(&ctx.cluster, &subject.key);
        let leaving = ctx
            .backends
            .leaving(&reader, &place.instance, mark.as_str(), &[]);
        calls.extend(leaving.await?.into_iter().map(|call| ArmCall {
            method: "PATCH",
            purpose: "take the object's mark off the backend, which stays with the API".to_owned(),
            ..call
        }));
        let has_page = leftovers::of(ctx, subject, place).page;
        if has_page
            && reader
                .page_to_drop(&place.api_id, mark.as_str())
                .await?
                .is_some()
        {
            calls.push(ArmCall {
                method: "PATCH",
                resource: format!("documentations/{}", place.api_id),
                purpose: "take the object's mark off the page of its wiki, which stays".to_owned(),
            });
        }
    }
    calls.push(ArmCall {
        method: "PATCH",
        resource: format!("apis/{}", place.api_id),
        purpose: "take the object's mark off the API, which stays".to_owned(),
    });
    Ok(calls)
}

/// The writes to Kubernetes.
fn kubernetes(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    claim: &Claim,
    plan: &mut ObjectPlan,
) {
    for (kind, wanted) in exposure::protections(subject, desired) {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let there = ctx.world.object(kind, &subject.key.namespace, name);
        plan.kubernetes
            .extend(ingress::change(there.as_ref(), &wanted));
    }
    if let Some(object) = desired.exposure.object() {
        let there = ctx
            .world
            .object(object.kind(), &subject.key.namespace, object.name());
        let wanted = exposure::wanted(ctx, subject, desired, object, claim);
        plan.kubernetes
            .extend(ingress::change(there.as_ref(), &wanted));
    }
    let unused = exposure::unused(ctx, subject, desired).into_iter();
    plan.kubernetes
        .extend(unused.map(|(kind, name)| ingress::removal(kind, &name)));
}

/// What is left to do for an object that is being deleted.
async fn deletion(
    ctx: &Context,
    subject: &Subject,
    mut plan: ObjectPlan,
) -> Result<ObjectPlan, ArmError> {
    if !subject.is_held() {
        return Ok(plan);
    }
    let (annotations, _) = annotations::read(&subject.meta.annotations);
    let claim = claim(ctx, subject);
    let retain = annotations.deletion_policy == DeletionPolicy::Retain;
    for place in claim.record.iter().flat_map(AppliedRecord::places) {
        plan.instance = Some(place.instance.to_string());
        plan.api_id = Some(place.api_id.to_string());
        plan.azure.extend(if retain {
            release(ctx, subject, &place).await?
        } else {
            removal(ctx, subject, &place).await?
        });
    }
    for kind in protection::kinds() {
        let made = exposure::made(ctx, subject, kind);
        plan.kubernetes
            .extend(made.map(|name| ingress::removal(kind, &name)));
    }
    plan.kubernetes.push(KubeCall {
        verb: "change",
        resource: "finalizers of the ExposedAPI".to_owned(),
        changes: Vec::new(),
    });
    plan.result = PlanResult::Change;
    plan.message = Some("the object is being deleted".to_owned());
    Ok(plan)
}

fn refused(plan: ObjectPlan, failure: &Failure) -> ObjectPlan {
    let (result, reason) = match failure {
        Failure::Plan(PlanError::PathTaken { .. }) => (PlanResult::Waiting, Reason::PathConflict),
        Failure::Plan(
            PlanError::NotOurs { .. }
            | PlanError::OtherObjects { .. }
            | PlanError::NotEqual { .. }
            | PlanError::SetNotOurs { .. }
            | PlanError::PageNotOurs { .. },
        ) => (PlanResult::Refused, Reason::NotOurs),
        Failure::Plan(_) => (PlanResult::Refused, Reason::Rejected),
        Failure::Arm(_) | Failure::Cancelled => (PlanResult::Failed, Reason::Failed),
    };
    plan.without(result, reason, failure.to_string())
}
