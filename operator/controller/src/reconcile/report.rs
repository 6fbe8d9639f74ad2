//! Step: report. The only code that writes status.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use operator_core::class::ErrorClass;
use operator_core::component::Publication;
use operator_core::desired::Desired;
use operator_core::exposure::ExposureFacts;
use operator_core::names::ContentHash;
use operator_core::problem::Problem;
use operator_core::retry::{Next, Outcome as Attempt};
use operator_core::status::reasons::{Reason, conditions::DRIFTED};
use operator_core::status::{Applied, DriftSeen, Observation, Outcome, Step, patch, status};
use operator_core::validate::{Rejection, ValidatedApi};
use serde_json::Value;

use super::claim::{APPLIED, Claim};
use super::facts::facts;
use super::subject::Subject;
use super::{Context, End, Error, Stages, input_hash, next};
use crate::component::Told as ComponentTold;
use crate::drift::Known;
use crate::events::EventKind;
use crate::memory::Annotation;
use crate::resource::StatusMode;

/// Says that the object was seen, where nothing says so yet: the Component's
/// operator reads `implementation.ready` without asking whether it is there.
pub(super) async fn seen(ctx: &Context, subject: &Subject) -> Result<(), Error> {
    let said = subject
        .status
        .as_ref()
        .is_some_and(|status| status.pointer("/implementation/ready").is_some());
    if said {
        return Ok(());
    }
    let facts = facts(ctx, subject);
    write(ctx, subject, Outcome::Seen, &Claim::default(), &facts)
        .await
        .map(drop)
}

/// Says that API Management is about to be written to.
pub(super) async fn progressing(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &Claim,
    stages: &Stages,
    facts: &ExposureFacts,
) -> Result<(), Error> {
    let running = Step::Running {
        message: "API Management is being written".to_owned(),
    };
    let outcome = Outcome::Built {
        validated,
        desired,
        exposure: &stages.exposure,
        policy: &stages.policy,
        apim: &running,
        plan: None,
    };
    write(ctx, subject, outcome, claim, facts).await.map(drop)
}

/// Says how far an object came.
pub(super) async fn built(
    ctx: &Context,
    subject: &Subject,
    validated: &ValidatedApi,
    desired: &Desired,
    claim: &Claim,
    stages: &Stages,
    facts: &ExposureFacts,
) -> Result<End, Error> {
    let input = input_hash(desired, validated.annotations().retry.as_deref());
    let end = next(ctx, subject, &input, stages);
    // The one failure that stalls is told as such.
    let stalled = |step: &Step| match (step, &end.next) {
        (Step::Failed { class, message, .. }, Next::Stalled(_)) => Step::Failed {
            reason: Reason::RetriesExhausted,
            class: *class,
            message: message.clone(),
        },
        (step, _) => step.clone(),
    };
    let outcome = Outcome::Built {
        validated,
        desired,
        exposure: &stalled(&stages.exposure),
        policy: &stalled(&stages.policy),
        apim: &stalled(&stages.apim),
        plan: stages.plan.as_ref(),
    };
    let told = write(ctx, subject, outcome, claim, facts).await?;
    event(ctx, subject, &told, "Reconcile");
    for warning in &desired.warnings {
        tracing::debug!(%warning, "a warning for the owner");
    }
    Ok(End {
        next: no_later(end.next, told.component),
        ..end
    })
}

/// Says why an object was refused. What is published stays published.
pub(super) async fn rejected(
    ctx: &Context,
    subject: &Subject,
    claim: &Claim,
    rejection: &Rejection,
) -> Result<End, Error> {
    let mut rejection = rejection.clone();
    if matches!(
        rejection.reason,
        Reason::NoInstance | Reason::InstanceUnavailable
    ) {
        let trouble = |message: String| Problem::new("ApimInstance", message);
        rejection
            .problems
            .extend(ctx.instances.troubles().into_iter().map(trouble));
    }
    if ctx.exposed.mode() == StatusMode::Pruned {
        hint_at_definition(ctx, subject);
    }
    let facts = facts(ctx, subject);
    let told = write(ctx, subject, Outcome::Rejected(&rejection), claim, &facts).await?;
    event(ctx, subject, &told, "Validate");
    let class = match rejection.reason {
        // A plugin that took too long on a busy machine may be quicker next
        // time.
        Reason::PluginFailed if rejection.class == ErrorClass::Invalid => ErrorClass::Transient,
        _ => rejection.class,
    };
    let input = ContentHash::of_json(&(&subject.spec, &subject.meta.annotations));
    if let Some((left, _)) = ctx.memory.waits(&subject.key, &input) {
        return Ok(End {
            failed: true,
            next: no_later(Next::After(left), told.component),
        });
    }
    let step = Step::failed(class, "");
    let next = ctx
        .memory
        .ended(&subject.key, &input, Attempt::Failed(class), Some(step));
    Ok(End {
        failed: true,
        next: no_later(next, told.component),
    })
}

/// Says how far a deletion came.
pub(super) async fn deleting(
    ctx: &Context,
    subject: &Subject,
    claim: &Claim,
    step: &Step,
) -> Result<(), Error> {
    let facts = facts(ctx, subject);
    let told = write(ctx, subject, Outcome::Deleting(step), claim, &facts).await?;
    event(ctx, subject, &told, "Delete");
    Ok(())
}

/// A status, and the one that stood there before.
struct Told {
    status: Value,
    before: Option<Value>,
    /// When the parent Component has to be looked at again.
    component: Option<Duration>,
}

/// Writes status if it changes.
async fn write(
    ctx: &Context,
    subject: &Subject,
    outcome: Outcome<'_>,
    claim: &Claim,
    facts: &ExposureFacts,
) -> Result<Told, Error> {
    let mode = ctx.exposed.mode();
    // The cache may be behind this process's own last write.
    let newer = ctx
        .memory
        .newer_status(&subject.key, subject.resource_version.as_deref());
    let behind = newer.is_some();
    let known = newer.or_else(|| subject.status.clone());
    let now = Timestamp::now()
        .round(Unit::Second)
        .unwrap_or_default()
        .to_string();
    let spoke = known.as_ref().is_some_and(|status| says(status, DRIFTED));
    let drift = ctx.drift.known(&subject.key, spoke);
    let status = status(&Observation {
        meta: &subject.meta,
        spec: &subject.spec,
        generation: subject
            .meta
            .generation
            .filter(|_| mode == StatusMode::Subresource),
        facts,
        outcome,
        applied: claim.record.as_ref(),
        drift: match &drift {
            Known::NotYet => DriftSeen::NotYet,
            Known::InPlace => DriftSeen::InPlace,
            Known::Differs(report, why) => DriftSeen::Differs { report, why: *why },
        },
        previous: known.as_ref(),
        now: &now,
    });
    if mode == StatusMode::Pruned {
        remember(ctx, subject, claim).await?;
    } else if let Some(patch) = patch(known.as_ref(), &status) {
        ctx.metrics.kube_write("ExposedAPI/status");
        let written = ctx.exposed.write_status(&subject.key, &patch).await?;
        let all = written.data.get("status").cloned().unwrap_or_default();
        let version = written.metadata.resource_version.as_deref();
        ctx.memory.stands(&subject.key, Some(&all), version);
        ctx.memory.said(
            &subject.key,
            all,
            written.metadata.resource_version.as_deref(),
        );
    } else if !behind {
        let version = subject.resource_version.as_deref();
        ctx.memory.stands(&subject.key, known.as_ref(), version);
    }
    let component = component(ctx, subject, &status).await;
    Ok(Told {
        status,
        before: known,
        component,
    })
}

/// Tells the parent Component what status says.
async fn component(ctx: &Context, subject: &Subject, status: &Value) -> Option<Duration> {
    let component = subject.component.as_deref()?;
    let publication = Publication::of(&subject.meta.uid, status);
    match ctx
        .components
        .tell(&subject.key, component, publication)
        .await
    {
        ComponentTold::Done => None,
        ComponentTold::Later(pause) => Some(pause),
        ComponentTold::Trouble(trouble, again) => {
            let first = ctx.events.publish_once(
                &subject.reference(),
                EventKind::Warning,
                trouble.reason,
                "Report",
                &trouble.message,
            );
            if first {
                tracing::warn!(reason = trouble.reason, "{}", trouble.message);
            }
            again
        }
    }
}

/// What happens next, where something else must be looked at after `pause`.
fn no_later(next: Next, pause: Option<Duration>) -> Next {
    match (next, pause) {
        (Next::AwaitChange, Some(pause)) => Next::After(pause),
        (Next::After(delay), Some(pause)) => Next::After(delay.min(pause)),
        (Next::Stalled(delay), Some(pause)) => Next::Stalled(delay.min(pause)),
        (next, _) => next,
    }
}

/// Whether a condition of the status is true.
fn says(status: &Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Keeps the record in the annotation, where status is pruned.
async fn remember(ctx: &Context, subject: &Subject, claim: &Claim) -> Result<(), Error> {
    hint_at_definition(ctx, subject);
    let text = claim
        .record
        .clone()
        .map(|record| Applied::new(&subject.key, record).to_annotation());
    let known = match ctx.memory.annotation(&subject.key) {
        Some(Annotation::Text(text)) => Some(text),
        Some(Annotation::Removed) => None,
        None => subject.meta.annotations.get(APPLIED).cloned(),
    };
    if known != text {
        ctx.metrics.kube_write("ExposedAPI");
        ctx.exposed
            .annotate(&subject.key, APPLIED, text.as_deref())
            .await?;
        ctx.memory.annotated(&subject.key, text);
    }
    Ok(())
}

fn hint_at_definition(ctx: &Context, subject: &Subject) {
    ctx.events.publish_once(
        &subject.reference(),
        EventKind::Warning,
        "StatusPruned",
        "Report",
        "the installed ExposedAPI definition drops status, so what becomes of this object is told by events only; \
         replace it with the one that `apim-operator crd --exposedapi` prints",
    );
}

/// An event when what the condition Ready says has changed: since the status
/// that stood there, which may be an earlier process's.
fn event(ctx: &Context, subject: &Subject, told: &Told, action: &str) {
    let Some(ready) = ready_of(&told.status) else {
        return;
    };
    let said = told.before.as_ref().and_then(ready_of);
    if said.is_some_and(|said| {
        ["status", "reason", "message"]
            .iter()
            .all(|field| said[*field] == ready[*field])
    }) {
        return;
    }
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    let waits = [
        Reason::NoAddress,
        Reason::Pending,
        Reason::Progressing,
        Reason::Deleting,
        Reason::Paused,
    ];
    let kind = if ready["status"] == "True"
        || waits.iter().any(|reason| reason.as_str() == text("reason"))
    {
        EventKind::Normal
    } else {
        EventKind::Warning
    };
    ctx.events.publish(
        &subject.reference(),
        kind,
        text("reason"),
        action,
        text("message"),
    );
}

fn ready_of(status: &Value) -> Option<&Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == "Ready")
}
